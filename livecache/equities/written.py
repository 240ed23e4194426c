"""Where the buckets of a stored series lie, as a text beside it. Pure."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

from ..errors import ConfigError
from ..model.grid import Grid, SessionGrid, read_grid
from ..model.timeframe import Timeframe
from .calendar import Calendar, calendar_named

__all__ = ["Told", "calendar_of", "grid_of", "grid_text", "grids_beside"]

_PACKED = "packed"
_BYTES_MAX = 4_000_000  # of two hundred thousand sessions


class Told(NamedTuple):
    """What such a text says of the calendar beside its sessions."""

    name: str
    through: int
    """Unix ms: beyond it sessions are only presumed; 0 where nothing is said of that."""


def grid_text(timeframe: Timeframe, grid: Grid, calendar: str = "", through: int = 0) -> str:
    """What `grid_of` makes such a grid of; "" where buckets lie where the timeframe says.

    It is the name of the calendar where ours of that name has just these sessions, else the sessions, and
    what is told of them.
    """
    if not isinstance(grid, SessionGrid):
        return "" if grid == timeframe.grid else grid.text(0, 0)
    if calendar and _is_ours(timeframe, grid, calendar):
        return calendar
    return f"{grid.step} {_PACKED} {_packed(grid)} {through} {calendar}"


def calendar_of(text: str) -> Told | None:
    """The exchange that such a text tells of; None for any other."""
    if ours := _named(text):
        return Told(ours.name, ours.through)
    _, kind, rest = (*text.split(" ", 2), "", "")[:3]
    if kind != _PACKED:
        return None
    through, _, name = rest.partition(" ")[2].partition(" ")
    return Told(name, int(through))


def _named(text: str) -> Calendar | None:
    return calendar_named(text) if text and " " not in text else None


def grid_of(text: str, timeframe: Timeframe) -> Grid:
    """The grid that `grid_text` wrote down; of one text always the same. Raises ValueError for any other."""
    if not text:
        return timeframe.grid
    if named := _named(text):
        return named.grid(timeframe)
    step, _, rest = text.partition(" ")
    if not rest.startswith(_PACKED):
        return read_grid(text, timeframe.ms)
    try:
        return _unpacked(int(step), rest.split(" ", 2)[1])
    except (ValueError, IndexError, zlib.error) as error:
        raise ValueError(f"no grid: {text[:40]!r}: {error}") from None


def grids_beside(text: str) -> Mapping[Timeframe, Grid]:
    """Where the buckets of all timeframes lie, if such a text names a calendar of ours; else nothing."""
    ours = _named(text)
    return ours.grids() if ours else {}


@lru_cache(64)
def _is_ours(timeframe: Timeframe, grid: SessionGrid, calendar: str) -> bool:
    try:
        ours = calendar_named(calendar)
    except ConfigError:
        return False
    known = ours.grid(timeframe) if ours else None
    told = (grid.step, grid.openings, grid.closings)
    return isinstance(known, SessionGrid) and (known.step, known.openings, known.closings) == told


@lru_cache(64)
def _packed(grid: SessionGrid) -> str:
    times = [0, *chain.from_iterable(zip(grid.openings, grid.closings, strict=True))]
    steps = ",".join(str(later - earlier) for earlier, later in pairwise(times))
    return b64encode(zlib.compress(steps.encode(), 9)).decode()


@lru_cache(64)
def _unpacked(step: int, text: str) -> SessionGrid:
    openings, closings = _sessions(text)
    return SessionGrid(openings, closings, step)


@lru_cache(16)
def _sessions(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of all timeframes of a calendar the very same, so that nobody has to compare them."""
    unpacking = zlib.decompressobj()
    steps = unpacking.decompress(b64decode(text), _BYTES_MAX)
    if not unpacking.eof:
        raise ValueError("too long, or cut off")
    times = tuple(accumulate(map(int, steps.split(b","))))
    return times[::2], times[1::2]
