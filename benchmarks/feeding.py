"""A feed of candles that pushes as hard as it is told to, in a process of its own.

A websocket by hand: the frames are put together in chunks, so that the sender is not what is measured. The
volume of each candle is the monotonic clock as it was sent, which all processes of a machine share: whoever
reads the candle later, anywhere, knows how old it is.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import multiprocessing
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from livecache import Timeframe

__all__ = ["Sender", "Sent", "sender"]

CHUNK = 64  # frames in one write at most
TICK_S = 0.001
_SEGMENT_BYTES = 1448
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of RFC 6455
_ANSWER_S_MAX = 120.0


class Sent(NamedTuple):
    """What was sent between two monotonic times."""

    frames: int
    began_s: float
    ended_s: float

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / (self.ended_s - self.began_s)


class Sender:
    """The sender as the benchmark's process sees it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.port: int = self._hear()

    def begin(self, rate: float, seconds: float) -> None:
        """Send so many candles a second, for so long; 0 a second: as many as are taken."""
        self._pipe.send((rate, seconds))

    def end(self) -> Sent:
        """Wait for the end of what was begun."""
        sent: Sent = self._hear()
        return sent

    def _hear(self) -> Any:
        if not self._pipe.poll(_ANSWER_S_MAX):
            raise TimeoutError("the sender does not answer")
        return self._pipe.recv()


@contextmanager
def sender(symbols: Sequence[str], ahead_ms: int) -> Iterator[Sender]:
    """A sender for one connection. Its market's time is the monotonic clock and `ahead_ms`."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, symbols, ahead_ms), daemon=True
    )
    process.start()
    theirs.close()
    with ours:
        yield Sender(ours)
    process.join(5)
    process.kill()


def _serve(pipe: Connection, symbols: Sequence[str], ahead_ms: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.create_server(("127.0.0.1", 0)) as server:
        # Segments as on a network: a receiver that pauses stalls for a timer's length where they are 64 KB.
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)
        pipe.send(server.getsockname()[1])
        connection, _ = server.accept()
    with connection:
        _shake_hands(connection)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        frames = Frames(symbols, ahead_ms)
        while True:
            try:
                rate, seconds = pipe.recv()
                pipe.send(_push(connection, frames, rate, seconds))
            except (EOFError, OSError):  # Nobody wants any more.
                return


def _shake_hands(connection: socket.socket) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    lines = (line.partition(b": ") for line in request.split(b"\r\n"))
    key = next(value for name, _, value in lines if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


class Frames:
    """Candle messages as Coinbase writes them, one product each, all in turn."""

    def __init__(self, symbols: Sequence[str], ahead_ms: int) -> None:
        self._ahead_ms = ahead_ms
        self._numbers = itertools.count()
        self._tails = itertools.cycle([b'","product_id":"%b"}]}]}' % symbol.encode() for symbol in symbols])

    def chunk(self, count: int) -> bytes:
        """The next messages, framed."""
        monotonic_s = time.monotonic()
        now_ms = int(monotonic_s * 1000) + self._ahead_ms
        stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").encode()
        head = b'{"channel":"candles","client_id":"","timestamp":"%b000Z","sequence_num":' % stamp
        body = (
            b',"events":[{"type":"update","candles":[{"start":"%d","high":"103867.72","low":"101865.63",'
            b'"open":"103867.38","close":"102866.81","volume":"%.6f'
        ) % (Timeframe.M5.floor(now_ms) // 1000, monotonic_s)
        frames = []
        for tail, number in zip(itertools.islice(self._tails, count), self._numbers, strict=False):
            payload = b"%b%d%b%b" % (head, number, body, tail)
            frames.append(b"\x81\x7e%b%b" % (len(payload).to_bytes(2, "big"), payload))
        return b"".join(frames)


def _push(connection: socket.socket, frames: Frames, rate: float, seconds: float) -> Sent:
    began_s = now_s = time.monotonic()
    ends_s, sent = began_s + seconds, 0
    while now_s < ends_s:
        due = int((now_s - began_s) * rate) + 1 - sent if rate else CHUNK
        if due > 0:
            connection.sendall(frames.chunk(min(due, CHUNK)))
            sent += min(due, CHUNK)
        else:
            time.sleep(max(TICK_S, 1 / rate - TICK_S) if rate < 1 / TICK_S else TICK_S)
        now_s = time.monotonic()
    return Sent(sent, began_s, now_s)
