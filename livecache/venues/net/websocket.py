"""One websocket connection: text out, messages in, and in plain words how it ended.

The protocol is that of `websockets`, without its I/O: handshake, compression, masking, fragments, pings and
the close are its own. A message in one frame, as nearly all are, is cut out of what came without asking it:
0.9 µs instead of 2.9, and 1.5 instead of 5.5 if it is compressed, of the ten that a frame costs in all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import zlib
from collections import deque
from typing import Any, Self

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import CloseCode, Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from ...tape import TAPE
from ..text import one_line
from .network import proxy_for, secured, unreachable
from .tunnel import led_to

__all__ = ["Connection", "ConnectionEnded", "NoConnection"]

_CLOSE_TIMEOUT_S = 0.5
_NEXT_ADDRESS_S = 0.25  # after which a host's next address is tried beside the first (RFC 8305)
_ANSWER_BYTES = 64 * 1024  # of a handshake
_UNREAD_BYTES = 128 * 1024  # then the venue is to wait
_UNSENT_BYTES = 1024 * 1024  # then it is not there any more

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_WHOLE = (0x81, 0x82)  # the first byte of a message in one frame, text or bytes
_PACKED = (0xC1, 0xC2)  # … that is compressed
_FLUSHED = b"\x00\x00\xff\xff"  # which a compressed message leaves out (RFC 7692)

# Its own log would tell tokens, at the level DEBUG.
_SILENT = logging.Logger("websockets", logging.CRITICAL)

_CUT = "the connection was cut"


class NoConnection(Exception):
    """The websocket could not be opened. The text is one line for a person, without secrets."""


class ConnectionEnded(Exception):
    """The connection is over. The text is one line for a person; `too_long`: a message was."""

    too_long = False


class _Declined(Exception):
    """The answer to the handshake is that of a web server."""


class Connection(asyncio.Protocol):
    """A websocket, made by `open`. What else asyncio calls is not for others."""

    def __init__(self, url: str, message_bytes: int) -> None:
        self._protocol = ClientProtocol(
            parse_uri(url),
            extensions=[ClientPerMessageDeflateFactory(client_max_window_bits=True)],
            max_size=message_bytes + 1,  # It may refuse a packed message that has just as many.
            logger=_SILENT,
        )
        self._transport: asyncio.Transport | None = None
        self._message_bytes = message_bytes
        self._messages: deque[bytes] = deque()
        self._part: bytearray | None = None  # of a message that comes in several frames
        self._begun = bytearray()  # of a frame, or of the answer to the handshake
        self._needed = 0  # bytes, until it is whole
        self._inflater: Any = None  # where compression goes on from message to message
        self._unread = 0  # bytes that wait, at most
        self._resume_below = 0  # so many messages that wait, once no more are read
        self._failure: Exception | None = None  # why there is no websocket
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()
        self._waiter: asyncio.Future[None] | None = None
        self._tape = TAPE.get()
        self._number = 0  # on the tape

    @classmethod
    async def open(cls, url: str, host: str, *, timeout_s: float, message_bytes: int) -> Self:
        """Connect to `url` within `timeout_s`, or raise `NoConnection`. `host` is what it is called there.

        A message of more than `message_bytes`, unpacked, ends the connection.
        """
        # Besides its own and the system's errors, a library may let ValueError and more out of a handshake
        # that somebody answers with something else than HTTP, or hangs up in.
        try:
            connection = cls(url, message_bytes)
            try:
                await connection._open(url, timeout_s)
            except BaseException:
                connection.abort()
                raise
        except Exception as error:
            raise NoConnection(_no_connection(error, host, timeout_s)) from error
        return connection

    async def receive(self) -> bytes:
        """The next message; `ConnectionEnded` if there will be none."""
        messages = self._messages
        while not messages:
            if self._protocol.state is not State.OPEN:
                if self._tape:
                    self._tape.closed(self._number)
                raise self._ended()
            await self.ready()
        if len(messages) < self._resume_below:
            # While there is still something to do, so that the venue need not stand still.
            self._resume_below, self._unread = 0, self._unread // 2
            self._go_on_reading()
        if self._tape:
            self._tape.frame(self._number, messages[0])
        return messages.popleft()

    async def ready(self) -> None:
        """Wait until there is a message, or none will come. One at a time may wait, here or to receive."""
        if self._messages or self._protocol.state is not State.OPEN or self._transport is None:
            return
        self._unread = 0
        self._go_on_reading()
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def send(self, text: str) -> None:
        """Send one message; `ConnectionEnded` if that is too late."""
        if self._protocol.state is not State.OPEN:
            raise self._ended()
        self._protocol.send_text(text.encode())
        self._flush()

    def abort(self) -> None:
        """End it at once, without a closing handshake: whoever waits for a message learns it."""
        if self._transport:
            self._transport.abort()

    async def close(self) -> None:
        """Close politely, but not for longer than half a second: a TLS shutdown alone may wait for 30."""
        self._messages.clear()
        try:
            if self._transport and not self._lost.done():
                if self._protocol.state is State.OPEN:
                    self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
                    self._flush()
                self._go_on_reading()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                        await asyncio.shield(self._lost)
        finally:
            self.abort()

    # --- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is a way to the venue: ask for a websocket."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        request = self._protocol.connect()
        request.headers["User-Agent"] = "livecache"
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Something has come."""
        self._unread += len(data)
        if self._begun:
            self._begun += data
            if len(self._begun) < self._needed:
                return
            data = bytes(self._begun)
            self._begun.clear()
        if self._protocol.state is State.OPEN:
            self._frames(data)
        elif not self._opened.done():
            self._answer(data)
        else:
            self._hand_over(data)
        if self._messages and self._unread > _UNREAD_BYTES and self._transport:
            self._resume_below = (len(self._messages) + 1) // 2
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """The venue has nothing more to say."""
        if not self._opened.done():
            self._protocol.receive_data(bytes(self._begun))
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The way to the venue is gone."""
        self._protocol.receive_eof()
        self._settle(exc or self._protocol.handshake_exc)
        self._lost.set_result(None)
        self._wake()

    # --- inside

    async def _open(self, url: str, timeout_s: float) -> None:
        loop, uri, proxy = asyncio.get_running_loop(), parse_uri(url), proxy_for(url)
        until_s = loop.time() + timeout_s
        way: dict[str, Any] = {"ssl": secured(), "server_hostname": uri.host} if uri.secure else {}
        if proxy:
            way["sock"] = await led_to(proxy, uri.host, uri.port, timeout_s)
        else:
            way |= {"host": uri.host, "port": uri.port, "happy_eyeballs_delay": _NEXT_ADDRESS_S}
        async with asyncio.timeout_at(until_s):
            await loop.create_connection(lambda: self, **way)
            await self._opened
        if self._failure:
            raise self._failure
        if self._tape:
            self._number = self._tape.opened()

    def _answer(self, data: bytes) -> None:
        """What comes before the first frame: the answer to the handshake, up to an empty line."""
        head, end, rest = data.partition(b"\r\n\r\n")
        status = _STATUS.match(head)
        if not end and len(data) <= _ANSWER_BYTES:
            self._begun += data
            return
        if status and status[1] != b"101":
            # Whatever else it says, and whether it ever ends, is nobody's business.
            self._settle(_Declined(f"HTTP {status[1].decode()}"))
            return
        self._protocol.receive_data(head + end)
        self._protocol.events_received()
        self._flush()
        if self._protocol.state is State.OPEN or self._protocol.handshake_exc:
            self._settle(self._protocol.handshake_exc)
        elif not end:
            self._settle(ValueError("the answer to a handshake has no end"))
        for extension in self._protocol.extensions:
            if isinstance(extension, PerMessageDeflate) and not extension.remote_no_context_takeover:
                self._inflater = extension.decoder
        if self._protocol.state is State.OPEN and rest:
            self._frames(rest)

    def _frames(self, data: bytes) -> None:
        messages, most = self._messages, self._message_bytes
        at, end = 0, len(data)
        self._needed = 0
        while end - at >= 2:
            kind, length, start = data[at], data[at + 1], at + 2
            if length == 126:
                if end - at < 4:
                    break
                length, start = data[at + 2] << 8 | data[at + 3], at + 4
            elif length == 127:
                if end - at < 10:
                    break
                length, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            elif length > 127:  # It says that it is masked, which it must not be.
                self._hand_over(data[at:])
                return
            if length > most:
                self._too_long()
                return
            stop = start + length
            if stop > end:
                self._needed = stop - at
                break
            if kind in _WHOLE and self._part is None:
                messages.append(data[start:stop])
            elif kind in _PACKED and self._inflater and self._part is None:
                self._inflate(data[start:stop])
            else:
                self._hand_over(data[at:stop])
            if kind not in _WHOLE and self._protocol.state is not State.OPEN:
                return
            at = stop
        self._begun += data[at:]
        self._wake()

    def _inflate(self, data: bytes) -> None:
        try:
            message = self._inflater.decompress(data + _FLUSHED, self._message_bytes + 1)
        except zlib.error:
            self._fail(CloseCode.INVALID_DATA, "it cannot be decompressed")
            return
        if len(message) > self._message_bytes:
            self._too_long()
        else:
            self._messages.append(message)

    def _too_long(self) -> None:
        self._fail(CloseCode.MESSAGE_TOO_BIG, f"a message of more than {self._message_bytes} bytes")

    def _fail(self, code: CloseCode, reason: str) -> None:
        self._protocol.fail(code, reason)
        self._flush()
        self._wake()

    def _hand_over(self, data: bytes) -> None:
        """Let the protocol have what is more than a plain message, or what is wrong."""
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            if isinstance(frame, Frame) and frame.opcode < 8:
                self._part = self._part or bytearray()
                self._part += frame.data
                if len(self._part) > self._message_bytes:
                    self._too_long()
                elif frame.fin:
                    self._messages.append(bytes(self._part))
                    self._part = None
        self._flush()
        self._wake()

    def _flush(self) -> None:
        transport = self._transport
        assert transport is not None
        for data in self._protocol.data_to_send():
            if data:
                transport.write(data)
            else:  # the end
                transport.close()
        if self._protocol.close_rcvd:  # Some venues would leave the connection there for long.
            transport.close()
        if transport.get_write_buffer_size() > _UNSENT_BYTES:
            transport.abort()

    def _go_on_reading(self) -> None:
        if self._transport:
            self._transport.resume_reading()

    def _settle(self, failure: Exception | None) -> None:
        if not self._opened.done():
            self._failure = failure
            self._opened.set_result(None)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter and not waiter.done():
            waiter.set_result(None)

    def _ended(self) -> ConnectionEnded:
        theirs, ours = self._protocol.close_rcvd, self._protocol.close_sent
        close, who = (theirs, "closed by the venue") if theirs else (ours, "closed from here")
        if close is None:
            return ConnectionEnded(_CUT)
        ended = ConnectionEnded(one_line(f"{who} ({int(close.code)} {close.reason})".replace(" )", ")")))
        ended.too_long = close.code == CloseCode.MESSAGE_TOO_BIG
        return ended


def _no_connection(error: Exception, host: str, timeout_s: float) -> str:
    if isinstance(error, _Declined):
        return f"{host} answered {error} instead of opening a websocket"
    if isinstance(error, OSError):
        return unreachable(host, error, timeout_s)
    return one_line(f"{host} opens no websocket: {str(error) or type(error).__name__}")
