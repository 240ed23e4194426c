"""The pace: humble after a refusal, and never quicker than it was told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.model.budget import NOTHING, Rolling, Spacing
from livecache.pacing.meter import Meter, Ticket


class Paced:
    """A meter of requests so many a second, and of so many in a while."""

    def __init__(self, rate_per_s: float, batch: tuple[int, float] | None = None) -> None:
        self._meter = Meter(_budgets(rate_per_s, batch), venue_ahead_s=lambda: 0.0, jitter=lambda: 0.0)

    def change(self, rate_per_s: float, batch: tuple[int, float] | None = None) -> None:
        self._meter.change(_budgets(rate_per_s, batch))

    @property
    def rate_per_s(self) -> float:
        return self._meter.paces[0].rate_per_s

    @property
    def cuts(self) -> int:
        return self._meter.paces[0].cuts

    def slot(self, now: float) -> float:
        return self._meter.slot(NOTHING, now)

    def start(self, slot: float, now: float) -> None:
        self._meter.start(NOTHING, slot, now)

    def succeeded(self, now: float, started: float = 0.0) -> None:
        self._meter.answered(Ticket(NOTHING, started), now)

    def refused(
        self, now: float, retry_after_s: float | None = None, *, started: float | None = None
    ) -> None:
        self._meter.refused(Ticket(NOTHING, now if started is None else started), now, retry_after_s)


def _budgets(rate_per_s: float, batch: tuple[int, float] | None) -> list[Spacing | Rolling]:
    requests = Spacing("requests", rate_per_s, yields=True)
    return [requests, Rolling("batch", *batch)] if batch else [requests]


def test_refusals_that_follow_one_another_cut_hard() -> None:
    pace = Paced(10)
    pace.start(1000, 1000)
    pace.refused(1000.1, started=1000)
    pace.start(1001, 1001)
    pace.refused(1001.1, started=1001)
    assert pace.rate_per_s == pytest.approx(9.5 * 0.7)
    assert pace.slot(1001.1) == pytest.approx(1002.1)


def test_time_in_which_nothing_was_asked_does_not_return_the_rate() -> None:
    pace = Paced(10)
    for second in range(5):
        pace.start(1000 + second, 1000 + second)
        pace.refused(1000.1 + second)
    cut = pace.rate_per_s
    pace.start(5000, 5000)
    pace.succeeded(5000.1)
    assert cut < pace.rate_per_s < cut * 1.2


def test_a_burst_of_refusals_cuts_once() -> None:
    pace = Paced(10)
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
    pace = Paced(10)
    pace.start(0, 0)
    pace.refused(1, retry_after_s=7)
    assert pace.slot(1) == 8
    pace.refused(2, retry_after_s=86_400)
    assert pace.slot(2) == 302
    assert pace.slot(400) == 400


def test_the_rate_never_falls_to_nothing() -> None:
    pace = Paced(10)
    for n in range(50):
        pace.start(n * 10, n * 10)
        pace.refused(n * 10 + 1)
    assert pace.rate_per_s == 0.5
    slow = Paced(0.1)
    slow.start(0, 0)
    slow.refused(1)
    assert slow.rate_per_s == 0.1


@dataclass
class ModelVenue:
    """Allows `limit` requests in any second, counted as they arrive, and answers after `latency_s`.

    `jitter_s` is the mean by which requests arrive late; the answer says how many were refused when.
    """

    limit: Callable[[float], int]
    latency_s: float = 0.08
    jitter_s: float = 0.0

    def ask(self, pace: Paced, until: Callable[[float, int], bool]) -> tuple[list[float], list[float]]:
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
    refused, answered = venue.ask(Paced(configured), lambda now, count: now > 3 * 3600)
    by_hour = [sum(1 for at in refused if hour * 3600 <= at < (hour + 1) * 3600) for hour in range(3)]
    assert by_hour[0] <= 25  # it has to find out
    assert max(by_hour[1:]) <= 6
    assert len(answered) / (3 * 3600) > 0.85 * allowed


@pytest.mark.parametrize("latency_s", [0.08, 0.8])
def test_a_chance_refusal_delays_a_warm_up_by_less_than_a_second(latency_s: float) -> None:
    refused, answered = ModelVenue(lambda now: 0 if 3.0 < now < 3.1 else 10, latency_s).ask(
        Paced(9), lambda now, count: count >= 75
    )
    assert len(refused) == 1
    assert answered[74] < 74 / 9 + latency_s + 1.0


def test_the_whole_rate_is_back_a_minute_after_two_in_which_everything_was_refused() -> None:
    pace = Paced(9)
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
    pace = Paced(rate, batch)
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
            late = starts[-1] if starts and what == "refused late" else None
            pace.refused(now, retry_after, started=late)
            paused_until = max(paused_until, now + (0.25 if retry_after is None else max(0.0, retry_after)))
        assert min(0.5, rate) <= pace.rate_per_s <= rate
    if batch is not None:
        size, delay = batch
        assert all(late - early >= delay - 1e-9 for early, late in zip(starts, starts[size:], strict=False))


def test_another_rate_holds_from_the_next_slot_on() -> None:
    pace = Paced(0.1)
    pace.start(pace.slot(100.0), 100.0)
    assert pace.slot(100.0) == pytest.approx(110.0)
    pace.change(10.0)
    assert pace.slot(100.0) == pytest.approx(100.1), "nobody waits for what the old rate would have wanted"
    pace.start(pace.slot(100.1), 100.1)
    assert pace.slot(100.1) == pytest.approx(100.2)


def test_another_rate_does_not_undo_what_refusals_have_taught() -> None:
    pace = Paced(10.0)
    for now in (0.0, 1.0):
        pace.start(now, now)
        pace.refused(now)
    lowered = pace.rate_per_s
    assert lowered < 10.0
    pace.change(20.0)
    assert pace.rate_per_s == lowered, "it returns by successes, as ever"
    pace.change(lowered / 2)
    assert pace.rate_per_s == lowered / 2, "and is never more than is configured"


def test_batches_come_and_go_with_the_configuration() -> None:
    pace = Paced(1000.0)
    for now in (0.0, 0.01, 0.02):
        pace.start(now, now)
    pace.change(1000.0, (2, 1.0))
    for now in (0.03, 0.04):
        pace.start(now, now)
    assert pace.slot(0.05) == pytest.approx(1.03)
    pace.change(1000.0)
    assert pace.slot(0.05) == 0.05
