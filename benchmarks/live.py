"""How fast the feed reaches a reader: the latency of a candle, and how many a second one process absorbs.

    python -m benchmarks.live

Prints two tables of one run, and asserts no time. Sender, absorber, Valkey and the reader are four processes.
Each candle bears in its volume when it was sent, by the monotonic clock that they share.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import redis
from loguru import logger

from benchmarks.absorbing import Absorber, Job, absorber, usual_channel, usual_key
from benchmarks.common import circumstances, table
from benchmarks.feeding import Sender, sender
from benchmarks.filling import BTC, btc_market
from livecache import Timeframe
from livecache.embedded.server import EmbeddedServer
from livecache.keys.keyspace import Keyspace

__all__ = ["main"]

KEYS = Keyspace()
OURS, FILLING, USUAL = "livecache", "livecache, filling", "the usual loop"
READ = "livecache, years read by 20"
WRITING = (OURS, FILLING, READ, USUAL)
LATENCY_SYMBOLS = 25
LATENCY_RATES = ((10, 20.0), (100, 10.0), (1000, 10.0))  # candles a second, for so many seconds
SATURATION_S = 6.0
STANDSTILL_S = 4.0  # shorter than the client's patience of 5 s
SETTLE_S = 0.5  # before each measurement
WARM_S_MAX = 30.0
POLL_S = 0.01
_MARKET_OPENS_S = 1.0  # after a 5m boundary: none is crossed while a row is measured

_decode = msgspec.json.Decoder(list[float], strict=False).decode


def symbols(count: int) -> list[str]:
    """That many products."""
    return [BTC, *(f"S{number:02}-USD" for number in range(1, count))]


class Feeding(NamedTuple):
    """A sender and an absorber that has heard of every symbol."""

    sender: Sender
    absorber: Absorber


@contextmanager
def feeding(way: str, url: str, count: int) -> Iterator[Feeding]:
    """Let `way` absorb the candles of so many products."""
    _, now, _ = btc_market()
    opens_ms = Timeframe.M5.floor(now) + int(_MARKET_OPENS_S * 1000)
    ahead_ms = opens_ms - int(time.monotonic() * 1000)
    with redis.Redis.from_url(url) as store:
        store.flushall()
    with (
        sender(symbols(count), ahead_ms) as source,
        absorber(way, Job(source.port, url, symbols(count), ahead_ms)) as sink,
    ):
        source.begin(4 * count, 1.0)
        source.end()
        if way in WRITING:
            _wait_for_each(url, way, count)
        time.sleep(SETTLE_S)
        yield Feeding(source, sink)


def _wait_for_each(url: str, way: str, count: int) -> None:
    """Until a candle of the feed lies in each set: those of the fill do not say when they were sent."""
    deadline_s = time.monotonic() + WARM_S_MAX
    with redis.Redis.from_url(url) as store:
        while True:
            late_ms = lags_ms(store, sets(way, count))
            if len(late_ms) == count and max(late_ms) < WARM_S_MAX * 1000:
                return
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{way} has not written a candle of each of {count} products")
            time.sleep(POLL_S)


def sets(way: str, count: int) -> list[str]:
    """The keys of the 5m candles that `way` writes."""
    return [usual_key(s) if way == USUAL else KEYS.candles(s, Timeframe.M5) for s in symbols(count)]


# --- latency


def latency_row(way: str, url: str, rate: int, seconds: float) -> tuple[str, ...]:
    """How long after it was sent a subscribed client has a candle, by then in the set as well."""
    with redis.Redis.from_url(url) as store, store.pubsub(ignore_subscribe_messages=True) as channel:
        names = symbols(LATENCY_SYMBOLS)
        channels = [usual_channel(s) if way == USUAL else KEYS.updates(s, Timeframe.M5) for s in names]
        with feeding(way, url, LATENCY_SYMBOLS) as (source, sink):
            channel.subscribe(*channels)
            while channel.get_message(timeout=0.2):
                pass
            before = sink.spent()
            source.begin(rate, seconds)
            late_ms: list[float] = []
            ends_s = time.monotonic() + seconds + 0.2
            while time.monotonic() < ends_s:
                message = channel.get_message(timeout=0.2)
                if message is not None:
                    late_ms.append((time.monotonic() - volume_of(message["data"])) * 1000)
            sent, after = source.end(), sink.spent()
    late_ms.sort()
    cpu = (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s)
    quantiles = (f"{_quantile(late_ms, part):.2f}" for part in (0.5, 0.99, 1.0))
    return way, f"{rate}", f"{len(late_ms)}/{sent.frames}", *quantiles, f"{cpu:.1%}"


def volume_of(data: bytes) -> float:
    """The volume of a member, or of the candle in an update."""
    return float(data[data.rindex(b",") + 1 :].rstrip(b"]}"))


def _quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else float("nan")


# --- saturation


def saturation_row(way: str, url: str, rate: int, count: int) -> tuple[str, ...]:
    """Push for a while; how many were taken, and how old the newest candle of each product is at a reader."""
    keys, writes = sets(way, count), way in WRITING
    with redis.Redis.from_url(url) as store, feeding(way, url, count) as (source, sink):
        source.begin(rate, SATURATION_S + SETTLE_S)
        time.sleep(SETTLE_S)
        before, late_ms, most = sink.spent(), [], 0
        ends_s = time.monotonic() + SATURATION_S - SETTLE_S
        while time.monotonic() < ends_s:
            if writes:
                late_ms += lags_ms(store, keys)
            most = max(most, sink.spent().resident)
            time.sleep(POLL_S if writes else 0.1)
        after, sent = sink.spent(), source.end()
    late_ms.sort()
    elapsed_s = after.at_s - before.at_s
    frames, cpu_s = after.frames - before.frames, after.cpu_s - before.cpu_s
    return (
        way,
        f"{count}",
        f"{rate:,}" if rate else "all",
        f"{sent.rate:,.0f}",
        f"{frames / elapsed_s:,.0f}",
        f"{cpu_s / frames * 1e6:.2f}",
        f"{cpu_s / elapsed_s:.0%}",
        *(f"{_quantile(late_ms, part):.0f}" if writes else "" for part in (0.5, 0.99, 1.0)),
        f"{most / 1e6:.0f}",
    )


def lags_ms(store: Any, keys: Sequence[str]) -> list[float]:
    """How old the newest candle in each of these sets is."""
    pipe = store.pipeline(transaction=False)
    for key in keys:
        pipe.zrange(key, -1, -1)
    now_s = time.monotonic()
    return [(now_s - volume_of(members[0])) * 1000 for members in pipe.execute() if members]


# --- a server that stands still


def standstill_row(url: str, rate: int, count: int) -> tuple[str, ...]:
    """Stop the server's process while candles come: what memory does, and when all is well again."""
    keys = sets(OURS, count)
    with redis.Redis.from_url(url) as store, feeding(OURS, url, count) as (source, sink):
        server: Any = store.info("server")
        source.begin(rate, SETTLE_S + STANDSTILL_S + SATURATION_S)
        time.sleep(SETTLE_S)
        before, most = sink.spent(), 0
        os.kill(server["process_id"], signal.SIGSTOP)
        try:
            ends_s = time.monotonic() + STANDSTILL_S
            while time.monotonic() < ends_s:
                most = max(most, sink.spent().resident)
                time.sleep(0.05)
            after = sink.spent()
        finally:
            os.kill(server["process_id"], signal.SIGCONT)
        woken_s = time.monotonic()
        while max(lags_ms(store, keys)) > 100 and time.monotonic() < woken_s + SATURATION_S - 1:
            time.sleep(POLL_S)
        recovered_s = time.monotonic() - woken_s
        source.end()
    taken = (after.frames - before.frames) / (after.at_s - before.at_s)
    megabytes = (f"{size / 1e6:.1f}" for size in (before.resident, most))
    return f"{STANDSTILL_S:.0f} s", f"{rate:,}", f"{taken:,.0f}", *megabytes, f"{recovered_s:.2f}"


STANDSTILL_HEADERS = ("Valkey stopped for", "offered", "taken/s", "MB before", "most", "s until < 100 ms")
LATENCY_HEADERS = ("latency", "a second", "told/sent", "p50 ms", "p99 ms", "most", "CPU")
SATURATION_HEADERS = (
    "saturation",
    "products",
    "offered",
    "sent/s",
    "taken/s",
    "µs each",
    "CPU",
    "late p50",
    "p99",
    "most",
    "MB",
)


SATURATION_ROWS = (
    ("receive: websockets", 0, 25),
    ("receive: aiohttp", 0, 25),
    ("receive", 0, 25),
    ("… and decode", 0, 25),
    (OURS, 10_000, 25),
    (OURS, 30_000, 25),
    (OURS, 50_000, 25),
    (OURS, 100_000, 25),
    (OURS, 100_000, 100),
    (OURS, 0, 25),
    (USUAL, 0, 25),
)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one row of livecache a table")
    quick = parser.parse_args().quick
    logger.remove()
    with EmbeddedServer(temporary=True) as server, redis.Redis.from_url(server.url) as store:
        packages = ("livecache", "redis", "hiredis", "msgspec", "aiohttp", "websockets")
        print(*circumstances(store, *packages), sep="\n", end="\n\n", flush=True)
        rows = [
            latency_row(way, server.url, rate, seconds)
            for rate, seconds in (LATENCY_RATES[-1:] if quick else LATENCY_RATES)
            for way in WRITING[: 3 if quick else None]
        ]
        print(*table(LATENCY_HEADERS, rows), "", sep="\n", flush=True)
        rows = []
        for way, rate, count in ((OURS, 100_000, 25),) if quick else SATURATION_ROWS:
            rows.append(saturation_row(way, server.url, rate, count))
            print(rows[-1], file=sys.stderr, flush=True)
        print(*table(SATURATION_HEADERS, rows), sep="\n", flush=True)
        if not quick:
            print("", *table(STANDSTILL_HEADERS, [standstill_row(server.url, 20_000, 100)]), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
