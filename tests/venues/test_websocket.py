"""The websocket without a socket: what is made of bytes that come, whole or in pieces, right or wrong."""

from __future__ import annotations

import asyncio
import itertools
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecache.venues.net.websocket import Connection, ConnectionEnded, NoConnection

from .loopback import accepted, frame, raw_server

MOST = 100_000
TEXT, BINARY, PING, PONG, CLOSE = 1, 2, 9, 10, 8


class Wire(asyncio.Transport):
    """What a connection is told of the network, and does with it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.paused = self.ended = self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.aborted = True


def opened(*, deflate: bool = False) -> tuple[Connection, Wire]:
    """An open connection. Called where a loop runs."""
    connection, wire = Connection("ws://venue.test/path?q", MOST), Wire()
    connection.connection_made(wire)
    connection.data_received(accepted(wire.written, deflate=deflate))
    wire.written = b""
    return connection, wire


class Sent(NamedTuple):
    """A message and how it is sent: in how many frames, packed, and with a ping behind each of them."""

    data: bytes
    kind: int
    parts: int
    packed: bool
    pinged: bool


sizes = st.one_of(st.integers(0, 300), st.sampled_from([125, 126, 127, 65535, 65536, MOST]))
messages = st.lists(
    st.builds(
        Sent,
        st.builds(lambda size, byte: bytes([byte]) * size, sizes, st.integers(0, 255)),
        st.sampled_from([TEXT, BINARY]),
        st.integers(1, 3),
        st.booleans(),
        st.booleans(),
    ),
    max_size=6,
)


def written(sent: Sequence[Sent], *, deflate: bool) -> bytes:
    packer, wire = zlib.compressobj(wbits=-15), b""
    for message in sent:
        packed = deflate and message.packed
        data = message.data
        if packed:
            data = (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
        size = len(data) // message.parts + 1
        for part in range(message.parts):
            wire += frame(
                0 if part else message.kind,
                data[part * size : (part + 1) * size],
                fin=part == message.parts - 1,
                bits=0x40 if packed and not part else 0,
            )
            if message.pinged:
                wire += frame(PING, b"ping")
    return wire


@given(messages, st.lists(st.integers(0, 400_000), max_size=8), st.booleans())
def test_messages_come_as_they_were_sent_wherever_the_bytes_are_cut(
    sent: list[Sent], cuts: list[int], deflate: bool
) -> None:
    async def scenario() -> None:
        connection, wire = opened(deflate=deflate)
        data = written(sent, deflate=deflate)
        places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        for first, last in itertools.pairwise(places):
            connection.data_received(data[first:last])
        assert [await connection.receive() for _ in sent] == [message.data for message in sent]
        assert wire.written.count(bytes([0x80 | PONG, 0x80 | 4])) == sum(m.parts for m in sent if m.pinged)
        assert not wire.paused or sent

    asyncio.run(scenario())


def bomb(size: int) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(b"0" * size) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (frame(TEXT, b"x" * (MOST + 1)), 1009),
        (bytes([0x81, 127]) + (1 << 62).to_bytes(8, "big"), 1009),
        (frame(TEXT, b"x" * MOST, fin=False) + frame(0, b"x"), 1009),
        (frame(TEXT, b"x" * (MOST + 1), fin=False) + frame(0, b"x" * MOST), 1009),
        (frame(TEXT, bomb(MOST + 1), bits=0x40), 1009),
        (frame(TEXT, bomb(MOST + 1)[:50], bits=0x40, fin=False) + frame(0, bomb(MOST + 1)[50:]), 1009),
        (frame(TEXT, b"\xff\xff\xff", bits=0x40), 1007),
        (frame(TEXT, b"x", bits=0x20), 1002),
        (bytes([0x81, 0x81, 0, 0, 0, 0, 0]), 1002),
        (bytes([0x81, 0xFF]), 1002),
        (frame(3, b"x"), 1002),
        (frame(0, b"x"), 1002),
        (frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(CLOSE, b"x"), 1002),
    ],
)
def test_what_is_wrong_ends_the_connection_after_what_came_before_it(wrong: bytes, code: int) -> None:
    async def scenario() -> None:
        connection, wire = opened(deflate=True)
        connection.data_received(frame(TEXT, b"before") + wrong + frame(TEXT, b"behind"))
        connection.data_received(frame(TEXT, b"later"))
        assert await connection.receive() == b"before"
        with pytest.raises(ConnectionEnded, match=rf"closed from here \({code} ") as ended:
            await connection.receive()
        assert ended.value.too_long == (code == 1009)
        with pytest.raises(ConnectionEnded):
            connection.send("{}")
        assert wire.written.startswith(bytes([0x80 | CLOSE]))

    asyncio.run(scenario())


def test_a_reserved_bit_is_wrong_where_nothing_was_agreed_on() -> None:
    async def scenario() -> None:
        connection, _ = opened()
        connection.data_received(frame(TEXT, bomb(10), bits=0x40))
        with pytest.raises(ConnectionEnded, match="1002"):
            await connection.receive()

    asyncio.run(scenario())


def test_the_venues_close_is_answered_and_told_and_the_way_is_given_up() -> None:
    async def scenario() -> None:
        connection, wire = opened()
        connection.data_received(frame(TEXT, b"last") + frame(CLOSE, b"\x03\xe9deploy") + b"\x81")
        assert await connection.receive() == b"last"
        with pytest.raises(ConnectionEnded, match=r"^closed by the venue \(1001 deploy\)$"):
            await connection.receive()
        assert wire.written.startswith(bytes([0x80 | CLOSE])) and wire.ended

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["lost", "ended"])
def test_a_way_that_is_cut_ends_what_waits(how: str) -> None:
    async def scenario() -> None:
        connection, _ = opened()
        waiting = asyncio.create_task(connection.receive())
        await asyncio.sleep(0)
        if how == "ended":
            connection.eof_received()
        connection.connection_lost(ConnectionResetError() if how == "lost" else None)
        with pytest.raises(ConnectionEnded, match=r"^the connection was cut$"):
            await waiting

    asyncio.run(scenario())


def test_who_reads_too_little_holds_the_venue_back_until_half_is_taken() -> None:
    async def scenario() -> None:
        connection, wire = opened()
        for _ in range(6):
            connection.data_received(frame(TEXT, b"x" * 30_000))
        assert wire.paused
        for taken in range(1, 7):
            await connection.receive()
            assert wire.paused == (taken < 5)
        waiting = asyncio.create_task(connection.receive())
        await asyncio.sleep(0)
        connection.data_received(frame(TEXT, b"next"))
        assert await waiting == b"next" and not wire.paused

    asyncio.run(scenario())


def test_a_venue_that_asks_and_takes_no_answers_is_left() -> None:
    async def scenario() -> None:
        connection, wire = opened()
        wire.unsent = 2_000_000
        connection.data_received(frame(PING, b""))
        assert wire.aborted

    asyncio.run(scenario())


def test_a_message_in_the_packet_of_the_handshake_is_not_lost() -> None:
    async def scenario() -> None:
        connection, wire = Connection("ws://me:s3cret@venue.test/path?q", MOST), Wire()
        connection.connection_made(wire)
        head, *lines = wire.written.decode().split("\r\n")
        assert head == "GET /path?q HTTP/1.1"
        assert {"Host: venue.test", "User-Agent: livecache", "Authorization: Basic bWU6czNjcmV0"} < set(lines)
        assert "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits" in lines
        answer = accepted(wire.written) + frame(TEXT, b"first")
        connection.data_received(answer[:20])
        connection.data_received(answer[20:])
        assert await connection.receive() == b"first"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhallo", "answered HTTP 403"),
        (b"HTTP/1.1 301 Moved\r\nLocation: ws://127.0.0.1/\r\n\r\n", "answered HTTP 301"),
        (b"HTTP/1.0 503 no\r\n\r\n", "answered HTTP 503"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", "opens no websocket"),
        (b"x" * 100_000, "opens no websocket"),
        (b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 20_000, "opens no websocket"),
    ],
)
def test_an_answer_that_is_none_is_told_without_waiting_for_its_end(said: bytes, told: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await reader.read()

    async def scenario() -> None:
        async with raw_server(talk) as port, asyncio.timeout(20):
            with pytest.raises(NoConnection, match=told):
                await Connection.open(f"ws://127.0.0.1:{port}", "venue", timeout_s=15, message_bytes=MOST)

    asyncio.run(scenario())
