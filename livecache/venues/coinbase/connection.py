"""One websocket connection: text out, messages in, and in plain words how it ended.

aiohttp reads a frame in 0.9 µs where websockets 13 takes 4.2: it is compiled, and nearly half of what a frame
cost in all was its receiving.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any, Literal, Self

import aiohttp

from .network import unreachable
from .text import one_line
from .tunnel import connector_for

__all__ = ["Connection", "ConnectionEnded", "NoConnection"]

_CLOSE_TIMEOUT_S = 0.5
_HANG_UP_S = 1.0
_DEFLATE_BITS = 15  # permessage-deflate with its largest window, if the venue wants it


class NoConnection(Exception):
    """The websocket could not be opened. The text is one line for a person, without secrets."""


class ConnectionEnded(Exception):
    """The connection is over. The text is one line for a person; `too_long`: a message was."""

    too_long = False


class Connection:
    """An open websocket."""

    def __init__(
        self, session: aiohttp.ClientSession, websocket: aiohttp.ClientWebSocketResponse[Literal[False]]
    ) -> None:
        self._session = session
        self._websocket = websocket

    @classmethod
    async def open(cls, url: str, host: str, *, timeout_s: float, message_bytes: int) -> Self:
        """Connect to `url` within `timeout_s`, or raise `NoConnection`. `host` is what it is called there.

        A message of more than `message_bytes`, unpacked, ends the connection.
        """
        session = aiohttp.ClientSession(
            connector=connector_for(url, timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        try:
            async with asyncio.timeout(timeout_s):
                websocket = await session.ws_connect(
                    url,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT_S),
                    max_msg_size=message_bytes
                    + 1,  # A plain one that has just as many is refused by aiohttp.
                    compress=_DEFLATE_BITS,
                    decode_text=False,
                )
        # Besides its own and the system's, a library may let ValueError and more out of a handshake that
        # somebody answers with something else than HTTP, or hangs up in.
        except Exception as error:
            await session.close()
            raise NoConnection(_no_connection(error, host, timeout_s)) from error
        except BaseException:
            await session.close()
            raise
        return cls(session, websocket)

    async def receive(self) -> bytes:
        """The next message; `ConnectionEnded` if there will be none. Cancelling it ends the connection."""
        message = await self._websocket.receive()
        data = message.data
        # An end has no data, or a number, or an exception.
        if type(data) is not bytes:
            raise _ended(message)
        return data

    async def send(self, text: str) -> None:
        """Send one message; `ConnectionEnded` if that is too late."""
        try:
            await self._websocket.send_str(text)
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionEnded(_CUT) from error

    def abort(self) -> None:
        """End it at once, without a closing handshake: whoever waits for a message learns it."""
        wire = self._websocket.get_extra_info("socket")
        if wire is not None:
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        """Close politely, but not for longer than a second: a TLS shutdown alone may wait for 30."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HANG_UP_S):
                    await self._websocket.close()
        finally:
            await self._session.close()


_CUT = "the connection was cut"


def _ended(message: Any) -> ConnectionEnded:
    ended = ConnectionEnded(_CUT)
    if message.type is aiohttp.WSMsgType.CLOSE:
        why = f" {message.extra}" if message.extra else ""
        ended = ConnectionEnded(one_line(f"closed by the venue ({message.data}{why})"))
        ended.too_long = message.data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
    elif message.type is aiohttp.WSMsgType.ERROR and isinstance(message.data, aiohttp.WebSocketError):
        ended = ConnectionEnded(one_line(f"closed from here ({int(message.data.code)} {message.data})"))
        ended.too_long = message.data.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
    return ended


def _no_connection(error: Exception, host: str, timeout_s: float) -> str:
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"{host} answered HTTP {error.status} instead of opening a websocket"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return unreachable(host, error.certificate_error, timeout_s)
    if isinstance(error, aiohttp.ClientConnectorError):
        return unreachable(host, error.os_error, timeout_s)
    if isinstance(error, OSError):
        return unreachable(host, error, timeout_s)
    return one_line(f"{host} opens no websocket: {str(error) or type(error).__name__}")
