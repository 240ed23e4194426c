"""Several who submit, claim and commit in one PostgreSQL at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from livecache.errors import LeaseLost
from livecache.history.opening import open_history
from livecache.history.store import HistoryDatabase, Outcome, Want

from .pg import Postgres
from .support import KEY, HandClock, covered, market, minute, number_of, put, same

BUSY_S = 3.0
"""Whoever waits for a lock that long has failed."""


@pytest.fixture
def stores(postgres: Postgres, clock: HandClock) -> Iterator[list[HistoryDatabase]]:
    """Connections of two workers."""
    postgres.emptied()
    with ExitStack() as stack:
        held = (open_history(postgres.place(), clock, busy_s=BUSY_S) for _ in range(2))
        yield [stack.enter_context(closing(each)) for each in held]


def test_who_claims_at_the_same_time_gets_another_job_and_waits_for_nobody(
    stores: list[HistoryDatabase],
) -> None:
    one, other = stores
    series = number_of(one)
    jobs = one.submit([Want(series, minute(n), minute(n + 9)) for n in (0, 10)]).jobs
    with one.writing():
        mine = one.claim("one")  # and its transaction goes on
        theirs = other.claim("other")
        assert mine and theirs and (mine.id, theirs.id) == jobs
        assert other.claim("other") is None
    assert other.claim("other") is None


def test_a_job_is_had_by_one_alone_however_many_claim(stores: list[HistoryDatabase]) -> None:
    series = number_of(stores[0])
    jobs = stores[0].submit([Want(series, minute(n), minute(n + 1)) for n in range(60)]).jobs

    def claims(number: int) -> list[int]:
        store, held = stores[number], []
        while (job := store.claim(str(number))) is not None:
            held.append(job.id)
        return held

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(claims, range(2)))
    assert sorted(found[0] + found[1]) == list(jobs) and all(found)


def test_who_wants_the_same_at_the_same_time_gets_the_same_jobs(stores: list[HistoryDatabase]) -> None:
    series = number_of(stores[0])

    def submit(number: int) -> list[tuple[int, ...]]:
        step = 1 if number else -1
        orders = []
        for turn in range(20):
            wants = [Want(series, minute(n), minute(n + 1), priority=50 + turn) for n in range(20)]
            orders.append(stores[number].submit(wants[::step], key=f"{turn}").jobs)
        return orders

    with ThreadPoolExecutor(2) as pool:
        mine, theirs = pool.map(submit, range(2))
    assert mine == theirs, "an order of one key is one"
    assert len({job for order in mine for job in order}) == 20 == stores[0].waiting()


def test_a_page_of_a_worker_whose_lease_is_over_changes_nothing_whoever_is_first(
    stores: list[HistoryDatabase], clock: HandClock
) -> None:
    paused, other = stores
    series = number_of(paused)
    paused.submit([Want(series, minute(0), minute(200))])
    job = paused.claim("paused")
    assert job
    put(paused, series, 0, 100, job.lease)
    clock.now += 30_000
    taken = other.claim("other")
    assert taken and taken.lease > job.lease
    put(other, series, 100, 150, taken.lease)
    with ThreadPoolExecutor(1) as pool:
        with other.writing():  # a page is just being committed
            put(other, series, 150, 200, taken.lease)
            late = pool.submit(put, paused, series, 150, 200, job.lease, of=2)
        with pytest.raises(LeaseLost):
            late.result()
    answer = other.read(series, minute(0), minute(300))
    assert answer.coverage == covered(0, 200) and same(answer.rows.candles(), market(0, 200))
    assert other.settle(taken.lease, Outcome.SUCCEEDED).value == "succeeded"
    assert number_of(other, KEY) == series
