"""Do parents agree with their children, where both are stored and settled? Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import OutsideCalendar
from ..model.candle import ExactCandle
from ..model.grid import Grid, SessionGrid
from ..model.rollup import roll_up, same_sum
from ..model.timeframe import Timeframe, iso
from .findings import FINDINGS_A_KIND_MAX, Flaw, repair_command
from .stored import Examined

__all__ = ["compare_rollups"]


def compare_rollups(symbol: Sequence[Examined], sums_below: Timeframe | None = None) -> int:
    """Compare all series of one symbol, each with the largest smaller one that adds up to it.

    From `sums_below` on candles are no sums of smaller ones. What differs goes to the parent's findings.
    Returns how many parent buckets were compared.
    """
    sound = {stored.series.timeframe: stored for stored in symbol if stored.record is not None}
    compared = 0
    for timeframe, parent in sound.items():
        least = sums_below.ms if sums_below and sums_below.ms <= timeframe.ms else 0
        believed = [t for t in sound if least <= t.ms < timeframe.ms and sound[t].record is not None]
        smaller = [t for t in believed if _adds_up(sound[t].grid, parent.grid)]
        if smaller:
            child = sound[max(smaller, key=_length)]
            try:
                compared += _compare(parent, child)
            except OutsideCalendar as error:
                child.outside(error)
    return compared


def _adds_up(child: Grid, parent: Grid) -> bool:
    """Whether the buckets of a child add up to those of its parent, as far as both tell of sessions."""
    if isinstance(child, SessionGrid) and isinstance(parent, SessionGrid):
        known = parent.known_to(child)
        return known is not None and child.divides(known)
    return child.divides(parent)


def _length(timeframe: Timeframe) -> int:
    return timeframe.ms


def _compare(parent: Examined, child: Examined) -> int:
    assert parent.record is not None and child.record is not None
    grid, parts_of = parent.grid, child.grid.opens
    children = child.record.state.coverage
    compared = differ = 0
    for start, end in parent.record.state.coverage:
        for known in children.clip(start, end):
            for time in grid.opens(known.start, grid.closed(known.end)):
                compared += 1
                parts = [child.candles[t] for t in parts_of(time, grid.end(time)) if t in child.candles]
                rolled, held = roll_up(time, parts), parent.candles.get(time)
                if rolled is None and held is None:
                    continue
                if rolled is not None and held is not None and same_sum(rolled, held):
                    continue
                differ += 1
                if differ <= FINDINGS_A_KIND_MAX:
                    _report(parent, child, time, held, rolled)
    if differ > FINDINGS_A_KIND_MAX:
        parent.report(Flaw.ROLLUP, f"and {differ - FINDINGS_A_KIND_MAX} more of this kind")
    return compared


def _report(
    parent: Examined, child: Examined, time: int, held: ExactCandle | None, rolled: ExactCandle | None
) -> None:
    end = parent.grid.end(time)
    ours, sum_of_children = (one.member() if one else "nothing" for one in (held, rolled))
    both = [repair_command(one.series, time, end, one.grid) for one in (child, parent)]
    for one in (child, parent):
        one.doubt(time, end)
    parent.report(
        Flaw.ROLLUP,
        f"{iso(time)} holds {ours}, and its {child.series.timeframe} candles add up to {sum_of_children}",
        start=time,
        end=end,
        remedy="; ".join(both),
    )
