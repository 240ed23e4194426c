"""Binance and Deribit: how long until all is warm, and what following costs. Beside ccxt, on loopback.

    python -m benchmarks.venues                  # 25 symbols of Binance, 20 of Deribit: a minute
    python -m benchmarks.venues --all            # the 2,000 of Binance's spot: six minutes
    python -m benchmarks.venues --all 200        # or as many as that
    python -m benchmarks.venues --live           # 500 symbols at 1m, followed: twenty minutes

Prints a table for each and asserts no time. The exchange (`livecache.simulator`, in processes of its own, new
ones for each row) enforces the venue's limits and adds 80 ms to every answer. What is over has been made
before it listens, as a venue has it in a database.
"""

from __future__ import annotations

import argparse
import compileall
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import redis

import livecache
from benchmarks.common import circumstances, installed, table
from benchmarks.loopback import Exchange, Opening, exchange, symbols
from benchmarks.usual_ways import by_ccxt, ccxt_loop, usual
from benchmarks.warming import CANDLES, MIN_CANDLES, TIMEFRAMES, Row, Setting, run_livecache, spent_s
from livecache import Timeframe
from livecache.embedded.server import EmbeddedServer

__all__ = ["main"]

LATENCY_S = 0.08
BUCKET_S = Timeframe.M5.ms / 1000
INTO_S = 62.0  # a 5m bucket, and two seconds into a minute: what a minute allows is all there
MADE = (Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H2, Timeframe.H4, Timeframe.D1)

LIVE_SYMBOLS = 500
LIVE = ((1.0, 120.0, 480.0), (4.0, 600.0, 960.0))  # speed; seconds of the market let pass, and measured


class Kind(NamedTuple):
    """What a venue's rows have of their own."""

    quote: str  # how its symbols end, of what is traded for dollars
    lists: str  # the end of the path of its list
    list_costs: int
    page_costs: int
    allows: int  # in a minute
    unit: str


KINDS = {
    "binance": Kind("USDT", "/exchangeInfo", 20, 2, 6_000, "weight"),
    "deribit": Kind("-PERPETUAL", "/get_instruments", 1, 1, 1_200, "requests"),
}


def costs(row: Row) -> int:
    """What the venue counted of the row's requests."""
    kind, (pages, _) = KINDS[row.setting.venue], row.asked()
    lists = sum(request.path.endswith(kind.lists) for request in row.requests)
    return pages * kind.page_costs + lists * kind.list_costs + len(row.requests) - pages - lists


@contextmanager
def opened(setting: Setting, products: Sequence[str], speed: float = 1.0) -> Iterator[Exchange]:
    """An exchange for one row; it begins when a 5m bucket has just closed."""
    start_ms = int((time.time() // BUCKET_S * BUCKET_S + INTO_S) * 1000)
    opening = Opening(products, start_ms, setting.latency_s, venue=setting.venue, speed=speed, remembers=MADE)
    with exchange(opening) as venue:
        yield venue


def of(
    venue: str, count: int, timeframes: Sequence[Timeframe] = tuple(TIMEFRAMES)
) -> tuple[Setting, list[str]]:
    """That many of a venue's symbols, and what they are to the market."""
    products = symbols(count)
    names = [product.removesuffix("-USD") + KINDS[venue].quote for product in products]
    return Setting(names, LATENCY_S, venue=venue, timeframes=timeframes), products


# --- warm


WARM_HEADERS = ("", "first", "5m", "ready", "full", "CPU", "pages", "cost", "of a minute", "429")


def warm(venue: str, count: int, url: str, *, ccxt: bool) -> Iterator[Row]:
    """The usual ways, and livecache."""
    setting, products = of(venue, count)
    if ccxt and installed("ccxt"):
        for name, way in (("ccxt, one after another", ccxt_loop), ("ccxt, all at once", by_ccxt)):
            with opened(setting, products) as exchange:
                yield usual(name, way, setting, exchange, url)
    with opened(setting, products) as exchange:
        yield run_livecache("livecache", setting, exchange, url)


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table."""
    kind, spent = KINDS[row.setting.venue], costs(row)
    moments = ("never" if moment is None else f"{moment:.2f}" for moment in row.moments())
    return (
        row.name,
        f"{row.first_s() or 0:.2f}",
        *moments,
        f"{row.cpu_s:.2f}",
        f"{row.asked()[0]:,}",
        f"{spent:,}",
        f"{spent / kind.allows:.1%}",
        f"{row.refused()}",
    )


# --- live


LIVE_HEADERS = ("", "speed", "s", "requests a minute", "most in one", "CPU", "of it at speed 1", "MB")


def live(count: int, speed: float, settles_s: float, lasts_s: float, url: str) -> tuple[str, ...]:
    """Follow so many symbols at 1m; `settles_s` and `lasts_s` are seconds of the market."""
    setting, products = of("binance", count, (Timeframe.M1,))
    with opened(setting, products, speed) as exchange:
        cpu_s, began_s = [0.0, 0.0], 0.0
        resident = 0

        def follow(pid: int) -> None:
            nonlocal began_s, resident
            time.sleep(settles_s / speed)
            began_s, cpu_s[0] = time.monotonic(), spent_s(pid)
            time.sleep(lasts_s / speed)
            cpu_s[1], resident = spent_s(pid), resident_bytes(pid)

        row = run_livecache("livecache", setting, exchange, url, then=follow)
    if row.problem:
        raise RuntimeError(row.problem)
    minutes = [0] * int(lasts_s // 60)
    for request in row.requests:
        minute = int((request.at - began_s) * speed // 60)
        if 0 <= minute < len(minutes):
            minutes[minute] += 1
    share = (cpu_s[1] - cpu_s[0]) / (lasts_s / speed)
    return (
        f"{count} symbols at 1m",
        f"{speed:g}",
        f"{lasts_s / speed:.0f}",
        f"{sum(minutes) / len(minutes):.1f}",
        f"{max(minutes)}",
        f"{share:.1%}",
        f"{share / speed:.1%}",
        f"{resident / 1e6:.0f}",
    )


def resident_bytes(pid: int) -> int:
    """What a process occupies."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Measure and print; 1 if a row could not be measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--all", type=int, nargs="?", const=2_000, help="so many of Binance's spot: 2,000")
    parser.add_argument("--live", type=int, nargs="?", const=LIVE_SYMBOLS, help="follow so many at 1m: 500")
    parser.add_argument("--only-livecache", action="store_true", help="leave the usual ways out")
    options = parser.parse_args()
    # As an installation does; a checkout may never have been compiled.
    compileall.compile_dir(Path(livecache.__file__).parent, quiet=2)
    problem = False
    with EmbeddedServer(temporary=True) as server, redis.Redis.from_url(server.url) as store:
        print(*circumstances(store, "livecache", "redis", "ccxt"), sep="\n", flush=True)
        if options.live:
            rows = []
            for how in LIVE:
                rows.append(live(options.live, *how, server.url))
                print(rows[-1], file=sys.stderr, flush=True)
            print("", *table(LIVE_HEADERS, rows), sep="\n")
            return 0
        for venue, count in (
            (("binance", options.all),) if options.all else (("binance", 25), ("deribit", 20))
        ):
            measured = []
            for row in warm(venue, count, server.url, ccxt=not (options.all or options.only_livecache)):
                measured.append(row)
                problem |= bool(row.problem)
                print(f"… {row.name}: {row.elapsed():.0f} s {row.problem}", file=sys.stderr, flush=True)
            title = f"{venue.title()}, {count:,} symbols × 5"
            headers = (title, *WARM_HEADERS[1:])
            print("", *table(headers, [cells(row) for row in measured]), sep="\n", flush=True)
    print(LEGEND)
    return int(problem)


LEGEND = f"""
Seconds from the start of the process; of ccxt from its first request. first: until the first request
arrives. 5m: its series have {MIN_CANDLES} closed candles; ready: all have; full: all have {CANDLES}. CPU:
seconds of it until full; of ccxt without its import. cost: weight, of Deribit requests, and its part of
what a minute allows; 429: refused; these until a second after full."""


if __name__ == "__main__":
    sys.exit(main())
