"""The limiter: even, fair, humble after a refusal, and never quicker than it was told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.engine.ratelimit import Pace, RateLimiter


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


async def starts(limiter: RateLimiter, count: int) -> list[float]:
    return [await limiter.acquire() for _ in range(count)]


def test_requests_are_spaced_evenly_from_the_first() -> None:
    times = asyncio.run(starts(RateLimiter(10, VirtualClock()), 11))
    assert times == pytest.approx([1000 + 0.1 * n for n in range(11)])


def test_slots_that_nobody_used_are_not_banked() -> None:
    clock = VirtualClock()
    limiter = RateLimiter(10, clock)

    async def scenario() -> list[float]:
        await limiter.acquire()
        clock.time += 60
        return await starts(limiter, 3)

    assert asyncio.run(scenario()) == pytest.approx([1060, 1060.1, 1060.2])


def test_late_timers_do_not_add_up_to_a_lower_rate() -> None:
    class LateClock(VirtualClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds + 0.005)

    times = asyncio.run(starts(RateLimiter(10, LateClock()), 101))
    assert times[-1] - times[0] == pytest.approx(10.005)
    assert min(b - a for a, b in pairwise(times)) > 0.09


def test_those_who_wait_are_served_in_order_and_the_cancelled_use_no_slot() -> None:
    async def scenario() -> list[tuple[str, float]]:
        limiter = RateLimiter(1, VirtualClock())
        served: list[tuple[str, float]] = []

        async def wait(name: str) -> None:
            served.append((name, await limiter.acquire()))

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
        limiter = RateLimiter(1, clock)
        await limiter.acquire()
        sleeper = asyncio.create_task(limiter.acquire(), name="sleeper")
        clock.asleep = sleeper.cancel  # type: ignore[assignment]
        with pytest.raises(asyncio.CancelledError):
            await sleeper
        clock.asleep = lambda: None
        return await limiter.acquire()

    assert asyncio.run(scenario()) == pytest.approx(1001)


def test_a_refusal_that_stands_alone_costs_little_and_is_made_good() -> None:
    clock = VirtualClock()
    limiter = RateLimiter(10, clock)

    async def scenario() -> None:
        started = await limiter.acquire()
        limiter.refused(started=started)
        assert limiter.rate_per_s == pytest.approx(9.5)
        assert await limiter.acquire() == pytest.approx(1000.25)
        while clock.time < 1014.9:
            await limiter.acquire()
            limiter.succeeded()
        assert limiter.rate_per_s == pytest.approx(9.5)
        while clock.time < 1019:
            await limiter.acquire()
            limiter.succeeded()
        assert limiter.rate_per_s == 10

    asyncio.run(scenario())


def test_refusals_that_follow_one_another_cut_hard() -> None:
    pace = Pace(10)
    pace.start(1000, 1000)
    pace.refused(1000.1, started=1000)
    pace.start(1001, 1001)
    pace.refused(1001.1, started=1001)
    assert pace.rate_per_s == pytest.approx(9.5 * 0.7)
    assert pace.slot(1001.1) == pytest.approx(1002.1)


def test_time_in_which_nothing_was_asked_does_not_return_the_rate() -> None:
    pace = Pace(10)
    for second in range(5):
        pace.start(1000 + second, 1000 + second)
        pace.refused(1000.1 + second)
    cut = pace.rate_per_s
    pace.start(5000, 5000)
    pace.succeeded(5000.1)
    assert cut < pace.rate_per_s < cut * 1.2


def test_a_burst_of_refusals_cuts_once() -> None:
    pace = Pace(10)
    for n in range(5):
        pace.start(1000 + n / 10, 1000 + n / 10)
    for n in range(5):
        pace.refused(1000.6 + n / 10, started=1000 + n / 10)
    assert pace.cuts == 1
    assert pace.slot(1001) == pytest.approx(1001.25)  # some time after the last of them
    pace.start(1002, 1002)
    pace.refused(1002.1, started=1000.4)  # a straggler from before the cut
    assert pace.cuts == 1
    pace.refused(1002.2, started=1002)
    assert pace.cuts == 2


def test_the_venues_own_word_on_waiting_is_kept_within_reason() -> None:
    pace = Pace(10)
    pace.start(0, 0)
    pace.refused(1, retry_after_s=7)
    assert pace.slot(1) == 8
    pace.refused(2, retry_after_s=86_400)
    assert pace.slot(2) == 302
    assert pace.slot(400) == 400


def test_a_refusal_reaches_who_is_already_waiting() -> None:
    clock = VirtualClock()
    limiter = RateLimiter(1, clock)

    async def scenario() -> float:
        await limiter.acquire()
        clock.asleep = lambda: limiter.refused(5) if clock.time < 1001 else None
        return await limiter.acquire()

    assert asyncio.run(scenario()) == pytest.approx(1005)


def test_the_rate_never_falls_to_nothing() -> None:
    pace = Pace(10)
    for n in range(50):
        pace.start(n * 10, n * 10)
        pace.refused(n * 10 + 1)
    assert pace.rate_per_s == 0.5
    slow = Pace(0.1)
    slow.start(0, 0)
    slow.refused(1)
    assert slow.rate_per_s == 0.1


def test_five_a_second_are_never_six_in_any_second() -> None:
    limiter = RateLimiter(9, VirtualClock(), batch_size=5, batch_delay_s=1.0)
    times = asyncio.run(starts(limiter, 50))
    assert all(late - early >= 1.0 - 1e-6 for early, late in zip(times, times[5:], strict=False))
    assert times[49] - times[0] == pytest.approx(9 + 4 / 9)


@pytest.mark.parametrize(
    "halves", [{"batch_size": 5}, {"batch_delay_s": 1.0}, {"batch_size": 0, "batch_delay_s": 1}]
)
def test_half_a_batch_setting_is_an_error(halves: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="batch"):
        Pace(10, **halves)  # type: ignore[arg-type]


def test_a_rate_of_zero_is_an_error() -> None:
    with pytest.raises(ValueError, match="rate"):
        Pace(0)


@dataclass
class ModelVenue:
    """Allows `limit` requests in any second, counted as they arrive, and answers after `latency_s`.

    `jitter_s` is the mean by which requests arrive late; the answer says how many were refused when.
    """

    limit: Callable[[float], int]
    latency_s: float = 0.08
    jitter_s: float = 0.0

    def ask(self, pace: Pace, until: Callable[[float, int], bool]) -> tuple[list[float], list[float]]:
        """Ask as fast as the pace allows until (seconds, answered) says so: when refused, when answered."""
        random, events = Random(1), [(0.0, 0, "start", 0.0)]
        window: deque[float] = deque()
        refused: list[float] = []
        answered: list[float] = []
        while True:
            now, number, what, started = heappop(events)
            if what == "start":
                if until(now, len(answered)):
                    return refused, answered
                if (slot := pace.slot(now)) > now:
                    heappush(events, (slot, number, "start", 0.0))
                    continue
                pace.start(now, now)
                late_s = random.expovariate(1 / self.jitter_s) if self.jitter_s else 0.0
                heappush(events, (now + self.latency_s / 2 + late_s, number, "arrives", now))
                heappush(events, (pace.slot(now), number + 1, "start", 0.0))
            elif what == "arrives":
                while window and now - window[0] >= 1.0:
                    window.popleft()
                admitted = len(window) < self.limit(now)
                if admitted:
                    window.append(now)
                heappush(events, (now + self.latency_s / 2, number, "yes" if admitted else "no", started))
            elif what == "yes":
                answered.append(now)
                pace.succeeded(now)
            else:
                refused.append(now)
                pace.refused(now, started=started)


@pytest.mark.parametrize("latency_s", [0.08, 0.8])
@pytest.mark.parametrize(("configured", "allowed"), [(9, 5), (12, 10), (30, 29)])
def test_a_venue_that_allows_less_than_configured_refuses_a_few_times_an_hour(
    configured: float, allowed: int, latency_s: float
) -> None:
    venue = ModelVenue(lambda now: allowed, latency_s, jitter_s=0.005)
    refused, answered = venue.ask(Pace(configured), lambda now, count: now > 3 * 3600)
    by_hour = [sum(1 for at in refused if hour * 3600 <= at < (hour + 1) * 3600) for hour in range(3)]
    assert by_hour[0] <= 25  # it has to find out
    assert max(by_hour[1:]) <= 6
    assert len(answered) / (3 * 3600) > 0.85 * allowed


@pytest.mark.parametrize("latency_s", [0.08, 0.8])
def test_a_chance_refusal_delays_a_warm_up_by_less_than_a_second(latency_s: float) -> None:
    refused, answered = ModelVenue(lambda now: 0 if 3.0 < now < 3.1 else 10, latency_s).ask(
        Pace(9), lambda now, count: count >= 75
    )
    assert len(refused) == 1
    assert answered[74] < 74 / 9 + latency_s + 1.0


def test_the_whole_rate_is_back_a_minute_after_two_in_which_everything_was_refused() -> None:
    pace = Pace(9)
    rates: list[float] = []

    def over(now: float, count: int) -> bool:
        if now > 120 + 80 and not rates:
            rates.append(pace.rate_per_s)
        return now > 120 + 81

    refused, _ = ModelVenue(lambda now: 0 if now < 120 else 10).ask(pace, over)
    assert len(refused) < 120  # less than one a second
    assert rates == [9]


step = st.tuples(
    st.floats(0, 3, allow_subnormal=False),  # seconds since the last step
    st.sampled_from(["start", "start", "start", "succeeded", "refused", "refused late"]),
    st.one_of(st.none(), st.floats(-1, 5)),
)


@settings(deadline=None)
@given(
    rate=st.floats(0.2, 50),
    batch=st.one_of(st.none(), st.tuples(st.integers(1, 6), st.floats(0.1, 3))),
    steps=st.lists(step, max_size=60),
)
def test_whatever_happens_no_limit_is_exceeded(
    rate: float, batch: tuple[int, float] | None, steps: list[tuple[float, str, float | None]]
) -> None:
    size, delay = batch or (None, None)
    pace = Pace(rate, batch_size=size, batch_delay_s=delay)
    now, paused_until = 1_000.0, 0.0
    starts: list[float] = []
    for idle, what, retry_after in steps:
        now += idle
        if what == "start":
            interval = 1 / pace.rate_per_s if starts else 0.0
            slot = pace.slot(now)
            assert slot >= max(now, paused_until)
            if starts:
                # Set by the rate of that moment, which was at most the configured one.
                assert slot - starts[-1] >= min(interval, 1 / rate) - 1e-9
            now = slot
            pace.start(slot, slot)
            starts.append(slot)
        elif what == "succeeded":
            pace.succeeded(now)
        else:
            pace.refused(now, retry_after, starts[-1] if starts and what == "refused late" else None)
            paused_until = max(paused_until, now + (0.25 if retry_after is None else max(0.0, retry_after)))
        assert min(0.5, rate) <= pace.rate_per_s <= rate
    if size is not None and delay is not None:
        assert all(late - early >= delay - 1e-9 for early, late in zip(starts, starts[size:], strict=False))


def test_another_rate_holds_from_the_next_slot_on() -> None:
    pace = Pace(0.1)
    pace.start(pace.slot(100.0), 100.0)
    assert pace.slot(100.0) == pytest.approx(110.0)
    pace.change(10.0, None, None)
    assert pace.slot(100.0) == pytest.approx(100.1), "nobody waits for what the old rate would have wanted"
    pace.start(pace.slot(100.1), 100.1)
    assert pace.slot(100.1) == pytest.approx(100.2)


def test_another_rate_does_not_undo_what_refusals_have_taught() -> None:
    pace = Pace(10.0)
    for now in (0.0, 1.0):
        pace.start(now, now)
        pace.refused(now)
    lowered = pace.rate_per_s
    assert lowered < 10.0
    pace.change(20.0, None, None)
    assert pace.rate_per_s == lowered, "it returns by successes, as ever"
    pace.change(lowered / 2, None, None)
    assert pace.rate_per_s == lowered / 2, "and is never more than is configured"


def test_batches_come_and_go_with_the_configuration() -> None:
    pace = Pace(1000.0)
    for now in (0.0, 0.01, 0.02):
        pace.start(now, now)
    pace.change(1000.0, 2, 1.0)
    for now in (0.03, 0.04):
        pace.start(now, now)
    assert pace.slot(0.05) == pytest.approx(1.03)
    pace.change(1000.0, None, None)
    assert pace.slot(0.05) == 0.05
