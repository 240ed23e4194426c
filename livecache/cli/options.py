"""What several commands take: the options, and the configuration that follows from them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..config.load import load
from ..config.render import Loaded
from .completion import complete_symbol, complete_timeframe

if TYPE_CHECKING:
    from ..quality.findings import Options

__all__ = [
    "FILE",
    "as_json",
    "cache",
    "config",
    "flags_of",
    "load_config",
    "log",
    "service",
    "symbol_and_timeframe",
    "symbols_and_timeframes",
    "symbols_of",
    "told_again",
]

_F = TypeVar("_F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)


def _all(*options: Callable[[_F], _F]) -> Callable[[_F], _F]:
    """These options as one decorator, listed in this order."""

    def decorated(command: _F) -> _F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


config: Callable[[_F], _F] = click.option(
    "--config", type=FILE, help="The configuration file; else ./config.toml, else the defaults."
)
cache: Callable[[_F], _F] = _all(
    config,
    click.option(
        "--redis-url", help='redis://, rediss://, unix://, redis+sentinel://, "embedded", or "demo".'
    ),
    click.option("--prefix", help="What every key begins with."),
)
log: Callable[[_F], _F] = _all(
    click.option("--log-level", help="TRACE, DEBUG, INFO, WARNING or ERROR."),
    click.option("--log-format", help="text or json."),
)
symbol_and_timeframe: Callable[[_F], _F] = _all(
    click.argument("symbol", shell_complete=complete_symbol),
    click.argument("timeframe", shell_complete=complete_timeframe),
)
symbols_and_timeframes: Callable[[_F], _F] = _all(
    click.option("--symbols", help="Only these, with commas between.", shell_complete=complete_symbol),
    click.option("--timeframes", help="Only these, with commas between.", shell_complete=complete_timeframe),
)
service: Callable[[_F], _F] = click.option(
    "--service", help="The service's URL; else http.listen of the configuration."
)
as_json: Callable[[_F], _F] = click.option("--json", "as_json", is_flag=True, help="As one JSON object.")


def load_config(
    config: Path | None,
    redis_url: str | None,
    prefix: str | None,
    log_level: str | None = None,
    log_format: str | None = None,
) -> Loaded:
    """The effective configuration under these flags. Raises ConfigError.

    The Redis URL "demo" is that of a demo which runs here; where none does, RedisUnavailable.
    """
    if redis_url == "demo":
        from ..embedded.state import find_demo

        redis_url = find_demo()
    flags = flags_of(redis_url=redis_url, prefix=prefix, log_level=log_level, log_format=log_format)
    return load(config, os.environ, flags)


def symbols_of(text: str | None) -> list[str] | None:
    """The symbols of a list with commas, for commands that know which there are; None if none is given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def told_again(config: Path | None, redis_url: str | None, prefix: str | None) -> Options:
    """What commands that are named as remedies have to be told as this one was. No password among it."""
    from ..quality.findings import Options

    # A repair takes neither: the service knows its own Redis and prefix.
    shown = redis_url if redis_url is not None and "@" not in redis_url else None
    given = {"--redis-url": shown, "--prefix": prefix}
    return Options(
        every="" if config is None else f"--config {shlex.quote(str(config))}",
        of_cache=" ".join(f"{name} {shlex.quote(text)}" for name, text in given.items() if text is not None),
    )


def flags_of(
    redis_url: str | None = None,
    prefix: str | None = None,
    log_level: str | None = None,
    log_format: str | None = None,
) -> dict[str, object]:
    """The flags by the settings that they set; None for one that is not given."""
    return {
        "redis.url": redis_url,
        "redis.prefix": prefix,
        "log.level": log_level,
        "log.format": log_format,
    }
