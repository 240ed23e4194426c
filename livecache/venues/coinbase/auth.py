"""Keys and signatures, for who wants the private endpoints. The signing is coinbase-advanced-py's.

https://docs.cdp.coinbase.com/coinbase-app/authentication-authorization/api-key-authentication
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ...errors import ConfigError

__all__ = ["KEY_NAME_VARIABLE", "KEY_SECRET_VARIABLE", "ApiKey", "load_key"]

KEY_NAME_VARIABLE = "LIVECACHE_COINBASE_KEY_NAME"
KEY_SECRET_VARIABLE = "LIVECACHE_COINBASE_KEY_SECRET"

_HINT = "create one at https://portal.cdp.coinbase.com/access/api and download its JSON file"
_KEY_FILE_BYTES = 64 * 1024  # A key's file has less than one kilobyte.


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A CDP API key: EC P-256 as PEM, or Ed25519. `repr` does not show the secret."""

    name: str
    secret: str = field(repr=False)

    def bearer(self, method: str, path: str) -> str:
        """The Authorization header of one request. Good for two minutes; `path` without its query."""
        # Imported here because cryptography takes a tenth of a second that most users, who have no key, save.
        from coinbase.jwt_generator import build_rest_jwt, format_jwt_uri

        return f"Bearer {build_rest_jwt(format_jwt_uri(method, path), self.name, self.secret)}"

    def feed_token(self) -> str:
        """A JWT for one websocket message. Good for two minutes: each message wants its own."""
        from coinbase.jwt_generator import build_ws_jwt

        token: str = build_ws_jwt(self.name, self.secret)
        return token


class _KeyFile(msgspec.Struct):
    name: str
    privateKey: str


def load_key(key_file: str, environ: Mapping[str, str]) -> ApiKey | None:
    """The key in the environment, else the one in `key_file` (a CDP key's JSON), else None.

    Raises ConfigError, which never shows the secret, if there is one that cannot be used.
    """
    name, secret = environ.get(KEY_NAME_VARIABLE, ""), environ.get(KEY_SECRET_VARIABLE, "")
    if name and secret:
        return _usable(name, secret, KEY_SECRET_VARIABLE)
    if name or secret:
        absent = KEY_SECRET_VARIABLE if name else KEY_NAME_VARIABLE
        raise ConfigError(f"half of a Coinbase key: {absent} is not set", "set both variables, or neither")
    if not key_file:
        return None
    path = Path(key_file).expanduser()
    try:
        with path.open("rb") as file:
            content = msgspec.json.decode(file.read(_KEY_FILE_BYTES), type=_KeyFile)
    except OSError as error:
        raise ConfigError(f"the key file {path} cannot be read: {error.strerror}", _HINT) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The decoder's message could quote the file.
        raise ConfigError(f'{path} is not a key file: {{"name": …, "privateKey": …}}', _HINT) from None
    return _usable(content.name, content.privateKey, str(path))


def _usable(name: str, secret: str, source: str) -> ApiKey:
    # An .env file cannot hold line breaks, so the PEM's are often written as two characters.
    key = ApiKey(name.strip(), secret.replace("\\n", "\n").strip())
    try:
        key.feed_token()
    except ImportError:
        raise
    except Exception:  # The SDK raises no narrower type.
        raise ConfigError(f"the secret in {source} is no key that can sign", _HINT) from None
    return key
