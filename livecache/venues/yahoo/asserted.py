"""What is gone by of Yahoo and only it can bear out: see `venues.asserted` and docs/venues.md."""

from __future__ import annotations

from ...model.timeframe import Timeframe, iso
from ..asserted import Assertion, Differs, Sight
from .traits import WINDOWS

__all__ = ["ASSERTED"]

_SESSIONS = 250
_REACHED = (Timeframe.M1, Timeframe.M15, Timeframe.H1)


async def _sessions(sight: Sight) -> None:
    symbol, grid = sight.symbols[0], sight.venue.traits.grid(Timeframe.D1)
    page = await sight.newest(symbol, Timeframe.D1, _SESSIONS)
    if page.spoiled:
        raise Differs(next(iter(page.reasons.values()), "there are days on which there should be none"))
    there = {row.time for row in page.rows}
    absent = [time for time in grid.opens(page.request.start, page.request.end) if time not in there]
    if absent:
        raise Differs(f"{symbol} has no candle of {iso(absent[-1])}, and of {len(absent)} days in all")


async def _reach(sight: Sight) -> None:
    for timeframe in _REACHED:
        traits, now = sight.venue.traits, await sight.time()
        start = traits.oldest(timeframe, now)
        page = await sight.page(sight.symbols[0], timeframe, start, traits.grid(timeframe).after(start, 20))
        if not page.rows:
            raise Differs(f"there is none of {timeframe}, {WINDOWS[timeframe].reach} days back")


async def _page(sight: Sight) -> None:
    traits, symbol = sight.venue.traits, sight.symbols[0]
    most = traits.page(Timeframe.M1)
    page = await sight.newest(symbol, Timeframe.M1, most)
    if (first := page.rows[0].time if page.rows else page.request.end) > page.request.start + Timeframe.D1.ms:
        raise Differs(f"of {most} minutes the first comes as late as {iso(first)}")


ASSERTED = (
    Assertion(
        "sessions",
        "the days of a year are those of the calendar",
        "name another calendar, or write one",
        _sessions,
    ),
    Assertion(
        "reach",
        "minutes, quarters and hours are there 30, 60 and 730 days back",
        "fewer of them are to be had",
        _reach,
    ),
    Assertion("page", "8 days of minutes come in one page", "what it says instead is gone by", _page),
    Assertion(
        "refusals",
        "who asks too much gets 429, or is told so in words",
        "another answer is tried again, ever later",
    ),
)
