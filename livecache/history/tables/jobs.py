"""Jobs: a state machine in a table, beside the rows that they are for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from ...equities.scale import stale
from ...errors import OutsideCalendar
from ...model.coverage import Coverage
from ..planner import holding
from ..store import ACTIVE, PRIORITY_READ, Job, JobState, Lease, Order, Outcome, Want
from .database import Sql, Tables
from .leases import LEASE_MS, hold
from .provisional import shown
from .reading import info_of, known
from .symbols import AGAIN, scales_of

__all__ = ["PAUSES_S", "Jobs"]

PAUSES_S = (5, 10, 20, 40, 80)
"""How long a job waits after each failure in a row; after one more it has failed."""

_JOB = (
    'id, series, start, "end", force, priority, state, attempts, not_before, token, worker, lease_until,'
    " done, error, inserted, revised, same, rejected, pages, created, finished, final"
)
_LAST = "\U0010ffff"

_URGENT = f"CASE WHEN priority <= {PRIORITY_READ} THEN 1 ELSE 0 END"
_ACTIVE = "('pending', 'running', 'waiting')"

# A clock that was set back leaves leases and pauses that seem to last for ever.
_CLAIM = f"""UPDATE jobs SET state = 'running', worker = :worker, token = token + 1,
        lease_until = :now + :lease
    WHERE id = (SELECT jobs.id FROM jobs JOIN series ON series.id = jobs.series
        WHERE state IN {_ACTIVE} AND (venue = :venue OR :venue = '')
          AND coalesce(CAST(:urgent AS integer), {_URGENT}) = {_URGENT}
          AND (state IN ('pending', 'waiting') AND NOT not_before BETWEEN :now + 1 AND :now + 10 * :lease
               OR state = 'running' AND NOT lease_until BETWEEN :now + 1 AND :now + 10 * :lease)
        ORDER BY priority, jobs.id LIMIT 1{{first_free}})
    RETURNING {_JOB}"""


_LATER = f"""SELECT 1 FROM jobs JOIN series ON series.id = jobs.series
    JOIN jobs other ON other.id != jobs.id AND other.state IN {_ACTIVE}
    JOIN series its ON its.id = other.series AND its.venue = series.venue AND its.symbol = series.symbol
    WHERE jobs.id = ? AND other.force < {AGAIN}
      AND (jobs.priority > {PRIORITY_READ} OR other.priority <= {PRIORITY_READ})
      AND (jobs.force = {AGAIN} OR other.pages = 0
        AND (other."end" > jobs."end" OR other."end" = jobs."end" AND jobs.pages > 0)) LIMIT 1"""


class Jobs(Tables):
    """Jobs."""

    def submit(self, wants: Sequence[Want], *, key: str = "") -> Order:
        """Make a job of each want of which something is missing, and is not under way already."""
        with self.writing() as db:
            self.alone(db)
            given = db.execute("SELECT id, jobs, created FROM orders WHERE key = ?", (key,)).fetchone()
            if given:
                return Order(given[0], key, tuple(json.loads(given[1])), given[2])
            now = self.now()
            made_of = (job for want in wants if (job := _submit(db, want, now)) is not None)
            jobs = list(dict.fromkeys(made_of))
            made = db.execute(
                "INSERT INTO orders (key, jobs, created) VALUES (?, ?, ?) RETURNING id",
                (key or None, json.dumps(jobs), now),
            ).fetchone()
        return Order(made[0], key, tuple(jobs), now)

    def order(self, key: str) -> Order | None:
        """The order whose key begins so."""
        found = self.one(
            "SELECT id, key, jobs, created FROM orders WHERE key BETWEEN ? AND ? ORDER BY id LIMIT 1",
            *(key, key + _LAST),
        )
        return Order(found[0], found[1], tuple(json.loads(found[2])), found[3]) if found else None

    def waiting(self) -> int:
        """How many jobs are not over."""
        found: tuple[int] = self.one(f"SELECT count(*) FROM jobs WHERE state IN {_ACTIVE}")
        return found[0]

    def job_counts(self) -> Mapping[JobState, int]:
        """How many jobs there are in each state that any is in."""
        with self.reading() as db:
            found = db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall()
        return {JobState(state): count for state, count in found}

    def claim(self, worker: str, venue: str = "", *, urgent: bool | None = None) -> Job | None:
        """The most urgent job that may begin, now this worker's for thirty seconds; None if there is none."""
        with self.writing() as db:
            values = {"worker": worker, "venue": venue, "now": self.now(), "lease": LEASE_MS}
            values["urgent"] = None if urgent is None else int(urgent)
            found = db.execute(_CLAIM.format(first_free=self.first_free), values).fetchall()
        return _job(found[0]) if found else None

    def renew(self, lease: Lease) -> None:
        """Thirty seconds more. Raises `LeaseLost`."""
        with self.writing() as db:
            hold(db, lease, self.now())

    def settle(
        self,
        lease: Lease,
        outcome: Outcome,
        error: str = "",
        *,
        wait_s: float | None = None,
        counts: bool = True,
    ) -> JobState:
        """Leave a job. Returns its state."""
        with self.writing() as db:
            now = self.now()
            hold(db, lease, now)
            job = _one(db, lease.job)
            attempts = job.attempts + (outcome is Outcome.RETRY and counts)
            state, pause_s = JobState.PENDING, 0.0
            match outcome:
                case Outcome.SUCCEEDED if not _missing(db, job):
                    state = JobState.SUCCEEDED
                case Outcome.FAILED:
                    state = JobState.FAILED
                case Outcome.RETRY:
                    state = JobState.WAITING if attempts <= len(PAUSES_S) else JobState.FAILED
                    pause_s = PAUSES_S[max(0, min(attempts, len(PAUSES_S)) - 1)] if wait_s is None else wait_s
            db.execute(
                "UPDATE jobs SET state = ?, attempts = ?, not_before = ?, error = ?, worker = '',"
                " lease_until = 0, finished = ? WHERE id = ?",
                (
                    *(state, attempts, now + int(pause_s * 1000), error),
                    *(None if state in ACTIVE else now, lease.job),
                ),
            )
        return state

    def lacks(self, want: Want) -> Coverage:
        """What is missing of it, as if it were not forced."""
        with self.reading() as db:
            return _lacks(db, want)

    def missing(self, job: int) -> Coverage:
        """What the job has still to ask for: its plan, where it resumes, and its progress."""
        with self.reading() as db:
            return _missing(db, _one(db, job))

    def job(self, job: int) -> Job | None:
        """One job."""
        found = self.one(f"SELECT {_JOB} FROM jobs WHERE id = ?", job)
        return _job(found) if found else None

    def last(self, want: Want) -> Job | None:
        """The newest job for just that stretch, whatever became of it."""
        with self.reading() as db:
            want = _whole(db, want)
        found = self.one(f"SELECT {_JOB} FROM jobs WHERE key = ? ORDER BY id DESC LIMIT 1", _key(want))
        return _job(found) if found else None

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
        where, values = ["true"], list[object]()
        for column, name in (("venue", venue), ("symbol", symbol)):
            if name:
                where.append(f"series IN (SELECT id FROM series WHERE {column} = ?)")
                values.append(name)
        if order is not None:
            found = self.one("SELECT jobs FROM orders WHERE id = ?", order)
            of = json.loads(found[0]) if found else []
            where.append(f"id IN ({', '.join(map(str, of)) or 'NULL'})")
        if states:
            where.append(f"state IN ({', '.join('?' * len(states))})")
            values += states
        with self.reading() as db:
            found = db.execute(
                f"SELECT {_JOB} FROM jobs WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?",
                (*values, limit),
            ).fetchall()
        return [_job(row) for row in found]

    def busy(self, series: int) -> bool:
        """Whether a job of that series is not over, urgent ones apart."""
        deep = f"state IN {_ACTIVE} AND priority > {PRIORITY_READ}"
        return self.one(f"SELECT 1 FROM jobs WHERE series = ? AND {deep} LIMIT 1", series) is not None

    def later(self, job: int) -> bool:
        """Whether another job of its symbol is to hear first whether it was split."""
        return self.one(_LATER, job) is not None

    def cancel(self, job: int) -> bool:
        """Whether it was active, and is no more."""
        with self.writing() as db:
            done = db.execute(
                "UPDATE jobs SET state = 'cancelled', worker = '', finished = ?"
                f" WHERE id = ? AND state IN {_ACTIVE}",
                (self.now(), job),
            )
        return bool(done.rowcount)

    def reopen(self, job: int) -> bool:
        """Whether it had failed or was cancelled, and is pending again."""
        with self.writing() as db:
            done = db.execute(
                "UPDATE jobs SET state = 'pending', attempts = 0, not_before = 0, error = '', finished = NULL"
                " WHERE id = ? AND state IN ('failed', 'cancelled') AND NOT EXISTS"
                f" (SELECT 1 FROM jobs same WHERE same.key = jobs.key AND same.state IN {_ACTIVE})",
                (job,),
            )
        return bool(done.rowcount)


def _whole(db: Sql, want: Want) -> Want:
    """The buckets of it, with the closed hours before the first one: no page brings a part of one."""
    grid = info_of(db, want.series)[0].grid
    with suppress(OutsideCalendar):
        start = max(want.start, grid.closed(grid.ceil(want.start)))
        return want._replace(start=start, end=grid.closed(want.end))
    return want


def _submit(db: Sql, want: Want, now: int) -> int | None:
    want = _whole(db, want)
    if want.start >= want.end:
        return None
    if not want.force and not _lacks(db, want):
        return None
    (number,) = db.execute(
        'INSERT INTO jobs (key, series, start, "end", force, priority, final, created)'
        f" VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) WHERE state IN {_ACTIVE} DO UPDATE SET"
        " priority = CASE WHEN excluded.priority < jobs.priority THEN excluded.priority"
        " ELSE jobs.priority END RETURNING id",
        (_key(want), *want[:3], int(want.force), *want[4:6], now),
    ).fetchone()
    return int(number)


def _key(want: Want) -> str:
    return f"{want.series}:{want.start}:{want.end}:{int(want.force)}"


def _missing(db: Sql, job: Job) -> Coverage:
    want = job.want
    if want.again:
        return stale(scales_of(db, want.series)).clip(want.start, want.end)
    if want.force:
        return holding(info_of(db, want.series)[0].grid, job.done.missing(want.start, want.end))
    return _lacks(db, want)


def _lacks(db: Sql, want: Want) -> Coverage:
    grid, held = info_of(db, want.series)[0].grid, known(db, want.series, want.start, want.end)
    if want.final is not None:
        held |= shown(db, want.series, grid, want.final, want.end)[1]
    return holding(grid, held.missing(want.start, want.end))


def _one(db: Sql, job: int) -> Job:
    found = db.execute(f"SELECT {_JOB} FROM jobs WHERE id = ?", (job,)).fetchone()
    if found is None:
        raise LookupError(f"no job {job}")
    return _job(found)


def _job(row: Iterable[object]) -> Job:
    number, series, start, end, force, priority, state, *facts = row
    attempts, not_before, token, worker, lease_until, done, *rest, final = facts
    want = Want(series, start, end, bool(force), priority, final, force == AGAIN)  # type: ignore[arg-type]
    held = (attempts, not_before, token, worker, lease_until, Coverage(json.loads(done)))  # type: ignore[arg-type]
    return Job(number, want, JobState(state), *held, *rest)  # type: ignore[arg-type]
