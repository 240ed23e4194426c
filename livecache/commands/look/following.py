"""One series as it happens, for `livecache watch`: followed as readers do, to the venue's digits."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import ClosesLost
from ...keys.keyspace import Damaged, Keyspace, decode_member
from ...model.candle import ExactCandle
from ...model.grid import ANYTIME
from ...model.series import Kind, SeriesId
from ...read.close_events import BEGINNING, ENTRIES_A_READ, entries_after, newest_entry
from ...read.orders import Give, Listen, Orders, Subscribe
from ...read.reading import Core, SeriesView
from ...read.standing import forming_in
from ...reader.links import RedisLink
from ...wire.scripts import text_of

if TYPE_CHECKING:
    import redis

__all__ = ["LOOK_S", "BucketNews", "Following"]

LOOK_S = 1.0  # between looks at who vouches: a key that expires tells nobody


class BucketNews(NamedTuple):
    """What happened to a bucket. No candle: nothing was traded. `replaced`: what readers saw before."""

    kind: Kind
    time: int  # its open, Unix ms
    candle: ExactCandle | None
    replaced: ExactCandle | None


class Following:
    """One series, over as many connections as it takes: the next one goes on where this one ended."""

    def __init__(self, keys: Keyspace, series: SeriesId) -> None:
        self._keys = keys
        self._series = series
        self._after = ""  # the entry of the stream that was dealt with last

    def happenings(self, client: redis.Redis) -> Generator[BucketNews | SeriesView, None, None]:
        """Each thing that happens from now on, and how the series stands: at first, and about once a second.

        The channel only hints that something happened. What has closed comes from the stream, which has also
        the buckets in which nothing was traded, and the bucket in progress from the set. By the time of the
        first answer it listens: what is read after that misses nothing. Raises RedisUnavailable.
        """
        link = RedisLink(None, client)
        return link.iterate(self._follow(Core(replace(self._keys, database=link.database), 0)))

    def _follow(self, core: Core) -> Orders:
        shown: ExactCandle | None = None
        yield Subscribe((core.keys.updates(*self._series[1:]),))
        self._after = self._after or (yield from newest_entry(core.keys))
        yield from map(Give, (yield from core.views([self._series])))
        while True:
            yield Listen(LOOK_S)
            yield from self._closes(core.keys)
            (view,) = yield from core.views([self._series])
            forming = forming_in(view)
            if forming is not None and forming != shown:
                yield Give(BucketNews(Kind.FORMING, forming.time, forming, None))
            shown = forming or shown
            yield Give(view)

    def _closes(self, keys: Keyspace) -> Orders:
        """What the stream tells of the series since the last time."""
        entries: Any = None
        while entries is None or len(entries) >= ENTRIES_A_READ:
            try:
                entries = yield from entries_after(keys, self._after)
            except ClosesLost:  # Trimmed or emptied: all that is there is new.
                entries = yield from entries_after(keys, BEGINNING)
            for entry, fields in entries:
                if text_of(fields.get(b"series")) == keys.series_member(self._series):
                    yield from map(Give, self._close_in(fields))
                self._after = text_of(entry)

    def _close_in(self, fields: Mapping[bytes, bytes]) -> list[BucketNews]:
        """The happening in an entry; nothing for one that cannot be understood."""

        def candle(name: bytes) -> ExactCandle | None:
            text = fields[name]  # which does not say where its buckets lie
            return None if text == b"null" else decode_member(text, self._series.timeframe, ANYTIME)

        try:
            kind, time = Kind(fields[b"kind"].decode()), int(fields[b"time"])
            return [BucketNews(kind, time, candle(b"candle"), candle(b"replaced"))]
        except (Damaged, KeyError, ValueError):
            return []
