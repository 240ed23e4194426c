"""A share that is split: what is read is all in the same shares, whenever the venue tells of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from livecache.errors import NotReady, Stale
from livecache.ledger.splitting import forget
from livecache.model.candle import ExactCandle
from livecache.model.series import Changes, Close, Kind
from livecache.model.timeframe import Timeframe
from livecache.venues.venue import FetchFailure, Page, PageRequest
from tests.simulation.service import Running, service
from tests.simulation.test_sessions import (
    D1,
    DAY_MS,
    H1,
    HOUR_MS,
    MINUTE_MS,
    MONDAY,
    OPEN_MS,
    POLICY,
    QUARTER,
    SESSIONS,
    SUNDAY,
    TRAITS,
    TUESDAY,
    Desk,
    Exchange,
    Shares,
    candle,
)
from tests.simulation.virtual import VirtualClock, run_virtually

OPEN = MONDAY + OPEN_MS
FRIDAY = MONDAY - 3 * DAY_MS
_EVERY_S = 30


class Split(Shares):
    """Quotes four shares for one some hours before the session from which they are traded."""

    def __init__(self) -> None:
        super().__init__()
        self.split, self.quoted_from = OPEN, OPEN

    def candles(self, symbol: str, timeframe: Timeframe, start: int, end: int, now: int) -> list[ExactCandle]:
        return super().candles(symbol, timeframe, start, end, OPEN if self.quoted_from <= now < OPEN else now)


class Slow(Exchange):
    """Answers the first request for hours after the open late, and as it was before the split."""

    late = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.days = 0  # asked for since the split

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        if request.timeframe is D1:  # It tells of the split while the other one is on its way.
            self.days += self.now() > OPEN
            await asyncio.sleep(5)
        page = await super().fetch(request)
        if not self.late and request.timeframe is H1 and self.now() >= OPEN and isinstance(page, Page):
            self.late = True
            await asyncio.sleep(30)
            rows = tuple(candle("AAPL", row.time, final=True) for row in page.rows)
            return replace(page, rows=rows, actions=())
        return page


def run(
    market: Split, url: str, start: int, take: Callable[[Running], Coroutine[Any, Any, None]],
    kind: type[Exchange] = Exchange,
) -> None:  # fmt: skip
    async def main() -> None:
        clock = VirtualClock(start / 1000)
        venue = kind(market, clock, start, clock.monotonic(), traits=TRAITS, feedless=True)  # type: ignore[arg-type]
        async with service(venue, url, ["AAPL"], (D1, H1), policy=POLICY) as running:
            await running.warm()
            await take(running)

    run_virtually(main())


async def unmixed(running: Running, seconds: int) -> list[bool]:
    """Whether what is read is told in shares of before the split, each half minute; never in both."""
    told = []
    for _ in range(seconds // _EVERY_S):
        await asyncio.sleep(_EVERY_S)
        for timeframe in ("1d", "1h"):
            try:
                candles = running.reader.candles("AAPL", timeframe, 60)
            except (NotReady, Stale):
                continue
            old = {c.close > 50 for c in candles if c.time < OPEN}
            assert len(old) == 1, [(c.time, c.close) for c in candles]
            told.append(old.pop())
    return told


async def nothing(running: Running) -> None:
    del running


def test_what_is_quoted_in_new_shares_before_the_split_is_told_is_never_mixed_with_what_was_read(
    clean_valkey: str,
) -> None:
    market = Split()
    run(market, clean_valkey, FRIDAY + 16 * HOUR_MS, nothing)
    market.quoted_from = OPEN - 5 * HOUR_MS

    async def in_the_morning(running: Running) -> None:
        await unmixed(running, 600)

    async def after_the_open(running: Running) -> None:
        assert not any((await unmixed(running, 720))[-2:])

    run(market, clean_valkey, OPEN - 90 * MINUTE_MS, in_the_morning)
    run(market, clean_valkey, OPEN + 5 * MINUTE_MS, after_the_open)


def test_an_answer_from_before_the_split_that_comes_after_it_was_told_is_not_taken(clean_valkey: str) -> None:
    async def over_the_open(running: Running) -> None:
        assert not any((await unmixed(running, 1_200))[-2:])
        assert running.venue.days == 2, "one page tells of it, and one reads all again"

    run(Split(), clean_valkey, OPEN - 2 * MINUTE_MS, over_the_open, kind=Slow)


def test_that_a_day_is_final_is_told_once_though_it_is_read_again() -> None:
    desk, closes = Desk(SUNDAY, Shares()), list[Close]()
    take = desk.timeline.take

    def heard(now: int) -> Changes:
        changes = take(now)
        closes.extend(changes.closes)
        return changes

    desk.timeline.take = heard  # type: ignore[method-assign]
    desk.until(TUESDAY + OPEN_MS + QUARTER)
    before = [c for c in closes if c.series.symbol == "AAPL" and c.kind is Kind.SETTLED]
    assert {c.time for c in before if c.series.timeframe is D1} == {OPEN}
    closes.clear()
    forget(desk.timeline.symbols["AAPL"], desk.now, desk.now)
    desk.until(desk.now + 5 * MINUTE_MS)
    assert desk.state(D1).ready and desk.state(D1).settled_through == SESSIONS.end(OPEN)
    assert not [c for c in closes if c.kind is not Kind.CLOSED]
