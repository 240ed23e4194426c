"""Who may use what: health and metrics all, anything else who knows the token, or is on this machine."""

from __future__ import annotations

import hmac
import string
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from ..errors import ConfigError
from ..files import read_regular, why_not

__all__ = ["TOKEN_VARIABLE", "Guard", "Refusal", "is_loopback", "load_token"]

TOKEN_VARIABLE = "LIVECACHE_HTTP_TOKEN"

_TOKEN_LEAST = 16  # characters; a shorter one could be guessed
_TOKEN_MOST = 1_000
_PLAIN = frozenset(string.ascii_letters + string.digits + string.punctuation)
_HINT = f"{_TOKEN_LEAST} characters at least, such as `openssl rand -hex 32` prints"


def load_token(token_file: str, environ: Mapping[str, str]) -> str | None:
    """The token in the environment, else the one in `token_file`, else None.

    Raises ConfigError, which never shows it, if there is one that cannot be used.
    """
    source, token = TOKEN_VARIABLE, environ.get(TOKEN_VARIABLE, "")
    if not token:
        if not token_file:
            return None
        source, path = f"http.token_file {token_file}", Path(token_file)
        try:
            path = path.expanduser()
            token = read_regular(path, _TOKEN_MOST + 2).decode("ascii")
        except UnicodeDecodeError:
            raise ConfigError(f"{source} is not plain text", _HINT) from None
        except (OSError, ValueError, RuntimeError) as error:  # a path with a zero byte; nobody's home
            why, hint = why_not(path, error)
            raise ConfigError(f"{source} cannot be read: {why}", hint) from None
    token = token.strip()
    if not (_TOKEN_LEAST <= len(token) <= _TOKEN_MOST and _PLAIN.issuperset(token)):
        raise ConfigError(f"the token in {source} is too short, too long, or in several words", _HINT)
    return token


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to that address (or localhost)."""
    return host == "localhost" or ip_address(host).is_loopback


class Refusal(NamedTuple):
    """An answer that says no."""

    status: int
    detail: str
    hint: str


class Guard:
    """Decides about requests for what is neither health nor metrics."""

    def __init__(self, token: str | None, *, loopback: bool) -> None:
        self._token = token.encode() if token is not None else None
        self._loopback = loopback

    @property
    def closed(self) -> bool:
        """Whether nobody gets past it: others can connect, and no token tells who may."""
        return self._token is None and not self._loopback

    def refuses_request(self, header: Callable[[str], str | None]) -> Refusal | None:
        """As `refuses`, of a request whose headers that function gets."""
        return self.refuses(
            authorization=header("Authorization"), host=header("Host"), origin=header("Origin")
        )

    def refuses(
        self, *, authorization: str | None, host: str | None, origin: str | None = None
    ) -> Refusal | None:
        """Why a request with these headers is not answered; None if it is."""
        if self._token is not None:
            scheme, _, given = (authorization or "").partition(" ")
            known = hmac.compare_digest(given.strip().encode(errors="replace"), self._token)
            if scheme.lower() == "bearer" and known:
                return None
            return Refusal(401, "this needs the token", "Authorization: Bearer …")
        if not self._loopback:
            hint = f"set {TOKEN_VARIABLE} or http.token_file, or let http.listen be on loopback"
            return Refusal(403, "beyond loopback this needs a token, and none is configured", hint)
        # What follows keeps web pages out, which a browser on this machine may show: those of other sites,
        # and those whose own name was made to lead here.
        if not _is_here(host or ""):
            return Refusal(403, f"{host!r} is not this machine's name", "use an IP address, or localhost")
        if origin is not None and origin != f"http://{host}":
            return Refusal(403, "not for web pages of other sites", "without a token only this one's own")
        return None


def _is_here(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        return is_loopback(name)
    except ValueError:
        return False
