"""How long `/api/v1/candles` takes with years, beside HTTP alone and the bare reader.

    python -m benchmarks.candles_api
    python -m benchmarks.candles_api --quick  # a few seconds

Prints one table and asserts no time. 5,000 candles of 1m, stored; a server in a process of its own, and in
the same one aiohttp alone, which answers as many bytes that are ready: the floor. The ways take turns, some
calls each, so that whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from random import Random

import redis
from loguru import logger

from benchmarks.api import Client, Serving, serving
from benchmarks.common import circumstances, table
from benchmarks.filling import BTC, Pages, btc_market, fill, write
from benchmarks.reading import Way, take_turns, timed
from livecache import Reader, Timeframe
from livecache.embedded.server import EmbeddedServer
from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId

__all__ = ["main"]

MANY, FEW, STORED = 5_000, 100, 40_000
AGO = 2_880  # minutes: the live service has done with what is older
MINUTE = Timeframe.M1.ms
CLIENTS, SECONDS = 200, 10.0


def stored(path: Path, now: int) -> None:
    """So many minutes before `now`, with prices and volumes as BTC-USD has them."""
    random, price, rows = Random(7), 7_632_418, []
    first = now // MINUTE * MINUTE - STORED * MINUTE
    for number in range(STORED):
        price += random.randint(-900, 900)
        ends = sorted((price + random.randint(-400, 400), price + random.randint(-400, 400)))
        cents = (ends[0], ends[1] + 120, ends[0] - 150, ends[1])
        opened, high, low, closed = (f"{each // 100}.{each % 100:02}" for each in cents)
        volume = f"{random.randrange(10**10) / 1e8:.8f}"
        rows.append(ExactCandle(first + number * MINUTE, opened, high, low, closed, volume))
    with closing(SqliteHistory.open(path)) as history:
        series = history.series(SeriesId("coinbase", BTC, Timeframe.M1), create=True)
        assert series
        history.commit(series.id, Columns.of(rows), Coverage([(first, first + STORED * MINUTE)]))


def ways(reader: Reader, before: int, client: Client, bare: Client) -> Iterator[Way]:
    """HTTP alone, the reader alone, and what the server does of both."""
    path = f"/api/v1/candles?symbol={BTC}&timeframe=1m&before={before}&limit={MANY}"
    sizes = {form: len(client.get(f"{path}&format={form}")[1]) for form in ("arrow", "json", "csv")}
    tag = next(
        line for line in client.get(path)[0].decode().split("\r\n") if line.lower().startswith("etag: ")
    ).partition(": ")[2]
    span = before - MANY * MINUTE, before
    read = Way("Reader.history", timed(lambda: reader.history(BTC, "1m", *span)))
    history = reader.history(BTC, "1m", *span)
    assert len(history) == MANY
    yield read
    yield Way("its exact texts", timed(history.exact), read)
    for form, size in sizes.items():
        floor = Way(f"floor: {size:,} bytes that are ready", timed(partial(bare.get, f"/{size}")), read)
        yield floor
        yield Way(f"… {form}", timed(partial(client.get, f"{path}&format={form}")), floor)
    floor = Way("floor: 304", timed(lambda: bare.get("/304")), read)
    yield floor
    yield Way("… 304", timed(lambda: client.get(path, f"If-None-Match: {tag}")), floor)


def worked(pid: int) -> float:
    """What all threads of that process have worked, in ms: other programs on the machine do not count."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e6


def processor(taken: list[Way], pid: int, calls: int) -> Iterator[str]:
    """The same by the processor alone, which a busy machine slows down less: of the server, or the reader."""
    spent = {}
    for number, way in enumerate(taken):
        of = os.getpid() if number < 2 else pid  # the reader, and its texts
        before = worked(of)
        way.run(calls)
        spent[way.name] = (worked(of) - before) / calls
    told = ", ".join(f"{name.removeprefix('… ')} {ms:.2f}" for name, ms in spent.items())
    yield f"processor, ms a call: {told}"


def by_name(taken: list[Way]) -> dict[str, float]:
    """The median of each in ms."""
    return {way.name: statistics.median(ns for one in way.rounds for ns in one) / 1e6 for way in taken}


def judged(taken: list[Way]) -> Iterator[str]:
    """What is promised, and what it came to."""
    medians = by_name(taken)
    floors = {
        name: medians[taken[number - 1].name]
        for number, way in enumerate(taken)
        for name in ("arrow", "json", "304")
        if way.name == f"… {name}"
    }
    reader, texts = medians["Reader.history"], medians["its exact texts"]
    arrow, json, bound = medians["… arrow"], medians["… json"], floors["arrow"] + reader + 1
    yield f"arrow {arrow:.2f} ms, promised {bound:.2f}: floor + reader + 1 ms"
    yield f"json {json:.2f} ms, promised {floors['json'] + texts + 2:.2f}: floor + exact texts + 2 ms"
    yield f"304 {medians['… 304']:.3f} ms, promised {floors['304'] * 2:.3f}: half as many as bare ones"


async def crowd(port: int, before: int, seconds: float) -> list[float]:
    """So many clients, each once a second with a window of its own; how long each answer took, in ms."""
    path = f"/api/v1/candles?symbol={BTC}&timeframe=1m&limit={FEW}&before="
    took: list[float] = []

    async def one(number: int) -> None:
        random = Random(number)
        await asyncio.sleep(random.random())
        stream, sink = await asyncio.open_connection("127.0.0.1", port)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            at = before - random.randrange(STORED - AGO - FEW) * MINUTE
            began = time.perf_counter()
            sink.write(f"GET {path}{at} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            head = (await stream.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200"), head
            await stream.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            taken = time.perf_counter() - began
            took.append(taken * 1e3)
            await asyncio.sleep(max(0.0, 1 - taken))
        sink.close()

    async with asyncio.TaskGroup() as tasks:
        for number in range(CLIENTS):
            tasks.create_task(one(number))
    return sorted(took)


async def ask_on(port: int) -> None:
    """Twenty clients that ask for 5,000 candles again and again."""
    _, now, _ = btc_market()

    async def one(number: int) -> None:
        stream, sink = await asyncio.open_connection("127.0.0.1", port)
        for round_ in count():
            at = now // MINUTE * MINUTE - (number * 997 + round_ * 131) % (STORED - MANY) * MINUTE
            path = f"/api/v1/candles?symbol={BTC}&timeframe=1m&limit={MANY}&before={at}&partial=true"
            sink.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            head = (await stream.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200"), head
            await stream.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            if not number and not round_:
                print("asking", flush=True)

    async def until_gone(number: int) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):  # The server ends first.
            await one(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(until_gone(number))


def resident(pid: int) -> float:
    """MB of that process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def measure(url: str, path: Path, before: int, *, quick: bool) -> Iterator[str]:
    """Measure everything; the lines."""
    with Reader(url, history=f"sqlite:///{path}") as reader, serving(url, path) as server:
        client, bare = Client(server.port), Client(server.bare)
        with closing(client), closing(bare):
            taken = [*ways(reader, before, client, bare)]
            take_turns(taken, 10 if quick else 60, 5)
            headers = (f"{MANY:,} candles of 1m", "p50 µs", "p99 µs", "CPU µs", "a second", "×")
            yield from table(headers, [way.cells(1e3, 1) for way in taken])
            yield ""
            yield from judged(taken)
            yield from processor(taken, server.pid, 20 if quick else 200)
            yield from weighed(server, client, before, 1_000 if quick else 10_000)
            yield from crowded(server, before, 3.0 if quick else SECONDS)


def crowded(server: Serving, before: int, seconds: float) -> Iterator[str]:
    """Many clients at a time."""
    took = asyncio.run(crowd(server.port, before, seconds))
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    yield f"{CLIENTS} clients, each {FEW} candles a second: p50 {p50:.1f} ms, p99 {p99:.1f}, promised 50"


def weighed(server: Serving, client: Client, before: int, requests: int) -> Iterator[str]:
    """Memory before and after so many requests of all kinds."""
    path, random = f"/api/v1/candles?symbol={BTC}&timeframe=1m", Random(3)
    held = resident(server.pid)
    for number in range(requests):
        at = before - random.randrange(STORED - AGO - MANY) * MINUTE
        form = ("json", "csv", "arrow")[number % 3]
        limit = random.choice((10, 100, 1_000, MANY))
        head, _ = client.get(f"{path}&before={at}&limit={limit}&format={form}")
        assert head.startswith(b"HTTP/1.1 200"), head
    yield f"memory: {held:.0f} MB, {resident(server.pid):.0f} after {requests:,} requests"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds")
    parser.add_argument("--ask", type=int, metavar="PORT", help="only ask a server, for ever")
    options = parser.parse_args()
    quick = options.quick
    logger.remove()
    if options.ask:
        asyncio.run(ask_on(options.ask))
    market, now, _ = btc_market()
    with EmbeddedServer(temporary=True) as server, tempfile.TemporaryDirectory() as folder:
        asyncio.run(write(fill(Pages(market, now), [BTC], [Timeframe.M5], FEW), now, server.url))
        path, before = Path(folder) / "history.db", now // MINUTE * MINUTE - AGO * MINUTE
        stored(path, now)
        with redis.Redis.from_url(server.url) as store:
            packages = ("livecache", "redis", "hiredis", "msgspec", "aiohttp", "numpy", "pyarrow")
            print(*circumstances(store, *packages), sep="\n", end="\n\n", flush=True)
        for line in measure(server.url, path, before, quick=quick):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
