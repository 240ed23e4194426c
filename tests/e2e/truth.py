"""What readers get and what the store holds, against what was really traded."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import redis

from livecache import Candle, LivecacheError, Reader, Timeframe
from livecache.keys.keyspace import Keyspace, decode_member, decode_state
from livecache.model.candle import ExactCandle
from livecache.model.series import SeriesId
from livecache.read.candles import Candles
from livecache.reader.reader import MAX_LAG_S
from livecache.simulator import SeededMarket

__all__ = [
    "KEYS",
    "SETTLED_SOON_MS",
    "Look",
    "Truth",
    "Watcher",
    "everything_is_right",
    "series_of",
    "watching",
]

KEYS = Keyspace()

LOOK_EVERY_S = 0.1
COUNT = 60

SETTLED_SOON_MS = 120_000
"""A bucket is settled so long after its end, in a market that runs 60 times as fast: two real seconds."""


def series_of(symbols: Sequence[str], timeframes: Sequence[str]) -> list[SeriesId]:
    """All series of these symbols and timeframes."""
    return [SeriesId("coinbase", symbol, Timeframe(name)) for name in timeframes for symbol in symbols]


class Truth:
    """What a seeded market trades, bucket by bucket. Liquid products only: no bucket of theirs is empty."""

    def __init__(self, market: SeededMarket) -> None:
        self._market = market
        self._known: dict[tuple[SeriesId, int], ExactCandle] = {}

    def candle(self, series: SeriesId, time: int) -> ExactCandle:
        """The whole candle of a bucket, though it may still be in progress."""
        key = (series, time)
        if key not in self._known:
            end = time + series.timeframe.ms
            (self._known[key],) = self._market.candles(series.symbol, series.timeframe, time, end, end)
        return self._known[key]

    def fault(self, series: SeriesId, candle: ExactCandle | Candle, *, final: bool) -> str:
        """What is wrong with a candle; "" if nothing is. One that is not final may be a part of the whole."""
        whole = self.candle(series, candle.time)
        if final:
            return "" if _numbers(candle) == _numbers(whole) else f"{series}: {candle}, and it was {whole}"
        (o, h, low, _, v), (whole_o, whole_h, whole_low, _, whole_v) = _numbers(candle), _numbers(whole)
        part = o == whole_o and h <= whole_h and low >= whole_low and v <= whole_v
        return "" if part else f"{series}: {candle} is no part of {whole}"


def _numbers(candle: ExactCandle | Candle) -> tuple[float, ...]:
    return tuple(float(x) for x in (candle.open, candle.high, candle.low, candle.close, candle.volume))


# --- readers


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at all series gave. `at` and `took` are real seconds.

    `late` is by how much, in ms of the venue's clock, the newest bucket of any answer was overdue.
    """

    at: float
    took: float
    answers: int
    errors: Counter[str]
    late: int
    feeds: frozenset[str]  # what the answers said of the feed


@dataclass
class Watcher:
    """A reader that looks at every series all the while.

    `wrong` is what it should never have got; `went_back` what was settled once, and later was not.
    """

    series: Sequence[SeriesId]
    truth: Truth
    max_lag_s: float = MAX_LAG_S
    looks: list[Look] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    went_back: list[str] = field(default_factory=list)
    settled: dict[SeriesId, int] = field(default_factory=dict)
    _judged: dict[tuple[SeriesId, int], tuple[Candle, bool]] = field(default_factory=dict)

    def run(self, url: str, stop: threading.Event) -> None:
        """Look until told to stop."""
        with Reader(url, max_lag=self.max_lag_s) as reader:
            while not stop.wait(LOOK_EVERY_S):
                try:
                    self._look(reader)
                except Exception as error:
                    self.wrong.append(f"{type(error).__name__}: {error}")

    def since(self, began: float) -> list[Look]:
        """The looks that began at that monotonic time or later."""
        return [look for look in self.looks if look.at >= began]

    def blind_s(self, began: float) -> float:
        """The longest time since then in which not every series could be read, in seconds."""
        longest, good = 0.0, began
        for look in self.since(began):
            longest = max(longest, look.at + look.took - good)
            if not look.errors:
                good = look.at + look.took
        return longest

    def sees_all(self) -> bool:
        """Whether the newest look gave an answer for every series."""
        return bool(self.looks) and self.looks[-1].answers == len(self.series)

    def all_read_since(self, began: float) -> float:
        """When the first look after that monotonic time that gave every series was over; 0.0 if none did."""
        return next((look.at + look.took for look in self.since(began) if not look.errors), 0.0)

    def errors(self, began: float = 0.0) -> set[str]:
        """The names of all errors since that monotonic time."""
        return {name for look in self.since(began) for name in look.errors}

    def feeds(self, began: float = 0.0) -> set[str]:
        """What the newest look's answers said of the feed; or those of all looks since that time."""
        looks = self.since(began) if began else self.looks[-1:]
        return {feed for look in looks for feed in look.feeds}

    def _look(self, reader: Reader) -> None:
        at = time.monotonic()
        errors: Counter[str] = Counter()
        feeds: set[str] = set()
        late = answers = 0
        try:
            found: dict[SeriesId, Any] = dict(
                reader.many([(one.symbol, one.timeframe, COUNT) for one in self.series])
            )
        except LivecacheError as error:
            found = dict.fromkeys(self.series, error)
        took = time.monotonic() - at
        for series, outcome in found.items():
            if isinstance(outcome, Candles):
                answers += 1
                feeds.add(outcome.feed)
                late = max(late, outcome.age - series.timeframe.ms)
                self._judge(series, outcome)
            else:
                errors[type(outcome).__name__] += 1
        self.looks.append(Look(at, took, answers, errors, late, frozenset(feeds)))

    def _judge(self, series: SeriesId, candles: Candles) -> None:
        """Contiguous to the end it claims, and right where it says so."""
        step = series.timeframe.ms
        first = candles.known_through - COUNT * step
        if [c.time for c in candles] != list(range(first, candles.known_through, step)):
            self.wrong.append(f"{series}: not the {COUNT} buckets before {candles.known_through}")
        for candle in candles:
            final, place = candle.time < candles.settled_through, (series, candle.time)
            if self._judged.get(place) == (candle, final):
                continue
            self._judged[place] = candle, final
            if fault := self.truth.fault(series, candle, final=final):
                self.wrong.append(fault)
        before = self.settled.get(series, 0)
        if candles.settled_through < before:
            self.went_back.append(f"{series}: settled through {before}, later {candles.settled_through}")
        self.settled[series] = candles.settled_through


@contextmanager
def watching(
    url: str, series: Sequence[SeriesId], truth: Truth, *, max_lag_s: float = MAX_LAG_S
) -> Iterator[Watcher]:
    """A reader that watches in a thread of its own, over a connection of its own."""
    watcher, stop = Watcher(series, truth, max_lag_s), threading.Event()
    thread = threading.Thread(target=watcher.run, args=(url, stop), name="watcher")
    thread.start()
    try:
        yield watcher
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


# --- the store


def everything_is_right(client: redis.Redis, series: Sequence[SeriesId], truth: Truth) -> int:
    """Hold every candle of every series, and every close announced, against the truth; how many there were.

    The client returns bytes.
    """
    compared = 0
    for one in series:
        with client.pipeline(transaction=True) as pipeline:
            pipeline.zrange(KEYS.candles(one.symbol, one.timeframe), 0, -1)
            pipeline.hgetall(KEYS.state(one.symbol, one.timeframe))
            members, fields = pipeline.execute()
        record = decode_state({k.decode(): v.decode() for k, v in fields.items()})
        candles = {c.time: c for c in (decode_member(member, one.timeframe) for member in members)}
        assert len(candles) == len(members) == record.count, f"{one}: one member a bucket, all counted"
        for candle in candles.values():
            assert not truth.fault(one, candle, final=candle.time in record.state.coverage)
        for span in record.state.coverage:
            held = [time for time in range(span.start, span.end, one.timeframe.ms) if time in candles]
            assert len(held) == (span.end - span.start) // one.timeframe.ms, f"{one}: covered and not there"
        compared += len(candles)
    return compared + _closes_are_right(client, truth)


def _closes_are_right(client: redis.Redis, truth: Truth) -> int:
    entries: Any = client.xrange(KEYS.closes)
    for _, entry in entries:
        kind, text = entry[b"kind"].decode(), entry[b"candle"]
        one = KEYS.parse_series(entry[b"series"].decode())
        assert one is not None
        assert kind in ("closed", "settled"), f"nothing was revised, and yet: {entry}"
        assert msgspec.json.decode(text) is not None, f"nothing was empty, and yet: {entry}"
        assert not truth.fault(one, decode_member(text, one.timeframe), final=kind == "settled")
    return len(entries)
