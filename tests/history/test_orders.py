"""What the service asks for by itself: what is missing, and neither twice nor in vain each hour."""

from __future__ import annotations

import pytest

from livecache.history.service.orders import wanted
from livecache.history.service.service import Wishes
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import JobState, Outcome, Want
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Served, Traits

from .support import KEY, HandClock, minute, put

DAY = 86_400_000
TRAITS = Traits(served={Timeframe.M1: Served(300)})
WISHES = Wishes(["BTC-USD"], [Timeframe.M1], lambda _: -2 * DAY)
NOW = minute(1_440 * 3)


def asked(store: SqliteHistory, oldest: int = NOW) -> list[Want]:
    return wanted(
        store, "venue", TRAITS, WISHES, now=NOW, settled=NOW, oldest={KEY: oldest}, host_now=store.now()
    )


def test_it_is_what_is_missing_before_what_the_live_service_looks_after(
    store: SqliteHistory, series: int
) -> None:
    hot = minute(1_440 * 3 - 100)
    assert asked(store, hot) == [Want(series, minute(1_440), hot)]
    put(store, series, 1_440, 1_440 * 3 - 100)
    assert asked(store, hot) == []
    assert asked(store) == [Want(series, minute(1_440), NOW)], "a live service that has ended leaves it all"


def test_a_series_that_is_under_way_is_not_asked_for_twice(store: SqliteHistory, series: int) -> None:
    store.submit(asked(store))
    assert asked(store) == []
    job = store.claim("somebody")
    assert job and asked(store) == []


@pytest.mark.parametrize("ends", [JobState.FAILED, JobState.CANCELLED])
def test_what_could_not_be_had_or_was_cancelled_is_left_alone_for_a_day(
    store: SqliteHistory, series: int, clock: HandClock, ends: JobState
) -> None:
    store.submit(asked(store))
    job = store.claim("somebody")
    assert job
    put(store, series, 2_000, 1_440 * 3, job.lease)
    if ends is JobState.FAILED:
        store.settle(job.lease, Outcome.FAILED, "no older ones")
    else:
        store.cancel(job.id)
    clock.now += DAY - 1_000
    assert asked(store) == []
    store.uncover(series, store.coverage(series).clip(minute(3_000), minute(3_010)))
    assert asked(store) == [Want(series, minute(3_000), minute(3_010))], "but what else is missing is"
    clock.now += 2_000
    assert asked(store) == [Want(series, minute(1_440), NOW)]
    clock.now -= 400 * DAY
    assert asked(store) == [Want(series, minute(1_440), NOW)], "a clock that was a year ahead is right again"
