"""The limiter: even, fair, humble after a refusal, and never quicker than it was told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import pytest

from livecache.clock import Clock
from livecache.engine.limiter import Limiter, Urgency
from livecache.engine.listing import Listing
from livecache.engine.live import Live
from livecache.engine.venue_time import VenueTime
from livecache.ledger.timeline import Timeline
from livecache.model.budget import Budget, Costs, Pool, Rolling, Spacing
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.pacing.meter import Ticket
from livecache.simulator import SeededMarket
from livecache.venues.coinbase.traits import TRAITS
from livecache.venues.venue import FailureKind, FetchFailure
from tests.simulation.model import ModelVenue
from tests.simulation.virtual import VirtualClock as LoopClock
from tests.simulation.virtual import run_virtually

ANSWER = object()


class VirtualClock:
    """A `Clock` on which time passes only by sleeping. `asleep` runs in the middle of each sleep."""

    def __init__(self, asleep: Callable[[], None] = lambda: None) -> None:
        self.time = 1_000.0
        self.asleep = asleep

    def monotonic(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        until = self.time + seconds
        self.asleep()
        await asyncio.sleep(0)
        self.time = max(self.time, until)


def limiter_of(rate_per_s: float, clock: Clock, *more: Budget) -> Limiter:
    budgets = (Spacing("requests", rate_per_s, yields=True), *more)
    return Limiter(budgets, VenueTime(clock), lambda: 0.5)


def refusal(kind: FailureKind = FailureKind.REFUSED, retry_after_s: float | None = None) -> FetchFailure:
    return FetchFailure(kind, "as the venue says", retry_after_s=retry_after_s)


async def started(limiter: Limiter, urgency: Urgency = Urgency.WARM) -> float:
    """Make a request that is under way for long; when it starts."""
    return (await limiter.acquire(urgency)).started


async def starts(limiter: Limiter, count: int) -> list[float]:
    return [await started(limiter) for _ in range(count)]


def test_requests_are_spaced_evenly_from_the_first() -> None:
    times = asyncio.run(starts(limiter_of(10, VirtualClock()), 11))
    assert times == pytest.approx([1000 + 0.1 * n for n in range(11)])


def test_slots_that_nobody_used_are_not_banked() -> None:
    clock = VirtualClock()
    limiter = limiter_of(10, clock)

    async def scenario() -> list[float]:
        await started(limiter)
        clock.time += 60
        return await starts(limiter, 3)

    assert asyncio.run(scenario()) == pytest.approx([1060, 1060.1, 1060.2])


def test_late_timers_do_not_add_up_to_a_lower_rate() -> None:
    class LateClock(VirtualClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds + 0.005)

    times = asyncio.run(starts(limiter_of(10, LateClock()), 101))
    assert times[-1] - times[0] == pytest.approx(10.005)
    assert min(b - a for a, b in pairwise(times)) > 0.09


def test_those_who_wait_are_served_in_order_and_the_cancelled_use_no_slot() -> None:
    async def scenario() -> list[tuple[str, float]]:
        limiter = limiter_of(1, VirtualClock())
        served: list[tuple[str, float]] = []

        async def wait(name: str) -> None:
            served.append((name, await started(limiter)))

        async with asyncio.TaskGroup() as group:
            group.create_task(wait("a"), name="a")
            doomed = group.create_task(wait("b"), name="b")
            group.create_task(wait("c"), name="c")
            group.create_task(wait("d"), name="d")
            await asyncio.sleep(0)
            doomed.cancel()
        return served

    assert asyncio.run(scenario()) == [("a", 1000), ("c", 1001), ("d", 1002)]


def test_who_is_cancelled_while_asleep_uses_no_slot() -> None:
    async def scenario() -> float:
        clock = VirtualClock()
        limiter = limiter_of(1, clock)
        await started(limiter)
        sleeper = asyncio.create_task(started(limiter), name="sleeper")
        clock.asleep = sleeper.cancel  # type: ignore[assignment]
        with pytest.raises(asyncio.CancelledError):
            await sleeper
        clock.asleep = lambda: None
        return await started(limiter)

    assert asyncio.run(scenario()) == pytest.approx(1001)


def test_a_refusal_that_stands_alone_costs_little_and_is_made_good() -> None:
    clock = VirtualClock()
    limiter = limiter_of(10, clock)

    async def scenario() -> None:
        limiter.heard(await limiter.acquire(Urgency.WARM), refusal())
        assert limiter.rate_per_s == pytest.approx(9.5)
        assert await started(limiter) == pytest.approx(1000.25)
        while clock.time < 1014.9:
            limiter.heard(await limiter.acquire(Urgency.WARM), ANSWER)
        assert limiter.rate_per_s == pytest.approx(9.5)
        while clock.time < 1019:
            limiter.heard(await limiter.acquire(Urgency.WARM), ANSWER)
        assert limiter.rate_per_s == 10

    asyncio.run(scenario())


def test_a_refusal_reaches_who_is_already_waiting() -> None:
    clock = VirtualClock()
    limiter = limiter_of(1, clock)

    async def scenario() -> float:
        first = await limiter.acquire(Urgency.WARM)
        told = refusal(retry_after_s=5)
        clock.asleep = lambda: limiter.heard(first, told) if clock.time < 1001 else None
        return await started(limiter)

    assert asyncio.run(scenario()) == pytest.approx(1005)


def test_five_a_second_are_never_six_in_any_second() -> None:
    limiter = limiter_of(9, VirtualClock(), Rolling("batch", 5, 1.0))
    times = asyncio.run(starts(limiter, 50))
    assert all(late - early >= 1.0 - 1e-6 for early, late in zip(times, times[5:], strict=False))
    assert times[49] - times[0] == pytest.approx(9 + 4 / 9)


def test_the_more_urgent_goes_first_and_nobody_starves() -> None:
    async def scenario() -> list[Urgency]:
        clock = LoopClock(1_000.0)
        limiter = limiter_of(1, clock)
        order: list[Urgency] = []

        async def keep_asking(urgency: Urgency) -> None:
            while len(order) < 200:
                await limiter.acquire(urgency)
                order.append(urgency)

        async with asyncio.TaskGroup() as group:
            for urgency in reversed(Urgency):
                group.create_task(keep_asking(urgency), name=urgency.name)
                await asyncio.sleep(0)
        return order

    order = run_virtually(scenario())
    counts = [order.count(urgency) for urgency in Urgency]
    assert counts[0] > 0.6 * len(order)
    for urgency in Urgency:
        turns = [n for n, one in enumerate(order) if one is urgency]
        assert max(b - a for a, b in pairwise(turns)) <= 14, f"{urgency.name} waits for ever"


def test_of_many_that_are_passed_over_one_at_a_time_has_its_turn() -> None:
    """Eight pages of years wait at once, beside readers: these have eight of nine slots."""

    async def scenario() -> list[Urgency]:
        limiter = limiter_of(1, LoopClock(1_000.0))
        order: list[Urgency] = []

        async def keep_asking(urgency: Urgency) -> None:
            while len(order) < 90:
                await limiter.acquire(urgency)
                order.append(urgency)

        async with asyncio.TaskGroup() as group:
            for urgency in [Urgency.HISTORY] * 8 + [Urgency.READ] * 4:
                group.create_task(keep_asking(urgency), name=urgency.name)
        return order[:90]

    assert 8 <= run_virtually(scenario()).count(Urgency.HISTORY) <= 12


def test_who_comes_later_and_is_more_urgent_overtakes_one_who_sleeps_for_the_slot() -> None:
    async def scenario() -> list[tuple[str, float]]:
        clock = LoopClock(1_000.0)
        limiter = limiter_of(1, clock)
        order: list[tuple[str, float]] = []

        async def ask(name: str, urgency: Urgency) -> None:
            order.append((name, await started(limiter, urgency)))

        await ask("first", Urgency.LIVE)
        async with asyncio.TaskGroup() as group:
            group.create_task(ask("history", Urgency.HISTORY), name="history")
            await asyncio.sleep(0)
            group.create_task(ask("warm", Urgency.WARM), name="warm")
            group.create_task(ask("live", Urgency.LIVE), name="live")
        return order

    # History takes half of the rate: its slot is two intervals after the one before.
    assert run_virtually(scenario()) == [("first", 1000), ("live", 1001), ("warm", 1002), ("history", 1004)]


def test_history_alone_takes_half_of_what_there_is() -> None:
    async def scenario(*budgets: Budget) -> int:
        clock = VirtualClock()
        limiter = Limiter(budgets, VenueTime(clock), lambda: 0.5)
        count = 0
        while clock.time < 1600:
            limiter.heard(await limiter.acquire(Urgency.HISTORY), ANSWER)
            count += 1
        return count

    assert asyncio.run(scenario(Spacing("requests", 1.0))) == 301
    assert asyncio.run(scenario(Rolling("requests", 60, 60.0))) == 301


class Page(NamedTuple):
    costs: Costs
    urgency: Urgency = Urgency.WARM


def test_what_is_asked_for_is_chosen_at_the_moment_of_the_slot() -> None:
    async def scenario() -> list[float | None]:
        clock = VirtualClock()
        limiter = Limiter((Rolling("weight", 10, 60.0),), VenueTime(clock), lambda: 0.5)
        dear, cheap = Page({"weight": 9}), Page({"weight": 2})
        choices: list[Page | None] = [dear, dear, cheap, cheap, None]
        told: list[Ticket | None] = []
        for _ in range(3):
            taken = await limiter.acquire_for(Page({"weight": 1}), lambda: choices.pop(0))
            told.append(taken and taken[0])
        told.append(await limiter.acquire(Urgency.WARM, {"weight": 8}))
        return [ticket and ticket.started for ticket in told]

    # What turned out to cost more waits for that; what came to nothing costs nothing.
    assert asyncio.run(scenario()) == [1000, 1060, None, 1060]


def test_in_a_ban_nothing_is_sent_until_its_end_and_what_was_under_way_does_not_double_it() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        limiter = limiter_of(10, clock)
        under_way = [await limiter.acquire(Urgency.LIVE) for _ in range(5)]
        ban = limiter.ban
        assert limiter.banned_until == 0 and not ban.is_set()
        for ticket in under_way:
            limiter.heard(ticket, refusal(FailureKind.BANNED))
        assert ban.is_set()
        ends = clock.time + 120
        assert limiter.banned_until == pytest.approx(ends * 1000, abs=1)
        again = await limiter.acquire(Urgency.LIVE)
        assert again.started == pytest.approx(ends) and limiter.banned_until == 0
        limiter.heard(again, refusal(FailureKind.BANNED))
        assert limiter.banned_until == pytest.approx((ends + 240) * 1000, abs=1)
        week = refusal(FailureKind.BANNED, retry_after_s=7 * 86_400)
        limiter.heard(await limiter.acquire(Urgency.LIVE), week)
        assert limiter.banned_until == pytest.approx((clock.time + 3 * 86_400) * 1000, abs=1)

    asyncio.run(scenario())


def test_a_ban_that_another_run_was_told_of_is_kept_and_one_that_is_over_is_not() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        limiter = limiter_of(10, clock)
        limiter.heed(int((clock.wall() - 1) * 1000))
        assert await started(limiter) == 1000
        limiter.heed(int((clock.wall() + 3600) * 1000))
        assert limiter.banned_until == (1000 + 3600) * 1000
        assert await started(limiter) == pytest.approx(4600)

    asyncio.run(scenario())


def test_it_sleeps_once_for_each_slot_and_never_wakes_to_look() -> None:
    sleeps: list[float] = []
    clock = VirtualClock(lambda: sleeps.append(clock.time))
    asyncio.run(starts(Limiter((Rolling("hour", 1, 3600.0),), VenueTime(clock), lambda: 0.5), 10))
    assert len(sleeps) == 9


def test_what_the_venue_allows_is_kept_beside_what_is_configured_which_counts_where_both_are_named() -> None:
    async def scenario() -> list[float]:
        clock = VirtualClock()
        limiter = Limiter((Spacing("requests", 5),), VenueTime(clock), lambda: 0.5)
        limiter.learn((Spacing("requests", 1), Rolling("minute", 3, 60.0)))
        both = await starts(limiter, 4)
        limiter.learn((Spacing("requests", 1),))
        limiter.change(())
        return both + await starts(limiter, 2)

    assert asyncio.run(scenario()) == pytest.approx([1000, 1000.2, 1000.4, 1060, 1061, 1062])


def test_of_many_who_wait_for_a_pool_none_starts_before_it_has_refilled() -> None:
    async def scenario() -> list[float]:
        clock = LoopClock(0.0)
        limiter = Limiter((Pool("pool", 10, 1.0, share=1.0),), VenueTime(clock), lambda: 0.5)
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(started(limiter), name=f"{n}") for n in range(40)]
        return [task.result() - waiting[0].result() for task in waiting]

    # Of a pool of 10, which refills by 1 a second.
    assert run_virtually(scenario()) == pytest.approx([max(0, n - 9) for n in range(40)])


def test_who_waits_for_a_pool_behind_one_that_gives_up_gets_no_earlier_slot() -> None:
    async def scenario() -> list[float]:
        clock = VirtualClock()
        limiter = Limiter((Pool("pool", 10, 1.0, share=1.0),), VenueTime(clock), lambda: 0.5)
        await starts(limiter, 10)
        nothing = limiter.acquire_for(Page({"pool": 5}, Urgency.LIVE), lambda: None)
        giving_up = asyncio.create_task(nothing, name="giving up")
        others = [asyncio.create_task(started(limiter), name=f"{n}") for n in range(7)]
        assert await giving_up is None
        return [await other for other in others]

    # At 1005 five are there again.
    assert asyncio.run(scenario()) == pytest.approx([1005] * 5 + [1006, 1007])


class SleepyClock(VirtualClock):
    """A host that sleeps, once, for so long: its timers stop meanwhile, and the wall clock does not."""

    def __init__(self, slept_s: float) -> None:
        super().__init__()
        self.slept_s = slept_s
        self.ahead_s = 0.0

    def wall(self) -> float:
        return 2e9 + super().wall() + self.ahead_s

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.ahead_s, self.slept_s = self.ahead_s + self.slept_s, 0.0


@pytest.mark.parametrize(("slept_s", "waits_s"), [(600.0, 3_000.0), (7_200.0, 5.0), (-600.0, 4_200.0)])
def test_a_ban_is_over_when_the_wall_clock_says_so_and_never_before(slept_s: float, waits_s: float) -> None:
    async def scenario() -> None:
        clock = SleepyClock(slept_s)
        limiter = limiter_of(10, clock)
        until = int((clock.wall() + 3_600) * 1000)
        limiter.heed(until)
        began, at = clock.time, await started(limiter)
        assert at - began == pytest.approx(waits_s, abs=0.001)
        assert clock.wall() * 1000 >= until - 1 and limiter.banned_until == 0

    asyncio.run(scenario())


def test_a_wall_clock_that_is_set_back_by_years_holds_nobody_up_for_longer_than_the_longest_ban() -> None:
    async def scenario() -> None:
        clock = SleepyClock(-1e9)
        limiter = limiter_of(10, clock)
        limiter.heed(int((clock.wall() + 3_600) * 1000))
        began = clock.time
        assert await started(limiter) - began == pytest.approx(3 * 86_400)
        ticket, ban = await limiter.acquire(Urgency.LIVE), limiter.ban
        limiter.heard(ticket, refusal(FailureKind.BANNED))
        assert ban.is_set() and limiter.banned_until == pytest.approx((clock.wall() + 120) * 1000, abs=1)

    asyncio.run(scenario())


def test_where_there_is_no_list_the_venue_s_own_words_and_a_near_one_of_our_symbols_are_told() -> None:
    async def scenario() -> str:
        clock = VirtualClock()
        timeline = Timeline("coinbase", ["AAPPL", "MSFT", "AAPL"], [Timeframe.M5], Policy(), TRAITS)
        live = Live(timeline, VenueTime(clock), "test", "http://venue")
        venue = ModelVenue(SeededMarket(1, products=[]), clock, 0, clock.time)
        venue.traits = replace(venue.traits, lists=False)
        listing = Listing(live, venue, Limiter((), live.time, lambda: 0.5))
        return await listing.forsake("AAPPL", "it may be delisted")

    told = asyncio.run(scenario())
    assert "did you mean AAPL?" in told and "(it may be delisted)" in told


def test_the_list_of_products_takes_what_it_costs_of_what_is_left_for_pages() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        traits = replace(TRAITS, list_costs={"weight": 20})
        timeline = Timeline("coinbase", ["BTC-USD"], [Timeframe.M5], Policy(), traits)
        live = Live(timeline, VenueTime(clock), "test", "http://venue")
        limiter = Limiter((Rolling("weight", 25, 60.0),), live.time, lambda: 0.5)
        began, venue = clock.time, ModelVenue(SeededMarket(1), clock, 0, clock.time)
        await Listing(live, venue, limiter).forsake("NONE-USD")
        ticket = await limiter.acquire(Urgency.WARM, {"weight": 5})
        assert ticket.started == began
        ticket = await limiter.acquire(Urgency.WARM, {"weight": 2})
        assert ticket.started == began + 60

    asyncio.run(scenario())
