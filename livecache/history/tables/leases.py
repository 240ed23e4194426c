"""A job's lease, as a fence inside other transactions."""

from __future__ import annotations

import json

from ...errors import LeaseLost
from ...model.coverage import Coverage
from ..store import Commit, Lease
from .database import Sql

__all__ = ["LEASE_MS", "advance", "hold"]

LEASE_MS = 30_000


def hold(db: Sql, lease: Lease, now: int) -> None:
    """Renew a lease. Raises `LeaseLost`."""
    held = db.execute(
        "UPDATE jobs SET lease_until = ? WHERE id = ? AND token = ? AND state = 'running'",
        (now + LEASE_MS, lease.job, lease.token),
    )
    if not held.rowcount:
        raise LeaseLost(
            f"job {lease.job} is another worker's by now, or cancelled",
            "claim another one: nothing was stored",
        )


def advance(db: Sql, lease: Lease, page: Commit, covered: Coverage) -> None:
    """A page of the job is stored: its failures so far do not count any more."""
    (done,) = db.execute("SELECT done FROM jobs WHERE id = ?", (lease.job,)).fetchone()
    db.execute(
        "UPDATE jobs SET inserted = inserted + ?, revised = revised + ?, same = same + ?,"
        " rejected = rejected + ?, pages = pages + 1, attempts = 0, done = ? WHERE id = ?",
        (
            *(page.inserted, page.revised, page.same, page.rejected),
            *(json.dumps((Coverage(json.loads(done)) | covered).spans), lease.job),
        ),
    )
