"""What is gone by of any exchange of ccxt's: see `venues.asserted` and docs/venues.md."""

from __future__ import annotations

from ...model.timeframe import Timeframe
from ..asserted import Assertion, Differs, Sight, stays

__all__ = ["ASSERTED"]

_FAR_BACK = 2_000  # candles


async def _opens(sight: Sight) -> None:
    for timeframe in sight.venue.traits.served:
        for reason in (await sight.newest(sight.symbols[0], timeframe, 5)).reasons.values():
            raise Differs(f"{timeframe}: {reason}")


async def _whole(sight: Sight) -> None:
    timeframe = _busy(sight)
    most = sight.venue.traits.page(timeframe)
    page = await sight.newest(sight.symbols[0], timeframe, most)
    grid, start = sight.venue.traits.grid(timeframe), page.request.start
    first = page.rows[0].time if page.rows else page.request.end
    if (short := grid.count(start, first)) > most // 5:
        raise Differs(f"of {most} buckets of {timeframe} the first {short} are not there")


async def _kept(sight: Sight) -> None:
    timeframe = _busy(sight)
    grid, reach = sight.venue.traits.grid(timeframe), sight.venue.traits.served[timeframe].reach
    end = grid.far_back(await sight.time(), reach - 10 if reach else _FAR_BACK)
    page = await sight.page(sight.symbols[0], timeframe, grid.back(end, 5), end)
    if not page.rows:
        raise Differs(f"none of {timeframe} is there from {grid.count(end, await sight.time())} candles ago")


def _busy(sight: Sight) -> Timeframe:
    """One whose buckets are hardly ever empty."""
    served = sight.venue.traits.served
    return Timeframe.H1 if Timeframe.H1 in served else min(served, key=lambda t: t.ms)


ASSERTED = (
    Assertion(
        "opens",
        "candles open where their buckets in UTC do",
        "take that timeframe out: its rows are not believed",
        _opens,
    ),
    Assertion("page", "a page is as long as ccxt's tables say", "set a smaller page_limit", _whole),
    Assertion(
        "kept",
        "all candles are to be had, or the newest that `keeps` says",
        "set keeps to what is there",
        _kept,
    ),
    Assertion(
        "closed candles",
        "10 s after its end the smallest candle stays as it is",
        "set a longer settle_delay",
        stays,
    ),
    Assertion(
        "refusals",
        "errors are of those that ccxt's parsers know",
        "an unknown one is told in its own words and tried again later",
    ),
)
