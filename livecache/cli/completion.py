"""What the shell offers for symbols and timeframes: those that are filled, else those configured."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

import click

from ..config.load import load
from ..config.schema import Config

__all__ = ["SHELLS", "VARIABLE", "complete_symbol", "complete_timeframe", "script_for"]

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_LIVECACHE_COMPLETE"
"""What a shell sets when it asks what fits, rather than to run anything."""

_QUICK_S = 0.3  # somebody has pressed a key and waits


def script_for(shell: str, command: click.Command) -> str:
    """What teaches a shell to complete the command's words."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "each of SHELLS is one of click's"
    return kind(command, {}, "livecache", VARIABLE).source()


def complete_symbol(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The symbols that begin so; of a list with commas, its last."""
    return _offered((symbol for symbol, _ in _series()), incomplete)


def complete_timeframe(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The timeframes that begin so; of a list with commas, its last."""
    return _offered((timeframe for _, timeframe in _series()), incomplete)


def _offered(names: Iterable[str], incomplete: str) -> list[str]:
    before, comma, begun = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in dict.fromkeys(names) if name.startswith(begun)]


def _series() -> Iterator[tuple[str, str]]:
    """Symbol and timeframe of each series; none where anything fails, for a shell must see no error."""
    with suppress(Exception):
        config = load(None, os.environ).config
        yield from _filled(config) or [
            (symbol, timeframe.value)
            for venue, own in config.venues.items()
            for symbol in own.symbols
            for timeframe in config.cache_of(venue).timeframes
        ]


def _filled(config: Config) -> list[tuple[str, str]]:
    with suppress(Exception):
        from ..commands.reading import connect
        from ..reader.reader import Reader

        with (
            connect(config, connect_s=_QUICK_S, command_s=_QUICK_S) as client,
            Reader(client=client, prefix=config.redis.prefix) as reader,
        ):
            return [(series.symbol, series.timeframe.value) for series in reader.series()]
    return []
