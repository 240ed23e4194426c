"""One series as it happens, for `livecache watch`: the only place there that knows channel and stream."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ...keys.keyspace import Damaged, Keyspace, decode_member
from ...model.candle import ExactCandle
from ...model.series import Kind, SeriesId
from ...model.timeframe import Timeframe
from ...read.reading import SeriesView
from ...read.standing import forming_in
from ...wire.connecting import database_of

if TYPE_CHECKING:
    import redis

    from ...reader.reader import Reader

__all__ = ["LOOK_S", "Following", "Happening"]

LOOK_S = 1.0  # between looks at who vouches: a key that expires tells nobody
_MESSAGES = 1000  # of the channel, before something is shown
_ENTRIES = 500  # of the stream, at once


class Happening(NamedTuple):
    """What happened to a bucket. No candle: nothing was traded. `replaced`: what readers saw before."""

    kind: Kind
    time: int  # its open, Unix ms
    candle: ExactCandle | None
    replaced: ExactCandle | None


class Following:
    """One series, followed over as many connections as it takes: the next one goes on where this one ended.

    Not by `Reader.follow` and `Reader.closes`, each of which waits for itself, and gives floats where people
    want to see the venue's digits.
    """

    def __init__(self, keys: Keyspace, series: SeriesId) -> None:
        self._keys = keys
        self._series = series
        self._after: bytes | None = None  # the entry of the stream that was dealt with last

    def happenings(
        self, client: redis.Redis, reader: Reader
    ) -> Generator[Happening | SeriesView, None, None]:
        """Each thing that happens from now on, and how the series stands: at first, and about once a second.

        The channel only hints that something happened. What has closed comes from the stream, which has also
        the buckets in which nothing was traded, and the bucket in progress from the set. By the time of the
        first answer it listens: what is read after that misses nothing. redis-py's errors pass through.
        """
        _, symbol, timeframe = self._series
        keys = replace(self._keys, database=database_of(client))
        shown: ExactCandle | None = None
        channel: Any
        with client.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
            channel.subscribe(keys.updates(symbol, timeframe))
            if self._after is None:
                self._after = _last(client, keys)
            yield reader.state(symbol, timeframe)
            while True:
                _take_hints(channel)
                self._after, news = _read(client, keys, self._series, self._after)
                view = reader.state(symbol, timeframe)
                yield from news
                forming = forming_in(view)
                if forming is not None and forming != shown:
                    yield Happening(Kind.FORMING, forming.time, forming, None)
                shown = forming or shown
                yield view


def _take_hints(channel: Any) -> None:
    """Wait for one, then take all that are there."""
    message = channel.get_message(timeout=LOOK_S)
    for _ in range(_MESSAGES):
        if message is None:
            break
        message = channel.get_message(timeout=0.0)


def _last(client: redis.Redis, keys: Keyspace) -> bytes:
    """The entry of the stream that is the newest now."""
    newest: Any = client.xrevrange(keys.closes, count=1)
    return newest[0][0] if newest else b"0-0"


def _read(
    client: redis.Redis, keys: Keyspace, series: SeriesId, after: bytes
) -> tuple[bytes, list[Happening]]:
    """What the stream tells of the series after that entry, and the entry to go on from."""
    news: list[Happening] = []
    while True:
        entries: Any = client.xrange(keys.closes, min=b"(" + after, count=_ENTRIES)
        for _, fields in entries:
            if fields.get(b"series") == keys.series_member(series).encode():
                news += _close_in(fields, series.timeframe)
        after = entries[-1][0] if entries else after
        if len(entries) < _ENTRIES:
            return after, news


def _close_in(fields: dict[bytes, bytes], timeframe: Timeframe) -> list[Happening]:
    """The happening in an entry; nothing for one that cannot be understood."""

    def candle(name: bytes) -> ExactCandle | None:
        return None if fields[name] == b"null" else decode_member(fields[name], timeframe)

    try:
        kind, time = Kind(fields[b"kind"].decode()), int(fields[b"time"])
        return [Happening(kind, time, candle(b"candle"), candle(b"replaced"))]
    except (Damaged, KeyError, ValueError):
        return []
