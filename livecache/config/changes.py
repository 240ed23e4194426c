"""What a configuration that is read again changes: at once, or only with the next start. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from .load import Config, settings

__all__ = ["LIVE", "Changes", "Difference", "compare"]

LIVE = frozenset(
    {
        *("cache.timeframes", "cache.candles", "cache.min_candles", "cache.widen_pages", "cache.max_lag"),
        "cache.require",
        *("venues.coinbase.symbols", "venues.coinbase.requests_per_second", "venues.coinbase.settle_delay"),
        *("venues.coinbase.request_timeout", "venues.coinbase.products_per_connection"),
        "venues.coinbase.silence_timeout",
        *("backfill.batch_size", "backfill.batch_delay_ms"),
        *("log.level", "log.format"),
    }
)
"""The settings that a running service takes over. All others need a restart."""


class Difference(NamedTuple):
    """What a list has that it had not, and the other way round; in the order of the lists."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


class Changes(NamedTuple):
    """What differs, by dotted keys in the order of the sections.

    `config` is what is to be in force: the new one, with the old values of what needs a restart.
    """

    live: tuple[str, ...]
    restart: tuple[str, ...]
    symbols: Difference
    timeframes: Difference
    config: Config

    def __str__(self) -> str:
        """For people: what is taken over, in one line."""
        parts = []
        for what, (added, removed) in (("symbols", self.symbols), ("timeframes", self.timeframes)):
            names = [*(f"+{name}" for name in added), *(f"-{name}" for name in removed)]
            parts += [f"{what} {' '.join(names)}"] if names else []
        lists = ("venues.coinbase.symbols", "cache.timeframes")
        told = self.symbols + self.timeframes
        parts += [key for key in self.live if key not in lists or not any(told)]
        return "; ".join(parts) or "nothing to change while it runs"


def compare(running: Config, wanted: Config) -> Changes:
    """What of `wanted` can be taken over by a service that runs with `running`."""
    before, after = dict(settings(running)), dict(settings(wanted))
    differing = [key for key in after if after[key] != before[key]]
    live = tuple(key for key in differing if key in LIVE)
    restart = tuple(key for key in differing if key not in LIVE)
    config = _with(running, "", {key: after[key] for key in live})
    assert isinstance(config, Config)
    symbols = _difference(running.venues.coinbase.symbols, wanted.venues.coinbase.symbols)
    timeframes = _difference(running.cache.timeframes, wanted.cache.timeframes)
    return Changes(live, restart, symbols, timeframes, config)


def _difference(before: Sequence[str], after: Sequence[str]) -> Difference:
    return Difference(
        tuple(str(name) for name in after if name not in before),
        tuple(str(name) for name in before if name not in after),
    )


def _with(struct: msgspec.Struct, head: str, values: Mapping[str, object]) -> msgspec.Struct:
    """The struct with these values at their dotted keys."""
    changed: dict[str, object] = {}
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if isinstance(value, msgspec.Struct):
            changed[name] = _with(value, f"{head}{name}.", values)
        elif f"{head}{name}" in values:
            changed[name] = values[f"{head}{name}"]
    return msgspec.structs.replace(struct, **changed)
