"""The commands that look into the cache and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..config.load import parse_timeframes
from . import options
from .completion import complete_symbol
from .options import Given, symbols_of

__all__ = ["COMMANDS"]


@click.command()
@click.option(
    "--watch",
    "-w",
    is_flag=True,
    help="Go on until q or Ctrl-C; in a pipe, a line for each change of a state.",
)
@click.option(
    "--every",
    type=click.FloatRange(min=0.1, max=3600),
    default=1.0,
    help="Seconds between two looks with --watch.",
)
@options.symbols_and_timeframes
@click.option("--state", help="Only those in these states, with commas between; or: trouble.")
@click.option("--all", "everything", is_flag=True, help="Every series in a line, however many.")
@click.option("--short", is_flag=True, help="A line a series: symbol, timeframe, state.")
@options.cache
@options.as_json
def status(
    watch: bool,
    every: float,
    symbols: str | None,
    timeframes: str | None,
    state: str | None,
    given: Given,
    **form: Any,
) -> None:
    """Show how the series stand, those in trouble first.

    Its state, how many candles, how far it is settled, how far that is behind, and why it is not ready. More
    than a screen holds are folded: a line a symbol, and a count of those that are all ready.
    """
    from ..commands.look.status import Wanted, show_status, states_of

    loaded = given.load()
    wanted = Wanted(
        symbols=symbols_of(symbols),
        timeframes=None if timeframes is None else parse_timeframes("--timeframes", timeframes),
        states=states_of(state),
        **form,
    )
    if watch:
        from ..commands.look.watch_status import watch_status

        watch_status(loaded.config, wanted, every_s=every)
    else:
        show_status(loaded, wanted)


@click.command()
@options.symbol_and_timeframe
@click.option(
    "--count",
    "-n",
    type=click.IntRange(min=0, max=10_000),
    help="How many of the newest buckets to list; else ten, or as many as fit.",
)
@click.option("--chart/--no-chart", default=True, help="Draw the candles.")
@options.cache
@options.as_json
def show(symbol: str, timeframe: str, count: int | None, chart: bool, given: Given, as_json: bool) -> None:
    """Show one series: its candles, and who vouches for them.

    Such as BTC-USD 5m. What a reader would be refused is shown as well; then the exit code is 1, with the
    reason.
    """
    from ..commands.look.show import show_series

    loaded = given.load()
    show_series(loaded.config, symbol, timeframe, count=count, draw=chart, as_json=as_json)


@click.command()
@options.symbol_and_timeframe
@click.option(
    "--count",
    "-n",
    type=click.IntRange(min=0, max=10_000),
    default=5,
    help="Begin with so many closed buckets.",
)
@click.option(
    "--forming/--no-forming",
    default=None,
    show_default=False,
    help="Also the bucket in progress, as it changes. By default on a terminal only.",
)
@options.cache
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def watch(symbol: str, timeframe: str, count: int, forming: bool | None, given: Given, as_json: bool) -> None:
    """Show what happens to one series, as it happens.

    Such as BTC-USD 5m. Each bucket as it closes, as it is settled, if it is revised; and whether anybody
    vouches. Ctrl-C ends it.
    """
    from ..commands.look.watch import watch_series

    loaded = given.load()
    watch_series(loaded.config, symbol, timeframe, count=count, forming=forming, as_json=as_json)


@click.command()
@options.cache
@options.as_json
def series(given: Given, as_json: bool) -> None:
    """List the series that are filled."""
    from ..commands.look.series import list_series

    list_series(given.load().config, as_json=as_json)


@click.command()
@click.argument("names", nargs=-1, metavar="[SYMBOL|TIMEFRAME]...", shell_complete=complete_symbol)
@click.option(
    "--health",
    is_flag=True,
    help="For an orchestrator's health check: once all has been ready, it is enough that the service "
    "and Redis live, so that an outage of the venue does not get the cache restarted.",
)
@options.cache
@options.as_json
def ready(names: tuple[str, ...], health: bool, given: Given, as_json: bool) -> int:
    """Say whether all series are ready, or some: exit 0, or 1.

    With a reason for each that is not. A series of which the venue has no more holds nothing back. Some:
    BTC-USD 5m, several of both, or BTC-USD:5m. Each has to be known and traded.
    """
    from ..commands.look.ready import check_ready

    loaded = given.load()
    return check_ready(loaded.config, names, health=health, as_json=as_json)


@click.command()
@options.symbols_and_timeframes
@click.option(
    "--output", "-o", type=options.FILE, help="A file, written whole or not at all; else to stdout."
)
@click.option("--count", "-n", type=click.IntRange(min=1), help="Only so many, the newest of each series.")
@click.option("--settled", is_flag=True, help="Only settled candles.")
@click.option("--forming", is_flag=True, help="The buckets in progress too, where the feed vouches for them.")
@click.option("--empty", is_flag=True, help="In CSV, a row for each bucket in which nothing was traded.")
@click.option("--stale", is_flag=True, help="Also what nobody vouches for now, as after a backfill.")
@click.option("--history", is_flag=True, help="The years in the history's file, not the cache.")
@options.history_url
@click.option("--since", help="With --history: from then on, a date or an age.")
@click.option("--until", help="With --history: until then.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("csv", "parquet", "feather")),
    default="csv",
    help="With --history: the last two into the directory --output.",
)
@click.option(
    "--adjust",
    type=click.Choice(("splits", "none", "all")),
    default="splits",
    help="With --history: shares in today's, as traded that day, or without dividends too.",
)
@options.cache
@click.option("--json", "as_json", is_flag=True, help="JSON, with each series' watermarks.")
def export(
    symbols: str | None,
    timeframes: str | None,
    output: Path | None,
    given: Given,
    as_json: bool,
    history: bool,
    **wish: Any,
) -> int:
    """Write candles as CSV or JSON.

    Those that a reader would get, of all series or of some, each with its worth and its origin; or with
    --history all that is stored, also as Parquet or Feather.
    If a series cannot be exported, stderr says why and the exit code is 1.
    """
    years = {name: wish.pop(name) for name in ("history_url", "since", "until", "form", "adjust")}
    options.refuse({*wish, "as_json", "redis_url", "prefix"} if history else years, history=history)
    if history:
        from ..commands.files import exporting
        from ..commands.history.opened import place_of

        place = place_of(given.load().config, years.pop("history_url"))
        return exporting.export_history(place, exporting.Wish(symbols, timeframes, **years, output=output))
    from ..commands.look.export import Wish, export

    loaded = given.load()
    chosen = None if timeframes is None else parse_timeframes("--timeframes", timeframes, multiples=True)
    return export(loaded.config, Wish(symbols_of(symbols), chosen, **wish), output=output, as_json=as_json)


@click.command()
@options.symbol_and_timeframe
@click.argument("time")
@options.history_url
@options.cache
@options.as_json
def explain(
    symbol: str, timeframe: str, time: str, given: Given, history_url: str | None, as_json: bool
) -> int:
    """Tell the story of one bucket: each version, when, by what.

    Such as BTC-USD 5m 2026-02-20T12:00Z: any time within it. Of the history's file, what smaller candles add
    up to, and what Redis holds. Exit 1 if nothing is known of it.
    """
    from ..commands.history.explain import explain
    from ..commands.history.opened import place_of

    config = given.load().config
    return explain(config, place_of(config, history_url), symbol, timeframe, time, as_json=as_json)


@click.command()
@click.argument("indicators", nargs=-1, required=True, metavar="INDICATOR...")
@options.as_json
def warmup(indicators: tuple[str, ...], as_json: bool) -> int:
    """Tell how many candles indicators need, and why.

    Such as "macd(12,26,9)" "rsi(14)" "sma(200)". cache.indicators has them kept, and waited for.
    """
    from ..commands.look.warmup import show_warmup

    return show_warmup(indicators, as_json=as_json)


# What follows the Redis command is Redis's, however much `-1` looks like an option.
@click.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, metavar="CMD...")
@click.option("--raw", is_flag=True, help="Print texts as they are, as redis-cli --raw does.")
@click.option("--node", default="", metavar="HOST:PORT", help="Of a cluster, that node; else the key's.")
@options.cache
def redis(command: tuple[str, ...], raw: bool, node: str, given: Given) -> int:
    """Send one command to the Redis in use.

    Such as ZRANGE key 0 -1. The reply is printed as redis-cli would print it.
    """
    from ..commands.reading import redis_url_of
    from ..commands.redis_cli import send

    return send(redis_url_of(given.load().config), list(command), raw=raw, node=node)


@click.command()
@options.cache
@options.as_json
def cluster(given: Given, as_json: bool) -> int:
    """Show a Redis Cluster's nodes, and what of this cache each has.

    Roles, slots, symbols and series, the scripts that a master knows, how far a replica is behind, and what
    is refused. Exit 0 if every slot has a master that answers, else 1.
    """
    from ..commands.doctor.cluster import show_cluster

    return show_cluster(given.load().config, as_json=as_json)


COMMANDS = (status, show, watch, series, ready, export, explain, warmup, redis, cluster)
