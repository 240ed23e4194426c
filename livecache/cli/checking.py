"""The commands that look for what is wrong with the data, and have it mended."""

from __future__ import annotations

from typing import Any

import click

from ..config.load import parse_timeframes
from . import options
from .options import Given, symbols_of

__all__ = ["COMMANDS"]


@click.command()
@options.symbols_and_timeframes
@click.option(
    "--gap",
    "gap_buckets",
    type=click.IntRange(min=1),
    default=1,
    help="Report gaps of at least so many buckets.",
)
@click.option(
    "--against-venue",
    is_flag=True,
    help="Compare settled candles with what the exchange's own SDK returns: a request for each 299 "
    "buckets of a series, at half of requests_per_second while a service runs.",
)
@click.option(
    "--requests",
    "requests_most",
    type=click.IntRange(min=1, max=100_000),
    default=1_000,
    help="With --against-venue, at most so many.",
)
@click.option("--verbose", "-v", is_flag=True, help="Every finding, not one line a series and kind.")
@options.as_json
@click.option("--csv", "csv_table", help="As CSV, one table of: series, findings, gaps.")
@click.option(
    "--output", type=options.FILE, help="Write all of it into this directory too: CSV, JSON and text."
)
@options.cache
def check(symbols: str | None, timeframes: str | None, given: Given, **wanted: Any) -> int:
    """Check the quality of what is stored.

    Exit 0 if it is clean, 7 if anything is wrong: with what was found, and the commands that would mend it.
    """
    from ..commands.check import Wanted, check

    chosen = None if timeframes is None else parse_timeframes("--timeframes", timeframes)
    told = Wanted(symbols_of(symbols), chosen, options=given.again(), **wanted)
    return check(given.load().config, told)


@click.command()
@options.symbol_and_timeframe
@click.option("--from", "start", help="The first bucket: ISO 8601, UTC, or Unix ms.")
@click.option("--to", "end", help="The end, exclusive; without it, the last close.")
@click.option("--all", "everything", is_flag=True, help="All that is kept of the series.")
@click.option("--wait", is_flag=True, help="Return once all of it has been read again.")
@options.service
@options.as_json
@options.config
def repair(
    symbol: str,
    timeframe: str,
    start: str | None,
    end: str | None,
    everything: bool,
    wait: bool,
    service: str | None,
    as_json: bool,
    given: Given,
) -> int:
    """Have the running service read a span again.

    Of one series, such as BTC-USD 5m. The service writes it anew at once, and then reads the span from the
    exchange. What is settled stays served meanwhile; what the exchange says otherwise by now is announced as
    a revision.
    """
    from ..commands.repair import Order, repair

    order = Order(
        symbol if ":" in symbol else symbol.upper(), timeframe, start, end, everything, wait, as_json, service
    )
    return repair(given.load().config, order)


COMMANDS = (check, repair)
