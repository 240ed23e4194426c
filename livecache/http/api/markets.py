"""`GET /api/v1/markets`: for each symbol its last price, the one of a day ago, and the course in between.

One look for all of them and for all who ask, every five seconds at most: it is for tables and their little
charts. What happens in between is told by `/api/v1/series` and by the stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...clock import Clock
from ...model.grid import Grid
from ...model.series import SeriesId
from ...model.timeframe import Timeframe
from ...read.candles import Candles
from ..shapes.series import MarketRow, MarketsAnswer, SeriesAnswer, SeriesRow
from ..source import Source, Way
from .kept import Kept

__all__ = ["PATH", "chosen", "course", "markets"]

PATH = "/api/v1/markets"

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
CANDLES_MOST = 300  # of one symbol: a day of 5m
POINTS = 33  # of a course
SYMBOLS_MOST = 2_000
SYMBOLS_A_STEP = 25  # in between the feed and the writer have their turn
MARKETS_AGAIN_S = 5.0
MARKETS_AGAIN_MOST_S = 60.0


def markets(source: Source, table: Kept[SeriesAnswer], clock: Clock) -> Kept[MarketsAnswer]:
    """The handler, and what it saw last."""

    async def look(way: Way) -> MarketsAnswer:
        listed = (await table.seen()).found
        of: dict[str, dict[str, list[SeriesRow]]] = {}
        for row in listed.series:
            of.setdefault(row.venue, {}).setdefault(row.symbol, []).append(row)
        times = {one.venue: one.time for one in listed.venues or ()} or {listed.venue: listed.time}
        rows: list[MarketRow] = []
        left = SYMBOLS_MOST
        # Those with few first: what they leave is the others'.
        shares = {}
        for number, venue in enumerate(sorted(of, key=lambda venue: len(of[venue]))):
            shares[venue] = min(len(of[venue]), left // (len(of) - number))
            left -= shares[venue]
        for venue, symbols in of.items():
            wanted = list(symbols.values())[: shares[venue]]
            for first in range(0, len(wanted), SYMBOLS_A_STEP):
                rows += await _read(way, wanted[first : first + SYMBOLS_A_STEP], times[venue])
        return MarketsAnswer(venue=listed.venue, venues=listed.venues, time=listed.time, markets=rows)

    return Kept(source, clock, look, least_s=MARKETS_AGAIN_S, most_s=MARKETS_AGAIN_MOST_S)


def chosen(rows: Sequence[SeriesRow], now: int) -> SeriesRow | None:
    """The series of a symbol that its course is read from; None while nothing is known.

    That is the finest that reaches back for a day; else the one that reaches back farthest.
    """
    known = [row for row in rows if row.known_through > row.contiguous_from]
    reaching = [row for row in known if _reaches(row, now)]
    if reaching:
        return min(reaching, key=_step)
    return max(known, key=lambda row: (_step(row) <= HOUR_MS, _span(row)), default=None)


def course(ends: Sequence[tuple[int, float]], since: int, until: int, points: int) -> list[float]:
    """So many prices at even steps from `since` to `until`: of each moment the last close at or before it.

    `ends`: when buckets ended, and their closes, oldest first; the first of them not after `since`.
    """
    prices: list[float] = []
    at = 0
    for point in range(points):
        moment = since + (until - since) * point // (points - 1)
        while at + 1 < len(ends) and ends[at + 1][0] <= moment:
            at += 1
        prices.append(ends[at][1])
    return prices


def _step(row: SeriesRow) -> int:
    return Timeframe(row.timeframe).ms


def _count(row: SeriesRow) -> int:
    """Candles that a day of them may need, one before, and one that has closed since they were listed."""
    return min(DAY_MS // _step(row) + 2, CANDLES_MOST)


def _span(row: SeriesRow) -> int:
    return min(row.known_through - row.contiguous_from, _count(row) * _step(row))


def _reaches(row: SeriesRow, now: int) -> bool:
    """Whether it tells what the price was a day ago, give or take its step: that of an hour is enough."""
    step = _step(row)
    enough = DAY_MS // step + 1 <= CANDLES_MOST and step <= HOUR_MS
    return enough and row.contiguous_from + step <= now - DAY_MS


async def _read(way: Way, markets: Sequence[Sequence[SeriesRow]], now: int) -> list[MarketRow]:
    """These symbols, by one round trip; by two where the course of any is one of more than hours."""
    asked = [row for rows in markets if (row := chosen(rows, now)) is not None]
    requests = [
        way.core.request(f"{row.venue}:{row.symbol}", row.timeframe, _count(row), at_least=1) for row in asked
    ]
    outcomes = await way.link.drive(way.core.read_many(requests))
    found = {
        row.symbol: (row, candles)
        for row, candles in zip(asked, outcomes, strict=True)
        if isinstance(candles, Candles)
    }
    longer = [candles.series for row, candles in found.values() if _step(row) > HOUR_MS]
    views = await way.link.drive(way.core.views(longer))
    grids = {one.series: one.record.state.grid_of(one.series.timeframe) for one in views if one.record}
    return [_row(rows, found.get(rows[0].symbol), grids, now) for rows in markets]


def _row(
    rows: Sequence[SeriesRow],
    read: tuple[SeriesRow, Candles] | None,
    grids: Mapping[SeriesId, Grid],
    now: int,
) -> MarketRow:
    traded = [row for row in rows if row.last is not None]
    newest = max(traded, key=lambda row: row.last_time or 0, default=None)
    since, day_ago, closes = 0, None, list[float]()
    if read is not None:
        row, candles = read
        grid = grids.get(candles.series, Timeframe(row.timeframe).grid)
        ends = [(grid.end(candle.time), float(candle.close)) for candle in candles]
        since = max(now - DAY_MS, ends[0][0])
        closes = course(ends, since, now, POINTS)
        day_ago = closes[0] if _reaches(row, now) and since == now - DAY_MS else None
    return MarketRow(
        venue=rows[0].venue,
        symbol=rows[0].symbol,
        last=newest.last if newest else None,
        last_time=newest.last_time if newest else None,
        day_ago=day_ago,
        since=since,
        closes=closes,
    )
