"""Stores to try things on, and pages for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Commit, HistoryStore, Lease
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

__all__ = [
    *("KEY", "MINUTE", "START"),
    *("HandClock", "covered", "market", "minute", "number_of", "opened", "put", "same"),
]

KEY = SeriesId("venue", "BTC-USD", Timeframe.M1)
MINUTE = 60_000
START = 1_440 * 20_000 * MINUTE  # where a block begins


class HandClock:
    """Unix ms, which tests set."""

    def __init__(self, now: int = 1_700_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def minute(number: int) -> int:
    """The open of the minute of that number."""
    return START + number * MINUTE


def covered(start: int, end: int) -> Coverage:
    """From one minute to another."""
    return Coverage([(minute(start), minute(end))])


def market(start: int, end: int, *, of: int = 1, quiet: float = 0.1) -> list[ExactCandle]:
    """What was traded in those minutes: the same each time, and not in every minute."""
    rows = []
    for number in range(start, end):
        random = Random(of * 1_000_003 + number)
        if random.random() >= quiet:
            low, open, close, high = (f"{p / 100:.2f}" for p in sorted(random.sample(range(9_000, 9_999), 4)))
            volume = f"{random.randrange(10**6)}.{random.randrange(10**8):08}"
            rows.append(ExactCandle(minute(number), open, high, low, close, volume))
    return rows


def number_of(store: HistoryStore, key: SeriesId = KEY) -> int:
    """The store's number for a series, which is made if need be."""
    made = store.series(key, create=True)
    assert made
    return made.id


def put(
    store: HistoryStore, series: int, start: int, end: int, lease: Lease | None = None, *, of: int = 1
) -> Commit:
    """Store what was traded in those minutes."""
    return store.commit(series, Columns.of(market(start, end, of=of)), covered(start, end), lease=lease)


def opened(folder: Path, clock: HandClock | None = None) -> SqliteHistory:
    """A store in that folder."""
    return SqliteHistory.open(folder / "history.db", clock or HandClock())


def same(got: Sequence[ExactCandle], expected: Sequence[ExactCandle]) -> bool:
    """Whether they are the same candles."""
    return len(got) == len(expected) and all(map(ExactCandle.equals, got, expected))
