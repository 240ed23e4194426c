"""How far the feed can be believed: per connection, and per symbol on it."""

from __future__ import annotations

from ..model.candle import ExactCandle
from ..model.coverage import Coverage
from .track import Track

__all__ = ["EARLY_MS", "Channel", "Link", "believe", "take_word", "trusted"]

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
        track.flagged[bucket] = track.grid.end(bucket) + track.policy.confirm_after_ms
        track.state_dirty = True


def trusted(track: Track, now: int) -> Coverage:
    """What the feed's word stands for and is not worth a page yet: all that it was given for, or nothing."""
    if not track.flagged or not track.coverage or min(track.flagged.values()) <= now:
        return Coverage()
    return Coverage(track.owned(t) for t in track.flagged if t not in track.open)
