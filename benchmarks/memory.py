"""What a cache costs in memory: a candle in Redis, written so and otherwise; whole caches; the process.

    python -m benchmarks.memory

Prints three tables of one run. The candles are real ones of BTC, whose digits are among the longest of all.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import ctypes.util
import gc
import multiprocessing
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import redis
from loguru import logger

from benchmarks.common import circumstances, table
from benchmarks.filling import BTC, Pages, btc_market, fill, write
from livecache.embedded.server import EmbeddedServer
from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator import Market

__all__ = ["main"]

SERIES = 300
"""Sets to take the average of: they begin evenly spread over four months."""
STOCK, OURS = 64, 128  # bytes: zset-max-listpack-value by default, and as the embedded server sets it
BOUND_BYTES = 90

CACHES = (
    (25, (Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1)),
    (
        900,
        (Timeframe.M5, Timeframe.M15, Timeframe.M30, Timeframe.H1, Timeframe.H4, Timeframe.H6, Timeframe.D1),
    ),
)
CANDLES = 100
CACHE_S_MAX = 600.0

Candles = Sequence[ExactCandle]


# --- a candle in Redis, by how it is written


def as_livecache(pipeline: Any, name: str, candles: Candles) -> None:
    """A set of JSON arrays."""
    pipeline.zadd(name, {candle.member(): candle.time for candle in candles})


def as_objects(pipeline: Any, name: str, candles: Candles) -> None:
    """A set of JSON objects with the names of the values."""
    pipeline.zadd(name, {msgspec.json.encode(_named(candle)): candle.time for candle in candles})


def as_hashes(pipeline: Any, name: str, candles: Candles) -> None:
    """A hash a candle, and a set of their times to find them by."""
    for candle in candles:
        pipeline.hset(f"{name}:{candle.time}", mapping=_named(candle))
    pipeline.zadd(name, {str(candle.time): candle.time for candle in candles})


def _named(candle: ExactCandle) -> dict[str, float]:
    values = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    names = ("open", "high", "low", "close", "volume")
    return {"time": candle.time, **dict(zip(names, map(float, values), strict=True))}


class Layout(NamedTuple):
    """A way to write candles, to a server with that listpack setting, so many a series."""

    name: str
    keep: Callable[[Any, str, Candles], None]
    value_bytes: int
    candles: int


LAYOUTS = (
    *(
        Layout("livecache: a set of JSON arrays", as_livecache, OURS, count)
        for count in (100, 128, 129, 1000)
    ),
    *(Layout("the same, server's default of 64 bytes", as_livecache, STOCK, count) for count in (100, 1000)),
    Layout("a set of JSON objects", as_objects, OURS, 100),
    Layout("the same, server's default of 64 bytes", as_objects, STOCK, 100),
    Layout("a hash a candle and a set of times", as_hashes, OURS, 100),
)


def candle_rows(store: Any, candles: Candles) -> Iterator[tuple[str, ...]]:
    """The rows of the table of layouts."""
    for layout in LAYOUTS:
        store.config_set("zset-max-listpack-value", layout.value_bytes)
        last = len(candles) - layout.candles
        starts = [last * number // (SERIES - 1) for number in range(SERIES)]
        names = [f"livecache:{{coinbase:S{number:03}-USD}}:5m" for number in range(SERIES)]
        with emptied(store) as used:
            for name, start in zip(names, starts, strict=True):
                pipeline = store.pipeline(transaction=False)
                layout.keep(pipeline, name, candles[start : start + layout.candles])
                pipeline.execute()
            grown, of_keys = used(), usage(store)
            encodings = [store.object("ENCODING", name) for name in names]
        count = layout.candles * SERIES
        compact = f"{encodings.count(b'listpack') / SERIES:.0%}"
        bytes_each = (f"{size / count:.1f}" for size in (of_keys, grown))
        yield layout.name, f"{layout.candles}", compact, *bytes_each


def usage(store: Any) -> int:
    """MEMORY USAGE of all keys, in bytes."""
    sizes = store.pipeline(transaction=False)
    for key in store.scan_iter(count=1000):
        sizes.memory_usage(key, samples=0)
    return sum(sizes.execute())


@contextmanager
def emptied(store: Any) -> Iterator[Callable[[], int]]:
    """An empty server; yields what tells by how many bytes it has grown since."""
    store.execute_command("FLUSHALL", "SYNC")
    before = store.info("memory")["used_memory"]
    yield lambda: store.info("memory")["used_memory"] - before
    store.execute_command("FLUSHALL", "SYNC")


# --- whole caches, and the process that holds them


class Process(NamedTuple):
    """A process that holds a cache: bytes as it starts, by how many it grew, its most; and what it holds."""

    bare: int
    grown: int
    most: int
    candles: int


def hold(pipe: Connection, url: str, symbols: int, timeframes: Sequence[Timeframe]) -> None:
    """Runs in a process of its own: fill a timeline, write it to the server, and tell what it took."""
    logger.remove()
    import livecache.app  # noqa: F401 - what a running service has loaded

    bare = resident()
    market, now, _ = btc_market()
    pages = Pages(market, now)
    fill(pages, [BTC], timeframes, CANDLES)  # So that the market itself is no part of what follows.
    before = resident()
    timeline = fill(pages, [BTC, *(f"S{number:03}-USD" for number in range(1, symbols))], timeframes, CANDLES)
    asyncio.run(write(timeline, now, url))
    grown = resident() - before
    tracks = [track for symbol in timeline.symbols.values() for track in symbol.tracks.values()]
    candles = sum(len(track.settled) + len(track.provisional) for track in tracks)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    pipe.send(Process(bare, grown, most, candles))


def resident() -> int:
    """Bytes of memory that this process occupies without garbage; on macOS what it ever occupied."""
    gc.collect()
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # What the allocator keeps for later is no part of what the timeline holds.
    libc: Any = ctypes.CDLL(ctypes.util.find_library("c"))
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    return int(statm.read_text().split()[1]) * resource.getpagesize()


def cache_row(store: Any, url: str, symbols: int, timeframes: Sequence[Timeframe]) -> tuple[str, ...]:
    """The row of one cache."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    with emptied(store) as used:
        process = context.Process(target=hold, args=(theirs, url, symbols, timeframes), daemon=True)
        process.start()
        theirs.close()
        if not ours.poll(CACHE_S_MAX):
            raise TimeoutError("the process that holds the cache does not answer")
        held: Process = ours.recv()
        process.join()
        grown, of_keys = used(), usage(store)
        stored = sum(store.zcard(key) for key in store.scan_iter(count=1000, _type="zset"))
    return (
        f"{symbols} × {len(timeframes)}",
        f"{stored:,}",
        f"{of_keys / stored:.1f}",
        f"{grown / stored:.1f}",
        _mb(grown),
        f"{held.candles:,}",
        f"{held.grown / held.candles:.0f}",
        _mb(held.grown),
        _mb(held.bare + held.grown),
        _mb(held.most),
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f}"


# --- the tables


CANDLE_HEADERS = ("bytes a candle in Redis", "candles", "compact", "MEMORY USAGE", "used_memory")
CACHE_HEADERS = (
    "whole caches",
    "in Redis",
    "MEMORY USAGE",
    "used_memory",
    "MB",
    "in process",
    "each",
    "MB",
    "in all",
    "at most",
)
LEGEND = f"""
Bytes a candle; MB are 1,000,000 bytes. compact: sets that are listpacks. MEMORY USAGE: of all keys with their
names. used_memory: by what the emptied server has grown, for whole caches with the scripts and all else.
in process: candles that the timeline holds, and by what the process has grown with them; in all: with what a
service has loaded; at most: while it filled all, and wrote all at once.
The bound: {BOUND_BYTES} bytes a candle in Redis."""


def main() -> int:
    """Measure and print; 1 if a candle takes more than the bound."""
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    logger.remove()
    market, now, which = btc_market()
    with EmbeddedServer(temporary=True) as server, redis.Redis.from_url(server.url) as store:
        lines = circumstances(store, "livecache", "redis", "msgspec")
        print(*lines, which, sep="\n", end="\n\n", flush=True)
        rows = [*candle_rows(store, history(market, now))]
        print(*table(CANDLE_HEADERS, rows), "", sep="\n", flush=True)
        store.config_set("zset-max-listpack-value", OURS)
        caches = [cache_row(store, server.url, *cache) for cache in CACHES]
        print(*table(CACHE_HEADERS, caches), LEGEND, sep="\n")
    return int(float(rows[0][-1]) > BOUND_BYTES)


def history(market: Market, now: int) -> Candles:
    """Four months of 5m candles of BTC, oldest first."""
    return market.candles(BTC, Timeframe.M5, now - 135 * Timeframe.D1.ms, Timeframe.M5.floor(now), now)


if __name__ == "__main__":
    sys.exit(main())
