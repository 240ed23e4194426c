"""`livecache history jobs`: what is being filled, what failed, and both to be had otherwise."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from ...clock import SystemClock
from ...errors import ConfigError
from ...model.coverage import Coverage
from ...model.timeframe import iso
from .. import terminal
from .chosen import name_of, print_table, span_of, table_lines
from .opened import Place, open_history

if TYPE_CHECKING:
    from ...history.store import HistoryDatabase, Job, SeriesInfo

__all__ = ["cancel", "changes", "list_jobs", "retry", "show_job", "watch_jobs"]

_EVERY_S = 1.0


_HEAD = ("SERIES", "JOB", "STATE", "FROM", "TO", "MISSING", "NEW", "FAILURES")


class _Told(NamedTuple):
    """A job, its series, and what it still has to ask for."""

    job: Job
    series: SeriesInfo
    missing: Coverage


def list_jobs(place: Place, states: Sequence[str], *, count: int, as_json: bool) -> None:
    """Print jobs, the newest first: all of these states."""
    with open_history(place) as store:
        told = _look(store, states, count)
    if as_json:
        print(_json(told))
    elif not told:
        print("no jobs")
    else:
        print_table(_HEAD, _rows(told))


def _wait() -> None:
    time.sleep(_EVERY_S)


def watch_jobs(
    place: Place,
    states: Sequence[str],
    *,
    count: int,
    as_json: bool,
    pause: Callable[[], None] = _wait,
) -> None:
    """Show them anew each second, until none has anything left to do or Ctrl-C.

    In a pipe each change of a job's state is a line; as JSON each look is one.
    """
    with open_history(place) as store, suppress(KeyboardInterrupt), ExitStack() as stack:
        show = _on_terminal(stack) if terminal.is_terminal() and not as_json else None
        before: list[_Told] = []
        while True:
            told = _look(store, states, count)
            if as_json:
                print(_json(told), flush=True)
            elif show:
                show("\n".join(table_lines(_HEAD, _rows(told))))
            else:
                for line in changes(before, told):
                    print(f"{iso(int(SystemClock().wall()) * 1000)} {line}", flush=True)
            if not any(each.job.finished is None for each in told):
                return
            before = told
            pause()


def changes(before: Sequence[_Told], after: Sequence[_Told]) -> Iterator[str]:
    """A line for each job that is in another state than before, or is new. Pure."""
    states = {each.job.id: each.job.state for each in before}
    for job, info, _ in reversed(after):
        earlier = states.get(job.id)
        if earlier != job.state:
            was = f"{earlier.value} -> " if earlier else ""
            why = f": {job.error}" if job.error else f", {job.inserted:,} candles new"
            yield f"job {job.id} {name_of(info)} {was}{job.state.value}{why}"


def _look(store: HistoryDatabase, states: Sequence[str], count: int) -> list[_Told]:
    from ...history.store import JobState

    found = store.jobs(states=[JobState(each) for each in states], limit=count)
    names = {each.id: each for each in store.all_series()}
    return [_Told(job, names[job.want.series], store.missing(job.id)) for job in found]


def _json(told: Sequence[_Told]) -> str:
    return json.dumps({"jobs": [_as_object(job, name_of(info), left) for job, info, left in told]})


def _rows(told: Sequence[_Told]) -> list[tuple[str, ...]]:
    return [
        (
            *(name_of(info), str(job.id), job.state.value, iso(job.want.start), iso(job.want.end)),
            f"{sum(info.grid.count(*span) for span in left):,}",
            f"{job.inserted:,}",
            str(job.attempts),
        )
        for job, info, left in told
    ]


def _on_terminal(stack: ExitStack) -> Callable[[str], None]:
    """What draws a text in the place of the last one."""
    from rich.live import Live
    from rich.text import Text

    live = stack.enter_context(Live(auto_refresh=False))
    return lambda text: live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)


def show_job(place: Place, number: int, *, as_json: bool) -> None:
    """Print all that is known of one job."""
    with open_history(place) as store:
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


def cancel(place: Place, number: int, *, as_json: bool) -> int:
    """End a job; 1 if it was over already. What it has stored stays."""
    with open_history(place, writes=True) as store:
        _found(store, number)
        done = store.cancel(number)
    why = f"job {number} is cancelled" if done else f"job {number} was over already"
    return _say(number, done, why, as_json=as_json)


def retry(place: Place, number: int, *, as_json: bool) -> int:
    """Have a job that failed or was cancelled tried again; 1 if that cannot be."""
    with open_history(place, writes=True) as store:
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


def _found(store: HistoryDatabase, number: int) -> Job:
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
