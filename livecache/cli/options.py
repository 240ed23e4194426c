"""What several commands take: the options, and the configuration that follows from them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Collection
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import click

from ..config.load import load
from ..config.render import Loaded
from ..venues.registry import DEFAULT
from .completion import complete_symbol, complete_timeframe

if TYPE_CHECKING:
    from ..quality.findings import Options

__all__ = [
    "FILE",
    "Given",
    "as_json",
    "cache",
    "config",
    "history_url",
    "log",
    "refuse",
    "service",
    "simulated",
    "symbol_and_timeframe",
    "symbols_and_timeframes",
    "symbols_of",
]

_F = TypeVar("_F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)


class Given(NamedTuple):
    """What was said of the configuration, by those options that a command has; None for what was not."""

    config: Path | None = None
    redis_url: str | None = None
    prefix: str | None = None
    log_level: str | None = None
    log_format: str | None = None

    def flags(self) -> dict[str, object]:
        """The flags by the settings that they set."""
        return {
            "redis.url": self.redis_url,
            "redis.prefix": self.prefix,
            "log.level": self.log_level,
            "log.format": self.log_format,
        }

    def load(self) -> Loaded:
        """The effective configuration. Raises ConfigError.

        The Redis URL "demo" is that of a demo which runs here; where none does, RedisUnavailable.
        """
        if self.redis_url == "demo":
            from ..embedded.state import find_demo

            return self._replace(redis_url=find_demo()).load()
        return load(self.config, os.environ, self.flags())

    def load_log(self) -> Loaded:
        """Only what is said of the log, here and in the environment: nothing else that is configured."""
        env = {name: value for name, value in os.environ.items() if name.startswith("LIVECACHE_LOG_")}
        return load(Path(os.devnull), env, self.flags())

    def again(self) -> Options:
        """What commands that are named as remedies have to be told as this one was. No password among it."""
        from ..quality.findings import Options

        # A repair takes neither: the service knows its own Redis and prefix.
        shown = self.redis_url if self.redis_url is not None and "@" not in self.redis_url else None
        given = {"--redis-url": shown, "--prefix": self.prefix}
        return Options(
            every="" if self.config is None else f"--config {shlex.quote(str(self.config))}",
            of_cache=" ".join(
                f"{name} {shlex.quote(text)}" for name, text in given.items() if text is not None
            ),
        )


def _all(*options: Callable[[_F], _F]) -> Callable[[_F], _F]:
    """These options as one decorator, listed in this order."""

    def decorated(command: _F) -> _F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


def _given(*options: Callable[[Any], Any]) -> Callable[[_F], _F]:
    """The same, for a command that takes what they say as one `given`."""

    def decorated(command: _F) -> _F:
        @wraps(command)
        def called(**values: Any) -> Any:
            said = {name: values.pop(name) for name in Given._fields if name in values}
            return command(**{"given": Given(**said), **values})

        return cast("_F", _all(*options)(called))

    return decorated


_config = click.option(
    "--config", type=FILE, help="The configuration file; else ./config.toml, else the defaults."
)
config: Callable[[_F], _F] = _given(_config)
cache: Callable[[_F], _F] = _given(
    _config,
    click.option(
        "--redis-url",
        help='redis://, rediss://, unix://, redis+sentinel://, redis+cluster://, "embedded", or "demo".',
    ),
    click.option("--prefix", help="What every key begins with."),
)
log: Callable[[_F], _F] = _given(
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
simulated: Callable[[_F], _F] = click.option(
    "--venue", default=DEFAULT, show_default=True, help="Which venue is simulated."
)
history_url: Callable[[_F], _F] = click.option(
    "--history-url",
    help='"embedded", sqlite:///path/to/history.db or postgresql://host/database; else history.url.',
)
as_json: Callable[[_F], _F] = click.option("--json", "as_json", is_flag=True, help="As one JSON object.")


def refuse(names: Collection[str], *, history: bool) -> None:
    """Raise for an option that goes with --history only, or not with it."""
    context = click.get_current_context()
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in names and source is click.core.ParameterSource.COMMANDLINE:
            word = "not with" if history else "only with"
            raise click.UsageError(f"{option.opts[0]} goes {word} --history")


def symbols_of(text: str | None) -> list[str] | None:
    """The symbols of a list with commas, for commands that know which there are; None if none is given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
