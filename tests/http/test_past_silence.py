"""Years end where nothing was traded for 1,000 days before the oldest candle that is known anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from typing import NamedTuple

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from ..history.support import HandClock, covered, minute, number_of, put
from ..history.test_reader import redis_holds
from .api import Served, served
from .support import Answer, ask
from .test_past import SOON, TRAITS, candles, history, server

__all__ = ["history", "server"]

DAY = 86_400_000
D1, H1 = Timeframe.D1, Timeframe.H1
NAMES = (f"S{n}-USD" for n in count())


class Kept(NamedTuple):
    server: Served
    store: SqliteHistory


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, valkey_url: str) -> Iterator[Kept]:
    path = tmp_path_factory.mktemp("silence") / "history.db"
    with (
        closing(SqliteHistory.open(path, HandClock())) as store,
        served(valkey_url, venues=["venue"], history=path, traits=TRAITS, now=SOON) as server,
    ):
        yield Kept(server, store)


def stored(store: SqliteHistory, symbol: str, timeframe: Timeframe, known: Coverage, *days: int) -> None:
    """Candles that open with these days, and all that is known, in days."""
    rows = [ExactCandle(day * DAY, "1", "2", "1", "2", "3") for day in days]
    spans = Coverage((start * DAY, end * DAY) for start, end in known)
    store.commit(number_of(store, SeriesId("venue", symbol, timeframe)), Columns.of(rows), spans)


def page(kept: Kept, symbol: str, before: int, limit: int) -> Answer:
    query = f"symbol={symbol}&timeframe=1h&before={before * DAY}&limit={limit}&partial=true"
    return ask(kept.server.url, f"/api/v1/candles?{query}")


_SPANS = st.lists(
    st.tuples(st.integers(15_000, 20_000), st.sampled_from([1, 90, 999, 1_000, 1_001, 2_000])), max_size=4
)


@settings(max_examples=25, deadline=None)
@given(
    _SPANS,
    st.lists(st.integers(15_000, 19_900), max_size=4),
    st.integers(19_000, 19_900),
    st.sampled_from([0, 0, 1, 30, 1_000, 1_001]),
    st.integers(-30, 30),
)
def test_it_ends_at_the_oldest_candle_if_1000_days_before_it_are_known_to_be_empty(
    kept: Kept, spans: list[tuple[int, int]], days: list[int], hour: int, hole: int, off: int
) -> None:
    symbol, days = next(NAMES), [day for day in days if day <= hour]
    oldest = min([*days, hour])
    spans = [*spans, (oldest - 1_000, 1_000)]
    known = Coverage((start, start + length) for start, length in spans)
    if hole:
        known = known.remove(oldest - hole, oldest - hole + 1)
    known |= Coverage((day, day + 1) for day in days)
    stored(kept.store, symbol, D1, known, *days)
    stored(kept.store, symbol, H1, Coverage([(hour, hour + 1)]), hour)
    told = page(kept, symbol, oldest + off, 24 * 10).content
    silent = known.covers(oldest - 1_000, oldest)
    assert told["exhausted"] == (silent and off <= 10), (silent, told)
    assert told["ends"] == ("silence" if told["exhausted"] else "")
    assert (told["next_before"] is None) == told["exhausted"]
    assert told["listed"] == (oldest * DAY if told["exhausted"] else None)
    assert told["from"] == ((oldest + min(0, off)) if told["exhausted"] else (oldest + off - 10)) * DAY


def test_candles_that_only_redis_has_are_no_less_known(
    history: SqliteHistory, server: Served, clean_valkey: str
) -> None:
    put(history, number_of(history), 700, 760)
    stored(history, "BTC-USD", D1, Coverage([(18_000, 20_000)]))
    history.commit(number_of(history), Columns.of(()), covered(0, 700))
    with redis.Redis.from_url(clean_valkey) as client:
        redis_holds(client, 640, 760)
    told = candles(server, f"&before={minute(720)}&limit=50").content
    assert not told["exhausted"] and told["next_before"] == minute(670)
    told = candles(server, f"&before={minute(720)}&limit=100").content
    assert told["ends"] == "silence" and minute(640) <= told["from"] < minute(645)
