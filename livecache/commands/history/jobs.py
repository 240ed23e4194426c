"""`livecache history jobs`: what is being filled, what failed, and both to be had otherwise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ...model.coverage import Coverage
from ...model.timeframe import iso
from .chosen import name_of, print_table, span_of
from .opened import open_history

if TYPE_CHECKING:
    from ...history.sqlite.store import SqliteHistory
    from ...history.store import Job

__all__ = ["cancel", "list_jobs", "retry", "show_job"]


def list_jobs(path: Path, states: Sequence[str], *, count: int, as_json: bool) -> None:
    """Print jobs, the newest first: all of these states."""
    with open_history(path) as store:
        from ...history.store import JobState

        found = store.jobs(states=[JobState(each) for each in states], limit=count)
        names = {each.id: each for each in store.all_series()}
        told = [(job, names[job.want.series], store.missing(job.id)) for job in found]
    if as_json:
        print(json.dumps({"jobs": [_as_object(job, name_of(info), left) for job, info, left in told]}))
        return
    if not told:
        print("no jobs")
        return
    print_table(
        ("SERIES", "JOB", "STATE", "FROM", "TO", "MISSING", "NEW", "FAILURES"),
        [
            (
                name_of(info),
                str(job.id),
                job.state.value,
                iso(job.want.start),
                iso(job.want.end),
                f"{sum(info.grid.count(*span) for span in left):,}",
                f"{job.inserted:,}",
                str(job.attempts),
            )
            for job, info, left in told
        ],
    )


def show_job(path: Path, number: int, *, as_json: bool) -> None:
    """Print all that is known of one job."""
    with open_history(path) as store:
        job = _found(store, number)
        info, left = store.info(job.want.series), store.missing(number)
    if as_json:
        print(json.dumps(_as_object(job, name_of(info), left)))
        return
    forced = ", also what is known" if job.want.force else ""
    print(f"job {job.id}: {job.state.value}")
    print(f"wanted    {name_of(info)}, {span_of(job.want.start, job.want.end)}{forced}")
    print(f"missing   {', '.join(span_of(*span) for span in left.spans[:10]) or 'nothing'}")
    print(
        f"so far    pages {job.pages:,}: {job.inserted:,} new, {job.same:,} same, {job.revised:,} revised, "
        f"{job.rejected:,} rejected"
    )
    if job.worker:
        print(f"worker    {job.worker}, whose turn ends at {iso(job.lease_until // 1000 * 1000)}")
    if job.error:
        print(f"failed    {job.attempts} times in a row: {job.error}")


def cancel(path: Path, number: int, *, as_json: bool) -> int:
    """End a job; 1 if it was over already. What it has stored stays."""
    with open_history(path, writes=True) as store:
        _found(store, number)
        done = store.cancel(number)
    why = f"job {number} is cancelled" if done else f"job {number} was over already"
    return _say(number, done, why, as_json=as_json)


def retry(path: Path, number: int, *, as_json: bool) -> int:
    """Have a job that failed or was cancelled tried again; 1 if that cannot be."""
    with open_history(path, writes=True) as store:
        job = _found(store, number)
        done = store.reopen(number)
    why = (
        f"job {number} is pending again: the next livecache history fill of its venue does it, too"
        if done
        else f"job {number} is {job.state.value}, or another for the same is under way"
    )
    return _say(number, done, why, as_json=as_json)


def _say(number: int, done: bool, why: str, *, as_json: bool) -> int:
    print(json.dumps({"job": number, "done": done, "message": why}) if as_json else why)
    return 0 if done else 1


def _found(store: SqliteHistory, number: int) -> Job:
    job = store.job(number)
    if job is None:
        raise ConfigError(f"there is no job {number}", "livecache history jobs lists them")
    return job


def _as_object(job: Job, name: str, missing: Coverage) -> dict[str, Any]:
    told = asdict(job)
    del told["want"]
    told["done"], told["missing"] = ([list(span) for span in spans] for spans in (job.done, missing))
    want = job.want
    return {"series": name, "start": want.start, "end": want.end, "force": want.force, **told}
