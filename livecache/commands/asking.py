"""Asking the running service over its HTTP server, as `repair` and `reload` do."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any

from ..config.schema import Config, listen_address
from ..errors import ConfigError, LivecacheError, ReloadRefused
from ..http.guard import TOKEN_VARIABLE, load_token

__all__ = ["Service"]

_TIMEOUT_S = 10.0
_ANSWER_BYTES = 65_536


def _listening_at(config: Config) -> str:
    """The URL of a service with this configuration on this machine."""
    address = listen_address(config.http.listen)
    if address is None:
        raise ConfigError("http.listen is off: the service takes no orders", "name another one by --service")
    host = _THIS_MACHINE.get(address[0], address[0])
    return f"http://[{host}]:{address[1]}" if ":" in host else f"http://{host}:{address[1]}"


_THIS_MACHINE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""What listens everywhere is reached here."""


class Service:
    """The running service of this configuration, or the one at an `http://` or `https://` URL.

    Whatever it refuses is raised as `refused`; `proof` is a field that every answer of it has.
    """

    def __init__(self, config: Config, url: str | None, refused: type[LivecacheError], *, proof: str) -> None:
        self._refused = refused
        self._proof = proof
        url = url or _listening_at(config)
        token = load_token(config.http.token_file, os.environ)
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"--service {url[:80]!r} is not a URL", "such as http://127.0.0.1:8787")
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        # What listens here is this machine's or this network's: no proxy, and nowhere else by redirection.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())

    def ask(self, path: str, body: Any = None) -> dict[str, Any]:
        """The decoded answer, to a POST where there is a body. Raises `refused`."""
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, data=data, headers=headers)
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                return self._decoded(response.read(_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error.code, error.read(_ANSWER_BYTES)) from None
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            raise self._refused(
                f"no service answers at {self._url}: {str(reason)[:200]}",
                "is `livecache run` running, and is this its http.listen?",
            ) from None

    def _decoded(self, raw: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or self._proof not in answer:
            raise self._refused(f"{self._url} is not a livecache service", "see http.listen")
        return answer

    def _refusal(self, status: int, raw: bytes) -> LivecacheError:
        try:
            told = json.loads(raw)
            message, hint = str(told["detail"])[:500], str(told["hint"])[:500]
        except (ValueError, KeyError, TypeError):
            message, hint = f"{self._url} answered {status}", "is it a livecache service? see http.listen"
        if status == 400 and self._refused is ReloadRefused:
            return ConfigError(message, hint)
        if status in (401, 403):
            hint = f"set {TOKEN_VARIABLE} or http.token_file to the service's"
        return self._refused(message, hint)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None
