"""Keys and signatures, for who wants the private endpoints.

https://docs.cdp.coinbase.com/coinbase-app/authentication-authorization/api-key-authentication
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ...errors import ConfigError
from ...files import read_regular, why_not
from ...quiet import logger

__all__ = ["ApiKey", "Signing", "load_key"]

KEY_AGAIN_MS = 600_000
"""A key that was refused is tried again after so long; meanwhile the public endpoints serve."""

_LIFETIME_S = 120
_HINT = "create one at https://portal.cdp.coinbase.com/access/api and download its JSON file"
_KEY_FILE_BYTES = 64 * 1024  # A key's file has less than one kilobyte.


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A CDP API key: EC P-256 as PEM, or Ed25519. `repr` does not show the secret.

    What it signs is good for two minutes from `now_s` on (Unix, the venue's clock; None: the host's).
    """

    name: str
    secret: str = field(repr=False)

    def bearer(self, method: str, path: str, now_s: float | None = None) -> str:
        """The Authorization header of one request; `path` without its query."""
        # Imported here because cryptography takes a tenth of a second that most users, who have no key, save.
        from coinbase.jwt_generator import format_jwt_uri

        return f"Bearer {self._token(now_s, uri=format_jwt_uri(method, path))}"

    def feed_token(self, now_s: float | None = None) -> str:
        """A JWT for one websocket message: each wants its own."""
        return self._token(now_s)

    def _token(self, now_s: float | None, **claims: str) -> str:
        """As coinbase-advanced-py makes it, which stamps by the host's clock: that may be minutes off."""
        import jwt

        private, algorithm = _private_key(self.secret)
        begin = int(time.time() if now_s is None else now_s)
        told = {"sub": self.name, "iss": "cdp", "nbf": begin, "exp": begin + _LIFETIME_S, **claims}
        headers = {"kid": self.name, "nonce": secrets.token_hex()}
        token: str = jwt.encode(told, private, algorithm=algorithm, headers=headers)
        return token


class Signing:
    """What a client signs with: a key, or none. By the venue's clock, which `now` tells: Unix ms, or None.

    A key that the venue refuses is set aside for ten minutes, since all that is read here needs none.
    """

    def __init__(self, key: ApiKey | None, now: Callable[[], int | None]) -> None:
        self._key = key
        self._now = now
        self._again_at = 0

    @property
    def on(self) -> bool:
        """Whether there is a key to sign with now."""
        return self._key is not None and (self._now() or 0) >= self._again_at

    def bearer(self, method: str, path: str) -> str:
        """See `ApiKey.bearer`."""
        assert self._key is not None
        return self._key.bearer(method, path, self._now_s())

    def feed_token(self) -> str | None:
        """See `ApiKey.feed_token`; None without a key."""
        return self._key.feed_token(self._now_s()) if self._key is not None and self.on else None

    def set_aside(self, complaint: str) -> None:
        """The venue refused what the key had signed."""
        if self._key is None or not self.on:
            return
        self._again_at = (self._now() or 0) + KEY_AGAIN_MS
        logger.bind(event="key_refused", key=self._key.name, error=complaint).warning(
            "Coinbase refuses the key: {}. What is read here needs none, so it is read without; the key is "
            "tried again in {} minutes. Is it the right one, and still valid?",
            complaint,
            KEY_AGAIN_MS // 60_000,
        )

    def _now_s(self) -> float | None:
        now = self._now()
        return None if now is None else now / 1000


# --- where a key comes from, and in which form


def load_key(key_file: str, environ: Mapping[str, str], venue: str = "coinbase") -> ApiKey | None:
    """The key in the environment, else the one in `key_file` (a CDP key's JSON), else None.

    `venue` is the id of the venue whose it is, which its variables begin with. Raises
    ConfigError, which never shows the secret, if there is one that cannot be used.
    """
    head = f"LIVECACHE_{venue.upper().replace('-', '_')}_KEY"
    name_variable, secret_variable = f"{head}_NAME", f"{head}_SECRET"
    name, secret = _bare(environ.get(name_variable, "")), _bare(environ.get(secret_variable, ""))
    if name and secret:
        if "-----BEGIN" in name:
            raise ConfigError(f"{name_variable} holds a secret", "are the two variables swapped?")
        return _usable(name, secret, secret_variable)
    if name or secret:
        absent = secret_variable if name else name_variable
        raise ConfigError(f"half of a Coinbase key: {absent} is not set", "set both variables, or neither")
    if not key_file:
        return None
    path = Path(key_file)
    try:
        path = path.expanduser()
        content = read_regular(path, _KEY_FILE_BYTES)
    except (OSError, ValueError, RuntimeError) as error:  # a path with a zero byte; nobody's home
        why, hint = why_not(path, error)
        raise ConfigError(f"the key file {path} cannot be read: {why}", hint) from None
    return _usable(*_parsed(content, path), str(path))


def _parsed(content: bytes, path: Path) -> tuple[str, str]:
    """The name and the secret in a key's file. ConfigError, which quotes nothing of it, for anything else."""
    # Windows' tools begin a file with a mark, or write two bytes a character.
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        told: Any = msgspec.json.decode(content.decode(encoding))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ConfigError(f"{path} is not a key file: {_no_json(content)}", _FILE_HINT) from None
    fields = told if isinstance(told, dict) else {}
    name, secret = (
        next((text for n in names if isinstance(text := fields.get(n), str) and _bare(text)), None)
        for names in (_NAMES, _SECRETS)
    )
    if name and secret:
        return _bare(name), _bare(secret)
    absent = " or ".join(_SECRETS if name else _NAMES)
    there = ", ".join(str(field) for field in fields if _FIELD.fullmatch(str(field))) or "nothing"
    raise ConfigError(f"{path} is not a key file: no text {absent}, but {there[:200]}", _FILE_HINT)


def _no_json(content: bytes) -> str:
    """What a file that cannot be read as JSON is instead."""
    begin = content.removeprefix(b"\xef\xbb\xbf").strip()
    if not begin:
        return "it is empty"
    if begin.startswith(b"{"):
        return "its JSON is damaged"
    return "it is a PEM alone, without the key's name" if b"-----BEGIN" in begin else "it is no JSON"


_FIELD = re.compile(r"\w{1,20}", re.ASCII)
_NAMES, _SECRETS = ("name", "id"), ("privateKey", "secret")
_FILE_HINT = f'it holds {{"name": …, "privateKey": …}} or {{"id": …, "privateKey": …}}; {_HINT}'


def _bare(text: str) -> str:
    """The text without what is wrapped around it: white space, a mark, quotes. Its breaks are breaks."""
    text = text.strip().lstrip("\ufeff")
    while len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    # An .env file cannot hold line breaks, so the PEM's are often written as two characters, or more.
    text = _BREAK.sub("\n", text).replace("\\/", "/").strip()
    if text.startswith(_PEM_IN_BASE64):  # a container's secret that was encoded once more
        text = (_decoded(text) or b"").decode("ascii", "replace")
    # What stands around a PEM is not the key's: a comment, or the field that it was copied with.
    begin, end = text.find("-----BEGIN"), text.rfind("-----")
    return text[begin : end + 5] if 0 <= begin < end and not text.startswith("{") else text


_BREAK = re.compile(r"(?:\\+r)?\\+n|\r\n?")
_PEM_IN_BASE64 = "LS0tLS1CRUdJTi"


def _usable(name: str, secret: str, source: str) -> ApiKey:
    key = ApiKey(name, secret)
    try:
        key.feed_token()
    except ImportError:
        raise
    except Exception:  # cryptography raises several kinds, and their texts may quote.
        raise ConfigError(f"the secret in {source} is no key that can sign: {_form(secret)}", _HINT) from None
    return key


def _private_key(secret: str) -> tuple[Any, str]:
    """The key of a PEM, or in base64 of its DER or an Ed25519 key's 32 or 64 bytes; and its algorithm."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    private: Any
    if secret.startswith("-----BEGIN"):
        private = serialization.load_pem_private_key(secret.encode(), password=None)
    else:
        raw = _decoded(secret)
        if raw is None:
            raise ValueError
        if len(raw) in (32, 64):
            private = ed25519.Ed25519PrivateKey.from_private_bytes(raw[:32])
        else:
            private = serialization.load_der_private_key(raw, password=None)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private, "EdDSA"
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        return private, "ES256"
    raise ValueError


def _decoded(secret: str) -> bytes | None:
    """The bytes in a base64 text, of either alphabet, with or without its padding; None if it is none."""
    text = "".join(secret.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _form(secret: str) -> str:
    """What a secret that cannot be used looks like. Nothing of it is quoted."""
    for pattern, form in _FORMS:
        if re.search(pattern, secret, re.DOTALL):
            return form
    raw = _decoded(secret)
    if not raw:
        return "it is empty" if raw is not None else "neither a PEM nor base64"
    if not raw.startswith(b"\x30"):  # as a DER does
        return f"base64 of {len(raw)} bytes, where an Ed25519 key has 32 or 64"
    return "base64 of a DER that is damaged, or of another kind than EC P-256 and Ed25519"


_FORMS = (
    (r"^\s*\{", "it is a whole JSON file: name that by venues.coinbase.key_file, or give its privateKey"),
    (r"BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED", "a PEM with a password: take it off (openssl pkey)"),
    (r"BEGIN (EC )?PUBLIC KEY", "a public key: the private one is needed"),
    (r"BEGIN CERTIFICATE", "a certificate: the private key is needed"),
    (r"BEGIN RSA", "an RSA key: Coinbase takes EC P-256 and Ed25519"),
    (r"BEGIN OPENSSH", "an SSH key: Coinbase takes EC P-256 and Ed25519, as PEM"),
    (r"-----BEGIN(?!.*-----END)", "a PEM that breaks off before its END: write its line breaks as \\n"),
    (r"-----BEGIN", "a PEM that is damaged, or of another kind than EC P-256 and Ed25519"),
    (
        r"^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
        "an id, which is the key's name and not its secret",
    ),
    (r"^([0-9a-fA-F]{64}|[0-9a-fA-F]{128})$", "hexadecimal digits: Coinbase's own form is base64"),
    (r"^organizations/", "a key's name, and not its secret"),
    (r"\.(json|pem|key|txt)$", "the name of a file: that is for venues.coinbase.key_file"),
)
