"""`/api/v1/jobs`: what is being filled, what failed, and both to be had otherwise."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from ...clock import Clock
from ...config.render import redact
from ...history.store import ACTIVE, Job, JobState
from ...model.naming import split_venue
from ..answers import NotServed, answer
from ..route import PARTS
from ..shapes.fields import NoQuery
from ..shapes.jobs import JobRow, JobRows, JobsAnswer, JobsQuery
from ..source import parse
from ..watch.instance import Instance
from .desk import Desk

if TYPE_CHECKING:
    from ...history.store import HistoryDatabase

__all__ = ["JOB", "JOBS", "RETRY", "TOLD_MOST", "Board", "Jobs"]

JOBS, JOB, RETRY = "/api/v1/jobs", "/api/v1/jobs/{id}", "/api/v1/jobs/{id}/retry"

TOLD_MOST = 200
"""Jobs that are not over of which a stream tells: those that are worked on first."""

_PACE_S = 30.0  # a pace is that of the last one or two of these


class _Mark(NamedTuple):
    """So many buckets were left then."""

    at_s: float
    left: int


class Board:
    """What is known of jobs. It remembers what was left of each when it was last looked at, for its pace."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk, self._clock = desk, clock
        self._marks: dict[int, tuple[_Mark, _Mark]] = {}

    async def rows(self, query: JobsQuery, venue: str, symbol: str) -> JobsAnswer:
        """Those that are asked for, the newest first."""

        def look(store: HistoryDatabase) -> JobsAnswer:
            jobs = store.jobs(
                order=query.order,
                states=[JobState(state) for state in query.state],
                venue=venue,
                symbol=symbol,
                limit=query.limit,
            )
            counts = {state.value: count for state, count in store.job_counts().items()}
            return JobsAnswer(jobs=self._told(store, jobs), counts=counts)  # type: ignore[arg-type]

        return await self._desk(look)

    async def row(self, number: int) -> JobRow:
        """One of them. Raises `NotServed` where there is none."""
        return await self._desk(lambda store: self._one(store, number))

    async def under_way(self, besides: Collection[int]) -> list[JobRow]:
        """Those that are not over, `TOLD_MOST` of them, and those of that number."""

        def look(store: HistoryDatabase) -> list[JobRow]:
            at_work = store.jobs(states=(JobState.RUNNING, JobState.WAITING), limit=TOLD_MOST)
            waits = store.jobs(states=(JobState.PENDING,), limit=TOLD_MOST - len(at_work) or 1)
            jobs = {job.id: job for job in (*at_work, *waits)}
            others = [store.job(number) for number in besides if number not in jobs]
            return self._told(store, [*jobs.values(), *(job for job in others if job is not None)])

        return await self._desk(look)

    async def cancel(self, number: int) -> JobRow:
        """End it. Raises `NotServed` where that cannot be."""

        def cancel(store: HistoryDatabase) -> JobRow:
            job = self._one(store, number)
            if not store.cancel(number):
                raise _wrong_state(job, "is over already", "what it has stored stays")
            return self._one(store, number)

        return await self._desk(cancel)

    async def retry(self, number: int) -> JobRow:
        """Have it tried again. Raises `NotServed` where that cannot be."""

        def retry(store: HistoryDatabase) -> JobRow:
            job = self._one(store, number)
            if not store.reopen(number):
                hint = "what failed or was cancelled is tried again, unless the same is under way"
                raise _wrong_state(job, f"is {job.state}", hint)
            return self._one(store, number)

        return await self._desk(retry)

    # --- in the desk's thread

    def _one(self, store: HistoryDatabase, number: int) -> JobRow:
        job = store.job(number)
        if job is None:
            raise NotServed("unknown_job", 404, f"there is no job {number}", f"see {JOBS}", again_s=None)
        (row,) = self._told(store, [job])
        return row

    def _told(self, store: HistoryDatabase, jobs: Sequence[Job]) -> list[JobRow]:
        rows = []
        with store.reading():
            for job in jobs:
                want, info = job.want, store.info(job.want.series)
                wanted = info.grid.count(want.start, want.end)
                missing = () if job.state is JobState.SUCCEEDED else store.missing(job.id)
                left = sum(info.grid.count(*span) for span in missing)
                venue, symbol, timeframe = info.key
                rows.append(
                    JobRow(
                        id=job.id,
                        state=job.state.value,
                        venue=venue,
                        symbol=symbol,
                        timeframe=timeframe.value,
                        from_=want.start,
                        to=want.end,
                        force=want.force,
                        covered=max(0, wanted - left),
                        wanted=wanted,
                        progress=max(0.0, 1 - left / wanted) if wanted else 1.0,
                        eta_s=self._eta_s(job, left),
                        error=redact(job.error),
                        attempts=job.attempts,
                        retry_at=job.not_before if job.state is JobState.WAITING else None,
                        created=job.created,
                        finished=job.finished,
                        worker=job.worker,
                        pages=job.pages,
                        rows=JobRows(
                            inserted=job.inserted, revised=job.revised, same=job.same, rejected=job.rejected
                        ),
                    )
                )
        return rows

    def _eta_s(self, job: Job, left: int) -> float | None:
        if job.state not in ACTIVE or not left:
            self._marks.pop(job.id, None)
            return None
        now = _Mark(self._clock.monotonic(), left)
        older, newer = self._marks.get(job.id, (now, now))
        if left > older.left:
            older = newer = now
        if now.at_s >= newer.at_s + _PACE_S:
            older, newer = newer, now
        if len(self._marks) > 10 * TOLD_MOST:
            self._marks.clear()
        self._marks[job.id] = older, newer
        done, passed_s = older.left - left, now.at_s - older.at_s
        return round(passed_s * left / done, 1) if done and job.state is JobState.RUNNING else None


def _wrong_state(job: JobRow, what: str, hint: str) -> NotServed:
    return NotServed("job_state", 409, f"job {job.id} {what}", hint, again_s=None)


class Jobs:
    """The handlers."""

    def __init__(self, instance: Instance, board: Board) -> None:
        self._instance = instance
        self._board = board

    async def show(self, request: web.BaseRequest) -> web.StreamResponse:
        """Jobs: GET."""
        query = parse(request, JobsQuery, repeated="state")
        venue, symbol = None, query.symbol or ""
        if symbol:
            venue, symbol = split_venue(symbol, self._instance.config.venues)
        return answer(await self._board.rows(query, venue or query.venue or "", symbol))

    async def show_one(self, request: web.BaseRequest) -> web.StreamResponse:
        """One job: GET."""
        parse(request, NoQuery)
        return answer(await self._board.row(_number(request)))

    async def cancel(self, request: web.BaseRequest) -> web.StreamResponse:
        """End a job; what it has stored stays: DELETE."""
        parse(request, NoQuery)
        return answer(await self._board.cancel(_number(request)))

    async def retry(self, request: web.BaseRequest) -> web.StreamResponse:
        """Have a job tried again that failed or was cancelled: POST."""
        parse(request, NoQuery)
        return answer(await self._board.retry(_number(request)), 202)


def _number(request: web.BaseRequest) -> int:
    text = request[PARTS]["id"]
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise NotServed("unknown_job", 404, f"{text[:40]!r} is no job", f"see {JOBS}", again_s=None)
    return int(text)
