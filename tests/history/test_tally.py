"""What a fill says of its progress, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import Any

import numpy as np
import pytest
from loguru import logger

from livecache.history.columns import Columns, Decimals
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import NONE, Commit, Job, JobState, Outcome, SeriesInfo, Want
from livecache.history.tally import Tally
from livecache.model.budget import Budget, Pool, Spacing, Window, least_s
from livecache.model.coverage import Coverage, Span
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.pacing.meter import Meter, Ticket

from .support import KEY, MINUTE, covered, minute

_PAGE = 1_000


def test_each_ten_thousand_candles_are_told_with_the_total_and_what_is_to_go(
    store: SqliteHistory, series: int
) -> None:
    passed = [0.0]
    tally = Tally(lambda: passed[0], lambda series: _PAGE)
    store.submit([Want(series, minute(0), minute(25_000))])
    job = store.claim("somebody")
    assert job
    info, span = store.info(series), Span(minute(0), minute(25_000))
    tally.wanted(info, span, Coverage([span]))
    said: list[Any] = []
    tally.began(job, info, Coverage([span]), Coverage([span]))
    sink = logger.add(lambda message: said.append(message.record), level="INFO")
    logger.enable("livecache")
    try:
        for first in range(0, 25_000, _PAGE):
            passed[0] += 0.25
            times = np.arange(minute(first), minute(first + _PAGE), MINUTE)
            rows = Columns(times, *[Decimals(np.ones(_PAGE, np.int64), 0)] * 5)
            commit = store.commit(series, rows, covered(first, first + _PAGE), lease=job.lease)
            asked = Span(minute(first), minute(first + _PAGE))
            tally.committed(job, info, asked, commit, store.missing(job.id))
    finally:
        logger.remove(sink)
    told = [one["message"] for one in said if one["extra"].get("event") == "history_progress"]
    assert len(told) == 2
    assert "10,000 candles, 40.0 %" in told[0] and "20,000 candles, 80.0 %" in told[1]
    assert "10 pages, 15 left, 4 s to go" in told[0] and "4,000/s" in told[0]
    assert {one["extra"]["symbol"] for one in said} == {KEY.symbol}


def test_a_report_says_what_was_rejected_and_what_cannot_be_had(store: SqliteHistory, series: int) -> None:
    tally = Tally(lambda: 0.0, lambda series: _PAGE)
    info, span = store.info(series), Span(minute(0), minute(100))
    store.submit([Want(series, *span)])
    tally.wanted(info, span, Coverage([span]))
    for attempt in range(2):
        claimed = store.claim("somebody")
        assert claimed
        left = store.missing(claimed.id)
        tally.began(claimed, info, left, left)
        asked = Span(minute(attempt * 40), minute(attempt * 40 + 40))
        commit = store.commit(series, Columns.of(()), Coverage([asked]), lease=claimed.lease, rejected=3)
        # The rest is set aside: nothing is left to ask for.
        tally.committed(claimed, info, asked, commit, NONE)
        state = store.settle(claimed.lease, Outcome.RETRY, "503", wait_s=0)
        tally.ended(claimed, info, state, "503", store.missing(claimed.id))
    line = tally.lines[series]
    assert (line.rejected, line.completeness) == (6, 80.0) == (store.jobs()[0].rejected, 80.0)


@pytest.mark.parametrize("failed_last", [False, True])
def test_a_job_that_another_run_left_hides_no_failure_and_counts_for_what_is_wanted_only(
    store: SqliteHistory, series: int, failed_last: bool
) -> None:
    tally, info = Tally(lambda: 0.0, lambda series: _PAGE), store.info(series)
    old, new = Span(minute(0), minute(100_000)), Span(minute(99_000), minute(101_000))
    tally.wanted(info, new, Coverage([new]))
    ends = [(job(series, old, 1), JobState.SUCCEEDED, "", NONE)]
    ends.insert(failed_last, (job(series, new, 2), JobState.FAILED, "404", covered(100_500, 101_000)))
    for one, *_ in ends:
        wanted = Coverage([Span(one.want.start, one.want.end)])
        tally.began(one, info, wanted, wanted)
    for one, state, error, missing in ends:
        tally.ended(one, info, state, error, missing)
    line = tally.lines[series]
    assert (line.state, line.error, line.completeness) == ("failed", "404", 75.0)
    assert tally.failures == [line]


_BEGAN_S = 1_728_000_020.0  # by the venue's clock: a third of a minute has passed
_AT_ONCE = 8


class Filling:
    """A fill of symbols in virtual time, days first: eight series and eight pages at a time.

    The venue takes pages of `page` buckets, and answers after 40 to 60 ms, and has none before `listed`.
    """

    def __init__(self, budgets: Sequence[Budget], costs: dict[str, int], *, page: int, listed: int) -> None:
        self.now_s = self.slot_s = 0.0
        self.page, self.listed, self.costs = page, listed, costs
        self.told: list[tuple[float, float]] = []
        self.meter = Meter(budgets, venue_ahead_s=lambda: _BEGAN_S, jitter=lambda: 0.0)
        least = partial(least_s, budgets, costs, began_s=_BEGAN_S)
        self.tally = Tally(lambda: self.now_s, lambda series: _PAGE, least_s=least)

    def run(self, symbols: int, minutes: int) -> None:
        wanted, listed = Span(minute(0), minute(minutes)), Span(minute(self.listed), minute(minutes))
        series = [
            SeriesInfo(number, SeriesId("venue", f"S{number % symbols}", timeframe))
            for number, timeframe in enumerate([Timeframe.D1] * symbols + [Timeframe.M1] * symbols)
        ]
        for info in series:
            self.tally.wanted(info, wanted, Coverage([wanted]))
        left: dict[int, Coverage] = {}
        flying: list[tuple[float, int, Span, Ticket]] = []
        to_ask: list[tuple[int, Span]] = []
        jobs = {info.id: job(info.id, wanted) for info in series}
        waiting, random = list(series), Random(1)
        while waiting or left:
            for info in [each for each in waiting if not any(n % symbols == each.id % symbols for n in left)]:
                if len(left) < _AT_ONCE:
                    waiting.remove(info)
                    worth = listed if info.key.timeframe is Timeframe.M1 else wanted
                    left[info.id] = Coverage([worth])
                    self.tally.began(jobs[info.id], info, Coverage([wanted]), left[info.id])
                    to_ask += ((info.id, span) for span in self.pages(info, worth))
            while to_ask and len(flying) < _AT_ONCE:
                number, span = to_ask.pop(0)
                self.slot_s = self.meter.slot(self.costs, max(self.now_s, self.slot_s))
                ticket = self.meter.start(self.costs, self.slot_s, self.slot_s)
                heappush(flying, (self.slot_s + random.uniform(0.04, 0.06), number, span, ticket))
            self.now_s, number, span, ticket = heappop(flying)
            self.meter.answered(ticket, self.now_s, {})
            info = series[number]
            left[number] = left[number].without(Coverage([span]))
            self.tally.committed(jobs[number], info, span, Commit(1, 1), left[number])
            if not left[number]:
                del left[number]
                self.tally.ended(jobs[number], info, JobState.SUCCEEDED, "", NONE)
            if (eta_s := self.tally.eta_s) is not None:
                self.told.append((self.now_s, eta_s))

    def pages(self, info: SeriesInfo, worth: Span) -> list[Span]:
        step = (self.page if info.key.timeframe is Timeframe.M1 else _PAGE) * info.key.timeframe.ms
        return [Span(max(worth.start, end - step), end) for end in range(worth.end, worth.start, -step)]


def job(series: int, wanted: Span, number: int = 1) -> Job:
    want, state = Want(series, *wanted), JobState.RUNNING
    return Job(number, want, state, 0, 0, 1, "worker", 0, NONE, "", 0, 0, 0, 0, 0, 0, None)


@pytest.mark.parametrize(
    ("budget", "symbols", "pages", "page", "listed"),
    [
        (Pool("requests", 50, 20.0), 2, 684, _PAGE, 0),
        (Pool("requests", 50, 20.0), 2, 68, _PAGE, 0),
        (Window("requests", 2_400, usage="x"), 1, 2_600, _PAGE, 0),
        (Spacing("requests", 9.0), 2, 200, _PAGE // 2, 0),
        (Spacing("requests", 9.0), 20, 100, _PAGE, 60),
        (Spacing("requests", 900.0), 3, 100, _PAGE, 0),
    ],
    ids=[
        "a burst, then an even rate",
        "mostly the burst",
        "so many a minute",
        "a venue that takes half a page",
        "listed long after that time",
        "as fast as the venue answers",
    ],
)
def test_after_the_first_tenth_it_tells_to_a_tenth_when_it_will_be_done(
    budget: Budget, symbols: int, pages: int, page: int, listed: int
) -> None:
    filling = Filling(
        [budget], {"requests": 2} if isinstance(budget, Window) else {}, page=page, listed=listed * _PAGE
    )
    filling.run(symbols, pages * _PAGE)
    took_s = filling.now_s
    told = filling.told[len(filling.told) // 10 :]
    worst = max(abs(at_s + eta_s - took_s) / took_s for at_s, eta_s in told)
    assert worst <= 0.1
