"""Several who submit, claim and commit in one PostgreSQL at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager

import pytest

from livecache.errors import LeaseLost, StoreUnusable
from livecache.history.opening import open_history
from livecache.history.postgres import stalled
from livecache.history.postgres.store import PostgresHistory
from livecache.history.store import HistoryDatabase, Job, Outcome, Want

from ..e2e.support import until
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


@contextmanager
def stopped_in_a_copy(store: HistoryDatabase, job: Job) -> Iterator[None]:
    """As a worker that commits a page: that far it has come, and it wakes up to be told that it is late."""
    assert isinstance(store, PostgresHistory)
    with ExitStack() as page:
        db = page.enter_context(store.writing())
        store.lock(db, job.want.series)
        store.renew(job.lease)
        cursor = page.enter_context(store.raw.cursor())
        page.enter_context(cursor.copy("COPY candles FROM STDIN"))
        yield
        with pytest.raises(StoreUnusable):
            page.close()


def test_a_worker_that_is_stopped_in_the_middle_of_a_copy_holds_up_nobody_for_long(
    stores: list[HistoryDatabase], postgres: Postgres, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server waits for its rows, and none of its time-outs ends it there."""
    one, other = stores
    series = number_of(one)
    one.submit([Want(series, minute(0), minute(200))])
    job = one.claim("one")
    assert job
    with stopped_in_a_copy(one, job):
        clock.now += 30_000
        assert other.claim("other") is None, "its page may be on its way"
        monkeypatch.setattr(stalled, "STALLED_S", 0.0)
        with closing(open_history(postgres.place(), clock, busy_s=0.1)) as service:
            with pytest.raises(StoreUnusable, match="lock timeout"):
                put(service, series, 0, 100)
            put(service, series, 0, 100)
    taken = other.claim("other")
    assert taken and taken.lease > job.lease
    with pytest.raises(LeaseLost):
        put(one, series, 100, 200, job.lease)
    with stopped_in_a_copy(other, taken):
        clock.now += 30_000
        again = until("its job is free, where nobody wants its series", lambda: one.claim("one"))
        assert again.lease > taken.lease


def test_a_copy_that_goes_on_is_left_alone_however_long_it_takes(
    stores: list[HistoryDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stalled, "STALLED_S", 0.0)
    slow, other = stores
    assert isinstance(slow, PostgresHistory) and isinstance(other, PostgresHistory)
    rows = 0
    with (
        ThreadPoolExecutor(1) as pool,
        slow.writing(),
        slow.raw.cursor() as cursor,
        cursor.copy("COPY candles FROM STDIN") as copy,
    ):
        looked = pool.submit(stalled.end_stalled, other.raw)
        while wait([looked], 0.05).not_done:
            for number in range(rows, rows + 2_000):
                copy.write(f"{number}\t2000-01-01Z\t1\t1\t1\t1\t1\n")
            rows += 2_000
    looked.result()
    assert rows and other.one("SELECT count(*) FROM candles") == (rows,)
