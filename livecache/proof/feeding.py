"""How far the feed can be believed: per connection, and per symbol on it."""

from __future__ import annotations

__all__ = ["Channel", "Link"]


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
