"""Years of an exchange that closes, and what Redis keeps of it, read as one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from livecache import Incomplete, NotReady, Reader
from livecache.equities.written import grid_text
from livecache.history.columns import Columns
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId

from ..cache.test_sessions import D1, GRIDS, H1, MN1, W1, filled, put
from ..core.test_calendar import ms
from ..core.test_other_grids import SYMBOL
from .support import opened

NOW = "2026-11-29T12:00"


@pytest.fixture
def redis() -> Iterator[Any]:
    with fakeredis.FakeRedis() as client:
        yield client


@pytest.fixture
def reader(tmp_path: Path, redis: Any) -> Iterator[Reader]:
    """Seven years are stored, and the newest 70 candles are kept."""
    venue = filled((H1, D1), NOW, candles=70)
    put(venue, redis)
    with closing(opened(tmp_path)) as store:
        for timeframe in (H1, D1):
            grid, key = GRIDS[timeframe], SeriesId("coinbase", SYMBOL, timeframe)
            made = store.series(key, create=True, grid_text=grid_text(timeframe, grid, "XNYS"))
            times = grid.opens(ms("2020-01-01"), ms("2026-11-24"))
            covered = Coverage([(grid.end_before(times[0]), grid.end(times[-1]))])
            assert made
            store.commit(made.id, Columns.of(venue.candle(timeframe, t) for t in times), covered)
    with Reader(client=redis, history=f"sqlite:///{tmp_path / 'history.db'}") as both:
        yield both


@pytest.mark.parametrize("empty", ["skip", "carry", "null"])
@pytest.mark.parametrize("timeframe", ["1h", "1d", "2h"])
def test_the_newest_candles_go_on_into_the_history(
    reader: Reader, redis: Any, timeframe: str, empty: Any
) -> None:
    got = [*reader.candles(SYMBOL, timeframe, 300, empty=empty)]
    redis.flushall()
    kept = put(filled((H1, D1), NOW, candles=700), redis)
    assert got == [*kept.candles(SYMBOL, timeframe, 300, empty=empty)]


def test_years_are_read_by_sessions_and_added_up_to_weeks_and_months(reader: Reader) -> None:
    for timeframe in (H1, D1):
        answer = reader.history(SYMBOL, timeframe, ms("2020-01-01"), ms("2026-11-28"))
        assert answer.time.tolist() == GRIDS[timeframe].opens(ms("2020-01-01"), ms("2026-11-28"))
    for timeframe in (W1, MN1):
        answer = reader.history(SYMBOL, timeframe, ms("2026-01-01"), ms("2026-10-20"))
        assert answer.time.tolist() == GRIDS[timeframe].opens(ms("2026-01-01"), ms("2026-10-20"))
        assert answer.derived_from == D1
    assert len(reader.history(SYMBOL, "1d", ms("2026-11-26"), gaps="allow")) == 1, "the half day alone"


def test_without_a_history_redis_says_where_its_sessions_are(redis: Any) -> None:
    put(filled((H1, D1), NOW, candles=70), redis)
    with Reader(client=redis, history="off") as reader:
        assert len(reader.history(SYMBOL, "1d", ms("2026-11-20"))) == 5
        assert len(reader.history(SYMBOL, "1h", ms("2026-11-20"))) == 4 * 7 + 4
        with pytest.raises(Incomplete):
            reader.history(SYMBOL, "1d", ms("2020-01-01"))


def test_the_newest_candles_do_not_go_on_into_shares_of_before_a_split(tmp_path: Path, redis: Any) -> None:
    venue = filled((D1,), NOW, candles=70)
    kept = [*put(venue, redis).candles(SYMBOL, "1d", 70)]
    grid, key = GRIDS[D1], SeriesId("coinbase", SYMBOL, D1)
    with closing(opened(tmp_path)) as store:
        made = store.series(key, create=True, grid_text=grid_text(D1, grid, "XNYS"))
        times = grid.opens(ms("2020-01-01"), ms("2026-11-24"))
        candles = [venue.candle(D1, t) for t in times]
        old = [ExactCandle(c.time, *[f"{float(n) * 4:g}" for n in c.numbers]) for c in candles]
        assert made
        store.commit(made.id, Columns.of(old), Coverage([(grid.end_before(times[0]), grid.end(times[-1]))]))
    with Reader(client=redis, history=f"sqlite:///{tmp_path / 'history.db'}") as both:
        assert [*both.candles(SYMBOL, "1d", 300, at_least=70)] == kept
        with pytest.raises(NotReady, match="70 of 300") as refused:
            both.candles(SYMBOL, "1d", 300)
        assert "split" in refused.value.hint
