"""All of Coinbase in one process: 900 products × 7 timeframes, filled and live, on a simulated exchange.

    python -m benchmarks.everything                 # eleven minutes: midnight, and then a 5m boundary

Prints a table of one run, and asserts no time. Two of three products are thin. The exchange allows more
requests a second than the venue, so that the fill is over before midnight; how long it takes at the venue's
rate follows from the number of pages.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import redis
from loguru import logger

from benchmarks.common import circumstances, table
from benchmarks.loopback import Exchange, Opening, exchange, symbols
from livecache import Timeframe
from livecache.app import open_engine
from livecache.config.schema import Config
from livecache.embedded.server import EmbeddedServer
from livecache.engine.engine import Engine

__all__ = ["main"]

TIMEFRAMES = ("5m", "15m", "30m", "1h", "4h", "6h", "1d")
PRODUCTS = 900
THIN_OF_THREE = 2
MIDNIGHT = 1_763_164_800_000  # 2025-11-15
BEFORE_MIDNIGHT_S = 310.0  # the fill, and a 5m bucket that the feed saw from its open
AFTERWARDS_S = 45.0
BEAT_S = 0.005
REST_RATE = 60.0


class Heart:
    """Beats as often as the event loop lets it, and keeps the longest gap beyond its pace since asked."""

    def __init__(self) -> None:
        self._longest_s = 0.0

    async def beat(self) -> None:
        """For ever."""
        while True:
            began_s = time.monotonic()
            await asyncio.sleep(BEAT_S)
            self._longest_s = max(self._longest_s, time.monotonic() - began_s - BEAT_S)

    def longest_ms(self) -> float:
        """The longest gap since the last call, in ms."""
        longest_s, self._longest_s = self._longest_s, 0.0
        return longest_s * 1000


class Phase:
    """One row: what happened from its beginning to its end."""

    def __init__(self, name: str, engine: Engine, venue: Exchange, heart: Heart) -> None:
        self._name, self._engine, self._venue, self._heart = name, engine, venue, heart
        heart.longest_ms()
        self._began_s, self._cpu_s = time.monotonic(), time.process_time()
        self._frames, self._upserts = engine.live.feed.frames, engine.writer.stats.upserts

    def row(self, note: str = "") -> tuple[str, ...]:
        """The row of the table."""
        seconds = time.monotonic() - self._began_s
        requests = [r for r in self._venue.requests_since(self._began_s) if "candles" in r.path]
        frames = self._engine.live.feed.frames - self._frames
        upserts = self._engine.writer.stats.upserts - self._upserts
        return (
            self._name,
            f"{seconds:.0f}",
            f"{(time.process_time() - self._cpu_s) / seconds:.0%}",
            f"{len(requests):,}",
            f"{frames / seconds:.0f}",
            f"{upserts / seconds:.0f}",
            f"{self._heart.longest_ms():.0f}",
            note,
        )


async def measure(config: Config, venue: Exchange) -> list[tuple[str, ...]]:
    """Run the service and take its rows."""
    rows: list[tuple[str, ...]] = []
    heart = Heart()
    async with open_engine(config) as engine:
        beating = asyncio.create_task(heart.beat(), name="heart")
        filling = Phase("fill", engine, venue, heart)
        running = asyncio.create_task(engine.run(), name="engine")
        try:
            live = engine.live
            while live.warm_s is None and live.now() < MIDNIGHT - 5_000:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
            ready = sum(1 for track in live.configured() if track.state and track.state.ready)
            rows.append(filling.row(f"{ready:,} ready"))
            _show(rows)
            for name, edge in (("midnight", MIDNIGHT), ("a 5m boundary", MIDNIGHT + 300_000)):
                quiet = Phase("live", engine, venue, heart)
                await _until(engine, edge - 1_000)
                rows.append(quiet.row())
                _show(rows)
                close = Phase(name, engine, venue, heart)
                lag = await _settled(engine, edge)
                rows.append(close.row(lag))
                _show(rows)
        finally:
            for task in (running, beating):
                task.cancel()
            await asyncio.wait([running, beating])
    return rows


def _show(rows: list[tuple[str, ...]]) -> None:
    print(rows[-1], file=sys.stderr, flush=True)


async def _until(engine: Engine, moment: int) -> None:
    while (left_ms := moment - engine.live.now()) > 0:  # noqa: ASYNC110
        await asyncio.sleep(left_ms / 1000)


async def _settled(engine: Engine, edge: int) -> str:
    """Wait until the 5m buckets that ended at `edge` are settled, and say when half, 99 % and all were."""
    tracks = [t for t in engine.live.configured() if t.series.timeframe is Timeframe.M5]
    reached: dict[float, float] = {}
    await _until(engine, edge)
    while len(reached) < 3 and engine.live.now() < edge + 420_000:
        await asyncio.sleep(0.25)
        part = sum(1 for t in tracks if (edge - t.width) in t.coverage) / len(tracks)
        for goal in (0.5, 0.99, 1.0):
            if part >= goal and goal not in reached:
                reached[goal] = (engine.live.now() - edge) / 1000
    return "settled after " + ", ".join(f"{goal:.0%} {s:.0f} s" for goal, s in reached.items())


def resident_mb(pid: int | str) -> str:
    """What a process occupies, in MB; "" where that is not told."""
    statm = Path(f"/proc/{pid}/statm")
    return f"{int(statm.read_text().split()[1]) * 4096 / 1e6:.0f}" if statm.exists() else ""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--products", type=int, default=PRODUCTS)
    parser.add_argument(
        "--rate", type=float, default=REST_RATE, help="requests a second (default: %(default)s)"
    )
    chosen = parser.parse_args()
    logger.remove()
    names = symbols(chosen.products)
    thin = [
        f"{name}:thin" if number % 3 < THIN_OF_THREE and number >= 25 else name
        for number, name in enumerate(names)
    ]
    opening = Opening(
        thin, MIDNIGHT - int(BEFORE_MIDNIGHT_S * 1000), 0.08, public_per_s=int(chosen.rate * 1.2) + 1
    )
    with EmbeddedServer(temporary=True) as server, redis.Redis.from_url(server.url) as store:
        print(
            *circumstances(store, "livecache", "redis", "hiredis", "msgspec", "aiohttp"),
            sep="\n",
            end="\n\n",
            flush=True,
        )
        with exchange(opening) as venue:
            config = msgspec.convert(
                {
                    "redis": {"url": server.url},
                    "cache": {"timeframes": TIMEFRAMES, "candles": 100, "min_candles": 60},
                    "venues": {
                        "coinbase": {
                            "rest_url": venue.address.rest_url,
                            "ws_url": venue.address.ws_url,
                            "requests_per_second": chosen.rate,
                            "symbols": names,
                        }
                    },
                },
                Config,
            )
            rows = asyncio.run(measure(config, venue))
        print(*table(HEADERS, rows), sep="\n")
        memory: Any = store.info("memory")
        print(f"\nMemory: the process {resident_mb('self')} MB, Redis {memory['used_memory'] / 1e6:.0f} MB")
    return 0


HEADERS = ("all of Coinbase", "s", "CPU", "pages", "frames/s", "upserts/s", "longest stall ms", "outcome")


if __name__ == "__main__":
    sys.exit(main())
