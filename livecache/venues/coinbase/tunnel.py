"""The way through a proxy: a tunnel that it is asked for (CONNECT), with TLS inside or without.

aiohttp asks for one only where there is TLS, and knows no ALL_PROXY. Here REST and the feed go the same way.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from typing import Any

import aiohttp

from .network import Proxy, proxy_for, unreachable
from .text import one_line

__all__ = ["connector_for"]

_SHARE = 0.9  # of the time for it all, until a proxy that does not answer is given up

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")


def connector_for(url: str, timeout_s: float) -> aiohttp.BaseConnector | None:
    """What leads to `url` if that is a proxy of the environment's; None: aiohttp's own."""
    proxy = proxy_for(url)
    return _Tunnel(proxy, timeout_s) if proxy else None


class _NoWay(aiohttp.ClientConnectionError):
    """The proxy leads nowhere. The text is one line for a person, without secrets."""


class _Tunnel(aiohttp.BaseConnector):
    """Connects through a proxy."""

    def __init__(self, proxy: Proxy, timeout_s: float) -> None:
        super().__init__()
        self._proxy = proxy
        self._name = f"the proxy {proxy.name}"
        self._timeout_s = timeout_s
        self._context: ssl.SSLContext | None = None

    async def _create_connection(self, req: Any, *_: Any) -> Any:
        url = req.url
        wire = await self._led_to(f"[{url.host}]" if ":" in url.host else url.raw_host, url.port)
        context = self._secured() if req.is_ssl() else None
        try:
            made = await asyncio.get_running_loop().create_connection(
                self._factory, sock=wire, ssl=context, server_hostname=url.host if context else None
            )
        except BaseException:
            wire.close()
            raise
        return made[1]

    def _secured(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context

    async def _led_to(self, host: str, port: int) -> socket.socket:
        """A socket whose other end is that host's."""
        # Whoever asked gives up a little later, and would blame the host for it.
        patience_s = _SHARE * self._timeout_s
        try:
            async with asyncio.timeout(patience_s):
                return await self._asked(host, port)
        except TimeoutError as error:
            raise _NoWay(unreachable(self._name, error, patience_s)) from error

    async def _asked(self, host: str, port: int) -> socket.socket:
        try:
            reader, writer = await asyncio.open_connection(self._proxy.host, self._proxy.port)
        except (OSError, UnicodeError) as error:  # a name that no host can have
            raise _NoWay(unreachable(self._name, error, self._timeout_s)) from error
        try:
            login = self._proxy.authorization
            told = f"Proxy-Authorization: {login}\r\n" if login else ""
            writer.write(
                f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{told}\r\n".encode("ascii")
            )
            answer = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0]
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            writer.close()
            raise _NoWay(f"{self._name} does not answer as a proxy does") from error
        except BaseException:
            writer.close()
            raise
        # The stream closes its socket as it goes. Nothing more has come: who is there speaks second.
        wire: socket.socket = writer.get_extra_info("socket").dup()
        writer.close()
        status = _STATUS.match(answer)
        if status is None or not status[1].startswith(b"2"):
            wire.close()
            raise _NoWay(f"{self._name} leads nowhere: {_complaint(answer, known=status is not None)}")
        wire.setblocking(False)
        return wire


def _complaint(answer: bytes, *, known: bool) -> str:
    if answer[9:12] == b"407":
        return "it wants user and password, or others: in HTTPS_PROXY they stand before its host"
    return one_line(f"it answered {(answer[9:] if known else answer).decode('ascii', 'replace')}")
