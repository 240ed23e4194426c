"""Who may use what: health and metrics all, anything else who knows a token, or is on this machine.

One token opens everything; another one, if there is any, only what is read.
"""

from __future__ import annotations

import hmac
import string
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from ..config.schema import HttpConfig
from ..errors import ConfigError
from ..files import read_regular, why_not
from .origins import Origins

__all__ = [
    "READ_TOKEN_VARIABLE",
    "TOKEN_VARIABLE",
    "Guard",
    "Refusal",
    "Tokens",
    "is_loopback",
    "load_token",
    "load_tokens",
]

TOKEN_VARIABLE = "LIVECACHE_HTTP_TOKEN"
READ_TOKEN_VARIABLE = "LIVECACHE_HTTP_READ_TOKEN"

_TOKEN_LEAST = 16  # characters; a shorter one could be guessed
_TOKEN_MOST = 1_000
_PLAIN = frozenset(string.ascii_letters + string.digits + string.punctuation)
_HINT = f"{_TOKEN_LEAST} characters at least, such as `openssl rand -hex 32` prints"


class Tokens(NamedTuple):
    """None: there is none."""

    full: str | None
    read: str | None


def load_tokens(config: HttpConfig, environ: Mapping[str, str]) -> Tokens:
    """Both tokens, each from the environment, else from its file. Raises as `load_token`."""
    full = load_token(config.token_file, environ)
    read = _load(READ_TOKEN_VARIABLE, "http.read_token_file", config.read_token_file, environ)
    if read is not None and read == full:
        raise ConfigError("the token that only reads is the one that opens everything", "take another one")
    return Tokens(full, read)


def load_token(token_file: str, environ: Mapping[str, str]) -> str | None:
    """The token that opens everything: in the environment, else in `token_file`, else None.

    Raises ConfigError, which never shows it, if there is one that cannot be used.
    """
    return _load(TOKEN_VARIABLE, "http.token_file", token_file, environ)


def _load(variable: str, setting: str, token_file: str, environ: Mapping[str, str]) -> str | None:
    source, token = variable, environ.get(variable, "")
    if not token:
        if not token_file:
            return None
        source, path = f"{setting} {token_file}", Path(token_file)
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

    def __init__(
        self,
        token: str | None,
        *,
        loopback: bool,
        read: str | None = None,
        origins: Origins | None = None,
    ) -> None:
        self._origins = origins or Origins()
        self._full, self._read = (one if one is None else one.encode() for one in (token, read))
        self._loopback = loopback

    @property
    def closed(self) -> bool:
        """Whether nobody gets past it: others can connect, and no token tells who may."""
        return self._full is None and self._read is None and not self._loopback

    def refuses_request(self, header: Callable[[str], str | None], *, orders: bool = False) -> Refusal | None:
        """As `refuses`, of a request whose headers that function gets."""
        return self.refuses(
            authorization=header("Authorization"),
            host=header("Host"),
            origin=header("Origin"),
            orders=orders,
        )

    def refuses(
        self,
        *,
        authorization: str | None,
        host: str | None,
        origin: str | None = None,
        orders: bool = False,
    ) -> Refusal | None:
        """Why a request with these headers is not answered; None if it is. `orders`: it is for work."""
        if self._full is not None or self._read is not None:
            scheme, _, text = (authorization or "").partition(" ")
            given = text.strip().encode(errors="replace") if scheme.lower() == "bearer" else b""
            if self._full is not None and hmac.compare_digest(given, self._full):
                return None
            if self._read is None or not hmac.compare_digest(given, self._read):
                return Refusal(401, "this needs the token", "Authorization: Bearer …")
            if orders:
                hint = f"the one of {TOKEN_VARIABLE} or http.token_file may do everything"
                return Refusal(403, "this token only reads", hint)
            return None
        if not self._loopback:
            hint = f"set {TOKEN_VARIABLE} or http.token_file, or let http.listen be on loopback"
            return Refusal(403, "beyond loopback this needs a token, and none is configured", hint)
        # What follows keeps web pages out, which a browser on this machine may show: those of other sites,
        # and those whose own name was made to lead here.
        if not _is_here(host or ""):
            return Refusal(403, f"{host!r} is not this machine's name", "use an IP address, or localhost")
        shared = self._origins.admits(origin) and not orders
        if origin is not None and origin != f"http://{host}" and not shared:
            return Refusal(403, "not for web pages of other sites", "http.origins may name it, to read")
        return None


def _is_here(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        return is_loopback(name)
    except ValueError:
        return False
