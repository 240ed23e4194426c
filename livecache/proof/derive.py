"""Rolling one series up into the next."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..model.candle import ExactCandle
from ..model.rollup import roll_up, same_sum
from .feeding import take_word
from .track import Track

__all__ = ["Derived", "derive"]


class Derived(msgspec.Struct):
    """What a roll-up changed in the parent."""

    touched: list[int] = []
    revised: list[int] = []
    mismatched: list[int] = []
    doubtful: list[int] = []  # … and the fetched parent holds more than its children


def derive(
    parent: Track,
    child: Track,
    buckets: Iterable[int],
    *,
    now: int,
    heard_through: int,
    forming: int,
    settled_only: bool,
) -> Derived:
    """Recompute the parent's `buckets` from its children.

    `forming` is the child's bucket in progress if the feed vouches for it, else 0. `settled_only`: the
    parent's provisional candles come from the feed itself and are left alone.
    """
    outcome = Derived()
    child_edge, in_progress = child.grid.closed(now), child.grid.floor(now)
    for time in sorted(buckets):
        end = parent.grid.end(time)
        if child.coverage.covers(time, end):
            _settle(parent, child, time, outcome)
            continue
        if time in parent.derived and parent.take_back(time):
            outcome.touched.append(time)  # A child that was likely is open again.
        if settled_only or time in parent.coverage:
            continue
        candles = _parts(child, child.grid.opens(time, end), child_edge, heard_through)
        if candles is not None and child_edge <= in_progress < end and forming != in_progress:
            candles = None
        known = candles is not None
        if now < end and parent.state is not None and (parent.state.forming == time) is not known:
            parent.state_dirty = True  # Whether it is vouched for may have changed though no candle has.
        if candles is None:
            parent.doubt(time)
            outcome.touched.append(time)  # Also where nothing was shown: a grandparent may have relied on it.
            continue
        rolled = roll_up(time, candles)
        # Known to be empty so far is news as well: a grandparent may wait for it.
        if rolled is None or parent.lay(rolled, vouched=True, replace=True):
            outcome.touched.append(time)
        if end <= child_edge and (rolled is None or parent.traits.finals is not None):
            take_word(parent, time)  # No candle stands there to be vouched for, or no feed that would.
    return outcome


def _parts(child: Track, buckets: Iterable[int], edge: int, heard_through: int) -> list[ExactCandle] | None:
    """The candles that these buckets hold; None if one that is over, before `edge`, is not known."""
    # In one pass: it is done for each parent of every candle that the feed sends.
    candles: list[ExactCandle] = []
    for time in buckets:
        candle = child.settled.get(time)  # where there is one, the bucket is covered
        if candle is None:
            if time < edge and not child.known(time, heard_through):
                return None
            if (shown := child.provisional.get(time)) is None:
                continue
            candle = shown.candle
        candles.append(candle)
    return candles


def _settle(parent: Track, child: Track, time: int, outcome: Derived) -> None:
    """All children are settled, so the parent is: its candle is their sum, or it is proven empty."""
    parts = child.grid.opens(time, parent.grid.end(time))
    rolled = roll_up(time, [c for t in parts if (c := child.settled.get(t))])
    likely = 0
    if child.likely:  # seldom, and this is asked of every parent bucket of every page
        likely = max(child.likely.get(t, 0) for t in parts)
    if time not in parent.coverage:
        parent.settle(time, rolled, derived=True, likely=likely)
        outcome.touched.append(time)
        return
    _compare(parent, time, rolled, outcome)
    if not likely and time in parent.derived and parent.prove(time):
        outcome.touched.append(time)


def _compare(parent: Track, time: int, rolled: ExactCandle | None, outcome: Derived) -> None:
    """A settled parent, and what its children add up to."""
    before = parent.settled.get(time)
    if before is None and rolled is None:
        return
    if before is not None and rolled is not None and before.equals(rolled):
        return
    if time in parent.derived:
        parent.revise(time, rolled, derived=True)
        outcome.revised.append(time)
        outcome.touched.append(time)
    elif before is None or rolled is None or not same_sum(before, rolled):
        # The fetched candle stays; that they differ is counted.
        outcome.mismatched.append(time)
        if before is not None and (rolled is None or before.richer_than(rolled)):
            outcome.doubtful.append(time)
