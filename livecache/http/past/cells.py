"""Which pages bring what is missing: always the same ones, whoever asks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import OutsideCalendar
from ...model.coverage import Coverage, Span
from ...model.grid import Grid
from ...model.timeframe import Multiple, Timeframe
from ...model.traits import Traits

__all__ = ["cells_of", "filled_by"]


def filled_by(timeframe: Timeframe, start: int, traits: Traits, now: int) -> Timeframe | None:
    """What a venue is asked for: the timeframe itself, or the longest of which it is made.

    One that does not reach back to `start` (Unix ms) is passed over, where another does. None where none is.
    """
    if timeframe in traits.served:
        return timeframe
    parts = [
        t for t in Multiple(timeframe.value).sources if t in traits.served and traits.adds_up(t, timeframe)
    ]
    return next((t for t in parts if traits.oldest(t, now) <= start), parts[-1] if parts else None)


def cells_of(missing: Coverage, grid: Grid, page: int, within: Span, most: int) -> Sequence[Span] | None:
    """The cells of a fixed lattice, of `page` buckets each, that hold any of it, as far as they lie `within`.

    None where they are more than `most`.
    """
    found: list[Span] = []
    if not (missing := missing.clip(*within)):
        return found
    try:
        lowest, highest = grid.number(grid.ceil(within.start)), grid.number(within.end - 1)
    except OutsideCalendar:
        return found
    after = lowest // page  # the cells before that one are among them
    for start, end in missing:
        first, last = (grid.number(start - 1) + 1) // page, grid.number(end - 1) // page
        first = max(first, after)
        if len(found) + max(0, last - first + 1) > most:
            return None
        for cell in range(first, last + 1):
            number, through = max(cell * page, lowest), min(cell * page + page - 1, highest)
            begins = grid.ending(number - 1) if number > lowest else grid.opening(number)
            found.append(Span(begins, grid.ending(through)))
        after = max(after, last + 1)
    return found
