"""How far the feed can be believed: per connection, and per symbol on it."""

from __future__ import annotations

from ..model.candle import ExactCandle
from ..model.coverage import Coverage
from .evidence import Open, PageFacts
from .history import shown_edge
from .track import Track

__all__ = ["EARLY_MS", "Channel", "Link", "believe", "show", "take_word", "trusted"]

_LOOKS_AGAIN, _LOOK_AGAIN_MS = 2, 900_000

EARLY_MS = 1_000
"""A candle that is sent longer before its bucket's end is not the last one, whatever it says."""


class Link:
    """One connection of the feed."""

    __slots__ = ("resuming", "through", "up")

    def __init__(self) -> None:
        self.through = 0  # the newest stamp heard on it: everything before it has been said
        self.up = False
        self.resuming: set[str] = set()  # symbols that the next stamp vouches for again


class Channel:
    """How the feed stands behind one symbol."""

    __slots__ = ("link", "mute", "newest", "since")

    def __init__(self) -> None:
        self.link: Link | None = None
        self.since = 0  # unbroken from this stamp on; 0 while nobody vouches
        self.newest = 0  # the newest bucket shown
        self.mute = False  # found to say nothing of what trades: only a candle of it proves that it speaks

    @property
    def through(self) -> int:
        """How far the feed has been heard; what it carried before is complete."""
        return self.link.through if self.link is not None else 0

    def unbroken_over(self, start: int, end: int) -> bool:
        """Whether the feed carried this symbol through all of `[start, end)`."""
        return 0 < self.since <= start and end <= self.through


def believe(
    track: Track, bucket: int, candle: ExactCandle | None, channel: Channel, *, changed: bool, last: bool
) -> bool:
    """The feed has shown this candle, which `changed` what it had shown, or said that it is the `last` one.

    None says that nothing was traded in the bucket.

    Over a stream that was unbroken all through the bucket, that it is the last is enough to know it: it is
    confirmed with others by one page, at the latest after `confirm_after`. Returns whether something speaks
    against what it had said was the last one, so that a page is to be asked for at once.
    """
    shown = track.provisional.get(bucket)
    if changed and bucket in track.flagged:
        track.flagged[bucket] = 0
        return True
    if candle is None:
        stands = shown is None and bucket not in track.coverage
    else:
        stands = shown is not None and shown.vouched and shown.candle.equals(candle)
    if last and stands and 0 < channel.since <= bucket:
        take_word(track, bucket)
    return False


def take_word(track: Track, bucket: int) -> None:
    """It has closed by the feed's own word: a page confirms that later, with others."""
    if bucket not in track.flagged:
        end, traits, policy = track.grid.end(bucket), track.traits, track.policy
        final = traits.final_at(end, policy.settle_delay_ms) if traits.finals else 0
        track.flagged[bucket] = final or end + policy.confirm_after_ms
        track.state_dirty = True


def show(track: Track, page: PageFacts, edge: int) -> list[int]:
    """What a page shows of the buckets after `edge`, which are not final yet. Those that have changed.

    What it had time to show it is believed about, as a feed is of what it says has closed, until that is
    final. What it lacks of that is asked for again, and again when it is final.
    """
    grid, heard, changed = track.grid, page.heard, list[int]()
    closed, shown = grid.closed(heard), shown_edge(track, heard)
    for bucket, row in page.rows.items():
        # The bucket in progress is the feed's to show; here it only bears witness.
        if bucket >= closed:
            track.glimpse = row
        elif edge <= bucket:
            believed = bucket < shown
            if track.lay(row, vouched=believed, replace=believed):
                changed.append(bucket)
            if believed:
                track.open.pop(bucket, None)
                take_word(track, bucket)
    for bucket in grid.opens(max(edge, page.start), min(shown, page.end)):
        if bucket not in page.rows and bucket not in track.flagged:
            why = page.reasons.get(bucket, "") if bucket in page.rejected else ""
            told = track.open.setdefault(bucket, Open(None, heard, heard, unusable=why, since=heard))
            told.tries += 1
            final = track.traits.final_at(grid.end(bucket), track.policy.settle_delay_ms)
            told.again = min(heard + _LOOK_AGAIN_MS, final) if told.tries <= _LOOKS_AGAIN else final
    return changed


def trusted(track: Track, now: int) -> Coverage:
    """What the feed's word stands for and is not worth a page yet: all that it was given for, or nothing."""
    if not track.flagged or not track.coverage or min(track.flagged.values()) <= now:
        return Coverage()
    return Coverage(track.owned(t) for t in track.flagged if t not in track.open)
