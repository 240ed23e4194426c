"""`/udf/history` where it goes on into years: no seam, no hole that looks like none, and where it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.keys.keyspace import AliveRecord, Keyspace, encode_alive
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Served as ServedBy
from livecache.model.traits import Traits

from ..history.support import HandClock, covered, market, minute, number_of, put
from ..history.test_reader import redis_holds
from ..sizes import examples
from .api import NOW, served
from .udf_adapter import Adapter, Bar, Meta

BTC = {"ticker": "venue:BTC-USD"}

RECORDED = [
    "/udf/config",
    "/udf/time",
    "/udf/search?limit=30&query=BTC&type=&exchange=",
    "/udf/symbols?symbol=venue%3ABTC-USD",
    "/udf/symbols?symbol=DOGE-USD",
    "/udf/history?symbol=venue%3ABTC-USD&resolution=1&from=1728034260&to=1728054000&countback=329",
    "/udf/history?symbol=venue%3ABTC-USD&resolution=1&from=1728003300&to=1728023040&countback=329",
    "/udf/history?symbol=venue%3ABTC-USD&resolution=1&from=1727981400&to=1728001140&countback=329",
    "/udf/history?symbol=venue%3ABTC-USD&resolution=1&from=1727980260&to=1728000000&countback=329",
    "/udf/history?symbol=venue%3ABTC-USD&resolution=1&from=1728034200&to=1728034800&countback=2",
]
"""What the adapter's own bundle, run by Node, has asked of this server with this history: the library's part
was to ask for 329 bars before the oldest one, until there is no data, and then for updates at 1728034800.
"""


@pytest.fixture
def history(tmp_path: Path) -> Iterator[SqliteHistory]:
    store = SqliteHistory.open(tmp_path / "history.db", HandClock())
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def adapter(history: SqliteHistory, clean_valkey: str) -> Iterator[Adapter]:
    """Redis keeps the minutes from 640 to 760."""
    with redis.Redis.from_url(clean_valkey) as client:
        redis_holds(client, 640, 760)
        alive = encode_alive(AliveRecord("one", minute(760), "up"))
        client.set(Keyspace(venue="venue").alive("BTC-USD"), alive)
    with serving(clean_valkey, history) as adapter:
        yield adapter


@contextmanager
def serving(url: str, history: SqliteHistory, now: int = NOW) -> Iterator[Adapter]:
    """A chart over that Redis and history, where the venue's clock says `now`."""
    traits = Traits(served={Timeframe.M1: ServedBy(page=300)})
    with served(url, venues=["venue"], history=history.path, traits=traits, now=now) as server:
        adapter = Adapter(server.url)
        yield adapter
        adapter.close()


def traded(start: int, end: int) -> list[Bar]:
    return [Bar(row.time, *map(float, row.numbers)) for row in market(start, end)]


def at(number: int) -> int:
    return minute(number) // 1000


def scrolled(adapter: Adapter, end: int, count: int) -> tuple[list[Bar], Any]:
    """All that a chart is shown which scrolls to the left until there is no data, or an error."""
    shown: list[Bar] = []
    for _ in range(40):
        try:
            bars, meta = adapter.bars(BTC, "1", end - 60 * count, end, count)
        except ValueError as error:
            return shown, str(error)
        if meta.no_data:
            if meta.next_time is None:
                return shown, meta
            end = meta.next_time + 60
            continue
        assert len(bars) <= count
        shown, end = bars + shown, bars[0].time // 1000
    raise AssertionError("it does not end")


@pytest.mark.parametrize("count", [97, 329, 5_000])
def test_a_chart_scrolls_to_the_listing_over_the_seam_each_bar_once(
    history: SqliteHistory, adapter: Adapter, count: int
) -> None:
    series = number_of(history)
    put(history, series, 0, 700)
    history.list_since(series, minute(0))
    assert scrolled(adapter, at(900), count) == (traded(0, 760), Meta(True, None))


def test_a_chart_ends_where_nothing_was_traded_for_years_before(
    history: SqliteHistory, adapter: Adapter
) -> None:
    put(history, number_of(history), 0, 700)
    days = number_of(history, SeriesId("venue", "BTC-USD", Timeframe.D1))
    history.commit(days, Columns.of(()), Coverage([(minute(0) - 1_000 * 86_400_000, minute(0))]))
    assert scrolled(adapter, at(900), 329) == (traded(0, 760), Meta(True, None))


def test_our_adapter_asks_what_the_real_one_was_recorded_to_ask(
    history: SqliteHistory, adapter: Adapter
) -> None:
    series = number_of(history)
    put(history, series, 0, 700)
    history.list_since(series, minute(0))
    adapter.server_time()
    (found,) = adapter.search("btc")
    symbol = adapter.resolve(found["full_name"])
    assert symbol and adapter.resolve("DOGE-USD") is None
    assert scrolled(adapter, at(900), 329) == (traded(0, 760), Meta(True, None))
    adapter.pulse(symbol, "1", 1_728_034_800)
    assert adapter.asked == RECORDED


def test_bars_end_at_a_hole_and_go_on_once_it_is_filled(history: SqliteHistory, adapter: Adapter) -> None:
    """Fewer bars than `countback` are an answer; a chart asks for those before, and is told why not."""
    series = number_of(history)
    put(history, series, 0, 300)
    put(history, series, 350, 700)
    history.list_since(series, minute(0))
    shown, why = scrolled(adapter, at(900), 250)
    assert shown == traded(350, 760)
    assert "is missing" in why and "2024-10-04" in why
    put(history, series, 300, 350)
    assert scrolled(adapter, at(900), 250) == (traded(0, 760), Meta(True, None))


def test_without_countback_a_hole_before_from_is_nobodys_business(
    history: SqliteHistory, adapter: Adapter
) -> None:
    put(history, number_of(history), 350, 700)
    assert adapter.bars(BTC, "1", at(400), at(720)) == (traded(400, 720), Meta(False, None))
    assert adapter.bars(BTC, "1", at(700), at(720)) == (traded(700, 720), Meta(False, None))
    # … and one within ends the bars.
    assert adapter.bars(BTC, "1", at(300), at(400))[0] == traded(350, 400)


def test_where_nothing_was_traded_an_older_adapter_is_told_where_to_look(
    history: SqliteHistory, adapter: Adapter
) -> None:
    series = number_of(history)
    history.commit(series, Columns.of(market(0, 100)), covered(0, 700))
    history.list_since(series, minute(0))
    newest = market(0, 100)[-1].time // 1000
    assert adapter.bars(BTC, "1", at(300), at(600)) == ([], Meta(True, newest))
    # With countback it is searched for, whatever lies between.
    assert adapter.bars(BTC, "1", at(590), at(600), 10)[0] == traded(0, 100)[-10:]


def test_a_long_silence_is_told_and_is_not_the_end(history: SqliteHistory, adapter: Adapter) -> None:
    """It is looked through piece by piece; each answer without bars says where to look next."""
    series = number_of(history)
    history.commit(series, Columns.of(market(-30_000, -29_900)), Coverage([(minute(-30_000), minute(700))]))
    history.list_since(series, minute(-30_000))
    bars, meta = adapter.bars(BTC, "1", 0, at(640), 300)
    assert bars == [] and meta.next_time
    assert at(-29_900) < meta.next_time < at(-10_000)
    assert scrolled(adapter, at(640), 300) == (traded(-30_000, -29_900), Meta(True, None))


@pytest.mark.parametrize("now", [NOW, minute(765)], ids=["long after", "a moment after"])
def test_who_has_stopped_vouching_has_no_newest_bars_but_old_ones(
    history: SqliteHistory, clean_valkey: str, now: int
) -> None:
    """Be it that the history's own end is no older than a reader would take."""
    put(history, number_of(history), 0, 760)
    with redis.Redis.from_url(clean_valkey) as client:
        redis_holds(client, 640, 760)
    with serving(clean_valkey, history, now) as adapter:
        with pytest.raises(ValueError, match="nobody vouches"):
            adapter.bars(BTC, "1", at(700), at(900), 300)
        assert adapter.bars(BTC, "1", at(100), at(500), 300)[0] == [*traded(0, 500)[-300:]]


def test_days_are_added_up_from_what_is_kept(history: SqliteHistory, adapter: Adapter) -> None:
    put(history, number_of(history), 0, 1_440)
    symbol = adapter.resolve("BTC-USD")
    assert symbol and {"1", "60", "1D"} <= {*symbol["supported_resolutions"]}
    bars, _ = adapter.bars(symbol, "60", 0, at(600), 10)
    assert [bar.time for bar in bars] == [minute(60 * n) for n in range(10)]
    assert bars[0].high == max(bar.high for bar in traded(0, 60))


HOLES = [(120, 121), (300, 350), (610, 640)]


@pytest.fixture
def holed(history: SqliteHistory, adapter: Adapter) -> Adapter:
    """The same with holes in the history, the last of which ends where Redis begins."""
    series = number_of(history)
    for start, end in pairwise([0, *(edge for hole in HOLES for edge in hole), 760]):
        if (start, end) not in HOLES:
            put(history, series, start, end)
    history.list_since(series, minute(0))
    return adapter


def expected(start: int, end: int, count: int | None) -> list[Bar] | str:
    """What there is before minute `end`, in plain words: up to the newest hole, or why there is nothing."""
    end = min(end, 760)
    hole = max((upto for since, upto in HOLES if since < end and upto > start), default=start)
    bars = traded(max(start, hole), min(end, max(hole, end)))
    if not bars and hole > start:
        return "error"
    return (bars if count is None else bars[-count:]) or "no_data"


@settings(
    max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    end=st.integers(-10, 800),
    count=st.one_of(st.none(), st.integers(1, 900)),
    length=st.integers(1, 900),
)
def test_whatever_is_asked_it_is_what_there_is_up_to_the_newest_hole(
    holed: Adapter, end: int, count: int | None, length: int
) -> None:
    start = 0 if count else max(0, end - length)
    try:
        bars, meta = holed.bars(BTC, "1", at(end - length), at(end), count)
        got: list[Bar] | str = bars or "no_data"
        if meta.next_time is not None:
            assert not count and meta.next_time < at(max(start, 1))
    except ValueError:
        got = "error"
    assert got == expected(start, end, count)
