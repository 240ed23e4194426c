"""The commands that run something: the service, a demonstration of it, a simulated exchange."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..config.load import CONFIG_FILE, order_timeframes, parse_timeframes
from ..config.render import source_of
from ..config.symbols import parse_symbols
from ..errors import ConfigError
from . import options
from .options import Given

if TYPE_CHECKING:
    from ..config.render import Loaded
    from ..config.schema import Config

__all__ = ["COMMANDS"]


@click.command()
@options.cache
@options.log
def run(given: Given) -> int:
    """Warm the cache and keep it current until a signal."""
    # Whoever asks what it waits for asks too soon, and does not end it by that.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: None)  # What it asks for is being done just now.
    loaded = _service(given)
    # A file that was there at the start is not done without when it is gone for a moment.
    again = given._replace(config=Path(loaded.source)) if loaded.source == CONFIG_FILE else given
    with _loading():
        import asyncio

        from .. import app as service

        service.load_venues(loaded.config)

    return asyncio.run(service.run(loaded.config, source_of(loaded), again.load))


@click.command()
@options.symbols_and_timeframes
@options.cache
@options.log
def backfill(symbols: str | None, timeframes: str | None, given: Given) -> int:
    """Fill the cache once and end.

    Exit 0, or 1 if any series failed.
    """
    effective = _service(given).config
    chosen = None if symbols is None else parse_symbols("--symbols", symbols, effective)
    ordered = None
    if timeframes is not None:
        wanted = parse_timeframes("--timeframes", timeframes)
        ordered = order_timeframes(wanted, effective.cache.timeframes)
    with _loading():
        import asyncio

        from .. import app as service

    return asyncio.run(service.backfill(effective, symbols=chosen, timeframes=ordered))


@click.command()
@click.option("--seconds", type=click.FloatRange(min=1), help="End after so long; else by Ctrl-C.")
@click.option(
    "--symbols", type=click.IntRange(min=1, max=200), default=25, help="How many symbols to simulate."
)
@options.simulated
@options.log
def demo(seconds: float | None, symbols: int, venue: str, given: Given) -> int:
    """Try the real service on a simulated exchange.

    It runs 60 times as fast, with a Redis of its own that ends with it.
    """
    # Only the log is taken from the environment: whatever else is configured, a demo touches none of it.
    _set_up_logs(given.load_log().config)
    import asyncio

    from rich.console import Console

    from ..demo import demo as run_demo

    return asyncio.run(run_demo(seconds=seconds, symbols=symbols, venue=venue, console=Console()))


@click.command()
@click.option(
    "--port", type=click.IntRange(min=0, max=65535), default=8788, help="On loopback; 0 takes a free one."
)
@click.option(
    "--speed", type=click.FloatRange(min=0.001, max=10_000), default=1.0, help="Market seconds a real second."
)
@click.option("--seed", type=int, default=1, help="The same seed makes the same market.")
@click.option(
    "--symbols",
    help="By comma, as BTC-USD whatever the venue calls it, or AAPL; thin as ANY-USD:thin or :very-thin.",
)
@click.option("--csv", multiple=True, help="SYMBOL=PATH: real candles instead; may be given many times.")
@click.option(
    "--rate",
    type=click.IntRange(min=1, max=100_000),
    help="Requests a real second, 429 beyond; else as the venue allows.",
)
@click.option(
    "--latency", type=click.FloatRange(min=0, max=60), default=0.0, help="Seconds added to every answer."
)
@click.option("--start", help="Market time to begin at, ISO 8601, UTC; else now.")
@click.option("--hold", help="Market time from which on it creeps: what has come about stays.")
@click.option(
    "--years", type=click.IntRange(min=1, max=60), default=10, help="Of history that there is of each symbol."
)
@click.option("--listed", multiple=True, help="SYMBOL=DATE: since when there is history of it.")
@click.option("--halt", multiple=True, help="FROM/TO: nothing was traded meanwhile.")
@click.option("--faults", type=options.FILE, help="A TOML script of what goes wrong, and when.")
@click.option(
    "--faults-seed", type=int, help="Faults at random for a day of market time; the same seed, the same."
)
@click.option("--replay", type=options.FILE, help="Play what `livecache record` has written, at --speed.")
@options.simulated
@options.log
def simulator(given: Given, **market: Any) -> None:
    """Run a venue on loopback, to test against."""
    _set_up_logs(given.load_log().config)
    from ..commands.simulator import run_simulator

    run_simulator(**market)


@click.command()
@click.option("--venue", help="The id of the venue; else the first that is configured.")
@click.option(
    "--seconds", type=click.FloatRange(min=1, max=86_400), help="End after so long; else by Ctrl-C."
)
@click.option("--out", type=options.FILE, required=True, help="A file that is not there yet.")
@options.config
def record(venue: str | None, seconds: float | None, out: Path, given: Given) -> int:
    """Write down what a venue says, to play it again.

    Its symbols are warmed and followed in a Redis that ends with it, without a key; pages and frames go into
    the file, with their times, until it is full. `livecache simulator --replay` plays them.
    """
    config = _service(given).config
    import asyncio

    from ..record import record as run_record

    chosen = venue or next(iter(config.venues))
    return asyncio.run(run_record(config, venue=chosen, seconds=seconds, out=out))


def _service(given: Given) -> Loaded:
    """The configuration of a command that runs the service; says in the log where it came from."""
    if given.redis_url == "demo":
        raise ConfigError("--redis-url: the demo's Redis is its own", "leave it out, and one is started")
    loaded = given.load()
    _set_up_logs(loaded.config)
    from ..quiet import logger

    logger.bind(event="configured", source=loaded.source).info("Configuration from {}", loaded.source)
    return loaded


@contextmanager
def _loading() -> Iterator[None]:
    """Load modules without a look for garbage: they leave none, and what they make is there to stay.

    That saves a tenth of the time to the first request, and later 30 ms at each full collection, of which
    there are fewer from then on.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*_GARBAGE)
        gc.enable()


def _set_up_logs(config: Config) -> None:
    from ..process.logs import setup

    setup(config.log.level, config.log.format)


# There is hardly any garbage that only a collection finds, and each full one looks at all that is held. With
# Python's own (700, 10, 10) a service of 5,000 series stood still for 0.2 s every ten seconds or so.
_GARBAGE = (10_000, 20, 20)

COMMANDS = (run, backfill, demo, simulator, record)
