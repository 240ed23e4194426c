"""The commands on years of candles: `livecache history …`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from . import options
from .options import Given

if TYPE_CHECKING:
    from ..keys.history_place import Place

__all__ = ["COMMANDS"]

_F = TypeVar("_F", bound=Callable[..., Any])
_STATES = ("pending", "running", "waiting", "succeeded", "failed", "cancelled")


@click.group()
def history() -> None:
    """Keep years of candles in a file of their own."""


@history.command()
@click.option("--venue", help="The id of the venue, where symbols do not say it and there are several.")
@click.option("--symbols", help="By comma; else those configured.")
@click.option("--symbols-file", type=options.FILE, help="JSON with a list `symbols`, or a symbol a line.")
@click.option("--timeframe", "--timeframes", "timeframes", help="By comma; else those configured.")
@click.option("--since", help='A date, an age ("5y", "100d"), or "listing".')
@click.option("--days", type=click.IntRange(min=1), help="So many days back from the end.")
@click.option("--years", type=click.IntRange(min=1), help="So many years back from the end.")
@click.option("--until", help="A date or an age; else now. Exclusive.")
@click.option("--force", is_flag=True, help="Ask again even for what is there.")
@click.option("--oldest-first", is_flag=True, help="Else the newest come first.")
@click.option("--once", is_flag=True, help="End when nothing is missing; so it does anyway.")
@click.option(
    "--scheduled",
    is_flag=True,
    help="For timers: do what is due by history.since, and end; wait for nothing.",
)
@click.option("--report", type=options.FILE, help="A file for the report: .json, else CSV.")
@options.history_url
@options.config
@options.log
@options.as_json
def fill(given: Given, history_url: str | None, report: Path | None, as_json: bool, **asked: object) -> int:
    """Fill what is missing of years of candles.

    It may be stopped at any instant: what is stored stays, and the next run asks for what is missing. Exit 0;
    1 where symbols failed, which the report names; 130 where it was stopped.
    """
    from ..commands.history.asking import wanted_of
    from ..commands.history.fill import fill
    from ..commands.history.opened import place_of
    from ..process.logs import setup

    config = given.load().config
    setup(config.log.level, config.log.format)
    config, wanted = wanted_of(config, **asked)  # type: ignore[arg-type]
    return fill(config, place_of(config, history_url), wanted, report=report, as_json=as_json)


@history.command()
@click.option("--venue", help="The id of one venue; else of all that are configured.")
@options.history_url
@options.config
@options.log
def worker(given: Given, history_url: str | None, venue: str | None) -> int:
    """Work on what is ordered, beside `livecache run` and others, from any host.

    It asks the exchange for what jobs of the history want, whoever has ordered them: a service, a fill, a
    reader. It may be killed at any instant: another one takes its jobs over, half a minute later.
    """
    from ..commands.history.opened import place_of
    from ..commands.history.worker import work

    config = given.load().config
    return work(config, place_of(config, history_url), venue)


def _about(command: _F) -> _F:
    """Of which history, and of which of its series."""
    command = click.option("--symbols", help="Only these, by comma.")(command)
    return click.option("--timeframe", "--timeframes", "timeframes", help="Only these, by comma.")(command)


def _place(command: _F) -> _F:
    """Which history; and how it is told."""
    return options.history_url(options.config(options.as_json(command)))


def _of(given: Given, history_url: str | None) -> Place:
    from ..commands.history.opened import place_of

    return place_of(given.load().config, history_url)


@history.command()
@_about
@_place
def stats(given: Given, history_url: str | None, **told: Any) -> None:
    """Show how much there is of each series.

    Candles, from when to when, how much of that is known, bytes, and how many candles were revised.
    """
    from ..commands.history.look import stats

    stats(_of(given, history_url), **told)


@history.command()
@_about
@click.option("--since", help="From then on, a date or an age; else from what is known first.")
@click.option("--until", help="Until then; else until what is known last.")
@click.option("--top", type=click.IntRange(min=1), help="Only so many, the longest first.")
@_place
def gaps(given: Given, history_url: str | None, **told: Any) -> int:
    """Show what is missing of each series: exit 1 if anything is.

    A bucket that is known to be empty is not missing.
    """
    from ..commands.history.look import gaps

    return gaps(_of(given, history_url), **told)


@history.command()
@_place
def assets(given: Given, history_url: str | None, **told: Any) -> None:
    """List the symbols of which something is stored.

    Since when, the last update, and what the exchange says of each: listing, currency, calendar, name.
    """
    from ..commands.history.look import assets

    assets(_of(given, history_url), **told)


@history.command()
@click.option("--job", type=int, help="Only what is about this job.")
@click.option("--count", "-n", type=click.IntRange(1, 100_000), default=100, help="So many, the newest.")
@_place
def log(given: Given, history_url: str | None, **told: Any) -> None:
    """Show the newest records of the history's own log."""
    from ..commands.history.look import log

    log(_of(given, history_url), **told)


@history.group(invoke_without_command=True)
@click.option("--state", type=click.Choice(_STATES), multiple=True, help="Only in this one; repeatable.")
@click.option("--count", "-n", type=click.IntRange(1, 100_000), default=100, help="So many, the newest.")
@click.option("--watch", "-w", is_flag=True, help="Go on until nothing is left to do, or Ctrl-C.")
@_place
def jobs(given: Given, history_url: str | None, state: tuple[str, ...], watch: bool, **told: Any) -> None:
    """List what is being filled, and what failed; or one job of them."""
    from ..commands.history.jobs import list_jobs, watch_jobs

    context = click.get_current_context()
    if (command := context.invoked_subcommand) is None:
        (watch_jobs if watch else list_jobs)(_of(given, history_url), states=state, **told)
        return
    for option in context.command.params:
        if context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option.opts[0]} is said after {command}, not before it")


@jobs.command("list")
@click.option("--state", type=click.Choice(_STATES), multiple=True, help="Only in this one; repeatable.")
@click.option("--count", "-n", type=click.IntRange(1, 100_000), default=100, help="So many, the newest.")
@_place
def list_(given: Given, history_url: str | None, state: tuple[str, ...], **told: Any) -> None:
    """List jobs, the newest first."""
    from ..commands.history.jobs import list_jobs

    list_jobs(_of(given, history_url), states=state, **told)


@jobs.command()
@click.argument("number", type=int, metavar="JOB")
@_place
def show(given: Given, history_url: str | None, **told: Any) -> None:
    """Show one job: what it wants, what is missing, why it failed."""
    from ..commands.history.jobs import show_job

    show_job(_of(given, history_url), **told)


@jobs.command()
@click.argument("number", type=int, metavar="JOB")
@_place
def cancel(given: Given, history_url: str | None, **told: Any) -> int:
    """End a job; what it has stored stays. Exit 1 if it was over."""
    from ..commands.history.jobs import cancel

    return cancel(_of(given, history_url), **told)


@jobs.command()
@click.argument("number", type=int, metavar="JOB")
@_place
def retry(given: Given, history_url: str | None, **told: Any) -> int:
    """Have a job that failed or was cancelled tried again. Exit 1 if that cannot be."""
    from ..commands.history.jobs import retry

    return retry(_of(given, history_url), **told)


@history.command()
@click.argument("statement", metavar="SQL")
@_about
@click.option("--since", help="Only from then on, a date or an age.")
@click.option("--until", help="Only until then.")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV.")
@_place
def sql(given: Given, history_url: str | None, **told: Any) -> None:
    """Ask what is stored in SQL, answered by DuckDB.

    Such as "SELECT symbol, count(*), min(time), max(time) FROM ohlcv GROUP BY symbol". Tables: ohlcv (time,
    venue, symbol, timeframe, open, high, low, close, volume), provisional (the same, not final yet), series,
    coverage, gaps and actions. What is asked about is read into memory; the file is not changed.
    """
    from ..commands.history.sql import query

    query(_of(given, history_url), **told)


@history.command()
@_about
@click.option("--heal", is_flag=True, help="Put it aside, so that it is asked for again.")
@_place
def verify(given: Given, history_url: str | None, **told: Any) -> int:
    """Read all that is stored, and say what is damaged: exit 7 if anything is."""
    from ..commands.history.keep import verify

    return verify(_of(given, history_url), **told)


@history.command()
@click.argument("copy", type=options.FILE, metavar="FILE")
@_place
def backup(given: Given, history_url: str | None, **told: Any) -> None:
    """Write a copy, whole and consistent, while others write."""
    from ..commands.history.keep import backup

    backup(_of(given, history_url), **told)


@history.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@_about
@options.config
@options.as_json
def copy(given: Given, source: str, target: str, **told: Any) -> int:
    """Copy what another history lacks, and what has changed: FROM and TO are as --history-url.

    From a file into a database, or back. It may be stopped at any instant, and run again and again: only what
    is new is copied. Exit 1 where counts differ in the end.
    """
    from ..commands.files.copying import copy
    from ..commands.history.opened import place_of

    config = given.load().config
    return copy(place_of(config, source, "FROM"), place_of(config, target, "TO"), **told)


@history.command()
def roles() -> None:
    """Print the SQL by which the owner of a PostgreSQL database lets others read or write, and no more."""
    from ..history.postgres.roles import ROLES

    print(ROLES, end="")


@history.command()
@_place
def vacuum(given: Given, history_url: str | None, **told: Any) -> None:
    """Give room that is not used any more back to the file system."""
    from ..commands.history.keep import vacuum

    vacuum(_of(given, history_url), **told)


@history.command()
@click.option("--before", required=True, help='A date, or an age such as "5y".')
@click.option("--yes", is_flag=True, help="Do it; else it is only told.")
@_about
@_place
def drop(given: Given, history_url: str | None, **told: Any) -> None:
    """List what lies before a time; --yes takes it out for good."""
    from ..commands.history.keep import drop

    drop(_of(given, history_url), **told)


@history.command()
@click.argument("target", metavar="DIRECTORY|s3://BUCKET/PREFIX")
@click.option("--every", metavar="60s", help="Go on, and look again so often, until Ctrl-C.")
@click.option("--all", "everything", is_flag=True, help="Read also what has not changed, as after a restore.")
@_about
@_place
def publish(given: Given, history_url: str | None, **told: Any) -> int:
    """Publish years as Parquet files that any number of programs can read, and keep them up.

    Only years that have changed are written again. _manifest.json names the files, and is written last.
    Credentials of a bucket come from the environment. Exit 1 where a series could not be published.
    """
    from ..commands.files.publishing import publish

    return publish(_of(given, history_url), **told)


COMMANDS = (history,)
"""What `livecache history` does."""
