"""The commands that look into the cache and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..config import parse_timeframes
from .completion import complete_symbol
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
)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (status, show, watch, series, ready, export):
        app.command()(command)
    # What follows the Redis command is Redis's, however much `-1` looks like an option.
    app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})(redis)


def status(
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            "-w",
            help="Go on until q or Ctrl-C; in a pipe, a line for each change of a state.",
        ),
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds between two looks with --watch.")
    ] = 1.0,
    symbols: SymbolsOption = None,
    timeframes: TimeframesOption = None,
    state: Annotated[
        str | None,
        typer.Option("--state", help="Only those in these states, with commas between; or: trouble."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every series in a line, however many.")] = False,
    short: Annotated[
        bool, typer.Option("--short", help="A line a series: symbol, timeframe, state.")
    ] = False,
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how the series stand, those in trouble first.

    Its state, how many candles, how far it is settled, how far that is behind, and why it is not ready. More
    than a screen holds are folded: a line a symbol, and a count of those that are all ready.
    """
    from ..commands.status import Wanted, show_status, states_of

    loaded = load_config(config, redis_url, prefix)
    wanted = Wanted(
        symbols=symbols_of(symbols),
        timeframes=None if timeframes is None else parse_timeframes("--timeframes", timeframes),
        states=states_of(state),
        everything=everything,
        short=short,
        as_json=as_json,
    )
    if watch:
        from ..commands.watch_status import watch_status

        watch_status(loaded.config, wanted, every_s=every)
    else:
        show_status(loaded, wanted)


def show(
    symbol: SymbolArgument,
    timeframe: TimeframeArgument,
    count: Annotated[
        int, typer.Option("--count", "-n", min=0, max=10_000, help="How many of the newest buckets to list.")
    ] = 10,
    chart: Annotated[bool, typer.Option("--chart/--no-chart", help="Draw the candles.")] = True,
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one series: its candles, and who vouches for them.

    What a reader would be refused is shown as well; then the exit code is 1, with the reason.
    """
    from ..commands.show import show_series

    loaded = load_config(config, redis_url, prefix)
    show_series(loaded.config, symbol, timeframe, count=count, draw=chart, as_json=as_json)


def watch(
    symbol: SymbolArgument,
    timeframe: TimeframeArgument,
    count: Annotated[
        int, typer.Option("--count", "-n", min=0, max=10_000, help="Begin with so many closed buckets.")
    ] = 5,
    forming: Annotated[
        bool | None,
        typer.Option(
            "--forming/--no-forming",
            help="Also the bucket in progress, as it changes. By default on a terminal only.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show what happens to one series, as it happens.

    Each bucket as it closes, as it is settled, if it is revised; and whether anybody vouches. Ctrl-C ends it.
    """
    from ..commands.watch import watch_series

    loaded = load_config(config, redis_url, prefix)
    watch_series(loaded.config, symbol, timeframe, count=count, forming=forming, as_json=as_json)


def series(
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the series that are filled."""
    from ..commands.series import list_series

    list_series(load_config(config, redis_url, prefix).config, as_json=as_json)


def ready(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SYMBOL|TIMEFRAME]...",
            help="Only these: BTC-USD 5m, several of both, or BTC-USD:5m. Each has to be known and traded.",
            show_default=False,
            autocompletion=complete_symbol,
        ),
    ] = None,
    health: Annotated[
        bool,
        typer.Option(
            "--health",
            help="For an orchestrator's health check: once all has been ready, it is enough that the service "
            "and Redis live, so that an outage of the venue does not get the cache restarted.",
        ),
    ] = False,
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether all series are ready, or some: exit 0, or 1.

    With a reason for each that is not. A series of which the venue has no more holds nothing back.
    """
    from ..commands.ready import check_ready

    loaded = load_config(config, redis_url, prefix)
    raise typer.Exit(check_ready(loaded.config, names or (), health=health, as_json=as_json))


def export(
    symbols: SymbolsOption = None,
    timeframes: TimeframesOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A file, written whole or not at all; else to stdout."),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="Only so many, the newest of each series.")
    ] = None,
    settled: Annotated[bool, typer.Option("--settled", help="Only settled candles.")] = False,
    forming: Annotated[
        bool, typer.Option("--forming", help="The buckets in progress too, where the feed vouches for them.")
    ] = False,
    empty: Annotated[
        bool, typer.Option("--empty", help="In CSV, a row for each bucket in which nothing was traded.")
    ] = False,
    stale: Annotated[
        bool, typer.Option("--stale", help="Also what nobody vouches for now, as after a backfill.")
    ] = False,
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, with each series' watermarks.")] = False,
) -> None:
    """Write candles as CSV or JSON.

    Those that a reader would get, of all series or of some, each with its worth and its origin.
    If a series cannot be exported, stderr says why and the exit code is 1.
    """
    from ..commands.export import Wish, export

    loaded = load_config(config, redis_url, prefix)
    wish = Wish(
        symbols=symbols_of(symbols),
        timeframes=None if timeframes is None else parse_timeframes("--timeframes", timeframes),
        count=count,
        settled=settled,
        forming=forming,
        empty=empty,
        stale=stale,
    )
    raise typer.Exit(export(loaded.config, wish, output=output, as_json=as_json))


def redis(
    command: Annotated[list[str], typer.Argument(metavar="CMD...", help="Such as: ZRANGE key 0 -1")],
    raw: Annotated[
        bool, typer.Option("--raw", help="Print texts as they are, as redis-cli --raw does.")
    ] = False,
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
) -> None:
    """Send one command to the Redis in use.

    The reply is printed as redis-cli would print it.
    """
    from ..commands.reading import redis_url_of
    from ..redis_cli import send

    raise typer.Exit(send(redis_url_of(load_config(config, redis_url, prefix).config), command, raw=raw))
