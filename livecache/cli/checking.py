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
@click.option(
    "--html", type=options.FILE, help="With --history: write it as a page with plots into this file."
)
@click.option("--history", is_flag=True, help="Check the years in the history's file, not the cache.")
@options.history_url
@click.option("--since", help="With --history: from then on, a date or an age; else from what is known.")
@click.option("--until", help="With --history: until then; else as far as anything is known.")
@click.option("--top", type=click.IntRange(min=1), default=100, help="With --history: list so many gaps.")
@click.option(
    "--move",
    type=click.FloatRange(min=1),
    default=12.0,
    help="With --history: a move that comes back is an outlier from so many times the usual one.",
)
@click.option(
    "--wick",
    type=click.FloatRange(min=1),
    default=20.0,
    help="With --history: a wick is one from so many times the ranges beside it.",
)
@click.option("--peers", is_flag=True, help="With --history: compare one asset over several venues.")
@click.option("--strict", is_flag=True, help="With --history: exit 7 by warnings, too.")
@options.cache
def check(
    symbols: str | None,
    timeframes: str | None,
    given: Given,
    history: bool,
    **wanted: Any,
) -> int:
    """Check the quality of what is stored.

    Exit 0 if it is clean, 7 if anything is wrong: with what was found, and the commands that would mend it.
    """
    options.refuse(_OF_CACHE if history else _OF_HISTORY, history=history)
    if history:
        from ..commands.history import check as of_history
        from ..commands.history.opened import place_of

        place = place_of(given.load().config, wanted["history_url"])
        names = of_history.Wanted.__dataclass_fields__
        told = {name: value for name, value in wanted.items() if name in names}
        return of_history.check_history(place, of_history.Wanted(symbols, timeframes, **told))
    from ..commands.check import Wanted, check

    wanted = {name: value for name, value in wanted.items() if name in Wanted._fields}
    chosen = None if timeframes is None else parse_timeframes("--timeframes", timeframes)
    asked = Wanted(symbols_of(symbols), chosen, options=given.again(), **wanted)
    return check(given.load().config, asked)


_OF_CACHE = {"against_venue", "requests_most", "redis_url", "prefix"}
_OF_HISTORY = {"history_url", "since", "until", "top", "move", "wick", "peers", "strict", "html"}


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
