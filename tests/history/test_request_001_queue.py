"""Properties of request 001 about its queue: which states a job goes through, and how often it is tried."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livecache.history.store import Job, JobState
from livecache.venues.venue import FailureKind, FetchFailure, PageRequest

from .bourse import Bourse, Filling

P, R, W = JobState.PENDING, JobState.RUNNING, JobState.WAITING
OVER = {JobState.SUCCEEDED, JobState.FAILED}
NEXT = {P: {P, R}, R: {R, P, W, *OVER}, W: {W, R}} | {state: {state} for state in OVER}
"""What may follow each state, while nobody cancels. What is looked at so often skips nothing that lasts."""

PASSING = [FailureKind.SERVER, FailureKind.TIMEOUT, FailureKind.NETWORK, FailureKind.REFUSED]
SYMBOLS = ["GOOD", "ODD", "BAD"]

few = settings(max_examples=5, deadline=None)


@few
@given(
    st.lists(st.sampled_from([None, *PASSING]), max_size=30),
    st.one_of(st.none(), st.floats(1, 100)),
    st.lists(st.floats(0, 60), max_size=2),
)
def test_P12_a_job_goes_from_state_to_state_as_the_queue_has_it(
    tmp_path_factory: pytest.TempPathFactory,
    said: list[FailureKind | None],
    retry_after_s: float | None,
    kills: list[float],
) -> None:
    def answer(request: PageRequest, before: int) -> FetchFailure | None:
        kind = said[before] if request.symbol == "ODD" and before < len(said) else None
        return None if kind is None else FetchFailure(kind, "not now", retry_after_s=retry_after_s)

    seen: dict[int, Job] = {}

    def look(now: int, jobs: Sequence[Job]) -> None:
        for job in jobs:
            before = seen.get(job.id)
            if before:
                assert job.state in NEXT[before.state], (before, job)
            else:
                assert job.state in (P, R)
            if before and before.state is W and job.state is not W:
                assert now >= before.not_before, "nobody begins sooner"
            assert (job.finished is not None) == (job.state in OVER)
            assert 0 <= job.attempts <= 6
            assert job.worker or job.state is not R
            seen[job.id] = job

    filling = Filling(tmp_path_factory.mktemp("queue"), Bourse(answer), SYMBOLS)
    for until_s in (*kills, None):
        filling.run(until_s=until_s, look=look)
    assert {job.state for job in filling.jobs()} <= OVER
    assert filling.states()["GOOD"] is JobState.SUCCEEDED


@settings(max_examples=3, deadline=None)
@given(st.sampled_from(PASSING), st.floats(1, 9))
@example(kind=FailureKind.REFUSED, retry_after_s=5.0)
def test_P13_after_five_attempts_it_has_failed_for_good_and_others_go_on(
    tmp_path_factory: pytest.TempPathFactory, kind: FailureKind, retry_after_s: float
) -> None:
    """Also one that alone is refused for asking too much, as long as it lasts."""

    def answer(request: PageRequest, before: int) -> FetchFailure | None:
        bad = request.symbol == "BAD"
        return FetchFailure(kind, "not today", retry_after_s=retry_after_s) if bad else None

    filling = Filling(tmp_path_factory.mktemp("limit"), Bourse(answer), SYMBOLS)
    lines = filling.run()
    assert filling.states() == {
        "GOOD": JobState.SUCCEEDED,
        "ODD": JobState.SUCCEEDED,
        "BAD": JobState.FAILED,
    }
    limited = "rate limited: " if kind is FailureKind.REFUSED else ""
    assert lines["BAD"].error == f"{limited}not today"
    (bad,) = (job for job in filling.jobs() if job.state is JobState.FAILED)
    assert bad.attempts == 6 and bad.finished is not None, "five after the first"
    asked = len(filling.bourse.asked)
    assert asked <= 2 + 6 * (5 if kind is FailureKind.REFUSED else 12)
