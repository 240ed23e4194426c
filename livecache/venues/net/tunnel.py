"""The way through a proxy: a tunnel that it is asked for (CONNECT), with TLS inside or without.

aiohttp asks for one only where there is TLS, and knows no ALL_PROXY. Here REST and the feed go the same way.
"""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Any

import aiohttp

from ..text import one_line
from .network import Proxy, proxy_for, secured, unreachable

__all__ = ["connector_for", "led_to"]

_SHARE = 0.9  # of the time for it all, until a proxy that does not answer is given up

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")


def connector_for(url: str, timeout_s: float) -> aiohttp.BaseConnector | None:
    """What leads to `url` if that is a proxy of the environment's; None: aiohttp's own."""
    proxy = proxy_for(url)
    return _Tunnel(proxy, timeout_s) if proxy else None


async def led_to(proxy: Proxy, host: str, port: int, timeout_s: float) -> socket.socket:
    """A socket whose other end is `host`, by way of the proxy; OSError if that leads nowhere.

    Its text is one line for a person, without secrets. `timeout_s`: how long the caller waits.
    """
    name, where = f"the proxy {proxy.name}", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    # Whoever asked gives up a little later, and would blame the host for it.
    patience_s = _SHARE * timeout_s
    try:
        async with asyncio.timeout(patience_s):
            return await _asked(proxy, name, where)
    except TimeoutError as error:
        raise OSError(unreachable(name, error, patience_s)) from error


async def _asked(proxy: Proxy, name: str, where: str) -> socket.socket:
    try:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    except (OSError, UnicodeError) as error:  # a name that no host can have
        raise OSError(unreachable(name, error, 0.0)) from error
    try:
        told = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        writer.write(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{told}\r\n".encode("ascii"))
        answer = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0]
        # The stream closes its socket as it goes. Nothing more has come: who is there speaks second.
        wire: socket.socket = writer.get_extra_info("socket").dup()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise OSError(f"{name} does not answer as a proxy does") from error
    finally:
        writer.close()
    status = _STATUS.match(answer)
    if status is None or not status[1].startswith(b"2"):
        wire.close()
        raise OSError(f"{name} leads nowhere: {_complaint(answer, known=status is not None)}")
    wire.setblocking(False)
    return wire


class _Tunnel(aiohttp.BaseConnector):
    """Connects through a proxy."""

    def __init__(self, proxy: Proxy, timeout_s: float) -> None:
        super().__init__()
        self._proxy = proxy
        self._timeout_s = timeout_s

    async def _create_connection(self, req: Any, *_: Any) -> Any:
        url = req.url
        tls = {"ssl": secured(), "server_hostname": url.host} if req.is_ssl() else {}
        wire = await led_to(self._proxy, url.raw_host, url.port, self._timeout_s)
        try:
            made = await asyncio.get_running_loop().create_connection(self._factory, sock=wire, **tls)
        except BaseException:
            wire.close()
            raise
        return made[1]


def _complaint(answer: bytes, *, known: bool) -> str:
    if answer[9:12] == b"407":
        return "it wants user and password, or others: in HTTPS_PROXY they stand before its host"
    return one_line(f"it answered {(answer[9:] if known else answer).decode('ascii', 'replace')}")
