"""Budgets as they are used: never above the limit, whatever comes, and hardly below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count, pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livecache.model.budget import NOTHING, Budget, Costs, Pool, Rolling, Spacing, Window
from livecache.pacing.meter import BAN_MOST_S, Meter, Ticket

ROUNDING = 1e-6


def meter_of(*budgets: Budget, ahead_s: float = 0.0, jitter: Callable[[], float] = lambda: 0.5) -> Meter:
    return Meter(budgets, venue_ahead_s=lambda: ahead_s, jitter=jitter)


# --- models of venues, asked without a pause


@dataclass
class FullMinutes:
    """Allows so much weight in each full minute of its clock, and tells how much is used, by all."""

    limit: int
    ahead_s: float = 0.0
    foreign_a_minute: float = 0.0
    used: Counter[int] = field(default_factory=Counter)
    told_s: float = 0.0

    def arrives(self, cost: int, now: float) -> tuple[bool, int | None, float | None]:
        while self.told_s <= now:
            self.used[self._minute(self.told_s)] += round(self.foreign_a_minute / 60)
            self.told_s += 1.0
        self.used[self._minute(now)] += cost
        used = self.used[self._minute(now)]
        return used <= self.limit, used, 60 - (now + self.ahead_s) % 60

    def _minute(self, now: float) -> int:
        return int((now + self.ahead_s) // 60)


@dataclass
class Leaky:
    """A pool that refills."""

    size: float
    per_s: float
    level: float = 0.0
    at: float = 0.0

    def arrives(self, cost: int, now: float) -> tuple[bool, int | None, float | None]:
        self.level = max(0.0, self.level - (now - self.at) * self.per_s)
        self.at = now
        fits = self.level + cost <= self.size
        self.level += cost if fits else 0
        return fits, None, None


def ask(
    meter: Meter,
    venue: FullMinutes | Leaky,
    costs: Costs,
    *,
    seconds: float,
    at_once: int = 8,
    latency_s: float = 0.08,
    seed: int = 1,
) -> tuple[int, int]:
    """Ask as fast as the meter allows; how many were answered, and how many refused."""
    random, order = Random(seed), count()
    [(name, cost)] = costs.items()
    answered = refused = 0
    events: list[tuple[float, int, str, Any]] = [(7.3, next(order), "start", None)]
    free, asleep = at_once, False
    while True:
        now, _, what, about = heappop(events)
        if now > seconds:
            return answered, refused
        if what == "start":
            asleep = False
        elif what == "arrives":
            outcome = venue.arrives(cost, now)
            way_back = random.uniform(0.25, 0.75) * latency_s
            heappush(events, (now + way_back, next(order), "ends", (about, outcome)))
            continue
        else:
            ticket, (fits, used, left_s) = about
            free += 1
            if fits:
                answered += 1
                meter.answered(ticket, now, NOTHING if used is None else {name: used})
            else:
                refused += 1
                meter.refused(ticket, now, left_s)
        while free and (slot := meter.slot(costs, now)) <= now:
            free -= 1
            started = meter.start(costs, slot, now)
            there = random.uniform(0.25, 0.75) * latency_s
            heappush(events, (now + there, next(order), "arrives", started))
        if free and not asleep:
            asleep = True
            heappush(events, (meter.slot(costs, now), next(order), "start", None))


def minutes(share: float, believed_off_s: float) -> Meter:
    return meter_of(Window("weight", 6000, "used", share=share), ahead_s=believed_off_s)


@pytest.mark.parametrize("off_s", [-2.5, 0.0, 2.5])
@pytest.mark.parametrize(("foreign", "least"), [(0, 2300), (2000, 1900), (5500, 1400)])
def test_full_minutes_beside_a_stranger_bring_no_refusal_even_if_the_clock_is_off(
    off_s: float, foreign: int, least: int
) -> None:
    meter, venue = minutes(0.8, -off_s), FullMinutes(6000, foreign_a_minute=foreign)
    answered, refused = ask(meter, venue, {"weight": 2}, seconds=600)
    assert refused == 0
    assert least <= answered / 10 <= 0.8 * 6000 / 2


@pytest.mark.parametrize(("limit", "cost"), [(2400, 2), (2400, 10)])
def test_smaller_windows_and_dearer_pages(limit: int, cost: int) -> None:
    meter = meter_of(Window("weight", limit, "used"))
    answered, refused = ask(meter, FullMinutes(limit), {"weight": cost}, seconds=600)
    assert refused == 0
    assert answered / 10 > 0.9 * 0.8 * limit / cost


def test_a_count_of_the_minute_before_does_not_hold_back_the_new_one() -> None:
    meter, costs = minutes(0.8, 0.0), {"weight": 10}
    late = meter.start(costs, 119.0, 119.0)
    assert meter.slot(costs, 122.6) == 122.6
    early = meter.start(costs, 122.6, 122.6)
    meter.answered(late, 122.7, {"weight": 5900})
    assert meter.slot(costs, 122.8) == 122.8
    meter.answered(early, 122.9, {"weight": 4795})
    assert meter.slot(costs, 123.0) == pytest.approx(182.5), "but one of the new minute does"


def test_what_is_answered_without_a_count_adds_to_the_last_one() -> None:
    meter, costs = minutes(0.8, 0.0), {"weight": 10}
    meter.answered(meter.start(costs, 70.0, 70.0), 70.1, {"weight": 4750})
    for n in range(5):
        assert meter.slot(costs, 71.0 + n) == 71.0 + n
        meter.answered(meter.start(costs, 71.0 + n, 71.0 + n), 71.1 + n)
    assert meter.slot(costs, 80.0) == pytest.approx(122.5)


def test_who_takes_all_of_a_window_beside_a_stranger_is_refused_and_goes_on_in_the_next() -> None:
    """So the model refuses where it should; and a refusal costs the rest of the minute and no more."""
    meter, venue = minutes(1.0, 0.0), FullMinutes(6000, foreign_a_minute=5500)
    answered, refused = ask(meter, venue, {"weight": 2}, seconds=600)
    assert 0 < refused <= 10 * 8
    assert answered / 10 > 150


def test_half_a_pool_is_used_at_the_rate_at_which_it_refills_without_a_refusal() -> None:
    meter = meter_of(Pool("credits", 50_000, 10_000, share=0.5))
    answered, refused = ask(meter, Leaky(50_000, 10_000), {"credits": 500}, seconds=120, at_once=16)
    assert refused == 0
    assert 20 <= answered / 113 <= 20.6


def test_a_refusal_by_a_pool_waits_for_it_to_refill() -> None:
    meter = meter_of(Pool("credits", 50_000, 10_000, share=0.5))
    ticket = meter.start({"credits": 500}, 0.0, 0.0)
    meter.refused(ticket, 0.0)
    assert meter.slot({"credits": 500}, 0.0) == pytest.approx(0.05)


def test_an_hour_of_1800_with_a_second_between_holds_exactly_1800() -> None:
    random = Random(1)
    meter = meter_of(Spacing("gap", 1.0, jitter_s=0.3), Rolling("hour", 1800, 3600.0), jitter=random.random)
    now, starts = 0.0, list[float]()
    while (slot := meter.slot(NOTHING, now)) < 2 * 3600:
        now = slot
        meter.answered(meter.start(NOTHING, slot, now), now)
        starts.append(now)
    assert len(starts) == 3600
    assert sum(1 for start in starts if start < 3600) == 1800
    gaps = [late - early for early, late in pairwise(starts[:1800])]
    assert min(gaps) >= 1.0 and max(gaps) <= 1.3 and len({round(gap, 3) for gap in gaps}) > 100


def test_where_neither_the_venue_nor_a_budget_says_how_long_to_pause_it_doubles() -> None:
    meter = meter_of(Spacing("gap", 1.0), Rolling("hour", 1800, 3600.0))
    now, pauses = 0.0, list[float]()
    for _ in range(7):
        first, second = meter.start(NOTHING, now, now), meter.start(NOTHING, now, now)
        meter.refused(first, now)
        meter.refused(second, now)  # which was under way: it says nothing new
        pauses.append(meter.slot(NOTHING, now) - now)
        now += pauses[-1] + 1
    assert pauses == [60, 120, 240, 480, 960, 1800, 1800]
    meter.answered(meter.start(NOTHING, now, now), now)
    meter.refused(meter.start(NOTHING, now + 2, now + 2), now + 2)
    assert meter.slot(NOTHING, now + 2) == pytest.approx(now + 62)


def test_a_ban_is_kept_for_as_long_as_it_says_and_three_days_at_most() -> None:
    meter = meter_of(Spacing("gap", 1.0))
    meter.banned(meter.start(NOTHING, 0.0, 0.0), 0.0, 720.0)
    assert meter.slot(NOTHING, 1.0) == 720.0
    meter.banned(Ticket(NOTHING, 0.0), 1.0, 60.0)
    assert meter.slot(NOTHING, 1.0) == 720.0, "a shorter one takes nothing back"
    meter.ban(1e12, 2.0)
    assert meter.slot(NOTHING, 2.0) == 2.0 + BAN_MOST_S


def test_a_ban_of_no_length_is_waited_for_ever_longer() -> None:
    """Its end has passed by a clock that is off, or it says 0. Who asks on at once is banned for days."""
    meter, now = meter_of(Spacing("gap", 1.0)), 0.0
    for wait_s in (120.0, 240.0, 480.0):
        meter.banned(meter.start(NOTHING, now, now), now, 0.0)
        assert meter.slot(NOTHING, now) == now + wait_s
        now += wait_s


def test_what_is_not_named_costs_one_and_what_costs_nothing_waits_for_nothing() -> None:
    meter = meter_of(Rolling("orders", 1, 60.0), Rolling("weight", 10, 60.0))
    meter.start({"weight": 5}, 0.0, 0.0)
    assert meter.slot({"weight": 5}, 0.0) == 60.0
    assert meter.slot({"orders": 0, "weight": 5}, 0.0) == 0.0
    assert meter.slot({"orders": 0, "weight": 6}, 0.0) == 60.0


def test_one_that_costs_more_than_our_share_waits_until_nothing_else_is_used() -> None:
    meter = meter_of(Rolling("weight", 100, 60.0, share=0.5))
    assert meter.slot({"weight": 80}, 0.0) == 0.0
    meter.start({"weight": 1}, 0.0, 0.0)
    assert meter.slot({"weight": 80}, 0.0) == 60.0


def test_other_sizes_hold_at_once_and_what_was_used_stays_used() -> None:
    window = Window("weight", 100, "used", share=1.0)
    meter = meter_of(window, Rolling("hour", 5, 3600.0), Pool("pool", 10, 1.0))
    for n in range(5):
        meter.start({"weight": 20}, 100.0 + n, 100.0 + n)
    assert meter.slot({"weight": 20}, 105.0) > 122.0
    meter.change(
        [Window("weight", 200, "used", share=1.0), Rolling("hour", 50, 3600.0), Pool("pool", 10, 1.0)]
    )
    assert meter.slot({"weight": 20}, 105.0) == 105.0
    meter.change([Window("weight", 120, "used", share=1.0), Rolling("hour", 5, 3600.0)])
    assert meter.slot({"weight": 20}, 105.0) == 3700.0
    meter.change([Window("weight", 119, "used", share=1.0)])
    assert meter.slot({"weight": 20}, 105.0) == pytest.approx(122.5)


@pytest.mark.parametrize("before", [[], [Window("other", 100, "used")], [Window("weight", 100, "used")]])
def test_what_was_under_way_when_a_budget_came_makes_no_room_in_it(before: list[Budget]) -> None:
    """Nor does what was under way in one of that name which went meanwhile."""
    meter, costs = meter_of(*before), {"weight": 10, "other": 1}
    under_way = [meter.start(costs, 100.0, 100.0) for _ in range(5)]
    meter.change([])
    meter.change([Window("weight", 100, "used", share=1.0)])
    for ticket in under_way:
        meter.answered(ticket, 101.0, {"weight": 50})
    for minute in (240.0, 300.0, 360.0):
        started = 0
        while meter.slot(costs, minute + 5.0) == minute + 5.0 and started < 100:
            meter.answered(meter.start(costs, minute + 5.0, minute + 5.0), minute + 6.0)
            started += 1
        assert started == 10


# --- never above the limit


@dataclass(frozen=True)
class Step:
    idle_s: float
    cost: int
    out_s: float  # from its start until the venue counts it
    back_s: float
    outcome: str


steps = st.lists(
    st.builds(
        Step,
        idle_s=st.one_of(st.just(0.0), st.floats(0, 40, allow_subnormal=False)),
        cost=st.integers(1, 20),
        out_s=st.floats(0, 3, allow_subnormal=False),
        back_s=st.floats(0, 3, allow_subnormal=False),
        outcome=st.sampled_from(["told", "answered", "failed", "refused"]),
    ),
    max_size=40,
)


def play(
    meter: Meter, name: str, plan: Sequence[Step], tell: Callable[[Sequence[tuple[float, int]], float], int]
) -> list[tuple[float, float, int]]:
    """Make these requests, each as soon as the meter lets it: when each started and arrived, and its cost."""
    now, flying, made = 100.0, list[tuple[float, int, Ticket, Step]](), list[tuple[float, float, int]]()
    numbers = count()

    def end_until(then: float) -> None:
        while flying and flying[0][0] <= then:
            at, _, ticket, step = heappop(flying)
            arrived = ticket.started + step.out_s
            usage = tell([(when, cost) for _, when, cost in made if when <= arrived], arrived)
            if step.outcome == "refused":
                meter.refused(ticket, at)
            elif step.outcome == "failed":
                meter.ended(ticket, at)
            else:
                told: Mapping[str, int] = {name: usage} if step.outcome == "told" else NOTHING
                meter.answered(ticket, at, told)

    for step in plan:
        now += step.idle_s
        end_until(now)
        costs = {name: step.cost}
        while (slot := meter.slot(costs, now)) > now + ROUNDING:
            now = min(slot, flying[0][0]) if flying else slot
            end_until(now)
        ticket = meter.start(costs, max(slot, now), now)
        made.append((now, now + step.out_s, step.cost))
        heappush(flying, (now + step.out_s + step.back_s, next(numbers), ticket, step))
    return made


@settings(deadline=None)
@given(steps, st.floats(-2.5, 2.5), st.integers(20, 60))
@example(
    [Step(19.5, 20, 3.0, 3.0, "failed"), Step(3.0, 20, 0.0, 0.0, "failed")], 0.0, 20
)  # under way at the turn
@example(
    [Step(19.0, 20, 1.1, 0.0, "failed"), Step(6.0, 20, 0.0, 0.0, "failed")], -2.5, 20
)  # ended just before
def test_no_minute_of_the_venue_ever_sees_more_than_our_share(
    plan: list[Step], off_s: float, size: int
) -> None:
    meter = meter_of(Window("weight", 2 * size, "used", share=0.5), ahead_s=off_s)

    def told(arrived: Sequence[tuple[float, int]], now: float) -> int:
        return sum(cost for when, cost in arrived if when // 60 == now // 60)

    used: Counter[float] = Counter()
    for _, arrived, cost in play(meter, "weight", plan, told):
        used[arrived // 60] += cost
    assert all(sum_ <= size for sum_ in used.values())


@settings(deadline=None)
@given(steps, st.floats(1, 100), st.integers(20, 60))
def test_no_span_of_that_length_ever_sees_more_than_a_rolling_windows_size(
    plan: list[Step], length_s: float, size: int
) -> None:
    made = play(meter_of(Rolling("weight", size, length_s)), "weight", plan, lambda arrived, now: 0)
    for first, _, _ in made:
        assert sum(cost for at, _, cost in made if first <= at < first + length_s - ROUNDING) <= size


@settings(deadline=None)
@given(steps, st.floats(0.1, 100), st.integers(20, 60))
def test_a_pool_never_holds_less_than_what_we_leave_in_it(plan: list[Step], per_s: float, size: int) -> None:
    made = play(meter_of(Pool("weight", 2 * size, per_s, share=0.5)), "weight", plan, lambda arrived, now: 0)
    level, before = 0.0, 0.0
    for at, _, cost in made:
        level = max(0.0, level - (at - before) * per_s) + cost
        before = at
        assert level <= size * (1 + ROUNDING)


@settings(deadline=None)
@given(steps, st.floats(0.1, 20), st.floats(0, 1))
def test_starts_are_never_nearer_than_the_spacing(plan: list[Step], per_s: float, jitter_s: float) -> None:
    meter = meter_of(Spacing("gap", per_s, jitter_s=jitter_s, yields=True))
    starts = [at for at, _, _ in play(meter, "gap", plan, lambda arrived, now: 0)]
    for early, late in pairwise(starts):
        assert late - early >= 1 / per_s + jitter_s / 2 - ROUNDING
