"""How long a read takes: livecache's readers beside the usual ways, and beside the least that it costs.

    python -m benchmarks.reading

Prints two tables of one run, and asserts no time: one series of 100 candles, and 100 such series at once. The
ways take turns, some calls each, so that whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import msgspec
import redis
import redis.asyncio
from loguru import logger

from benchmarks.common import circumstances, installed, table
from benchmarks.filling import BTC, Pages, btc_market, fill, write
from livecache import AsyncReader, Candle, Reader, Timeframe
from livecache.embedded.server import EmbeddedServer
from livecache.keys.keyspace import Keyspace
from livecache.wire.scripts import Script

__all__ = ["main"]

CANDLES = 100
SYMBOLS = [BTC, *(f"S{number:02}-USD" for number in range(1, 100))]
TIMEFRAME = Timeframe.M5
FIELDS = ("time", "open", "high", "low", "close", "volume")

ONE_ROUNDS, ONE_CALLS = 150, 20  # of each way, for one series
MANY_ROUNDS, MANY_CALLS = 60, 2
WARM_UP_ROUNDS = 3  # not counted

KEYS = Keyspace()
_decoder = msgspec.json.Decoder(list[Candle])


# --- what is measured


@dataclass
class Way:
    """One way to read. `run` makes so many calls and returns how long each took, in nanoseconds."""

    name: str
    run: Callable[[int], list[int]]
    of: Way | None = None  # the limit that it is compared with
    rounds: list[list[int]] = field(default_factory=list)
    cpu_ns: list[float] = field(default_factory=list)  # of this process, a call; one figure a round

    def round(self, calls: int) -> None:
        """Make some calls and keep what they took."""
        before = time.process_time_ns()
        self.rounds.append(self.run(calls))
        self.cpu_ns.append((time.process_time_ns() - before) / calls)

    def cells(self, unit_ns: float, series: int) -> tuple[str, ...]:
        """The row of the table: times in units of `unit_ns`, and how many of the series a second."""
        calls = sorted(ns for one in self.rounds for ns in one)
        p50, p99 = statistics.median(calls), calls[len(calls) * 99 // 100]
        times = (f"{ns / unit_ns:.1f}" for ns in (p50, p99, statistics.median(self.cpu_ns)))
        ratio = f"{self._times_the_limit(self.of):.2f}" if self.of else ""
        return self.name, *times, f"{series * 1e9 / p50:,.0f}", ratio

    def _times_the_limit(self, limit: Way) -> float:
        """The median over the rounds: in each, the machine was as fast for the one as for the other."""
        pairs = zip(self.rounds, limit.rounds, strict=True)
        return statistics.median(statistics.median(ours) / statistics.median(least) for ours, least in pairs)


def timed(read: Callable[[], object]) -> Callable[[int], list[int]]:
    """Makes a way's `run` of a function; what it returns is freed within the time."""

    def run(calls: int) -> list[int]:
        took = []
        for _ in range(calls):
            began = time.perf_counter_ns()
            read()
            took.append(time.perf_counter_ns() - began)
        return took

    return run


def awaited(runner: asyncio.Runner, read: Callable[[], Awaitable[object]]) -> Callable[[int], list[int]]:
    """The same of an asynchronous one, in a loop that goes on from round to round."""

    async def run(calls: int) -> list[int]:
        took = []
        for _ in range(calls):
            began = time.perf_counter_ns()
            await read()
            took.append(time.perf_counter_ns() - began)
        return took

    return lambda calls: runner.run(run(calls))


# --- the least that it costs: the reader's own script by the bare client, its members decoded at once


_SCRIPT = Script.load("read/read.lua")


def command(symbol: str) -> tuple[Any, ...]:
    """The call of the script for the newest candles of a series."""
    keys = (KEYS.candles(symbol, TIMEFRAME), KEYS.state(symbol, TIMEFRAME), KEYS.alive(symbol))
    return ("EVALSHA_RO", _SCRIPT.sha, len(keys), *keys, "newest", "known", CANDLES + 1, 0)


def decoded(reply: Sequence[Any]) -> list[Candle]:
    """The candles in a reply of the script, oldest first."""
    return _decoder.decode(b"[%b]" % b",".join(reply[3][::-1]))


def arrays(candles: Sequence[Candle]) -> list[Any]:
    """Six columns, made the fastest way we know of such candles."""
    numpy: Any = import_module("numpy")
    return [numpy.array([getattr(candle, name) for candle in candles]) for name in FIELDS]


def columns(candles: Any) -> tuple[Any, ...]:
    """All columns of what a reader returns."""
    return candles.time, candles.open, candles.high, candles.low, candles.close, candles.volume


# --- the usual ways: no state, so nobody knows whether what they return is whole, closed or of today


def rows_of(members: Sequence[bytes]) -> list[Any]:
    """Rows as ccxt returns them, of members that are JSON arrays."""
    return [json.loads(member) for member in members]


def frame_of_rows(members: Sequence[bytes]) -> Any:
    """A frame with names for the columns of such rows."""
    pandas: Any = import_module("pandas")
    return pandas.DataFrame(rows_of(members), columns=FIELDS)


def frame_of_dicts(members: Sequence[bytes]) -> Any:
    """A frame of members that are JSON objects."""
    pandas: Any = import_module("pandas")
    return pandas.DataFrame([json.loads(member) for member in members])


def objects_key(symbol: str) -> str:
    """Where the usual ways find JSON objects."""
    return f"objects:{symbol}"


def write_objects(store: Any) -> None:
    """Write what livecache has written once more, as JSON objects."""
    for symbol in SYMBOLS:
        rows = rows_of(store.zrange(KEYS.candles(symbol, TIMEFRAME), 0, -1))
        members = {json.dumps(dict(zip(FIELDS, row, strict=True))): row[0] for row in rows}
        store.zadd(objects_key(symbol), members)


# --- one series, and many


def one_series(store: Any, reader: Reader) -> Iterator[Way]:
    """The ways to read one series, blocking."""
    key, call = KEYS.candles(BTC, TIMEFRAME), command(BTC)

    def members(key: str) -> list[bytes]:
        found: list[bytes] = store.zrange(key, -CANDLES, -1)
        return found

    yield Way("PING: what a round trip costs now", timed(store.ping))
    yield (
        limit := Way("the limit: the script, decoded", timed(lambda: decoded(store.execute_command(*call))))
    )
    yield Way("Reader.candles", timed(lambda: reader.candles(BTC, TIMEFRAME, CANDLES)), limit)
    if installed("numpy"):
        script_and_arrays = timed(lambda: arrays(decoded(store.execute_command(*call))))
        yield (columns_limit := Way("the limit with six arrays", script_and_arrays))
        six = timed(lambda: columns(reader.candles(BTC, TIMEFRAME, CANDLES)))
        yield Way("Reader.candles, six columns", six, columns_limit)
        one = timed(lambda: reader.candles(BTC, TIMEFRAME, CANDLES).close)
        yield Way("Reader.candles, one column", one, limit)
    yield Way("ZRANGE, json.loads a member", timed(lambda: rows_of(members(key))), limit)
    if installed("pandas"):
        yield Way("… rows to a pandas frame", timed(lambda: frame_of_rows(members(key))), limit)
        of_dicts = timed(lambda: frame_of_dicts(members(objects_key(BTC))))
        yield Way("… objects to a pandas frame", of_dicts, limit)


def one_series_awaited(store: Any, reader: AsyncReader, runner: asyncio.Runner) -> Iterator[Way]:
    """The same with asyncio."""
    call = command(BTC)

    async def least() -> list[Candle]:
        return decoded(await store.execute_command(*call))

    yield (limit := Way("the limit, with asyncio", awaited(runner, least)))
    read = awaited(runner, lambda: reader.candles(BTC, TIMEFRAME, CANDLES))
    yield Way("AsyncReader.candles", read, limit)


def many_series(store: Any, reader: Reader) -> Iterator[Way]:
    """The ways to read a hundred series, blocking."""
    wanted = [(symbol, TIMEFRAME, CANDLES) for symbol in SYMBOLS]
    calls = [command(symbol) for symbol in SYMBOLS]

    def piped(commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        with store.pipeline(transaction=False) as pipeline:
            for one in commands:
                pipeline.execute_command(*one)
            return list(pipeline.execute())

    zrange = [("ZRANGE", one[3], -CANDLES, -1) for one in calls]
    objects = [("ZRANGE", objects_key(symbol), -CANDLES, -1) for symbol in SYMBOLS]
    least = timed(lambda: [decoded(reply) for reply in piped(calls)])
    yield (limit := Way("the limit: the scripts in a pipeline, decoded", least))
    yield Way("Reader.many", timed(lambda: reader.many(wanted)), limit)
    if installed("numpy"):
        six = timed(lambda: [columns(candles) for candles in reader.many(wanted).values()])
        yield Way("Reader.many, six columns", six, limit)
    yield Way(
        "Reader.candles, one after another", timed(lambda: [reader.candles(*one) for one in wanted]), limit
    )
    by_json = timed(lambda: [rows_of(members) for members in piped(zrange)])
    yield Way("ZRANGE in a pipeline, json.loads a member", by_json, limit)
    if installed("pandas"):
        of_dicts = timed(lambda: [frame_of_dicts(members) for members in piped(objects)])
        yield Way("… objects to pandas frames", of_dicts, limit)


def many_series_awaited(store: Any, reader: AsyncReader, runner: asyncio.Runner) -> Iterator[Way]:
    """The same with asyncio."""
    wanted = [(symbol, TIMEFRAME, CANDLES) for symbol in SYMBOLS]
    calls = [command(symbol) for symbol in SYMBOLS]

    async def least() -> list[list[Candle]]:
        async with store.pipeline(transaction=False) as pipeline:
            for call in calls:
                pipeline.execute_command(*call)
            return [decoded(reply) for reply in await pipeline.execute()]

    yield (limit := Way("the limit, with asyncio", awaited(runner, least)))
    yield Way("AsyncReader.many", awaited(runner, lambda: reader.many(wanted)), limit)


# --- the tables


LEGEND = f"""
{CANDLES} candles of 5m a series. CPU: of this process alone, without the server's. a second: series, by p50.
× limit: the median of the rounds; compared with the nearest limit above that stands in the same table."""


def take_turns(ways: Sequence[Way], rounds: int, calls: int) -> None:
    """Let each way make its calls, again and again."""
    for number in range(WARM_UP_ROUNDS + rounds):
        for way in ways:
            way.round(calls)
            if number < WARM_UP_ROUNDS:
                way.rounds.clear()
                way.cpu_ns.clear()


def measure(url: str) -> Iterator[str]:
    """Measure everything; the lines of the tables."""
    with redis.Redis.from_url(url) as store, Reader(url) as reader, asyncio.Runner() as runner:
        write_objects(store)
        reader.candles(BTC, TIMEFRAME, CANDLES)  # From here on the server knows the script.
        async_store = redis.asyncio.Redis.from_url(url)
        async_reader = AsyncReader(url)
        try:
            ones = [*one_series(store, reader), *one_series_awaited(async_store, async_reader, runner)]
            take_turns(ones, ONE_ROUNDS, ONE_CALLS)
            headers = ("one series", "p50 µs", "p99 µs", "CPU µs", "a second", "× limit")
            yield from table(headers, [way.cells(1e3, 1) for way in ones])
            yield ""
            many = [*many_series(store, reader), *many_series_awaited(async_store, async_reader, runner)]
            take_turns(many, MANY_ROUNDS, MANY_CALLS)
            headers = (f"{len(SYMBOLS)} series", "p50 ms", "p99 ms", "CPU ms", "a second", "× limit")
            yield from table(headers, [way.cells(1e6, len(SYMBOLS)) for way in many])
        finally:
            runner.run(async_reader.aclose())
            runner.run(async_store.aclose())


def main() -> int:
    """Measure and print."""
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    logger.remove()
    market, now, which = btc_market()
    with EmbeddedServer(temporary=True) as server:
        filled = fill(Pages(market, now), SYMBOLS, [TIMEFRAME], CANDLES)
        asyncio.run(write(filled, now, server.url))
        with redis.Redis.from_url(server.url) as store:
            packages = ("livecache", "redis", "hiredis", "msgspec", "numpy", "pandas")
            print(*circumstances(store, *packages), which, sep="\n", end="\n\n", flush=True)
        print(*measure(server.url), LEGEND, sep="\n")
    for package in ("numpy", "pandas"):
        if not installed(package):
            print(f"without {package}, its rows are left out: pip install {package}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
