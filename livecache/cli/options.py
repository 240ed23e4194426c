"""What several commands take: the options, and the configuration that follows from them."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import Loaded, load
from .completion import complete_symbol, complete_timeframe

if TYPE_CHECKING:
    from ..quality.findings import Options

__all__ = [
    "ConfigOption",
    "FormatOption",
    "JsonOption",
    "LevelOption",
    "PrefixOption",
    "RedisOption",
    "SymbolArgument",
    "SymbolsOption",
    "TimeframeArgument",
    "TimeframesOption",
    "flags_of",
    "load_config",
    "symbols_of",
    "told_again",
]

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The configuration file; else ./config.toml, else the defaults."),
]
RedisOption = Annotated[
    str | None,
    typer.Option("--redis-url", help='redis://, rediss://, unix://, redis+sentinel:// or "embedded".'),
]
PrefixOption = Annotated[str | None, typer.Option("--prefix", help="What every key begins with.")]
LevelOption = Annotated[str | None, typer.Option("--log-level", help="TRACE, DEBUG, INFO, WARNING or ERROR.")]
FormatOption = Annotated[str | None, typer.Option("--log-format", help="text or json.")]
SymbolArgument = Annotated[str, typer.Argument(help="Such as BTC-USD.", autocompletion=complete_symbol)]
TimeframeArgument = Annotated[str, typer.Argument(help="Such as 5m.", autocompletion=complete_timeframe)]
SymbolsOption = Annotated[
    str | None,
    typer.Option("--symbols", help="Only these, with commas between.", autocompletion=complete_symbol),
]
TimeframesOption = Annotated[
    str | None,
    typer.Option("--timeframes", help="Only these, with commas between.", autocompletion=complete_timeframe),
]
JsonOption = Annotated[bool, typer.Option("--json", help="As one JSON object.")]


def load_config(
    config: Path | None,
    redis_url: str | None,
    prefix: str | None,
    log_level: str | None = None,
    log_format: str | None = None,
) -> Loaded:
    """The effective configuration under these flags. Raises ConfigError."""
    flags = flags_of(redis_url=redis_url, prefix=prefix, log_level=log_level, log_format=log_format)
    return load(config, os.environ, flags)


def symbols_of(text: str | None) -> list[str] | None:
    """The symbols of a list with commas, for commands that know which there are; None if none is given."""
    return None if text is None else [name.strip().upper() for name in text.split(",") if name.strip()]


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
