"""One series: its buckets, what is settled of them, and what may be said about them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..model.candle import ExactCandle
from ..model.coverage import Coverage, Span
from ..model.policy import CROWD, Policy, Provisional
from ..model.series import Close, Kind, SeriesId, SeriesState, Update
from ..model.timeframe import Timeframe
from ..model.traits import Traits
from .evidence import Open, PageFacts, Strange

__all__ = ["Track"]

_MOST_CLOSES, _MOST_UPDATES = 1_000, 16
"""Bounds on what gathers while Redis is away: announcements, and hints for the `updates` channel."""


class Track:
    """The buckets of one series.

    A bucket is settled (in `coverage`; no candle there means empty), provisional, or unknown. `open` keeps
    what pages said of buckets that they did not settle; `presumed` are settled ones that are asked for again,
    and `likely` those of which readers are told that they are known, but not that they are settled.
    A provisional candle never stands in a covered bucket. What readers must be told is gathered in `dirty`,
    `updates` and `closes` until the next flush takes it.
    """

    __slots__ = (
        "announce_from",
        "behind_at",
        "closed_until",
        "closes",
        "closes_dropped",
        "contested",
        "coverage",
        "derived",
        "dirty",
        "end_asked",
        "exhausted",
        "failure",
        "first",
        "flagged",
        "glimpse",
        "grid",
        "history_from",
        "keep_from",
        "likely",
        "listed",
        "open",
        "page",
        "policy",
        "presumed",
        "provisional",
        "reopened",
        "series",
        "settled",
        "sound",
        "source",
        "state",
        "state_dirty",
        "strange",
        "suspect",
        "told_through",
        "traits",
        "updates",
        "whole",
        "width",
        "witness",
        "working",
    )

    def __init__(self, series: SeriesId, policy: Policy, traits: Traits, *, working: bool) -> None:
        self.series = series
        self.policy = policy
        self.working = working  # in memory only: needed for roll-ups, configured by nobody
        self.width = series.timeframe.ms  # about how long a bucket is: its end is told by the grid
        self.traits, self.grid = traits, traits.grid(series.timeframe)
        self.page = traits.page(series.timeframe)  # buckets that the venue's longest page brings
        self.first = self.page  # buckets of the page that it is warmed up by
        self.source = series.timeframe  # whose pages bring it
        self.listed = 0  # since when there are candles, as far as the venue tells
        self.coverage = Coverage()
        self.settled: dict[int, ExactCandle] = {}
        self.provisional: dict[int, Provisional] = {}
        self.derived: set[int] = set()  # settled buckets that were rolled up, not fetched
        self.suspect: set[int] = set()  # settled buckets to be read again
        self.contested: dict[int, int] = {}  # those of them that somebody asked for → pages that lacked them
        self.reopened: set[int] = set()  # buckets that seemed proven empty and were read once more
        self.open: dict[int, Open] = {}  # closed buckets that pages spoke of and did not settle
        self.presumed: dict[int, int] = {}  # settled, may be taken back → when last asked for (heard)
        self.likely: dict[int, int] = {}  # by one witness only → when (heard) it said so first
        self.behind_at = 0  # when (heard) a page last showed that the venue lags, or hides rows
        self.flagged: dict[int, int] = {}  # closed by the feed's own word → when a page is to confirm it
        self.glimpse: ExactCandle | None = None  # the bucket in progress, as the last page showed it
        self.history_from = 0  # where the search for more history stopped
        self.exhausted = False  # … because the venue seems to have nothing older
        self.end_asked = 0  # when (heard) a page last looked beyond that
        self.keep_from = 0  # the oldest bucket that Redis keeps
        self.announce_from = 0  # buckets that end after this are news; 0 until something is settled
        self.closed_until = 0  # buckets that open before this were announced as closed
        self.told_through = 0  # buckets that end until here were known to an earlier run, and stay so
        self.strange: dict[Span, Strange] = {}  # where pages did not fit; the last heard at the end
        self.witness: tuple[Timeframe, PageFacts] | None = None  # asked for because nobody else could say
        self.failure = ""  # the last error while requests keep failing
        # Waiting to be taken by the next flush:
        self.dirty: set[int] = set()
        self.whole = self.state_dirty = True
        self.updates: list[Update] = []
        self.closes: list[Close] = []
        self.closes_dropped = 0
        self.state: SeriesState | None = None  # as last computed
        self.sound = False  # whether that found nothing amiss but how the venue stands to the product

    # --- changing buckets -------------------------------------------------------------------------

    def settle(self, bucket: int, candle: ExactCandle | None, *, derived: bool, likely: int = 0) -> None:
        """The bucket is final: this candle, or proven empty. Whatever was provisional there goes.

        `likely`: when (heard) the only witness said so; readers are not told before another one agrees.
        """
        shown = self.provisional.pop(bucket, None)
        self.coverage = self.coverage.add(self.grid.end_before(bucket), self.grid.end(bucket))
        self.open.pop(bucket, None)
        self.flagged.pop(bucket, None)
        self._put(bucket, candle, derived=derived)
        if shown is None and candle is None:
            self.dirty.discard(bucket)  # Nothing was there and nothing is: only the coverage grows.
        if likely:
            self.likely[bucket] = likely
        elif self.announce_from:
            replaced = None if shown is None or (candle and candle.equals(shown.candle)) else shown.candle
            self._announce(Kind.SETTLED, bucket, candle, replaced)

    def settle_run(self, rows: Mapping[int, ExactCandle]) -> None:
        """As `settle`, at once, for fetched rows of consecutive buckets of which nothing was known."""
        end = self.grid.end(max(rows))
        if not self.working and 0 < self.announce_from < end:
            for bucket, row in rows.items():
                self.settle(bucket, row, derived=False)
            return
        self.coverage = self.coverage.add(self.grid.end_before(min(rows)), end)
        self.settled.update(rows)
        for bucket in rows.keys() & (self.suspect | self.contested.keys()):
            self.trust(bucket)
        self.dirty.update(rows)
        self.state_dirty = True

    def revise(self, bucket: int, candle: ExactCandle | None, *, derived: bool) -> None:
        """A settled bucket turned out to be different."""
        before = self.settled.get(bucket)
        self.open.pop(bucket, None)
        self._put(bucket, candle, derived=derived)
        if bucket not in self.likely:
            self._announce(Kind.REVISED, bucket, candle, before)

    def prove(self, bucket: int) -> bool:
        """A second witness agrees to what was likely: now it is told as settled. Whether that is news."""
        if self.likely.pop(bucket, None) is None:
            return False
        self.state_dirty = True
        self._announce(Kind.SETTLED, bucket, self.settled.get(bucket), None)
        return True

    def take_back(self, bucket: int) -> bool:
        """Something speaks against what was likely: it is open again. Whether it was likely."""
        if (said := self.likely.pop(bucket, None)) is None:
            return False
        self.derived.discard(bucket)
        self.presumed.pop(bucket, None)
        self.coverage = self.coverage.remove(*self.owned(bucket))
        held = self.settled.pop(bucket, None)
        if held is not None:
            self.provisional[bucket] = Provisional(held, False, said)
        self.dirty.add(bucket)
        self.state_dirty = True
        return True

    def reopen(self, bucket: int) -> bool:
        """Take back, once, that the bucket is proven empty. Whether it was thought so."""
        if bucket not in self.coverage or bucket in self.settled or bucket in self.reopened:
            return False
        self.reopened.add(bucket)
        self.derived.discard(bucket)
        self.presumed.pop(bucket, None)
        self.likely.pop(bucket, None)
        self.coverage = self.coverage.remove(*self.owned(bucket))
        self.state_dirty = True
        return True

    def contest(self, start: int, end: int) -> None:
        """Have `[start, end)` read again, or for the first time, because somebody asks for it."""
        for bucket in self.grid.opens(start, end):
            self.suspect.add(bucket)
            self.contested.setdefault(bucket, 0)
        for bucket, told in self.open.items():
            if start <= bucket < end:
                told.again = told.others_again = 0
        if self.history_from and start <= self.history_from:
            self.resume_search()

    def let_go(self, start: int, end: int) -> None:
        """What somebody missed in a page's `[start, end)`, and it did not settle, waits as any other does."""
        for bucket in [t for t in self.contested if start <= t < end and t not in self.coverage]:
            self.trust(bucket)

    def resume_search(self) -> None:
        """Look for older candles again, as if nobody had."""
        self.history_from, self.end_asked, self.exhausted = 0, 0, False
        oldest = self.coverage.spans[0].start if self.coverage else 0
        self.open = {t: told for t, told in self.open.items() if t >= oldest}
        self.state_dirty = True

    def trust(self, bucket: int) -> None:
        """The settled bucket was read again: it is not asked for any more."""
        self.suspect.discard(bucket)
        self.contested.pop(bucket, None)

    def lay(self, candle: ExactCandle, *, vouched: bool, replace: bool = False, stamp: int = 0) -> bool:
        """Lay a provisional candle over the end; the later one wins. Whether anything changed."""
        bucket = candle.time
        if bucket in self.coverage and not self.refute(candle, stamp):
            return False
        shown = self.provisional.get(bucket)
        if shown is not None and not replace and not shown.precedes(candle, stamp):
            if not candle.equals(shown.candle):
                return False
            gains = vouched and not shown.vouched
            self.provisional[bucket] = Provisional(
                shown.candle, vouched or shown.vouched, max(stamp, shown.stamp)
            )
            self.state_dirty |= gains
            return gains
        if shown is not None and replace and shown.candle.equals(candle) and shown.vouched == vouched:
            return False
        vouched = vouched or (shown is not None and shown.vouched and not replace)
        # A page's row has no stamp: the feed's next word is later, an old one is not.
        self.provisional[bucket] = Provisional(candle, vouched, stamp or (shown.stamp if shown else 0))
        self.dirty.add(bucket)
        if shown is None or shown.vouched != vouched:
            self.state_dirty = True
        return True

    def refute(self, candle: ExactCandle, stamp: int = 0) -> bool:
        """Whether the feed takes back what was likely; what was called empty is read again, once."""
        held = self.settled.get(candle.time)
        said = self.likely.get(candle.time, 0)
        if held is not None and not Provisional(held, False, said).precedes(candle, stamp):
            return False
        if self.take_back(candle.time):
            return True
        if held is None and candle.time not in self.reopened:
            self.reopened.add(candle.time)
            self.suspect.add(candle.time)
        return False

    def doubt(self, bucket: int) -> None:
        """Nobody vouches for the provisional candle of this bucket any more."""
        shown = self.provisional.get(bucket)
        if shown is not None and shown.vouched and self.grid.end(bucket) > self.told_through:
            self.provisional[bucket] = shown._replace(vouched=False)
            self.state_dirty = True

    def announce_closed(self, bucket: int) -> None:
        """Tell, once, that the bucket has closed; nothing if it holds no candle that is vouched for."""
        if bucket < self.closed_until:
            return
        shown = self.provisional.get(bucket)
        if shown is None or not shown.vouched:
            return
        self.closed_until = self.grid.end(bucket)
        if not self.working:
            self._tell(Close(Kind.CLOSED, self.series, bucket, shown.candle, None))

    def trim(self, hold_from: int) -> None:
        """Keep the newest settled candles that are wanted, and what parents need after `hold_from`."""
        keep_from = hold_from
        if not self.working:
            times = sorted(self.settled)
            wanted = self.policy.candles
            if len(times) > wanted:
                keep_from = times[-wanted]
            else:
                # Not from a provisional candle: nobody settles what is older than the search.
                starts = [s.start for s in self.coverage.spans[:1]] + times[:1]
                keep_from = min(starts or sorted(self.provisional)[:1], default=0)
            everything = sorted((*times, *self.provisional))
            # Those of a session are known, and settle all at once.
            crowd = CROWD + (len(self.flagged) if self.traits.finals is not None else 0)
            if len(self.provisional) > crowd and len(everything) > wanted + crowd:
                keep_from = max(keep_from, everything[-wanted - crowd])  # Nothing has settled for long.
            if keep_from != self.keep_from:
                # What lies between was held back as too old while it moved the other way: Redis lacks it.
                self.whole = self.whole or keep_from < self.keep_from
                self.keep_from = keep_from
                self.state_dirty = True
        oldest = min(keep_from, hold_from) if not self.working else hold_from
        for bucket in [t for t in self.provisional if t < oldest]:
            del self.provisional[bucket]
        self.flagged = {t: at for t, at in self.flagged.items() if t >= oldest}
        if len(self.settled) > self.policy.candles:
            self.open = {t: told for t, told in self.open.items() if t >= oldest}
        if not self.coverage or self.coverage.spans[0].start >= oldest:
            return
        self.coverage = self.coverage.clip(oldest, 1 << 62)
        for bucket in [t for t in self.settled if t < oldest]:
            del self.settled[bucket]
        self.derived = {t for t in self.derived if t >= oldest}
        self.suspect = {t for t in self.suspect if t >= oldest}
        self.contested = {t: n for t, n in self.contested.items() if t >= oldest}
        self.reopened = {t for t in self.reopened if t >= oldest}
        self.presumed = {t: at for t, at in self.presumed.items() if t >= oldest}
        self.likely = {t: at for t, at in self.likely.items() if t >= oldest}

    def _put(self, bucket: int, candle: ExactCandle | None, *, derived: bool) -> None:
        if candle is None:
            self.settled.pop(bucket, None)
        else:
            self.settled[bucket] = candle
        (self.derived.add if derived else self.derived.discard)(bucket)
        self.trust(bucket)
        self.dirty.add(bucket)
        self.state_dirty = True

    def _announce(
        self, kind: Kind, bucket: int, candle: ExactCandle | None, replaced: ExactCandle | None
    ) -> None:
        news = self.announce_from and self.grid.end(bucket) > self.announce_from
        # What the first fill or an earlier run has settled is no news, but that it changed is.
        if self.working or not (news or kind is Kind.REVISED):
            return
        self._tell(Close(kind, self.series, bucket, candle, replaced))

    def _tell(self, close: Close) -> None:
        self.closes.append(close)
        self.closes_dropped += max(0, len(self.closes) - _MOST_CLOSES)
        del self.closes[:-_MOST_CLOSES]
        if close.candle is not None:
            self.updates.append(Update(close.kind, close.candle))
            del self.updates[:-_MOST_UPDATES]

    # --- asking about buckets ---------------------------------------------------------------------

    def owned(self, bucket: int) -> tuple[int, int]:
        """The stretch of time that the bucket accounts for: the closed hours before it, and itself."""
        return self.grid.end_before(bucket), self.grid.end(bucket)

    def known(self, bucket: int, heard_through: int) -> bool:
        """Whether a closed bucket is settled, was flagged, or is vouched for beyond its end."""
        if bucket in self.coverage or bucket in self.flagged:
            return True
        shown, end = self.provisional.get(bucket), self.grid.end(bucket)
        return shown is not None and shown.vouched and (end <= heard_through or end <= self.told_through)

    def proven(self) -> Coverage:
        """The settled buckets that are told as such."""
        if not self.likely:
            return self.coverage
        return self.coverage.without(Coverage(map(self.owned, self.likely)))

    def candle(self, bucket: int) -> ExactCandle | None:
        """What the bucket holds, settled or provisional."""
        shown = self.provisional.get(bucket)
        return self.settled.get(bucket) or (shown.candle if shown else None)

    def newest(self) -> int:
        """Open time of the newest candle there is, settled or provisional; 0 without one."""
        return max(max(self.settled, default=0), max(self.provisional, default=0))

    def newest_settled_run(self) -> tuple[Span, int] | None:
        """The newest span of coverage and how many real candles it holds, or None."""
        if not self.coverage:
            return None
        span = self.coverage.spans[-1]
        if len(self.coverage.spans) == 1:  # nearly always; settled candles lie in coverage
            return span, len(self.settled)
        return span, sum(1 for t in self.settled if span.start <= t < span.end)

    # --- what pages left open ---------------------------------------------------------------------

    def waiting(self, now: int, *, within_ms: int = 1 << 62) -> Coverage:
        """The open buckets that are not worth asking for again yet, but will be within so many ms."""
        until = now + within_ms
        return Coverage(self.owned(t) for t, told in self.open.items() if now < told.again <= until)

    def next_again(self, now: int) -> int:
        """When the next open bucket is worth asking for again; 0 if none waits for that."""
        times = (at for told in self.open.values() for at in (told.again, told.others_again))
        return min((at for at in (*times, *self.flagged.values()) if at > now), default=0)

    def members(self) -> Iterator[ExactCandle]:
        """Everything that Redis keeps of this series."""
        for held in (self.settled, {t: p.candle for t, p in self.provisional.items()}):
            yield from (c for t, c in held.items() if t >= self.keep_from)
