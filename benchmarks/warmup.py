"""How long until everything is warm: livecache beside the usual ways, against one loopback exchange.

    python -m benchmarks.warmup                      # 25 symbols, two minutes
    python -m benchmarks.warmup --symbols 25,250     # and 250: sixteen minutes
    python -m benchmarks.warmup --only-livecache

Prints a table for each number of symbols and one of restarts, and asserts no time. The exchange
(`livecache.simulator`, in processes of its own, new ones for each row) enforces Coinbase's rates and adds
80 ms to every answer. Its market runs at speed 1, near the host's time, and no 5m bucket closes while a row
of livecache is measured.
"""

from __future__ import annotations

import argparse
import compileall
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import redis

import livecache
from benchmarks.common import circumstances, installed
from benchmarks.common import table as lines
from benchmarks.loopback import Exchange, Opening, exchange, symbols
from benchmarks.usual_ways import by_ccxt, five_a_batch, usual
from benchmarks.warming import AFTERWARDS_S, CANDLES, MIN_CANDLES, TIMEFRAMES, Row, Setting, run_livecache
from livecache import Timeframe
from livecache.embedded.server import EmbeddedServer

__all__ = ["main"]

LATENCY_S, LONG_LATENCY_S = 0.08, 0.8
PUBLIC_PER_S, PRIVATE_PER_S = 10, 30  # what the exchange allows

BUCKET_S = Timeframe.M5.ms / 1000
SETTLED_S = 30.0  # into a bucket: all have traded in it, which proves that the one before is over
APART_S = 50.0  # of the market's clock from the host's; beyond 60 s, /time would be asked a second time
MISSED_S = 60.0  # into the next bucket begins the run that has missed a close


# --- the rows


def begin_ms(lasts_s: float) -> int:
    """A time (Unix ms) near the host's from which on no 5m bucket closes for so long; waits if need be."""
    while True:
        now_s = time.time()
        into_s = now_s % BUCKET_S
        latest_s = max(SETTLED_S, BUCKET_S - lasts_s)
        for wanted_s in (max(SETTLED_S, min(into_s, latest_s)), BUCKET_S + SETTLED_S):
            if abs(wanted_s - into_s) <= APART_S:
                return int((now_s + wanted_s - into_s) * 1000)
        time.sleep(1)


@contextmanager
def opened(setting: Setting, start_ms: int = 0, port: int = 0) -> Iterator[Exchange]:
    """An exchange for one row."""
    lasts_s = 10 + setting.needed()[-1] / setting.rate_per_s
    opening = Opening(
        setting.symbols,
        start_ms or begin_ms(lasts_s),
        setting.latency_s,
        PUBLIC_PER_S,
        PRIVATE_PER_S,
        port,
    )
    with exchange(opening) as venue:
        yield venue


def usual_rows(setting: Setting, url: str) -> Iterator[Row]:
    """The usual ways."""
    with opened(setting) as venue:
        yield usual("five a batch, a second between", five_a_batch, setting, venue, url)
    if installed("ccxt"):
        with opened(setting) as venue:
            yield usual("ccxt's own throttler, all at once", by_ccxt, setting, venue, url)


def livecache_rows(setting: Setting, url: str) -> Iterator[Row]:
    """livecache at each rate, and at the first with a long latency, each on an emptied store."""
    keyed = replace(setting, rate_per_s=float(PRIVATE_PER_S), keyed=True)
    distant = replace(setting, latency_s=LONG_LATENCY_S)
    cases = [
        (setting, "livecache"),
        (replace(setting, history=True), "livecache with [history]"),
        (distant, f"livecache, {LONG_LATENCY_S * 1000:g} ms"),
        (replace(setting, rate_per_s=float(PUBLIC_PER_S)), "livecache"),
        (keyed, "livecache with a key"),
    ]
    for case, name in cases:
        with opened(case) as venue:
            yield run_livecache(f"{name} at {case.rate_per_s:g}/s", case, venue, url)


def restarts(setting: Setting, url: str) -> Iterator[Row]:
    """livecache again over what an earlier run left."""
    keyed = replace(setting, rate_per_s=float(PRIVATE_PER_S), keyed=True)
    with opened(setting) as venue:
        # Filled quickly, with the key, which the origin of the candles does not depend on.
        yield run_livecache("(the run before)", keyed, venue, url)
        port = venue.address.port
        yield run_livecache("again, no close missed", setting, venue, url, warm=True)
        bucket = Timeframe.M5.floor(venue.now())
    with opened(setting, bucket + Timeframe.M5.ms + int(MISSED_S * 1000), port) as venue:
        yield run_livecache("again, a close missed", setting, venue, url, warm=True)


# --- the tables


HEADERS = ("", "first", "5m", "of", "ready", "of", "requests", "full", "of", "requests", "429")
LEGEND = f"""
first: seconds from the start of the process until its first request arrives; the other ways are functions
of the benchmark's. All else counts from the first request, in seconds. 5m: its series have {MIN_CANDLES}
closed candles; ready: all have; full: all have {CANDLES}. of: that time ÷ (requests needed ÷ rate told).
requests: candles + others answered by then. 429: refused until {AFTERWARDS_S:g} s after full, by the log of
the exchange."""

AGAIN_HEADERS = ("", "first", "5m", "ready", "requests", "429")
AGAIN_LEGEND = """
Seconds from the start of the process, over the candles of an earlier run. requests: candles + others until
ready. In the last row the market's clock contradicts the host's, so that /time is asked a second time."""


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The lines of the table of one number of symbols."""
    rates = dict.fromkeys(row.setting.rate_per_s for row in rows)
    limits = [_limit(rows[0].setting, rate) for rate in rates]
    return lines(HEADERS, [*(_cells(row) for row in rows), *limits])


def table_of_restarts(rows: Sequence[Row]) -> Iterator[str]:
    """The lines of the table of restarts."""
    cells = []
    for row in rows:
        five, ready, _ = row.moments()
        asked = "{} + {}".format(*row.asked(ready))
        cells.append((row.name, *map(_seconds, (row.first_s(), five, ready)), asked, f"{row.refused()}"))
    return lines(AGAIN_HEADERS, cells)


def _cells(row: Row) -> tuple[str, ...]:
    """How it went; measured against the limit where livecache was told a rate."""
    first = row.first_s() or 0.0
    cells = []
    for moment, needed in zip(row.moments(), row.setting.needed(), strict=True):
        took = None if moment is None else moment - first
        share = f"{took * row.setting.rate_per_s / needed:.2f}" if took and _is_livecache(row) else ""
        cells.append((_seconds(took), share, "{} + {}".format(*row.asked(moment))))
    (five, five_of, _), *rest = cells
    started = _seconds(first) if _is_livecache(row) else ""
    return row.name, started, five, five_of, *(cell for three in rest for cell in three), f"{row.refused()}"


def _limit(setting: Setting, rate_per_s: float) -> tuple[str, ...]:
    five, ready, full = setting.needed()
    return (
        f"requests needed ÷ {rate_per_s:g}/s",
        "",
        _seconds(five / rate_per_s),
        "1.00",
        *(_seconds(ready / rate_per_s), "1.00", f"{ready} + 0"),
        *(_seconds(full / rate_per_s), "1.00", f"{full} + 0"),
        "0",
    )


def _is_livecache(row: Row) -> bool:
    return row.name.startswith("livecache")


def _seconds(moment: float | None) -> str:
    return "never" if moment is None else f"{moment:.2f}"


def _measured(rows: Iterator[Row]) -> list[Row]:
    measured = []
    for row in rows:
        print(f"… {row.name} (load {row.load:.1f}): {row.elapsed():.0f} s", file=sys.stderr)
        if row.problem:
            print(f"\n{row.name}: {row.problem}", file=sys.stderr)
        measured.append(row)
    return measured


def main() -> int:
    """Measure and print; 1 if a row could not be measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--symbols", default="25", help="how many, by comma: 25 takes two minutes, 250 a quarter of an hour"
    )
    parser.add_argument("--only-livecache", action="store_true", help="leave the usual ways out")
    parser.add_argument("--only-restarts", action="store_true", help="nothing but restarts")
    options = parser.parse_args()
    counts = [int(count) for count in options.symbols.split(",")]
    rows: list[Row] = []
    # As an installation does; a checkout may never have been compiled.
    compileall.compile_dir(Path(livecache.__file__).parent, quiet=2)
    with EmbeddedServer(temporary=True) as server:
        with redis.Redis.from_url(server.url) as store:
            print(*circumstances(store, "livecache", "redis", "ccxt"), sep="\n")
        print(f"{', '.join(TIMEFRAMES)}; market at speed 1; {LATENCY_S * 1000:g} ms latency")
        print(f"at most {PUBLIC_PER_S} requests in any second, {PRIVATE_PER_S} with a key", flush=True)
        for count in counts:
            setting = Setting(symbols(count), LATENCY_S)
            print(f"\n{count} symbols × {len(TIMEFRAMES)} timeframes\n", flush=True)
            if not options.only_restarts:
                ways = [] if options.only_livecache else _measured(usual_rows(setting, server.url))
                ways += _measured(livecache_rows(setting, server.url))
                print(*table(ways), "", sep="\n", flush=True)
                rows += ways
            again = _measured(restarts(setting, server.url))
            print(*table_of_restarts(again[1:]), sep="\n", flush=True)
            rows += again
    print(LEGEND, AGAIN_LEGEND, sep="\n")
    return int(any(row.problem for row in rows))


if __name__ == "__main__":
    sys.exit(main())
