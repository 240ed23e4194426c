"""An exchange that is closed at night, at weekends and on holidays, and whose days are final a day later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from livecache.engine.schedule import Pick, Schedule
from livecache.equities.action import Action
from livecache.errors import NotReady, Stale
from livecache.ledger.timeline import Timeline
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Span
from livecache.model.grid import Grid, SessionGrid
from livecache.model.policy import Policy
from livecache.model.series import SeriesId, SeriesState, Stored
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Served, Traits
from livecache.proof.evidence import PageFacts
from livecache.read.standing import row_of
from livecache.venues.venue import FetchFailure, Page, PageRequest
from livecache.venues.yahoo.hours import hours_of
from livecache.venues.yahoo.traits import traits_of
from tests.simulation.model import ModelVenue
from tests.simulation.service import Running, service
from tests.simulation.test_trouble import venue_at
from tests.simulation.virtual import VirtualClock, run_virtually
from tests.sizes import some

H1, D1, W1 = map(Timeframe, ("1h", "1d", "1w"))
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
SUNDAY = int(datetime(2026, 7, 12, 12, tzinfo=UTC).timestamp() * 1000)
MONDAY, TUESDAY, WEDNESDAY = (SUNDAY + (n * 24 - 12) * HOUR_MS for n in (1, 2, 3))
EARLY = MONDAY + 24 * HOUR_MS * 4  # a Friday on which it closes at one
HOLIDAY = MONDAY + 24 * HOUR_MS * 2  # a Wednesday
OPEN_MS, CLOSE_MS, EARLY_MS = 13 * HOUR_MS + 30 * MINUTE_MS, 20 * HOUR_MS, 17 * HOUR_MS
DAYS = [day for n in range(-300, 60) if (day := MONDAY + n * DAY_MS) != HOLIDAY and n % 7 < 5]
SESSIONS = SessionGrid(
    tuple(day + OPEN_MS for day in DAYS),
    tuple(day + (EARLY_MS if day == EARLY else CLOSE_MS) for day in DAYS),
)
QUARTER = 16 * MINUTE_MS
TRAITS = Traits(
    {H1: Served(2_000), D1: Served(2_000)},
    grids={D1: SESSIONS, H1: SESSIONS.within(HOUR_MS)},
    calendar="XTST",
    finals=SESSIONS,
    shown_after_ms={H1: QUARTER, D1: 45 * MINUTE_MS},
    settle_delay_ms=QUARTER,
    sums_below=D1,
    clock=False,
)


class Shares:
    """A session has a quarter more of volume once the next one has opened."""

    def __init__(self) -> None:
        self.halted: set[tuple[str, int]] = set()
        self.split = 0  # from when on there are four shares for one

    def products(self) -> Sequence[str]:
        return ("AAPL", "MSFT")

    def candles(self, symbol: str, timeframe: Timeframe, start: int, end: int, now: int) -> list[ExactCandle]:
        grid: Grid = TRAITS.grid(timeframe)
        times = [
            t for t in grid.opens(start, min(end, now)) if (symbol, SESSIONS.floor(t)) not in self.halted
        ]
        rows = [candle(symbol, t, final=SESSIONS.floor(t) < SESSIONS.floor(now)) for t in times]
        return [self.quoted(row) if row.time < self.split <= now else row for row in rows]

    def quoted(self, row: ExactCandle) -> ExactCandle:
        o, hi, lo, c = (str(Decimal(price) / 4) for price in (row.open, row.high, row.low, row.close))
        return ExactCandle(row.time, o, hi, lo, c, str(Decimal(row.volume) * 4))


class Exchange(ModelVenue):
    """Tells of a split in what was asked for."""

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        page = await super().fetch(request)
        split = self.market.split  # type: ignore[attr-defined]
        if isinstance(page, Page) and request.start <= split < request.end and split <= self.now():
            return replace(page, actions=(Action(split, "split", "4/1"),))
        return page


def candle(symbol: str, time: int, *, final: bool) -> ExactCandle:
    price = Decimal(100 + (time // HOUR_MS + len(symbol)) % 17)
    volume = 1_000 if final else 800
    return ExactCandle(time, str(price), str(price + 2), str(price - 2), str(price + 1), str(volume))


POLICY = Policy(candles=80, min_candles=60, settle_delay_ms=QUARTER)


class Desk:
    """A timeline and its schedule, whose requests are answered as they are made, minute by minute."""

    def __init__(
        self, now: int, market: Shares, left: Sequence[Stored] = (), traits: Traits = TRAITS
    ) -> None:
        self.now, self.market = now, market
        policy = replace(POLICY, settle_delay_ms=traits.settle_delay_ms)
        self.timeline = Timeline("test", market.products(), (D1, H1), policy, traits)
        self.schedule = Schedule(self.timeline, jitter=lambda: 0.0)
        self.asked: list[tuple[int, Timeframe]] = []
        self.dead = bool(left)
        self.timeline.adopt(left, now)
        self.until(now)

    def until(self, time: int) -> None:
        while self.now < time or not (self.asked or self.dead):
            self.now = min(self.now + MINUTE_MS, max(time, self.now))
            self.timeline.advance(self.now)
            while not self.dead and (pick := self.schedule.pick(self.now, self.now / 1000)):
                self._answer(pick)
            self.timeline.take(self.now)

    def _answer(self, pick: Pick) -> None:
        symbol, timeframe, start, end, _ = pick.request
        self.asked.append((self.now, timeframe))
        rows = self.market.candles(symbol, timeframe, start, end, self.now)
        before = self.timeline.symbols[symbol].tracks[timeframe].coverage
        self.schedule.started(pick)
        self.schedule.ended(pick.request)
        page = PageFacts(start, end, {row.time: row for row in rows}, self.now)
        self.timeline.apply_page(symbol, timeframe, page, self.now)
        after = self.timeline.symbols[symbol].tracks[timeframe].coverage
        self.schedule.brought(pick.request, self.now / 1000, news=after != before)
        self.schedule.replan(symbol)

    def state(self, timeframe: Timeframe, symbol: str = "AAPL") -> SeriesState:
        self.timeline.take(self.now)
        state = self.timeline.symbols[symbol].tracks[timeframe].state
        assert state is not None
        return state

    def candle(self, time: int, symbol: str = "AAPL") -> ExactCandle | None:
        return self.timeline.symbols[symbol].tracks[D1].candle(time)


def test_it_is_warm_on_a_sunday_and_asks_for_nothing_until_the_exchange_opens() -> None:
    desk, friday = Desk(SUNDAY, Shares()), SESSIONS.floor(SUNDAY)
    assert len(desk.asked) == 4, "a page for each series"
    for timeframe in (D1, H1):
        state = desk.state(timeframe)
        assert state.ready and state.known_through == SESSIONS.end(friday)
        assert state.settled_through == SESSIONS.end_before(friday), "Friday's volume is not final yet"
    assert desk.candle(friday) == candle("AAPL", friday, final=False)
    desk.until(MONDAY + OPEN_MS + QUARTER - MINUTE_MS)
    assert len(desk.asked) == 4, "nobody asks while it is closed, nor before it is final"
    assert desk.state(D1).ready and desk.state(H1).ready

    desk.until(MONDAY + OPEN_MS + QUARTER)
    assert len(desk.asked) == 8 and desk.candle(friday) == candle("AAPL", friday, final=True)
    assert {desk.state(t).settled_through for t in (D1, H1)} == {SESSIONS.end(friday)}
    desk.until(MONDAY + OPEN_MS + HOUR_MS + QUARTER)
    assert desk.state(H1).known_through == MONDAY + OPEN_MS + HOUR_MS
    assert desk.state(H1).settled_through == SESSIONS.end(friday)
    desk.until(MONDAY + CLOSE_MS + 44 * MINUTE_MS)
    assert desk.state(D1).ready and desk.state(D1).known_through == SESSIONS.end(friday), "it is not due yet"
    desk.until(MONDAY + CLOSE_MS + 45 * MINUTE_MS)
    assert desk.state(D1).known_through == MONDAY + CLOSE_MS
    asked = len(desk.asked)
    desk.until(TUESDAY + OPEN_MS)
    assert len(desk.asked) == asked, "a night is quiet, too"


def test_over_a_holiday_and_an_early_close_nothing_is_late() -> None:
    desk = Desk(TUESDAY, Shares())
    while desk.now < EARLY + DAY_MS:
        desk.until(desk.now + 10 * MINUTE_MS)
        days, hours = desk.state(D1), desk.state(H1)
        assert days.ready and hours.ready
        assert days.known_through == TRAITS.grid(D1).closed(desk.now - 45 * MINUTE_MS)
        assert hours.known_through == TRAITS.grid(H1).closed(desk.now - QUARTER)
    assert days.known_through == hours.known_through == EARLY + EARLY_MS
    assert [SESSIONS.back(EARLY, n) for n in (2, 1)] == [TUESDAY + OPEN_MS, TUESDAY + 2 * DAY_MS + OPEN_MS]
    asked = [time for time, timeframe in desk.asked if HOLIDAY <= time < HOLIDAY + DAY_MS]
    assert not asked, "nobody asks on a holiday"


def test_if_nothing_comes_on_monday_morning_it_is_stale() -> None:
    desk = Desk(SUNDAY, Shares())
    desk.dead = True
    desk.until(MONDAY + OPEN_MS + QUARTER)
    assert desk.state(D1).ready and desk.state(H1).ready, "nothing is expected yet"
    desk.until(MONDAY + OPEN_MS + HOUR_MS + QUARTER + POLICY.max_lag_ms + MINUTE_MS)
    assert not desk.state(H1).ready and not desk.state(D1).ready
    assert "lagging" in desk.state(H1).reason
    desk.dead = False
    desk.until(desk.now + 5 * MINUTE_MS)
    assert desk.state(H1).ready and desk.state(D1).ready
    assert desk.state(D1).settled_through == SESSIONS.closed(SUNDAY)


def test_after_a_restart_what_should_be_final_by_monday_is_not_known_for_ever() -> None:
    left = [
        Stored(
            SeriesId("test", symbol, timeframe), tuple(sorted(track.members())), track.coverage,
            track.history_from, Span(state.contiguous_from, state.known_through), state.ready,
        )
        for desk in [Desk(SUNDAY, Shares())]
        for symbol, timeline in desk.timeline.symbols.items()
        for timeframe, track in timeline.tracks.items()
        for state in [desk.state(timeframe, symbol)]
    ]  # fmt: skip
    desk = Desk(SUNDAY + HOUR_MS, Shares(), left)
    desk.until(MONDAY + OPEN_MS + QUARTER)
    assert not desk.asked, "all was known"
    assert desk.state(D1).ready and desk.state(D1).known_through == SESSIONS.closed(SUNDAY)
    desk.until(desk.now + POLICY.max_lag_ms + MINUTE_MS)
    assert not desk.state(D1).ready and "lagging" in desk.state(D1).reason
    desk.dead = False
    desk.until(desk.now + 5 * MINUTE_MS)
    assert desk.state(D1).ready and desk.state(D1).settled_through == SESSIONS.closed(SUNDAY)


def test_what_yahoo_trades_always_is_never_late() -> None:
    class Coins(Shares):
        def candles(
            self, symbol: str, timeframe: Timeframe, start: int, end: int, now: int
        ) -> list[ExactCandle]:
            return [candle(symbol, t, final=True) for t in timeframe.grid.opens(start, min(end, now))]

    desk = Desk(SUNDAY, Coins(), traits=traits_of(hours_of(None), SUNDAY))
    for _ in range(14 * 60):
        desk.until(desk.now + MINUTE_MS)
        assert desk.state(H1).ready and desk.state(D1).ready, desk.state(H1).reason
    assert desk.state(D1).settled_through == MONDAY


def test_a_symbol_that_is_halted_for_a_day_is_asked_for_seldom_and_its_day_is_empty() -> None:
    market = Shares()
    market.halted = {("AAPL", MONDAY + OPEN_MS)}
    desk = Desk(SUNDAY, market)
    desk.until(MONDAY + CLOSE_MS + 40 * MINUTE_MS)
    asked = len(desk.asked)
    desk.until(TUESDAY + OPEN_MS)
    assert len(desk.asked) - asked <= 8, "a few looks, and then nobody asks before it is final"
    desk.until(TUESDAY + OPEN_MS + HOUR_MS + QUARTER)
    days, track = desk.state(D1), desk.timeline.symbols["AAPL"].tracks[D1]
    assert days.settled_through == MONDAY + CLOSE_MS and track.newest() < MONDAY
    assert desk.state(H1).known_through == TUESDAY + OPEN_MS + HOUR_MS


@pytest.mark.parametrize("seed", some(range(5), 0, 1))
def test_whenever_it_starts_and_whatever_fails_nothing_is_final_too_early_or_asked_for_at_night(
    seed: int,
) -> None:
    random, market = Random(seed), Shares()
    days = [t for t in SESSIONS.openings if SUNDAY - 8 * DAY_MS < t < SUNDAY + 20 * DAY_MS]
    market.halted = {("AAPL", day) for day in random.sample(days, 3)}
    desk = Desk(SUNDAY + random.randrange(-7 * DAY_MS, 5 * DAY_MS) // MINUTE_MS * MINUTE_MS, market)
    while desk.now < SUNDAY + 12 * DAY_MS:
        before, was = len(desk.asked), desk.now
        desk.until(desk.now + random.choice((1, 7, 29, 61)) * MINUTE_MS)
        desk.dead = random.random() < 0.1
        for symbol in market.products():
            track = desk.timeline.symbols[symbol].tracks[D1]
            for time, held in track.settled.items():
                assert held == candle(symbol, time, final=True), f"{symbol} {time} at {desk.now}"
            assert not track.coverage or track.coverage.spans[-1].end <= SESSIONS.end_before(
                SESSIONS.floor(desk.now)
            ), "what is not final is not settled"
            assert all(day not in track.settled for name, day in market.halted if name == symbol)
        opened, closed = SESSIONS.floor(was), SESSIONS.closed(was)
        if closed > opened and closed + 3 * HOUR_MS < was and SESSIONS.floor(desk.now) == opened:
            assert len(desk.asked) - before <= 8, "what had failed, and no more"
    desk.dead = False
    desk.until(desk.now + 2 * DAY_MS)
    for symbol in market.products():
        for timeframe in (D1, H1):
            grid, track = TRAITS.grid(timeframe), desk.timeline.symbols[symbol].tracks[timeframe]
            assert track.coverage.spans[-1].end == grid.closed(TRAITS.final_by(desk.now, QUARTER))
    night = len(desk.asked)
    desk.until(SESSIONS.after(desk.now) - MINUTE_MS)
    assert len(desk.asked) - night <= 4 * 3


def test_a_symbol_that_is_halted_for_a_week_is_not_asked_for_at_night() -> None:
    market = Shares()
    market.halted = {("AAPL", day) for day in SESSIONS.openings if day > SUNDAY}
    desk, nights = Desk(SUNDAY, market), list[int]()
    for day in (MONDAY, TUESDAY, TUESDAY + 2 * DAY_MS):
        desk.until(day + CLOSE_MS + 3 * HOUR_MS)
        asked = len(desk.asked)
        desk.until(SESSIONS.after(desk.now) - MINUTE_MS)
        nights.append(len(desk.asked) - asked)
    assert max(nights) <= 2, nights
    assert not desk.state(D1).ready and desk.state(D1, "MSFT").ready


def test_a_reader_has_its_candles_on_a_sunday_and_sees_monday_come(clean_valkey: str) -> None:
    async def main(start: int, take: Callable[[Running], Coroutine[Any, Any, None]]) -> None:
        venue = venue_at(start, market=Shares(), traits=TRAITS, feedless=True)  # type: ignore[arg-type]
        async with service(venue, clean_valkey, ["AAPL"], (D1, H1), policy=POLICY) as running:
            await running.warm()
            await take(running)

    async def on_sunday(running: Running) -> None:
        friday = SESSIONS.floor(SUNDAY)
        days = running.reader.candles("AAPL", "1d", 60)
        assert days[-1].time == friday and days[-1].volume == 800 and days[-2].volume == 1_000
        assert days.settled_through == SESSIONS.end_before(friday) < days.known_through
        assert len(running.reader.candles("AAPL", "1h", 60)) == 60
        assert running.reader.candles("AAPL", "1d", 60, settled=True)[-1].time < friday
        row = row_of(running.reader.state("AAPL", "1d"))
        assert (row.state, row.lag_ms, row.feed) == ("ready", 0, "none")

    async def on_monday(running: Running) -> None:
        await asyncio.sleep(QUARTER / 1000 + 180)
        days = running.reader.candles("AAPL", "1d", 60)
        assert days[-1].volume == 1_000 and days.settled_through == days.known_through

    run_virtually(main(SUNDAY, on_sunday))
    run_virtually(main(MONDAY + OPEN_MS - MINUTE_MS, on_monday))


@pytest.mark.parametrize("away", [False, True], ids=["while it runs", "while it is away"])
def test_what_was_read_before_a_split_is_read_again_and_never_mixed(clean_valkey: str, away: bool) -> None:
    market = Shares()

    async def main(start: int, take: Callable[[Running], Coroutine[Any, Any, None]]) -> None:
        clock = VirtualClock(start / 1000)
        venue = Exchange(market, clock, start, clock.monotonic(), traits=TRAITS, feedless=True)  # type: ignore[arg-type]
        async with service(venue, clean_valkey, ["AAPL"], (D1, H1), policy=POLICY) as running:
            await running.warm()
            await take(running)

    async def before(running: Running) -> None:
        assert running.reader.candles("AAPL", "1d", 60)[-1].close > 100

    async def after(running: Running) -> None:
        closes, mixed = [], 0
        for _ in range(120 if away else 1_200):
            await asyncio.sleep(1)
            for timeframe in ("1d", "1h"):
                try:
                    candles = running.reader.candles("AAPL", timeframe, 60)
                except (NotReady, Stale):
                    continue
                old = [c.close > 50 for c in candles if c.time < market.split]
                mixed += len(set(old)) > 1
                closes.append(any(old))
        assert closes[0] is not away and not closes[-1] and not mixed

    run_virtually(main(SUNDAY, before))
    market.split = MONDAY + OPEN_MS
    run_virtually(main(MONDAY + OPEN_MS + (20 if away else -2) * MINUTE_MS, after))
