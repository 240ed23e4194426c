"""The commands that look for what is wrong with the data, and have it mended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..config import parse_timeframes
from .options import (
    ConfigOption,
    JsonOption,
    PrefixOption,
    RedisOption,
    SymbolArgument,
    SymbolsOption,
    TimeframeArgument,
    TimeframesOption,
    load_config,
    symbols_of,
    told_again,
)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(check)
    app.command()(repair)


def check(
    symbols: SymbolsOption = None,
    timeframes: TimeframesOption = None,
    gap: Annotated[int, typer.Option("--gap", min=1, help="Report gaps of at least so many buckets.")] = 1,
    against_venue: Annotated[
        bool,
        typer.Option(
            "--against-venue",
            help="Compare settled candles with what the exchange's own SDK returns: a request for each 299 "
            "buckets of a series, at half of requests_per_second while a service runs.",
        ),
    ] = False,
    requests: Annotated[
        int, typer.Option("--requests", min=1, max=100_000, help="With --against-venue, at most so many.")
    ] = 1_000,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Every finding, not one line a series and kind.")
    ] = False,
    as_json: JsonOption = False,
    csv: Annotated[
        str | None, typer.Option("--csv", help="As CSV, one table of: series, findings, gaps.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Write all of it into this directory too: CSV, JSON and text."),
    ] = None,
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
) -> None:
    """Check the quality of what is stored.

    Exit 0 if it is clean, 7 if anything is wrong: with what was found, and the commands that would mend it.
    """
    from ..commands.check import Wanted, check

    wanted = Wanted(
        symbols=symbols_of(symbols),
        timeframes=None if timeframes is None else parse_timeframes("--timeframes", timeframes),
        gap_buckets=gap,
        as_json=as_json,
        csv_table=csv,
        output=output,
        against_venue=against_venue,
        requests_most=requests,
        verbose=verbose,
        options=told_again(config, redis_url, prefix),
    )
    raise typer.Exit(check(load_config(config, redis_url, prefix).config, wanted))


def repair(
    symbol: SymbolArgument,
    timeframe: TimeframeArgument,
    start: Annotated[
        str | None, typer.Option("--from", help="The first bucket: ISO 8601, UTC, or Unix ms.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="The end, exclusive; without it, the last close.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is kept of the series.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return once all of it has been read again.")] = False,
    service: Annotated[
        str | None,
        typer.Option("--service", help="The service's URL; else http.listen of the configuration."),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Have the running service read a span again.

    It writes the series anew at once, and then reads the span from the exchange. What is settled stays served
    meanwhile; what the exchange says otherwise by now is announced as a revision.
    """
    from ..commands.repair import Order, repair

    order = Order(symbol.upper(), timeframe, start, end, everything, wait, as_json, service)
    raise typer.Exit(repair(load_config(config, None, None).config, order))
