"""The command line: what each command is called, what it takes, and whom it calls.

The commands' own work is elsewhere, imported when a command runs: so each loads only what it needs.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .config import Loaded, load, order_timeframes, parse_symbols, render

if TYPE_CHECKING:
    from .config import Config

__all__ = ["app", "run_command"]

app = typer.Typer(
    help="Keeps the latest candles of every symbol and timeframe warm in Redis.",
    no_args_is_help=True,
    add_completion=False,
    # Errors are explained in __main__, and help needs no colours: rich would double the time to start.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The configuration file; else ./config.toml, else the defaults."),
]
RedisOption = Annotated[
    str | None, typer.Option("--redis-url", help='redis://, rediss://, unix:// or "embedded".')
]
PrefixOption = Annotated[str | None, typer.Option("--prefix", help="What every key begins with.")]
LevelOption = Annotated[str | None, typer.Option("--log-level", help="TRACE, DEBUG, INFO, WARNING or ERROR.")]
FormatOption = Annotated[str | None, typer.Option("--log-format", help="text or json.")]
SymbolsOption = Annotated[str | None, typer.Option("--symbols", help="Only these, by comma.")]
TimeframesOption = Annotated[str | None, typer.Option("--timeframes", help="Only these, by comma.")]
JsonOption = Annotated[bool, typer.Option("--json", help="As one JSON object.")]


def run_command(arguments: list[str]) -> int:
    """Run one command; returns its exit code. Raises what the command raises, LivecacheError for one."""
    try:
        app(args=arguments, prog_name="livecache")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    # __main__ answers --version where it stands alone; this is for the help, and for odd places.
    if version:
        from importlib.metadata import version as installed

        print(f"livecache {installed('livecache')}")
        raise typer.Exit


@app.command()
def run(
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
    log_level: LevelOption = None,
    log_format: FormatOption = None,
) -> None:
    """Warm the cache and keep it current, until interrupted."""
    effective = _service(config, redis_url, prefix, log_level, log_format)
    with _loading():
        import asyncio

        from . import app as service

    raise typer.Exit(asyncio.run(service.run(effective)))


@app.command()
def backfill(
    symbols: SymbolsOption = None,
    timeframes: TimeframesOption = None,
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
    log_level: LevelOption = None,
    log_format: FormatOption = None,
) -> None:
    """Fill the cache once and end: 0, or 1 if any series failed."""
    effective = _service(config, redis_url, prefix, log_level, log_format)
    chosen = None if symbols is None else parse_symbols("--symbols", symbols)
    ordered = None
    if timeframes is not None:
        names = [name.strip() for name in timeframes.split(",") if name.strip()]
        ordered = order_timeframes(names, effective.cache.timeframes)
    with _loading():
        import asyncio

        from . import app as service

    raise typer.Exit(asyncio.run(service.backfill(effective, symbols=chosen, timeframes=ordered)))


@app.command()
def demo(
    seconds: Annotated[float | None, typer.Option(min=1, help="End after so long; else by Ctrl-C.")] = None,
    symbols: Annotated[int, typer.Option(min=1, max=200, help="How many symbols to simulate.")] = 25,
    log_level: LevelOption = None,
    log_format: FormatOption = None,
) -> None:
    """Run the real service on a simulated exchange, 60 times as fast, with a Redis of its own."""
    # Only the log is taken from the environment: whatever else is configured, a demo touches none of it.
    env = {name: value for name, value in os.environ.items() if name.startswith("LIVECACHE_LOG_")}
    _set_up_logs(load(Path(os.devnull), env, _flags(log_level=log_level, log_format=log_format)).config)
    import asyncio

    from rich.console import Console

    from .demo import demo as run_demo

    raise typer.Exit(asyncio.run(run_demo(seconds=seconds, symbols=symbols, console=Console())))


@app.command()
def status(
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every series: its state, how many candles, how far it is settled, and why it is not ready."""
    from .commands.status import show_status

    show_status(_load(config, redis_url, prefix).config, as_json=as_json)


@app.command()
def show(
    symbol: Annotated[str, typer.Argument(help="Such as BTC-USD.")],
    timeframe: Annotated[str, typer.Argument(help="Such as 5m.")],
    rows: Annotated[
        int, typer.Option(min=1, max=10_000, help="How many of the newest candles to list.")
    ] = 10,
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
) -> None:
    """Show the newest candles of one series, a small chart of them, and who vouches for them."""
    from .commands.show import show_series

    show_series(_load(config, redis_url, prefix).config, symbol.upper(), timeframe, rows)


@app.command()
def ready(
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
    """Say whether every series is ready: exit 0, or 1 with the reasons."""
    from .commands.ready import check_ready

    raise typer.Exit(check_ready(_load(config, redis_url, prefix).config, health=health, as_json=as_json))


# What follows the Redis command is Redis's, however much `-1` looks like an option.
@app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def redis(
    command: Annotated[list[str], typer.Argument(metavar="CMD...", help="Such as: ZRANGE key 0 -1")],
    raw: Annotated[
        bool, typer.Option("--raw", help="Print texts as they are, as redis-cli --raw does.")
    ] = False,
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
) -> None:
    """Send one command to the Redis in use, and print its reply as redis-cli would."""
    from .commands.reading import redis_url_of
    from .redis_cli import send

    raise typer.Exit(send(redis_url_of(_load(config, redis_url, prefix).config), command, raw=raw))


@app.command()
def simulator(
    port: Annotated[int, typer.Option(min=0, max=65535, help="On loopback; 0 takes a free one.")] = 8788,
    speed: Annotated[float, typer.Option(min=0.001, max=10_000, help="Market seconds a real second.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same market.")] = 1,
    symbols: Annotated[
        str | None, typer.Option(help="What to simulate, by comma; thin ones as ANY-USD:thin or :very-thin.")
    ] = None,
    csv: Annotated[
        list[str] | None, typer.Option(help="SYMBOL=PATH: real candles instead; may be given many times.")
    ] = None,
    rate: Annotated[int, typer.Option(min=1, max=100_000, help="Requests a real second; 429 beyond.")] = 10,
    latency: Annotated[float, typer.Option(min=0, max=60, help="Seconds added to every answer.")] = 0.0,
    start: Annotated[
        str | None, typer.Option(help="Market time to begin at, ISO 8601, UTC; else now.")
    ] = None,
    faults: Annotated[
        Path | None, typer.Option(help="A TOML script of what goes wrong, and when.", show_default=False)
    ] = None,
    faults_seed: Annotated[
        int | None, typer.Option(help="Faults at random for a day of market time; the same seed, the same.")
    ] = None,
    log_level: LevelOption = None,
    log_format: FormatOption = None,
) -> None:
    """Run a Coinbase on loopback: REST and websocket, to test against."""
    env = {name: value for name, value in os.environ.items() if name.startswith("LIVECACHE_LOG_")}
    _set_up_logs(load(Path(os.devnull), env, _flags(log_level=log_level, log_format=log_format)).config)
    from .commands.simulator import run_simulator

    run_simulator(
        port=port,
        speed=speed,
        seed=seed,
        symbols=symbols,
        csv=csv or [],
        rate=rate,
        latency=latency,
        start=start,
        faults=faults,
        faults_seed=faults_seed,
    )


@app.command("config")
def show_config(
    config: ConfigOption = None,
    redis_url: RedisOption = None,
    prefix: PrefixOption = None,
    log_level: LevelOption = None,
    log_format: FormatOption = None,
) -> None:
    """Show the effective configuration as TOML, secrets hidden, and where each setting comes from."""
    loaded = _load(config, redis_url, prefix, log_level, log_format)
    sys.stdout.write(f"# From {loaded.source}\n\n{render(loaded)}")


def _load(
    config: Path | None,
    redis_url: str | None,
    prefix: str | None,
    log_level: str | None = None,
    log_format: str | None = None,
) -> Loaded:
    flags = _flags(redis_url=redis_url, prefix=prefix, log_level=log_level, log_format=log_format)
    return load(config, os.environ, flags)


def _flags(
    redis_url: str | None = None,
    prefix: str | None = None,
    log_level: str | None = None,
    log_format: str | None = None,
) -> dict[str, object]:
    return {
        "redis.url": redis_url,
        "redis.prefix": prefix,
        "log.level": log_level,
        "log.format": log_format,
    }


def _service(*given: Any) -> Config:
    """The configuration of a command that runs the service; says in the log where it came from."""
    loaded = _load(*given)
    _set_up_logs(loaded.config)
    from loguru import logger

    logger.bind(event="configured", source=loaded.source).info("Configuration from {}", loaded.source)
    return loaded.config


@contextmanager
def _loading() -> Iterator[None]:
    """Load modules without a look for garbage: they leave none, and what they make is there to stay.

    That saves a tenth of the time to the first request, and later 30 ms at each full collection.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _set_up_logs(config: Config) -> None:
    from .logs import setup

    setup(config.log.level, config.log.format)
