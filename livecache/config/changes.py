"""What a configuration that is read again changes: at once, or only with the next start. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from .render import settings
from .schema import Config

__all__ = ["Changes", "Difference", "compare", "live_keys"]

_LIVE = frozenset(
    {
        *("cache.timeframes", "cache.candles", "cache.min_candles", "cache.indicators"),
        *("cache.widen_pages", "cache.max_lag", "cache.require"),
        *("backfill.batch_size", "backfill.batch_delay_ms"),
        *("history.fill_pages", "log.level", "log.format"),
    }
)

_LISTS = ("symbols", "timeframes", "indicators")


def live_keys(config: Config) -> frozenset[str]:
    """The settings that a service which runs with it takes over. All others need a restart."""
    venues = config.venues.items()
    return _LIVE.union(f"venues.{venue}.{name}" for venue, own in venues for name in own.LIVE)


class Difference(NamedTuple):
    """What a list has that it had not, and the other way round; in the order of the lists."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


class Changes(NamedTuple):
    """What differs, by dotted keys in the order of the sections.

    A venue that is new, gone, or of another kind is one key, `venues.<id>`, and needs a restart. `config` is
    what is to be in force: the new one, with the old values of what needs a restart. `lists` has what came
    and went of each live list that differs.
    """

    live: tuple[str, ...]
    restart: tuple[str, ...]
    lists: Mapping[str, Difference]
    config: Config

    def named(self, name: str) -> Difference:
        """What came and went of all `symbols`, or `timeframes`; with the venue's id, if it is not alone."""
        parts = [
            (self._head(key, ":"), told) for key, told in self.lists.items() if key.rpartition(".")[2] == name
        ]
        return Difference(
            tuple(f"{head}{one}" for head, told in parts for one in told.added),
            tuple(f"{head}{one}" for head, told in parts for one in told.removed),
        )

    def __str__(self) -> str:
        """For people: what is taken over, in one line."""
        parts = []
        for key, (added, removed) in self.lists.items():
            names = [*(f"+{name}" for name in added), *(f"-{name}" for name in removed)]
            parts += [f"{self._head(key, ' ')}{key.rpartition('.')[2]} {' '.join(names)}"] if names else []
        parts += [key for key in self.live if not any(self.lists.get(key, ()))]
        return "; ".join(parts) or "nothing to change while it runs"

    def _head(self, key: str, after: str) -> str:
        """Which venue's the key is, where there are several."""
        parts = key.split(".")
        return f"{parts[1]}{after}" if parts[0] == "venues" and len(self.config.venues) > 1 else ""


def compare(running: Config, wanted: Config) -> Changes:
    """What of `wanted` can be taken over by a service that runs with `running`."""
    others = _other_venues(running, wanted)
    before, after = dict(settings(running)), dict(settings(wanted))
    alike = live_keys(running)
    live: list[str] = []
    restart: dict[str, None] = {}
    for key in (key for key in {**after, **before} if after.get(key) != before.get(key)):
        venue = ".".join(key.split(".")[:2])
        if venue in others:
            restart[venue] = None
        elif key in alike:
            live.append(key)
        else:
            restart[key] = None
    config = _with(running, "", {key: after[key] for key in live})
    assert isinstance(config, Config)
    lists = {
        key: _difference(_names(before[key]), _names(after[key]))
        for name in _LISTS
        for key in live
        if key.rpartition(".")[2] == name
    }
    return Changes(tuple(live), tuple(restart), lists, config)


def _other_venues(running: Config, wanted: Config) -> list[str]:
    """The sections of venues that are new, gone, or not what they were."""
    before, after = (
        {f"venues.{venue}": type(own) for venue, own in config.venues.items()} for config in (running, wanted)
    )
    return [key for key in {**after, **before} if before.get(key) != after.get(key)]


def _names(value: object) -> Sequence[str]:
    return value if isinstance(value, tuple) else ()


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
        elif isinstance(value, Mapping):
            changed[name] = {key: _with(part, f"{head}{name}.{key}.", values) for key, part in value.items()}
        elif f"{head}{name}" in values:
            changed[name] = values[f"{head}{name}"]
    return msgspec.structs.replace(struct, **changed)
