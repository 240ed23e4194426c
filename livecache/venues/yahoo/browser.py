"""Asks Yahoo itself, whose edge refuses what does not look like a browser: by curl_cffi, loaded late."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import socket
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from ...clock import Clock
from ...errors import ConfigError
from ..net.http import Answer, HttpSource
from ..net.network import Proxy, proxy_for
from ..text import one_line

__all__ = ["CurlSource"]

_BROWSER = "chrome"
_SAID = re.compile(r"curl: \(\d+\) (.*?)\.? See https:", re.DOTALL)  # what of its words is about this error
_NO_MORE = 0xFFFFFFFF  # what libcurl takes for: end it here


class CurlSource(HttpSource):
    """As `HttpSource`, with the TLS and the headers of a browser. Cookies are kept, as by one."""

    def __init__(self, url: str, *, clock: Clock, timeout_s: float) -> None:
        """Raises ConfigError where curl_cffi is not installed."""
        try:
            self._curl: Any = import_module("curl_cffi")
        except ImportError:
            raise ConfigError("asking Yahoo needs curl_cffi", "pip install 'livecache[yahoo]'") from None
        super().__init__(url, clock=clock, timeout_s=timeout_s)
        self._browser: Any = None

    async def aclose(self) -> None:
        """Close the connections. A later call opens new ones."""
        if self._browser is not None:
            await self._browser.close()
            self._browser = None

    async def _ask(
        self,
        path: str,
        parameters: Mapping[str, str] | Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        posted: str | None,
        body_bytes: int,
    ) -> Answer:
        if self._browser is None:
            self._browser = self._curl.AsyncSession(impersonate=_BROWSER, **self._way())
        body = bytearray()

        def take(chunk: bytes) -> int:
            body.extend(chunk)
            return len(chunk) if len(body) <= body_bytes else _NO_MORE

        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._browser.request(
                    "GET" if posted is None else "POST",
                    self._url + path,
                    params=parameters,
                    data=posted,
                    headers=dict(headers),
                    timeout=self._timeout_s,
                    allow_redirects=False,
                    content_callback=take,
                )
        except self._curl.requests.exceptions.Timeout as error:
            raise TimeoutError from error
        except self._curl.requests.exceptions.RequestException as error:
            if len(body) <= body_bytes:
                raise self._plainly(error) from error
            response = error.response
        return Answer(response.status_code, bytes(body), response.headers)

    def _plainly(self, error: Exception) -> OSError:
        """The error that the system would have raised, or with as few words as tell it."""
        if isinstance(error, self._curl.requests.exceptions.DNSError):
            return socket.gaierror(socket.EAI_NONAME, "unknown")
        said = _SAID.search(str(error))
        return ConnectionError(one_line(said[1] if said else str(error)))

    def _way(self) -> dict[str, Any]:
        """By which proxy and authorities, as the environment says, which libcurl reads in ways of its own."""
        proxy, authorities = proxy_for(self._url), os.environ.get("SSL_CERT_FILE")
        excepted = {self._curl.CurlOpt.NOPROXY: "" if proxy else "*"}
        way: dict[str, Any] = {"curl_options": excepted, "verify": authorities or True}
        return way | {"proxies": {"all": _url_of(proxy)}} if proxy else way


def _url_of(proxy: Proxy) -> str:
    login = base64.b64decode(proxy.authorization.removeprefix("Basic ")).decode()
    return f"http://{login}@{proxy.name}" if login else f"http://{proxy.name}"
