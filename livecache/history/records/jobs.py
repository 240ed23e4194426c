"""Jobs: what is wanted of a series, how it stands, and what a store of them promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from ...model.coverage import Coverage

__all__ = [
    "ACTIVE",
    "PRIORITY",
    "PRIORITY_READ",
    "Job",
    "JobState",
    "JobStore",
    "Lease",
    "Order",
    "Outcome",
    "Want",
]

PRIORITY = 100
"""Of a job that nobody waits for. The lower goes first."""

PRIORITY_READ = 10
"""Of a job that a reader waits for: such a one, or a lower, is urgent."""


class JobState(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    """Until its next attempt."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = frozenset((JobState.PENDING, JobState.RUNNING, JobState.WAITING))
"""The states of jobs that are not over."""


class Lease(NamedTuple):
    """The right to work on a job. The token grows each time the job is claimed: an older one is void."""

    job: int
    token: int


class Want(NamedTuple):
    """A wish: that `[start, end)` of a series be known. `force`: even what is known is asked for again.

    From `final` on, where one is given, buckets are not final yet: one that a page has shown is known enough.
    """

    series: int
    start: int
    end: int
    force: bool = False
    priority: int = PRIORITY
    final: int | None = None
    again: bool = False
    """Only what was read before a split."""


@dataclass(frozen=True, slots=True)
class Job:
    """One want that is being fulfilled."""

    id: int
    want: Want
    state: JobState
    attempts: int
    """Failures in a row, without a page in between."""
    not_before: int
    """When its next attempt may begin, by the host's clock."""
    token: int
    worker: str
    """Who works on it; "" if nobody does."""
    lease_until: int
    done: Coverage
    """What it has had committed; with `force` it alone counts as known."""
    error: str
    """Why its last attempt failed, or it did."""
    inserted: int
    revised: int
    same: int
    rejected: int
    pages: int
    created: int
    finished: int | None

    @property
    def lease(self) -> Lease:
        """What its worker holds."""
        return Lease(self.id, self.token)


@dataclass(frozen=True, slots=True)
class Order:
    """What one command or request asked for: the jobs for what is missing of it, the first first."""

    id: int
    key: str
    jobs: tuple[int, ...]
    """Jobs for the same that were under way already are among them."""
    created: int


class Outcome(StrEnum):
    """How a worker leaves a job."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """For good: the venue does not know the symbol, or lets nobody in."""
    RETRY = "retry"
    """An attempt failed, the next one begins later. At the sixth in a row without a page the job fails."""
    RELEASED = "released"
    """Nothing failed, the worker stops: another may go on at once."""


class JobStore(Protocol):
    """The jobs of a store, in the same database as its rows. Times are those of the host's clock."""

    def submit(self, wants: Sequence[Want], *, key: str = "") -> Order:
        """Make a job of each want of which something is missing, and is not under way already.

        With a `key` that was given before the order is the one of then.
        """

    def order(self, key: str) -> Order | None:
        """The order whose key begins so, None where none does."""

    def waiting(self) -> int:
        """How many jobs are not over."""

    def job_counts(self) -> Mapping[JobState, int]:
        """How many jobs there are in each state that any is in."""

    def claim(self, worker: str, venue: str = "", *, urgent: bool | None = None) -> Job | None:
        """The most urgent job that may begin, now this worker's for thirty seconds; None if there is none.

        Of that venue only, if one is given; of those that are urgent or of the others, if that is said.
        """

    def renew(self, lease: Lease) -> None:
        """Thirty seconds more. Raises `LeaseLost`, as does whatever takes a lease."""

    def settle(
        self,
        lease: Lease,
        outcome: Outcome,
        error: str = "",
        *,
        wait_s: float | None = None,
        counts: bool = True,
    ) -> JobState:
        """Leave a job. Returns its state: one that `SUCCEEDED` though something is missing is pending again.

        `wait_s` is how long the venue wants to be left alone, five minutes at most, else it is 5, 10, 20, 40
        and 80 s. An attempt that does not count is not one of these.
        """

    def lacks(self, want: Want) -> Coverage:
        """What is missing of it, as if it were not forced."""

    def missing(self, job: int) -> Coverage:
        """What the job has still to ask for: its plan, where it resumes, and its progress."""

    def job(self, job: int) -> Job | None:
        """One job."""

    def last(self, want: Want) -> Job | None:
        """The newest job for just that stretch, whatever became of it."""

    def jobs(
        self,
        *,
        order: int | None = None,
        states: Sequence[JobState] = (),
        venue: str = "",
        symbol: str = "",
        limit: int = 1_000,
    ) -> Sequence[Job]:
        """Jobs, the newest first: of one order, in one of these states, of one venue, of one symbol."""

    def busy(self, series: int) -> bool:
        """Whether a job of that series is not over, urgent ones apart."""

    def later(self, job: int) -> bool:
        """Whether it is to wait for another one of its symbol, which hears first whether that was split."""

    def cancel(self, job: int) -> bool:
        """Whether it was active, and is no more. Its worker's next commit finds its lease lost."""

    def reopen(self, job: int) -> bool:
        """Whether it had failed or was cancelled, and is pending again. False where the same is under way."""
