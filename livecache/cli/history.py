"""The commands on years of candles: `livecache history …`."""

from __future__ import annotations

from pathlib import Path

import click

from . import options
from .options import Given

__all__ = ["COMMANDS"]

_url = click.option("--history-url", help='"embedded", or sqlite:///path/to/history.db; else history.url.')


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
@click.option("--scheduled", is_flag=True, help="Go on for ever, and fill what comes to be missing.")
@click.option("--report", type=options.FILE, help="A file for the report: .json, else CSV.")
@_url
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


COMMANDS = (history,)
