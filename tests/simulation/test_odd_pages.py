"""Pages of every odd form in mid-run, as the wire brings them: nothing false is settled, all heals soon."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import msgspec
import pytest

from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator import SeededMarket
from livecache.venues.venue import PageRequest
from tests.simulation.service import service
from tests.simulation.test_trouble import START, state, venue_at
from tests.simulation.virtual import run_virtually
from tests.simulation.watch import Watcher
from tests.simulation.wire import Rows, Spoil, on_the_wire, row_time
from tests.sizes import some

M5, M15, H1 = Timeframe.M5, Timeframe.M15, Timeframe.H1
SYMBOL = "BTC-USD"
HEALS_WITHIN_S = 400


def wired(candles: Sequence[ExactCandle]) -> Rows:
    """As the wire brings them, newest first."""
    names = ("open", "high", "low", "close", "volume")
    return [
        dict(zip(names, row.numbers, strict=True)) | {"start": str(row.time // 1000)}
        for row in reversed(candles)
    ]


def other_product(request: PageRequest, rows: Rows, at_s: float) -> Rows:
    asked = request.start, request.end, START + int(at_s * 1000)
    return wired(SeededMarket(7).candles("ETH-USD", request.timeframe, *asked))


def rows_of(timeframe: Timeframe) -> Spoil:
    """Those of another timeframe, over the times that were asked for."""

    def spoil(request: PageRequest, rows: Rows, at_s: float) -> Rows:
        found = SeededMarket(7).candles(
            request.symbol, timeframe, request.start, request.end, START + int(at_s * 1000)
        )
        return wired(found)

    return spoil


def in_units(per_s: int) -> Spoil:
    return lambda request, rows, at_s: [{**row, "start": str(int(row["start"]) * per_s)} for row in rows]


def behind(timeframe: Timeframe, by_s: int) -> Spoil:
    """Of that timeframe alone the market is shown as it was so long ago."""

    def spoil(request: PageRequest, rows: Rows, at_s: float) -> Rows:
        if request.timeframe is not timeframe:
            return rows
        asked = request.start, request.end, START + int((at_s - by_s) * 1000)
        return wired(SeededMarket(7).candles(request.symbol, timeframe, *asked))

    return spoil


def late(buckets: int) -> Spoil:
    def spoil(request: PageRequest, rows: Rows, at_s: float) -> Rows:
        by = buckets * request.timeframe.ms // 1000
        return [{**row, "start": str(int(row["start"]) + by)} for row in rows]

    return spoil


def twins(request: PageRequest, rows: Rows, at_s: float) -> Rows:
    """Every third row twice, once with another volume."""
    third = [row_time(row) // request.timeframe.ms % 3 == 0 for row in rows]
    return [
        each
        for row, hit in zip(rows, third, strict=True)
        for each in ([{**row, "volume": "99999"}, row] if hit else [row])
    ]


def shuffled(request: PageRequest, rows: Rows, at_s: float) -> Rows:
    return Random(len(rows)).sample(rows, len(rows))


def flapping(request: PageRequest, rows: Rows, at_s: float) -> Rows:
    return [] if int(at_s) // 40 % 2 else rows


ODD: dict[str, Spoil] = {
    "another product's": other_product,
    "a bucket late": late(1),
    "a bucket early": late(-1),
    "twins": twins,
    "out of order": shuffled,
    "each twice": lambda request, rows, at_s: [row for row in rows for _ in range(2)],
    "without its newest": lambda request, rows, at_s: rows[1:],
    "without its oldest": lambda request, rows, at_s: rows[:-1],
    "empty now and then": flapping,
    "5m upside down": lambda request, rows, at_s: (
        [{**row, "high": row["low"], "low": row["high"]} for row in rows] if request.timeframe is M5 else rows
    ),
    "of 15m": rows_of(M15),
    "in milliseconds": in_units(1_000),
    "behind for 1h alone": behind(H1, 900),
    "cut short": lambda request, rows, at_s: msgspec.json.encode({"candles": rows})[:-40],
    "another 200": lambda request, rows, at_s: b'{"data":[]}',
}


@pytest.mark.parametrize(
    "name",
    some(
        ODD,
        "another product's",
        "twins",
        "empty now and then",
        "of 15m",
    ),
)
def test_odd_pages_in_mid_run_settle_nothing_false_and_cost_nothing_in_the_end(
    clean_valkey: str, name: str
) -> None:
    spoil = ODD[name]

    async def main() -> None:
        venue = on_the_wire(
            venue_at(),
            lambda request, rows, at_s: spoil(request, rows, at_s) if 240 <= at_s < 1_300 else rows,
        )
        async with service(venue, clean_valkey, [SYMBOL, "ETH-USD"], [M5, M15, H1]) as running:
            watcher = Watcher(clean_valkey, venue.market, running.writer_series)
            for _ in range((1_300 + HEALS_WITHIN_S) // 10):
                await asyncio.sleep(10)
                watcher.look()
                assert len(running.reader.candles(SYMBOL, "5m", 60, at_least=1)), "the feed is served"
            for timeframe in (M5, M15, H1):
                seen = state(running, SYMBOL, timeframe)
                assert seen.ready and not seen.history_from
                assert seen.settled_through >= timeframe.floor(venue.now() - 80_000)
                assert len(seen.coverage.spans) == 1
                assert len(running.reader.candles(SYMBOL, timeframe, 60)) == 60

    run_virtually(main())
