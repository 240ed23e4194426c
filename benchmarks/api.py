"""How long `/api/v1/candles` takes, beside the bare reader.

    python -m benchmarks.api

Prints one table and asserts no time: one series of 100 candles, by the reader itself and over HTTP from a
server in a process of its own. The ways take turns, some calls each, so that whatever else the machine does
falls on all of them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import multiprocessing
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import msgspec
import redis
import redis.asyncio
from aiohttp import web
from loguru import logger

from benchmarks.common import circumstances, table
from benchmarks.filling import BTC, Pages, btc_market, fill, write
from benchmarks.reading import CANDLES, TIMEFRAME, Way, awaited, take_turns, timed
from livecache import AsyncReader, Reader
from livecache.clock import SystemClock
from livecache.config.schema import Config
from livecache.embedded.server import EmbeddedServer
from livecache.engine.engine import Engine
from livecache.engine.fleet import Place
from livecache.http.api.routes import Api
from livecache.http.guard import Guard
from livecache.http.listen import bind
from livecache.http.route import Requests
from livecache.http.routes import routes
from livecache.http.server import Server
from livecache.http.shapes.candles import CandlesAnswer
from livecache.http.watch.instance import Instance
from livecache.keys.history_place import Place as HistoryPlace
from livecache.keys.keyspace import Keyspace
from livecache.venues.coinbase.traits import TRAITS

__all__ = ["Client", "main", "serving"]

ROUNDS, CALLS = 150, 20
UNLIMITED_PER_S = 1e9

PATH = f"/api/v1/candles?symbol={BTC}&timeframe={TIMEFRAME}&limit={CANDLES}"
OTHER, ANY = "/openapi.json", "If-None-Match: *"

_decoder = msgspec.json.Decoder(CandlesAnswer)


class Serving(NamedTuple):
    """A server in a process of its own, and beside it in the same one a bare one."""

    pid: int
    port: int
    bare: int
    """The port of aiohttp alone: `/304` is answered so, `/N` with N bytes that are ready."""


async def bare(request: web.BaseRequest) -> web.Response:
    """What HTTP costs."""
    wanted = int(request.path[1:])
    if wanted == 304:
        return web.Response(status=304, headers={"ETag": 'W/"0"'})
    return web.Response(body=_ready(wanted), content_type="application/json")


@functools.cache
def _ready(size: int) -> bytes:
    return bytes(size)


def serve(redis_url: str, ready: Connection, history: Path | None = None) -> None:
    """Serve the API for ever; tells the ports once it listens."""

    logger.remove()

    async def run() -> None:
        clock = SystemClock()
        instance = Instance(Config(), clock)
        instance.history_place = HistoryPlace(history) if history else None
        store = redis.asyncio.Redis.from_url(redis_url)
        policy = SimpleNamespace(settle_delay_ms=10_000)
        timeline = SimpleNamespace(traits=TRAITS, policy=policy)
        live = SimpleNamespace(now=lambda: int(clock.wall() * 1000), timeline=timeline)
        engine = SimpleNamespace(
            store=store, keys=Keyspace(), live=live, venue=SimpleNamespace(name="coinbase", traits=TRAITS)
        )
        instance.places = {"coinbase": Place(cast(Engine, engine))}
        stats, sockets, beside = Requests(), bind("127.0.0.1", 0), bind("127.0.0.1", 0)
        table = routes(instance, stats, clock, Api(instance, clock, UNLIMITED_PER_S))
        runner = web.ServerRunner(web.Server(bare))
        await runner.setup()
        await web.SockSite(runner, beside[0]).start()
        ready.send((os.getpid(), sockets[0].getsockname()[1], beside[0].getsockname()[1]))
        await Server(table, Guard(None, loopback=True), stats, clock).run(sockets)

    asyncio.run(run())


@contextmanager
def serving(redis_url: str, history: Path | None = None) -> Iterator[Serving]:
    """A server in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(redis_url, theirs, history), daemon=True)
    process.start()
    try:
        yield Serving(*ours.recv())
    finally:
        process.kill()
        process.join()


class Client:
    """HTTP/1.1 over one connection, as little as it takes: what is measured is the server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str, *headers: str) -> tuple[bytes, bytes]:
        """The head and the body of an answer."""
        lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        head, _, body = received.partition(b"\r\n\r\n")
        _, named, rest = head.lower().partition(b"content-length: ")
        length = int(rest.partition(b"\r\n")[0]) if named else 0
        while len(body) < length:
            body += self._receive()
        return head, body

    def _receive(self) -> bytes:
        received = self._socket.recv(1 << 16)
        if not received:
            raise ConnectionError("the server has closed the connection")
        return received

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def ways(reader: Reader, async_reader: AsyncReader, runner: asyncio.Runner, client: Client) -> Iterator[Way]:
    """The reader, the same with asyncio as the server has it, and the ways to ask the server."""
    tag = next(
        line for line in client.get(PATH)[0].decode().split("\r\n") if line.lower().startswith("etag: ")
    ).partition(": ")[2]
    bare = Way("Reader.candles", timed(lambda: reader.candles(BTC, TIMEFRAME, CANDLES)))
    yield bare
    read = awaited(runner, lambda: async_reader.candles(BTC, TIMEFRAME, CANDLES))
    yield Way("AsyncReader.candles", read, bare)
    yield Way("GET /openapi.json, unchanged: what HTTP costs", timed(lambda: client.get(OTHER, ANY)), bare)
    yield Way("GET /api/v1/candles", timed(lambda: client.get(PATH)), bare)
    yield Way("… and decoded", timed(lambda: _decoder.decode(client.get(PATH)[1])), bare)
    yield Way("… unchanged: 304", timed(lambda: client.get(PATH, f"If-None-Match: {tag}")), bare)
    yield Way("… compressed", timed(lambda: client.get(PATH, "Accept-Encoding: gzip")), bare)


def measure(url: str) -> Iterator[str]:
    """Measure everything; the lines of the table."""
    with Reader(url) as reader, asyncio.Runner() as runner, serving(url) as server:
        client, async_reader = Client(server.port), AsyncReader(url)
        try:
            head, body = client.get(PATH)
            assert head.startswith(b"HTTP/1.1 200") and len(_decoder.decode(body).candles) == CANDLES
            taken: Sequence[Way] = [*ways(reader, async_reader, runner, client)]
            take_turns(taken, ROUNDS, CALLS)
            headers = (f"{CANDLES} candles", "p50 µs", "p99 µs", "CPU µs", "a second", "× Reader")
            yield from table(headers, [way.cells(1e3, 1) for way in taken])
        finally:
            client.close()
            runner.run(async_reader.aclose())


def main() -> int:
    """Measure and print."""
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    logger.remove()
    market, now, which = btc_market()
    with EmbeddedServer(temporary=True) as server:
        asyncio.run(write(fill(Pages(market, now), [BTC], [TIMEFRAME], CANDLES), now, server.url))
        store: Any
        with redis.Redis.from_url(server.url) as store:
            packages = ("livecache", "redis", "hiredis", "msgspec", "aiohttp")
            print(*circumstances(store, *packages), which, sep="\n", end="\n\n", flush=True)
        print(*measure(server.url), sep="\n")
    print("\nCPU: of the client alone, not of the server. ×: the median of the rounds.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
