"""The way through a proxy: a tunnel that it is asked for (CONNECT), with TLS inside or without."""

from __future__ import annotations

import asyncio
import re
import socket

from ..text import one_line
from .network import Proxy, unreachable

__all__ = ["led_to"]

_SHARE = 0.9  # of the time for it all, until a proxy that does not answer is given up

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")


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


def _complaint(answer: bytes, *, known: bool) -> str:
    if answer[9:12] == b"407":
        return "it wants user and password, or others: in HTTPS_PROXY they stand before its host"
    return one_line(f"it answered {(answer[9:] if known else answer).decode('ascii', 'replace')}")
