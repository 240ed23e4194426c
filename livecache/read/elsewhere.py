"""What there is instead of a series that nobody fills: what may have been meant, or another prefix."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import UnknownSeries
from ..keys.keyspace import Keyspace
from ..model.naming import near_names
from ..model.series import SeriesId
from ..model.timeframe import Timeframe
from ..wire.scripts import text_of

__all__ = ["LOOKED_S", "Elsewhere"]

LOOKED_S = 5.0
"""What was found is told for so long before it is looked for again: who follows asks every second."""

_KEYS_MOST = 10_000  # that are looked at for other prefixes, and so many in one step
_KEYS_A_STEP = 1_000
_SHOWN_MOST = 5

_OWN_KEY = re.compile(r"(?P<prefix>.+):\{(?P<venue>[^:{}]+)\}:series", re.DOTALL)

_Steps = Generator[Sequence[tuple[Any, ...]], list[Any], Any]


class _Found(NamedTuple):
    there: tuple[SeriesId, ...]  # under this prefix, of this venue
    prefixes: tuple[
        tuple[str, str], ...
    ]  # prefix and venue of others; looked for only if there is nothing here
    looked_at_s: float


class Elsewhere:
    """Knows for one venue under one prefix what else is filled."""

    def __init__(self, keys: Keyspace, now: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._now = now
        self._found: _Found | None = None

    def unknown(self, series: SeriesId, known: Mapping[str, Collection[str]]) -> _Steps:
        """The steps to the error for a series that nobody fills. Only Redis can tell whether nobody does.

        `known` are the symbols of each venue, where there are several.
        """
        found = self._found
        if found is None or self._now() >= found.looked_at_s + LOOKED_S:
            found = self._found = yield from self._look()
        message = f"{series}: nobody fills this series under the prefix {self._keys.prefix!r}"
        if not found.there:
            message = f"{message}, nor any other of {series.venue}"
        return UnknownSeries(message, _hint(series, found, self._keys, known))

    def _look(self) -> _Steps:
        (members,) = yield [("SMEMBERS", self._keys.series)]
        named = [] if isinstance(members, Exception) else [text_of(member) for member in members]
        there = tuple(one for one in map(self._keys.parse_series, sorted(named)) if one)
        prefixes = () if there else (yield from self._prefixes())
        return _Found(there, prefixes, self._now())

    def _prefixes(self) -> _Steps:
        found: dict[tuple[str, str], None] = {}
        cursor: Any = 0
        for _ in range(_KEYS_MOST // _KEYS_A_STEP):
            (reply,) = yield [("SCAN", cursor, "MATCH", "*:{*}:series", "COUNT", _KEYS_A_STEP)]
            if not isinstance(reply, list | tuple) or len(reply) != 2:
                break  # An ACL may forbid it, and then nothing is said of it.
            cursor, names = reply
            for name in map(text_of, names):
                if match := _OWN_KEY.fullmatch(name):
                    found[match["prefix"], match["venue"]] = None
            if int(cursor) == 0:
                break
        return tuple(sorted(found))


def _hint(series: SeriesId, found: _Found, keys: Keyspace, known: Mapping[str, Collection[str]]) -> str:
    of_symbol = [one.timeframe.value for one in found.there if one.symbol == series.symbol]
    there = dict.fromkeys(one.symbol for one in found.there)
    symbols = [f"{venue}:{name}" for venue, names in known.items() for name in sorted(names) if name] or list(
        there
    )
    if of_symbol:
        told = f"{series.symbol} has {', '.join(of_symbol)}"
        if isinstance(series.timeframe, Timeframe):
            return f"{told}: is it in cache.timeframes?"
        return f"{told}, and {series.timeframe} is no whole multiple of one of them"
    if near := near_names(series.symbol, known or {series.venue: there}):
        return f"did you mean {' or '.join(near)}?"
    if symbols:
        return f"there are {_listed(symbols)}: is it in the venue's symbols? see `livecache series`"
    venues = [venue for prefix, venue in found.prefixes if prefix == keys.prefix]
    if venues:
        return f"of that prefix there is the venue {_listed(venues)}: give it as venue="
    prefixes = list(dict.fromkeys(prefix for prefix, venue in found.prefixes if venue == keys.venue))
    if prefixes:
        return f"there is the prefix {_listed(prefixes)}: give it as prefix="
    return "is `livecache run` running, on this Redis and with this prefix?"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name)[1:-1] for name in names[:_SHOWN_MOST])
    return shown + (f" and {len(names) - _SHOWN_MOST} more" if len(names) > _SHOWN_MOST else "")
