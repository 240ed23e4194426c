"""`livecache watch SYMBOL TIMEFRAME`: what happens to the candles of one series, as it happens."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any

from ...config.schema import Config
from ...errors import RedisUnavailable
from ...model.series import Kind
from ...read.reading import SeriesView
from ...read.standing import row_of
from .. import terminal
from ..reading import connect, find_series, keyspace_of, open_reader
from .candle_table import Columns
from .following import LOOK_S, BucketNews, Following
from .stored import Bucket, BucketKind, StoredSeries, read_stored

__all__ = ["watch_series"]

_COLOURS = {Kind.CLOSED: "", Kind.SETTLED: "32", Kind.REVISED: "33", Kind.FORMING: "2"}


def watch_series(
    config: Config, symbol: str, timeframe: str, *, count: int, forming: bool | None, as_json: bool
) -> None:
    """Print the newest `count` closed buckets, then each thing that happens, until Ctrl-C.

    `forming` is whether the bucket in progress is shown as it changes; None: on a terminal only, in place.
    Raises UnknownSeries; RedisUnavailable at the beginning only: later it is told, and tried again.
    """
    with suppress(KeyboardInterrupt), closing(_Screen(forming, as_json=as_json)) as screen:
        with open_reader(config) as reader:
            series = find_series(reader.series(), symbol, timeframe)
            keys = keyspace_of(config, series.venue)
        following = Following(keys, series)
        begun = False
        while True:
            try:
                with connect(config) as client:
                    happenings = following.happenings(client)
                    standing = next(happenings)  # by now it listens, so that nothing falls in between
                    if not begun:
                        for bucket in _closed(read_stored(client, keys, series, count + 1), count):
                            screen.bucket(bucket)
                        begun = True
                    screen.show(standing)
                    for news in happenings:
                        screen.show(news)
            except RedisUnavailable as error:
                if not begun:
                    raise
                screen.trouble(error)
                time.sleep(LOOK_S)


def _closed(stored: StoredSeries, count: int) -> Sequence[Bucket]:
    """The newest `count` that are not in progress."""
    closed = [bucket for bucket in stored.buckets if bucket.kind is not BucketKind.FORMING]
    return closed[-count:] if count else []


class _Screen:
    """Prints; on a terminal the last line may be of the bucket in progress, and is then written over."""

    def __init__(self, forming: bool | None, *, as_json: bool) -> None:
        self._json = as_json
        self._in_place = terminal.is_terminal() and not as_json
        self._colour = terminal.has_colour()
        self._forming = self._in_place if forming is None else forming
        self._columns = Columns()
        self._open_line = False
        self._vouched = "unknown"

    def bucket(self, bucket: Bucket) -> None:
        """Print a bucket as it was when we came."""
        numbers = bucket.candle.numbers if bucket.candle else None
        told = {"kind": bucket.kind.value, "time": bucket.time, "candle": _array(bucket.candle)}
        self._print(told, self._line(bucket.time, bucket.kind.value, numbers))

    def show(self, news: BucketNews | SeriesView) -> None:
        """Print what has happened, or who vouches now, if that is another than before."""
        if isinstance(news, SeriesView):
            self._standing(news)
            return
        if news.kind is Kind.FORMING and not self._forming:
            return
        numbers = news.candle.numbers if news.candle else None
        line = self._line(news.time, news.kind.value, numbers)
        if news.candle is None:
            line = f"{line}  nothing was traded"
        elif news.replaced and not news.candle.equals(news.replaced):
            line = f"{line}  was {' '.join(news.replaced.numbers)}"
        told = {"kind": news.kind.value, "time": news.time, "candle": _array(news.candle)}
        self._print({**told, "replaced": _array(news.replaced)}, line, news.kind)

    def trouble(self, error: RedisUnavailable) -> None:
        """Print that Redis cannot be read, once."""
        if error.message != self._vouched:
            self._vouched = error.message
            told = {"kind": "standing", "vouched": False, "feed": "", "error": error.message}
            self._print(told, f"-- {error.message}")

    def _line(self, time: int, kind: str, numbers: tuple[str, ...] | None) -> str:
        return self._columns.line(time, kind, numbers, terminal.width() if self._in_place else 0)

    def close(self) -> None:
        """Leave the cursor at the start of a line."""
        if self._open_line:
            print(flush=True)

    def _standing(self, view: SeriesView) -> None:
        alive, feed = view.alive, row_of(view).feed
        said = f"vouched for by {alive.instance}, feed {feed}" if alive else "nobody vouches for it now"
        if said == self._vouched:
            return
        self._vouched = said
        self._print({"kind": "standing", "vouched": alive is not None, "feed": feed}, f"-- {said}")

    def _print(self, told: dict[str, Any], line: str, kind: Kind | None = None) -> None:
        if self._json:
            print(json.dumps(told), flush=True)
            return
        in_place = self._in_place and kind is Kind.FORMING
        if in_place:
            line = line[: terminal.width() - 1]  # a wrapped line could not be written over
        if kind and self._colour and _COLOURS[kind]:
            line = f"\x1b[{_COLOURS[kind]}m{line}\x1b[0m"
        begin = "\r\x1b[K" if self._open_line else ""
        print(f"{begin}{line}", end="" if in_place else "\n", flush=True)
        self._open_line = in_place


def _array(candle: Any) -> Any:
    return json.loads(candle.member()) if candle else None
