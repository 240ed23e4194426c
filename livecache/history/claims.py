"""The jobs that one worker holds: whenever it is stopped, none is left to wait for its lease."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from ..clock import Clock
from ..errors import HistoryError, LeaseLost
from .store import Job, JobState, JobStore, Lease, Outcome
from .thread import Blocking

__all__ = ["Claims"]

_RENEW_S = 10.0


class Claims:
    """What is noted of a job is noted in the store's thread: whatever ends the wait for it, it is known."""

    def __init__(
        self,
        jobs: JobStore,
        thread: Blocking,
        clock: Clock,
        *,
        worker: str,
        venue: str,
        urgent: bool | None = None,
    ) -> None:
        self._jobs, self._thread, self._clock = jobs, thread, clock
        self._worker, self._venue, self._urgent = worker, venue, urgent
        self._held: dict[int, Lease] = {}

    async def claim(self) -> Job | None:
        """The most urgent job that may begin; None if there is none."""

        def claim() -> Job | None:
            job = self._jobs.claim(self._worker, self._venue, urgent=self._urgent)
            if job is not None:
                self._held[job.id] = job.lease
            return job

        return await self._thread(claim)

    async def settle(
        self,
        lease: Lease,
        outcome: Outcome,
        error: str = "",
        *,
        wait_s: float | None = None,
        counts: bool = True,
    ) -> JobState:
        """Leave a job, as `JobStore.settle` does."""

        def settle() -> JobState:
            state = self._jobs.settle(lease, outcome, error, wait_s=wait_s, counts=counts)
            self._held.pop(lease.job, None)
            return state

        return await self._thread(settle)

    def lost(self, job: Job) -> None:
        """It is another worker's."""
        self._held.pop(job.id, None)

    async def keep(self, job: Job) -> None:
        """Renew the lease while no page comes: in a ban, or before a second look."""
        with suppress(LeaseLost):  # The next commit says so.
            while True:
                await self._clock.sleep(_RENEW_S)
                await self._thread(partial(self._jobs.renew, job.lease))

    async def release(self) -> None:
        """Leave all that are held to others: claimed just now, no work on them has begun."""
        for lease in list(self._held.values()):
            with suppress(HistoryError):
                await self.settle(lease, Outcome.RELEASED)
