"""Properties P9 and P10 of request 001: how a venue is asked, under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from livecache.engine.limiter import Limiter, Urgency
from livecache.engine.venue_time import VenueTime
from livecache.model.budget import HOUR_S, Budget, Hour, Rolling, Spacing
from livecache.venues.venue import FailureKind, FetchFailure

from ..simulation.virtual import VirtualClock, run_virtually
from ..sizes import examples

ROUNDING = 1e-6


class Ask(NamedTuple):
    """A request: after so long, of such urgency, out for so long, and what came of it."""

    idle_s: float
    urgency: Urgency
    out_s: float
    outcome: object


asks = st.lists(
    st.builds(
        Ask,
        idle_s=st.one_of(st.just(0.0), st.floats(0, 1_800, allow_subnormal=False)),
        urgency=st.sampled_from(Urgency),
        out_s=st.floats(0, 20, allow_subnormal=False),
        outcome=st.one_of(
            st.just("answered"),
            st.sampled_from([FailureKind.SERVER, FailureKind.TIMEOUT]).map(lambda k: FetchFailure(k, "")),
            st.one_of(st.none(), st.floats(0, 60)).map(
                lambda s: FetchFailure(FailureKind.REFUSED, "too many", retry_after_s=s)
            ),
        ),
    ),
    max_size=40,
)


def asked(plan: Sequence[Ask], askers: int, *budgets: Budget) -> tuple[list[float], list[tuple[float, Hour]]]:
    """Several ask side by side: when each request started, and what was counted before and after each."""

    async def main() -> tuple[list[float], list[tuple[float, Hour]]]:
        clock = VirtualClock(1_700_000_000.0)
        limiter = Limiter(budgets, VenueTime(clock), lambda: 0.5)
        starts: list[float] = []
        counted: list[tuple[float, Hour]] = []

        async def ask(own: Sequence[Ask]) -> None:
            for idle_s, urgency, out_s, outcome in own:
                await clock.sleep(idle_s)
                counted.append((clock.monotonic(), limiter.hour))
                ticket = await limiter.acquire(urgency)
                starts.append(ticket.started)
                counted.append((clock.monotonic(), limiter.hour))
                await clock.sleep(out_s)
                limiter.heard(ticket, outcome)

        async with asyncio.TaskGroup() as group:
            for number in range(askers):
                group.create_task(ask(plan[number::askers]), name=f"asker {number}")
        return starts, counted

    return run_virtually(main())


@settings(max_examples=examples(50))
@given(asks, st.integers(1, 8), st.floats(0.1, 5), st.floats(0, 1))
def test_P9_the_least_delay_holds_whatever_is_asked_and_answered(
    plan: list[Ask], askers: int, least_s: float, jitter_s: float
) -> None:
    starts, _ = asked(plan, askers, Spacing("requests", 1 / least_s, jitter_s=jitter_s, yields=True))
    assert len(starts) == len(plan)
    assert all(late - early >= least_s - ROUNDING for early, late in pairwise(starts))


@settings(max_examples=examples(50))
@given(asks, st.integers(1, 8), st.integers(1, 20))
@example([Ask(idle_s, Urgency.HISTORY, 0.0, "answered") for idle_s in (0.0, HOUR_S - 0.5)], 1, 2)
def test_P10_the_hours_count_is_exact_and_never_above_its_limit(
    plan: list[Ask], askers: int, most: int
) -> None:
    starts, counted = asked(
        plan, askers, Spacing("requests", 1.0), Rolling("requests_per_hour", most, HOUR_S)
    )
    for _, hour in counted:
        assert hour.most == most and hour.requests <= most
    # Several may look in the same instant, between the starts of it.
    for at, hour in counted:
        before = sum(at - HOUR_S < start < at for start in starts)
        assert before <= hour.requests <= before + starts.count(at)
