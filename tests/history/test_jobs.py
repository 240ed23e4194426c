"""Jobs: who works on what, for how long, and what of it counts."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from livecache.equities.written import grid_text
from livecache.errors import LeaseLost
from livecache.history.columns import Columns
from livecache.history.store import ACTIVE, HistoryDatabase, Job, JobState, Lease, Outcome, Want
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from ..cache.test_sessions import GRIDS
from ..core.test_calendar import ms
from .engines import Engine
from .support import HandClock, covered, market, minute, number_of, opened, put, same


@pytest.fixture
def store(each_store: HistoryDatabase) -> HistoryDatabase:
    return each_store


@pytest.fixture
def series(store: HistoryDatabase) -> int:
    return number_of(store)


def submitted(store: HistoryDatabase, series: int, start: int, end: int, *, force: bool = False) -> int:
    (job,) = store.submit([Want(series, minute(start), minute(end), force)]).jobs
    return job


def claimed(store: HistoryDatabase, worker: str = "worker") -> Job:
    job = store.claim(worker)
    assert job
    return job


def test_a_job_goes_on_where_it_was_left(store: HistoryDatabase, series: int, engine: Engine) -> None:
    number = submitted(store, series, 0, 1_000)
    job = claimed(store)
    assert (job.id, job.state, job.worker) == (number, JobState.RUNNING, "worker")
    assert store.missing(number) == covered(0, 1_000)
    put(store, series, 700, 1_000, job.lease)
    put(store, series, 200, 300, job.lease)
    store.close()
    again = engine.open(HandClock())
    assert again.missing(number) == Coverage([*covered(0, 200), *covered(300, 700)])
    held = again.job(number)
    assert held and held.pages == 2 and held.inserted == len(market(700, 1_000)) + len(market(200, 300))
    again.close()


def test_a_worker_that_wakes_up_late_changes_nothing(
    store: HistoryDatabase, series: int, clock: HandClock
) -> None:
    submitted(store, series, 0, 100)
    late = claimed(store, "late")
    clock.now += 30_000
    job = claimed(store, "next")
    assert (job.id, job.token) == (late.id, late.token + 1)
    before = store.stats(series)
    with pytest.raises(LeaseLost, match="another worker"):
        put(store, series, 0, 50, late.lease)
    with pytest.raises(LeaseLost):
        store.settle(late.lease, Outcome.SUCCEEDED)
    with pytest.raises(LeaseLost):
        store.renew(late.lease)
    assert store.stats(series) == before and store.job(job.id) == job
    put(store, series, 0, 100, job.lease)
    assert store.settle(job.lease, Outcome.SUCCEEDED) is JobState.SUCCEEDED


def test_a_lease_lasts_while_pages_are_committed_or_it_is_renewed(
    store: HistoryDatabase, series: int, clock: HandClock
) -> None:
    submitted(store, series, 0, 100)
    job = claimed(store)
    for n in range(4):
        clock.now += 29_999
        assert store.claim("other") is None
        put(store, series, n, n + 1, job.lease) if n % 2 else store.renew(job.lease)
    clock.now += 30_000
    assert claimed(store, "other").id == job.id


def test_a_lease_from_before_the_clock_was_set_back_does_not_last_for_ever(
    store: HistoryDatabase, series: int, clock: HandClock
) -> None:
    submitted(store, series, 0, 100)
    claimed(store)
    clock.now -= 3_600_000
    assert store.claim("other")


@pytest.mark.parametrize("outcome", [Outcome.RETRY, Outcome.RELEASED])
def test_a_pause_from_before_the_clock_was_set_back_does_not_last_for_ever(
    store: HistoryDatabase, series: int, clock: HandClock, outcome: Outcome
) -> None:
    number = submitted(store, series, 0, 100)
    store.settle(claimed(store).lease, outcome, "503")
    clock.now -= 3_600_000
    assert claimed(store).id == number


def test_it_waits_longer_after_each_failure_and_fails_at_the_sixth(
    store: HistoryDatabase, series: int, clock: HandClock
) -> None:
    number = submitted(store, series, 0, 100)
    for pause_s in (5, 10, 20, 40, 80):
        assert store.settle(claimed(store).lease, Outcome.RETRY, "503") is JobState.WAITING
        clock.now += pause_s * 1_000 - 1
        assert store.claim("worker") is None
        clock.now += 1
    assert store.settle(claimed(store).lease, Outcome.RETRY, "503") is JobState.FAILED
    job = store.job(number)
    assert job and (job.error, job.finished) == ("503", clock.now) and store.claim("worker") is None
    assert store.reopen(number)
    assert claimed(store).attempts == 0


def test_a_page_that_succeeds_sets_the_failures_back(
    store: HistoryDatabase, series: int, clock: HandClock
) -> None:
    submitted(store, series, 0, 100)
    for n in range(20):
        job = claimed(store)
        put(store, series, n, n + 1, job.lease)
        assert store.settle(job.lease, Outcome.RETRY, "503") is JobState.WAITING
        clock.now += 5_000


def test_the_venue_says_how_long_to_wait_and_that_need_not_count(
    store: HistoryDatabase, series: int, clock: HandClock
) -> None:
    submitted(store, series, 0, 100)
    for n in range(12):
        counts = n % 4 == 3
        state = store.settle(claimed(store).lease, Outcome.RETRY, "429", wait_s=33.5, counts=counts)
        assert state is JobState.WAITING
        clock.now += 33_499
        assert store.claim("worker") is None
        clock.now += 1
    assert claimed(store).attempts == 3


def test_what_is_known_needs_no_job_and_the_same_wish_is_one_job(store: HistoryDatabase, series: int) -> None:
    put(store, series, 0, 100)
    assert store.submit([Want(series, minute(0), minute(100))]).jobs == ()
    first = submitted(store, series, 0, 200)
    again = store.submit([Want(series, minute(0), minute(200), priority=5), Want(series, 0, 0)])
    assert again.jobs == (first,)
    assert (found := store.job(first)) and found.want.priority == 5, "the one in more of a hurry decides"
    forced = submitted(store, series, 0, 100, force=True)
    assert forced != first
    assert [job.id for job in store.jobs(order=again.id)] == [first]
    assert [job.id for job in store.jobs()] == [forced, first]
    claimed(store)
    assert [job.id for job in store.jobs(states=[JobState.PENDING])] == [forced]


def test_an_order_that_is_given_again_by_its_key_is_the_same(store: HistoryDatabase, series: int) -> None:
    order = store.submit([Want(series, minute(0), minute(9))], key="today")
    put(store, series, 0, 9)
    assert store.submit([Want(series, minute(0), minute(99))], key="today") == order
    assert store.submit([Want(series, minute(0), minute(9))]).id != order.id


def test_by_force_what_is_known_is_asked_for_again_and_served_meanwhile(
    store: HistoryDatabase, series: int
) -> None:
    put(store, series, 0, 100)
    number = submitted(store, series, 0, 100, force=True)
    assert store.missing(number) == covered(0, 100) == store.coverage(series)
    job = claimed(store)
    put(store, series, 40, 100, job.lease, of=2)
    assert store.missing(number) == covered(0, 40)
    expected = {row.time: row for row in market(0, 100)} | {row.time: row for row in market(40, 100, of=2)}
    assert same(store.read(series, minute(0), minute(100)).rows.candles(), sorted(expected.values()))
    put(store, series, 0, 40, job.lease)
    assert store.settle(job.lease, Outcome.SUCCEEDED) is JobState.SUCCEEDED


def test_a_job_with_something_missing_has_not_succeeded(store: HistoryDatabase, series: int) -> None:
    """Damage may be found in what it had, just before it ends."""
    number = submitted(store, series, 0, 100)
    job = claimed(store)
    put(store, series, 0, 100, job.lease)
    store.uncover(series, covered(50, 60))
    assert store.settle(job.lease, Outcome.SUCCEEDED) is JobState.PENDING
    assert store.missing(number) == covered(50, 60)


def test_a_cancelled_job_takes_no_more_pages_and_can_be_opened_again(
    store: HistoryDatabase, series: int
) -> None:
    number = submitted(store, series, 0, 100)
    job = claimed(store)
    assert store.cancel(number) and not store.cancel(number)
    with pytest.raises(LeaseLost):
        put(store, series, 0, 10, job.lease)
    other = submitted(store, series, 0, 100)
    assert other != number and not store.reopen(number), "the same is under way"
    assert store.cancel(other) and store.reopen(number) and not store.reopen(number)
    assert claimed(store).id == number


def test_a_worker_that_stops_leaves_its_job_to_the_next_one_at_once(
    store: HistoryDatabase, series: int
) -> None:
    number = submitted(store, series, 0, 100)
    assert store.settle(claimed(store).lease, Outcome.RELEASED) is JobState.PENDING
    assert (job := claimed(store, "next")) and (job.id, job.attempts) == (number, 0)


def test_the_most_urgent_job_goes_first_then_the_oldest(store: HistoryDatabase, series: int) -> None:
    wants = [Want(series, minute(n), minute(n + 1), priority=p) for n, p in enumerate((100, 50, 100, 1))]
    jobs = store.submit(wants).jobs
    assert [claimed(store).id for _ in jobs] == [jobs[3], jobs[1], jobs[0], jobs[2]]


def test_a_row_that_was_not_believed_is_counted(store: HistoryDatabase, series: int) -> None:
    submitted(store, series, 0, 10)
    job = claimed(store)
    store.commit(series, Columns.of(market(0, 4)), covered(0, 4), lease=job.lease, rejected=2)
    store.commit(series, Columns.of(market(0, 5)), covered(0, 5), lease=job.lease, rejected=1)
    found = store.job(job.id)
    assert found and (found.rejected, found.pages, found.same) == (3, 2, len(market(0, 4)))


def test_no_page_is_asked_for_a_night_nor_for_a_part_of_a_bucket(store: HistoryDatabase) -> None:
    grid, key = GRIDS[Timeframe.H1], SeriesId("venue", "AAPL", Timeframe.H1)
    made = store.series(key, create=True, grid_text=grid_text(Timeframe.H1, grid, "XNYS"))
    assert made
    opens = grid.opens(ms("2026-03-02"), ms("2026-03-03"))
    night = grid.end_before(opens[0])
    for start, end in (
        (night, grid.end(opens[-1]) + 3_600_000),  # into the night
        (opens[0] - 60_000, opens[-1] + 60_000),  # into a bucket
        (opens[0] + 60_000, ms("2026-03-03")),
    ):
        want = Want(made.id, start, end)
        (job,) = store.submit([want]).jobs
        lease = claimed(store).lease
        asked = [t for span in store.missing(job) for t in grid.opens(*span)]
        assert asked == [t for t in opens if start <= t and grid.end(t) <= end]
        known = Coverage((grid.end_before(t), grid.end(t)) for t in asked)
        store.commit(made.id, Columns.of(()), known, lease=lease)
        assert store.settle(lease, Outcome.SUCCEEDED) is JobState.SUCCEEDED, "nothing of it is left"
        assert store.last(want) == store.job(job)
        assert store.submit([want]).jobs == ()
        store.uncover(made.id, Coverage([(0, ms("2027-01-01"))]))
    assert store.submit([Want(made.id, grid.end(opens[-1]), ms("2026-03-03"))]).jobs == ()


class Working(RuleBasedStateMachine):
    """Three workers, one of them slow, and a clock: what each may do, as told by a model of the leases."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = HandClock()
        self.store = opened(Path(self.folder.name), self.clock)
        self.series = number_of(self.store)
        self.held: dict[str, Lease] = {}  # what each worker believes to hold
        self.tokens: dict[int, int] = {}
        self.known: set[int] = set()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    def _lives(self, lease: Lease) -> bool:
        job = self.store.job(lease.job)
        return bool(job and job.state is JobState.RUNNING and job.token == lease.token)

    @rule(start=st.integers(0, 20), length=st.integers(1, 9), force=st.booleans())
    def submit(self, start: int, length: int, force: bool) -> None:
        want = Want(self.series, minute(start), minute(start + length), force)
        jobs = self.store.submit([want]).jobs
        assert bool(jobs) == (force or not set(range(start, start + length)) <= self.known)
        assert jobs == self.store.submit([want]).jobs

    @rule(worker=st.sampled_from("abc"))
    def claim(self, worker: str) -> None:
        ready = [
            job
            for job in self.store.jobs(states=list(ACTIVE))
            if (job.state is JobState.RUNNING and job.lease_until <= self.clock.now)
            or (job.state is not JobState.RUNNING and job.not_before <= self.clock.now)
        ]
        job = self.store.claim(worker)
        assert (job is None) == (not ready)
        if job:
            assert job.id == min(each.id for each in ready)
            assert job.token == self.tokens.get(job.id, 0) + 1
            self.tokens[job.id] = job.token
            self.held[worker] = job.lease

    @rule(worker=st.sampled_from("abc"), at=st.integers(0, 28))
    def page(self, worker: str, at: int) -> None:
        lease = self.held.get(worker)
        if lease is None:
            return
        if not self._lives(lease):
            before = self.store.read(self.series, minute(0), minute(40))
            with pytest.raises(LeaseLost):
                put(self.store, self.series, at, at + 2, lease)
            after = self.store.read(self.series, minute(0), minute(40))
            assert (after.rev, after.coverage) == (before.rev, before.coverage)
            return
        put(self.store, self.series, at, at + 2, lease)
        self.known |= {at, at + 1}
        job = self.store.job(lease.job)
        assert job and job.attempts == 0 and job.lease_until == self.clock.now + 30_000

    @rule(worker=st.sampled_from("abc"), outcome=st.sampled_from(Outcome))
    def settle(self, worker: str, outcome: Outcome) -> None:
        lease = self.held.pop(worker, None)
        if lease is None:
            return
        if not self._lives(lease):
            with pytest.raises(LeaseLost):
                self.store.settle(lease, outcome)
            return
        before, missing = self.store.job(lease.job), self.store.missing(lease.job)
        assert before
        state = self.store.settle(lease, outcome, "why")
        assert (
            state
            is {
                Outcome.SUCCEEDED: JobState.PENDING if missing else JobState.SUCCEEDED,
                Outcome.FAILED: JobState.FAILED,
                Outcome.RETRY: JobState.FAILED if before.attempts == 5 else JobState.WAITING,
                Outcome.RELEASED: JobState.PENDING,
            }[outcome]
        )

    @rule(pick=st.integers(0, 5), again=st.booleans())
    def cancel_or_reopen(self, pick: int, again: bool) -> None:
        jobs = self.store.jobs()
        if not jobs:
            return
        job = jobs[pick % len(jobs)]
        if again:
            twin = any(j.want[:4] == job.want[:4] and j.state in ACTIVE for j in jobs)
            reopens = job.state in (JobState.FAILED, JobState.CANCELLED) and not twin
            assert self.store.reopen(job.id) == reopens
        else:
            assert self.store.cancel(job.id) == (job.state in ACTIVE)

    @rule(seconds=st.sampled_from([1, 5, 29, 31, 90]))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds * 1_000

    @invariant()
    def no_wish_is_worked_on_twice(self) -> None:
        if hasattr(self, "store"):
            active = [job.want[:4] for job in self.store.jobs(states=list(ACTIVE))]
            assert len(active) == len(set(active))
            assert self.store.coverage(self.series) == Coverage(
                (minute(n), minute(n + 1)) for n in self.known
            )


TestWorking = Working.TestCase
TestWorking.settings = settings(max_examples=8, stateful_step_count=25, deadline=None)


@pytest.mark.long
class TestWorkingLong(Working.TestCase):  # type: ignore[misc, valid-type]
    """The same, for longer."""

    settings = settings(max_examples=1_000, stateful_step_count=60, deadline=None)
