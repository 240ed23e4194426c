"""Which page of the past is worth asking for next, and what an answer proves of it. Pure.

Coverage is plan, checkpoint and progress in one: what is wanted, less what is covered, is what is left. A
walk adds only what the next pages need to know: what is in flight, how long a page may be, and what a venue
was silent about and is to be asked for again. None of it needs to be kept: a walk that ends anywhere is begun
anew over what is still missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum
from typing import NamedTuple

from ..model.coverage import Coverage, Span
from ..model.grid import Grid, SessionGrid
from ..model.timeframe import iso

__all__ = ["Found", "PageLength", "Walk", "Word", "holding", "requests_left", "unseen", "word_of"]

APART_S = 60.0
"""A second look counts so long after the first: what made a page empty has had time to pass."""

_TRIES = 5
_AGAIN_S = (5.0, 10.0, 20.0, 40.0, 80.0)
_ROW = 3  # failures that halve a page: one alone says nothing of its length
_HOLD, _HOLD_MOST = 4, 256
_NONE = Decimal()


class PageLength:
    """How many buckets the next page may have: less where long ones fail, and more again by and by."""

    def __init__(self, most: int) -> None:
        self.most = self.now = most
        self._hold, self._well, self._row, self._trial = _HOLD, 0, 0, False
        self._short = 0  # failures in a row of what was short anyway

    def limit(self, most: int) -> None:
        """The venue says how many it takes."""
        self.most, self.now = most, min(self.now, most)

    def failed(self, buckets: int) -> None:
        """A page of so many failed, for its length perhaps."""
        if buckets > self.now:
            return  # It was under way when pages shrank.
        if buckets < self.now / 2:
            self._short += 1
            if self._short < _ROW:
                return  # It is the short end of something.
            self.now, self._row = buckets, _ROW - 1
        self._row, self._well = self._row + 1, 0
        if self._row == _ROW:
            # Had a longer one been tried just now, in vain, the next trial comes later.
            self._hold = min(_HOLD_MOST, self._hold * 4) if self._trial else _HOLD
            self.now, self._row, self._short, self._trial = max(1, self.now // 2), 0, 0, False

    def answered(self) -> None:
        """A page came. After some of them a longer one is tried."""
        self._row, self._short, self._well = 0, 0, self._well + 1
        if self._well >= self._hold and self.now < self.most:
            self.now, self._well, self._trial = min(self.most, self.now * 2), 0, True


class Word(Enum):
    """What a bigger timeframe says of a stretch that pages were silent about."""

    EMPTY = "nothing was traded there"
    TRADED = "more was traded than is known, there or near"
    UNKNOWN = "it does not tell"


class Found(NamedTuple):
    """What one answer tells: what it proves, and of what it says nothing although it was asked."""

    proven: Coverage
    silent: Coverage
    sure: Coverage
    """What of the silence was surely looked at: between rows, or where there is none at all. An answer that
    shows something may have been cut short.
    """

    def without(self, part: Coverage) -> Found:
        """The same of all but that part."""
        return Found(*(each.without(part) for each in self)) if part else self


@dataclass(slots=True, eq=False)
class _Doubt:
    """A stretch that an answer was silent about, or that cannot be had for another reason."""

    piece: Coverage
    again_s: float
    reason: str
    silent_since_s: float | None = None
    tries: int = 0
    alone: bool = False
    """Whether it is asked for without its neighbours: rows around it did not tell."""


@dataclass(slots=True)
class Walk:
    """One series' way through what is wanted of it. All `now_s` are monotonic seconds.

    `prepends`: an answer holds the first rows from its start on, so it proves what lies before them.
    `filled`: a bucket without trades has a row, too, so that an absent one proves nothing by itself.
    """

    grid: Grid
    wanted: Coverage
    length: PageLength
    prepends: bool = False
    filled: bool = False
    oldest_first: bool = False
    oldest: int = 0
    """What opens before is not to be had: it is set aside, and no page reaches there."""
    covered: Coverage = field(default_factory=Coverage)
    aside: dict[Span, str] = field(default_factory=dict)
    """What cannot be had, and why."""
    _flying: list[Span] = field(default_factory=list)
    _doubts: list[_Doubt] = field(default_factory=list)
    _overlap: int = 0
    """Buckets that pages share where they are thin: a row of both vouches for what lies beside it."""

    def __post_init__(self) -> None:
        reason = f"the venue has nothing from before {iso(self.oldest)} any more"
        self.aside |= dict.fromkeys(self.missing.clip(0, self.oldest), reason)

    @property
    def missing(self) -> Coverage:
        """What is still to be had, what was set aside included."""
        return holding(self.grid, self.wanted.without(self.covered))

    @property
    def left(self) -> Coverage:
        """What is still to be asked for."""
        return self.missing.without(Coverage(self.aside))

    def next(self, now_s: float) -> Span | None:
        """What to ask for now: the newest (or oldest) stretch, or one whose second look is due."""
        if fresh := self._fresh():
            asked = self._page(fresh.spans[0 if self.oldest_first else -1], alone=not self._overlap)
        else:
            due = [each for each in self._doubts if each.again_s <= now_s and not self._flies(each)]
            if not due:
                return None
            doubt = min(due, key=lambda each: each.again_s)
            spans = doubt.piece.spans
            asked = self._page(Span(spans[0].start, spans[-1].end), alone=doubt.alone)
        self._flying.append(asked)
        return asked

    def wait_s(self, now_s: float) -> float | None:
        """How long until a second look is due; None where none is waited for."""
        due = [each.again_s for each in self._doubts if not self._flies(each)]
        return max(0.0, min(due) - now_s) if due else None

    def answered(
        self, asked: Span, rows: Sequence[int], flat: Collection[int], rejected: Collection[int]
    ) -> Found:
        """An answer came, of these buckets, oldest first; the `flat` say that nothing was traded."""
        self.length.answered()
        grid, shown = self.grid, sorted({*rows, *flat})
        proven = _proven(asked, shown, grid, prepends=self.prepends, filled=self.filled)
        for bucket in rejected:
            proven = proven.remove(grid.end_before(bucket), grid.end(bucket))
        asked_for = self.left.clip(*asked)
        silent = asked_for.without(proven)
        if silent and shown:
            edge = max(grid.count(asked.start, shown[0]), grid.count(grid.end(shown[-1]), asked.end))
            self._overlap = max(self._overlap, min(edge, self.length.most // 4), 1)
        else:
            self._overlap = 1 if silent else self._overlap // 2
        for bucket in rejected:
            silent = silent.remove(grid.end_before(bucket), grid.end(bucket))
        # Where it brought something, the rest borders on that and is asked for together with it.
        if not self.filled and asked_for.without(silent) and not self._doubted(silent):
            silent = Coverage()
        inside = Coverage([(shown[0], grid.end(shown[-1]))]) if shown else silent
        return Found(proven, silent, silent.without(silent.without(inside)))

    def not_final(self, asked: Span, final: int | None) -> Coverage:
        """The part of a page that is only shown; from `final` on nothing is settled."""
        return Coverage() if final is None else Coverage([asked]).clip(final, asked.end)

    def heard_until(self, asked: Span, now: int) -> int:
        """A page of the newest buckets holds the one in progress: a split of today changes all others."""
        grid = self.grid
        newest = asked.end <= grid.floor(now) == grid.ceil(asked.end)
        return grid.end(grid.floor(now)) if newest else asked.end

    def believe(self, found: Found, word: Word, now_s: float) -> Coverage:
        """What a silent answer proves, given the bigger timeframe's word; else it is asked for once more."""
        if not found.silent or word is Word.EMPTY:
            return found.silent
        believed = Coverage()
        if word is Word.TRADED:
            for piece in self._pieces(found.silent):
                reason = "pages show nothing, though a bigger timeframe has trades there"
                self._put_off(self._doubt(piece), reason, now_s)
            return believed
        for span in found.silent.without(found.sure):
            for piece in self._pieces(Coverage([span])):
                doubt = self._doubt(piece)
                doubt.alone, doubt.again_s = True, now_s
        for piece in self._pieces(found.sure):
            doubt = self._doubt(piece)
            if doubt.silent_since_s is None:
                doubt.silent_since_s = now_s
            if now_s - doubt.silent_since_s >= APART_S:
                believed |= piece
            else:
                doubt.again_s = doubt.silent_since_s + APART_S
        return believed

    def reject(self, buckets: Iterable[int], reasons: Mapping[int, str], now_s: float) -> None:
        """Rows of these cannot be believed: they are asked for again, and set aside in the end."""
        grid = self.grid
        for bucket in buckets:
            piece = Coverage([(grid.end_before(bucket), grid.end(bucket))]).without(self.covered)
            if piece and self.wanted.without(piece) != self.wanted:
                self._put_off(self._doubt(piece), reasons.get(bucket, "its row cannot be believed"), now_s)

    def failed(self, asked: Span, reason: str, now_s: float, *, by_length: bool = True) -> None:
        """Nothing came of it. One bucket alone that fails time and again is set aside."""
        self._flying.remove(asked)
        buckets = self.grid.count(*asked)
        if by_length:
            self.length.failed(buckets)
        for doubt in self._doubts:
            if doubt.piece.clip(*asked):
                doubt.again_s = max(doubt.again_s, now_s + _AGAIN_S[0])
        if by_length and buckets == 1 and (piece := self.missing.clip(*asked)):
            doubt = self._doubt(piece)
            doubt.alone = True
            self._put_off(doubt, reason, now_s)

    def landed(self, asked: Span, covered: Coverage) -> None:
        """What the answer proved is stored."""
        self._flying.remove(asked)
        self.cover(covered)

    def cover(self, covered: Coverage) -> None:
        """So much is stored, by whomever."""
        self.covered |= covered
        for doubt in self._doubts:
            doubt.piece = doubt.piece.without(covered)
        self._doubts = [each for each in self._doubts if each.piece]
        for span in [span for span in self.aside if covered.clip(*span)]:
            reason = self.aside.pop(span)
            self.aside |= dict.fromkeys(covered.missing(*span), reason)

    def drop(self, asked: Span) -> None:
        """It is not asked for after all, or its answer is not wanted."""
        self._flying.remove(asked)

    @property
    def doubted(self) -> Coverage:
        """What is to be asked for once more, or was set aside, once all else is known; nothing before."""
        if self._fresh() or self._flying:
            return Coverage()
        return Coverage([*self.aside, *(span for each in self._doubts for span in each.piece)])

    # --- how

    def _fresh(self) -> Coverage:
        doubted = Coverage(span for each in self._doubts for span in each.piece)
        grid = self.grid  # a page brings the closed hours that its first bucket owns
        flying = Coverage((grid.end_before(grid.ceil(start)), end) for start, end in self._flying)
        return self.left.without(flying).without(doubted)

    def _page(self, piece: Span, *, alone: bool) -> Span:
        """A page of it, or around it if it is short: rows on both sides prove what lies between them."""
        grid, most, whole = self.grid, self.length.now, self.wanted.spans
        (start, end), buckets = piece, grid.count(*piece)
        shared = 0 if alone else min(max(self._overlap, (most - buckets) // 2), most - 1)
        # Not beyond what is wanted, where candles are not final yet.
        beyond = _after(grid, end, min(shared, grid.count(end, whole[-1].end)))
        if self.oldest_first:
            start = max(self.oldest, grid.far_back(start, min(shared, grid.count(whole[0].start, start))))
            return Span(start, min(beyond, _after(grid, start, most)))
        return Span(max(self.oldest, grid.far_back(start, shared), grid.far_back(beyond, most)), beyond)

    def _flies(self, doubt: _Doubt) -> bool:
        return any(doubt.piece.clip(*span) for span in self._flying)

    def _doubted(self, silent: Coverage) -> bool:
        return any(each.piece.clip(*span) for each in self._doubts for span in silent)

    def _pieces(self, silent: Coverage) -> list[Coverage]:
        """The same in parts, each of which lies in one doubt or in none."""
        pieces, rest = [], silent
        for doubt in self._doubts:
            without = rest.without(doubt.piece)
            if common := rest.without(without):
                pieces.append(common)
                rest = without
        return [*pieces, rest] if rest else pieces

    def _doubt(self, piece: Coverage) -> _Doubt:
        """The doubt about just this piece; one about more of it is split."""
        for doubt in self._doubts:
            if not piece.without(doubt.piece):
                if doubt.piece == piece:
                    return doubt
                doubt.piece = doubt.piece.without(piece)
                split = replace(doubt, piece=piece)
                break
        else:
            split = _Doubt(piece, 0.0, "")
        self._doubts.append(split)
        return split

    def _put_off(self, doubt: _Doubt, reason: str, now_s: float) -> None:
        doubt.reason, doubt.silent_since_s = reason, None
        if doubt.tries == _TRIES:
            self._doubts.remove(doubt)
            self.aside |= dict.fromkeys(doubt.piece, reason)
            return
        doubt.again_s = now_s + _AGAIN_S[doubt.tries]
        doubt.tries += 1


def unseen(wanted: Coverage, bigger: Coverage, rows: Iterable[int], grid: Grid) -> Coverage:
    """What of `wanted` is worth asking for: not what a settled bigger timeframe, of `grid`, proves empty.

    `rows` are its buckets in which something was traded.
    """
    traded = Coverage((grid.end_before(row), grid.end(row)) for row in rows)
    return wanted.without(bigger.without(traded))


def word_of(
    silent: Coverage,
    grid: Grid,
    parents: Coverage,
    volumes: Mapping[int, Decimal],
    sums: Mapping[int, Decimal],
) -> Word:
    """What a bigger timeframe, settled over `parents`, says of what was `silent`.

    `volumes` are those of its buckets, by their opens, none where nothing was traded; `sums` are what the
    smaller candles that are known add up to in each.
    """
    word = Word.EMPTY
    for start, end in silent:
        for parent in grid.opens(grid.floor(start), end):
            if volumes.get(parent, _NONE) > sums.get(parent, _NONE):
                return Word.TRADED
            if not parents.covers(grid.end_before(parent), grid.end(parent)):
                word = Word.UNKNOWN
    return word


def holding(grid: Grid, spans: Coverage) -> Coverage:
    """Those in which a bucket opens: what an exchange is closed for nobody can ask for."""
    if not isinstance(grid, SessionGrid):
        return spans
    return Coverage(span for span in spans if grid.count(*span))


def requests_left(missing: Coverage, grid: Grid, page: int) -> int:
    """How many pages that is at least."""
    return sum(-(-grid.count(*span) // page) for span in missing)


def _proven(asked: Span, shown: Sequence[int], grid: Grid, *, prepends: bool, filled: bool) -> Coverage:
    """What an answer proves that shows these buckets, oldest first, and not the others."""
    if not shown:
        return Coverage()
    if filled:
        proven = Coverage((grid.end_before(bucket), grid.end(bucket)) for bucket in shown)
    else:
        proven = Coverage([(grid.end_before(shown[0]), grid.end(shown[-1]))])
    return proven.add(asked.start, shown[0]) if prepends else proven


def _after(grid: Grid, start: int, buckets: int) -> int:
    """The end of so many buckets from `start` on."""
    return grid.end(grid.after(grid.ceil(start), buckets - 1)) if buckets else start
