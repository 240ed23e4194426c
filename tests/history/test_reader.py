"""`Reader.history`: years as arrays, with Redis on top if it is there, and errors that say what to do."""

from __future__ import annotations

import asyncio
import math
import pickle
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from livecache import AsyncReader, Candles, ConfigError, Incomplete, NotReady, Reader, UnknownSeries
from livecache.errors import DamagedBlock, HistoryChanged, HistoryError, NewerSchema, StoreUnusable
from livecache.history.columns import Columns
from livecache.history.ordering import wants_of
from livecache.history.sqlite.schema import SCHEMA
from livecache.history.sqlite.store import SqliteHistory
from livecache.keys.keyspace import AliveRecord, Keyspace, encode_alive, encode_state
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage, Span
from livecache.model.rollup import roll_up
from livecache.model.series import SeriesId, SeriesState
from livecache.model.timeframe import Timeframe
from livecache.venues.deribit.traits import traits_of

from .support import KEY, MINUTE, HandClock, covered, market, minute, number_of, put, same
from .test_damage import cut
from .test_opening import altered


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """No Redis, and no history but the one that is named."""
    for name in ("LIVECACHE_REDIS_URL", "LIVECACHE_REDIS_DATA_DIR", "LIVECACHE_HISTORY_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return f"sqlite:///{tmp_path / 'history.db'}"


@pytest.fixture
def reader(place: str) -> Iterator[Reader]:
    with Reader(history=place) as opened:
        yield opened


def redis_holds(client: redis.Redis, start: int, settled: int, *, of: int = 1, venue: str = "venue") -> None:
    """The candles of these minutes, as a service keeps them that has settled all of them."""
    keys, span = Keyspace(venue=venue), Coverage([(minute(start), minute(settled))])
    edge = minute(settled)
    state = SeriesState(True, "", minute(start), edge, edge, edge, span, history_from=0, forming=0)
    flat = encode_state(state, origin="https://venue", fence=1, revision=1, updated_at=edge)
    key, rows = keys.candles("BTC-USD", Timeframe.M1), market(start, settled, of=of)
    client.zadd(key, {row.member(): row.time for row in rows})
    client.hset(f"{key}:state", mapping={**dict(zip(flat[::2], flat[1::2], strict=True)), "count": len(rows)})
    client.sadd(keys.series, "BTC-USD:1m")
    client.sadd(keys.venues, venue)


def test_without_redis_what_is_stored_is_read_to_the_digit(
    store: SqliteHistory, series: int, reader: Reader
) -> None:
    put(store, series, 0, 3_000)
    answer = reader.history("BTC-USD", "1m", minute(0), minute(3_000))
    expected = market(0, 3_000)
    assert same(answer.exact(), expected) and answer.missing == Coverage()
    assert answer.time.tolist() == [row.time for row in expected]
    for name in ("open", "high", "low", "close", "volume"):
        assert getattr(answer, name).tolist() == [float(getattr(row, name)) for row in expected]
    assert answer.revision == 1 and answer.derived_from is None
    assert answer.settled_through == minute(3_000)
    with pytest.raises(ValueError, match="read-only"):
        answer.close[0] = 1


def test_without_an_end_it_goes_as_far_as_anything_is_known(
    store: SqliteHistory, series: int, reader: Reader
) -> None:
    put(store, series, 0, 500)
    answer = reader.history("BTC-USD", Timeframe.M1, minute(100))
    assert answer.coverage == covered(100, 500)
    with pytest.raises(Incomplete, match=r"0 of 1 buckets are known"):
        reader.history("BTC-USD", "1m", minute(600))
    assert len(reader.history("BTC-USD", "1m", minute(600), gaps="allow")) == 0


def test_what_redis_has_settled_goes_on_where_the_history_ends_and_counts(
    store: SqliteHistory, series: int, place: str, clean_valkey: str
) -> None:
    put(store, series, 0, 500)
    with redis.Redis.from_url(clean_valkey) as client:
        redis_holds(client, 450, 560, of=2)
    with Reader(clean_valkey, history=place) as reader:
        answer = reader.history("BTC-USD", "1m", minute(0))
        assert same(answer.exact(), [*market(0, 450), *market(450, 560, of=2)])
        assert answer.settled_through == minute(560)
        with redis.Redis.from_url(
            clean_valkey
        ) as client:  # one candle is lost: what Redis says is not believed
            client.zpopmin(Keyspace(venue="venue").candles("BTC-USD", Timeframe.M1))
        assert same(reader.history("BTC-USD", "1m", minute(0)).exact(), market(0, 500))


def kept_lately(client: redis.Redis, start: int, settled: int) -> None:
    """The same, vouched for: a service runs."""
    redis_holds(client, start, settled)
    client.set(
        Keyspace(venue="venue").alive("BTC-USD"), encode_alive(AliveRecord("one", minute(settled), "up"))
    )


@pytest.mark.parametrize("empty", ["skip", "carry", "null"])
@pytest.mark.parametrize("timeframe", ["1m", "5m", "45m"])
def test_the_newest_candles_go_on_into_the_history_as_if_redis_kept_them(
    store: SqliteHistory, series: int, place: str, clean_valkey: str, empty: Any, timeframe: str
) -> None:
    put(store, series, 0, 480)
    with redis.Redis.from_url(clean_valkey) as client:
        kept_lately(client, 0, 540)
        with Reader(clean_valkey, history="off") as reader:
            step = reader.candles("BTC-USD", timeframe, 1).series.timeframe.ms // MINUTE
            counts = range(1, 400 // step + 1, max(1, 71 // step))
            whole = [reader.candles("BTC-USD", timeframe, count, empty=empty) for count in counts]
        client.flushdb()
        kept_lately(client, 450, 540)
    with Reader(clean_valkey, history=place) as reader:
        for count, expected in zip(counts, whole, strict=True):
            got = reader.candles("BTC-USD", timeframe, count, empty=empty)
            assert repr([*got]) == repr([*expected]) and got.synthetic == expected.synthetic
            assert got.known_through == expected.known_through == minute(540)
            assert got.contiguous_from <= got[0].time
    got = asyncio.run(newest_of(clean_valkey, place, timeframe, counts[-1], empty))
    assert repr([*got]) == repr([*whole[-1]])


async def newest_of(url: str, place: str, timeframe: str, count: int, empty: Any) -> Candles:
    async with AsyncReader(url, history=place) as reader:
        return await reader.candles("BTC-USD", timeframe, count, empty=empty)


def test_the_newest_candles_are_never_taken_over_a_hole(
    store: SqliteHistory, series: int, place: str, clean_valkey: str
) -> None:
    put(store, series, 0, 100)
    put(store, series, 200, 440)
    with redis.Redis.from_url(clean_valkey) as client:
        kept_lately(client, 450, 540)
    with Reader(clean_valkey, history=place) as reader:
        lately = len(market(450, 540))
        with pytest.raises(NotReady, match=rf"{lately} of 300 candles are there without a gap") as caught:
            reader.candles("BTC-USD", "1m", 300)
        assert caught.value.have == lately
        put(store, series, 440, 450)
        there = len(market(200, 540))
        with pytest.raises(NotReady, match=rf"{there} of 400 candles") as caught:
            reader.candles("BTC-USD", "1m", 400)
        assert caught.value.have == there
        some = reader.candles("BTC-USD", "1m", 400, at_least=60)
        assert len(some) == there and some.contiguous_from == minute(200)
        store.uncover(series, covered(0, 200))
        store.list_since(series, minute(200))
        assert len(reader.candles("BTC-USD", "1m", 400, at_least=1, empty="null")) == 340
        store.uncover(series, covered(200, 450))
        assert len(reader.candles("BTC-USD", "1m", 400, at_least=60)) == lately
    for nowhere in ("off", f"{place}.no"):
        with Reader(clean_valkey, history=nowhere) as reader, pytest.raises(NotReady, match="say at_least"):
            reader.candles("BTC-USD", "1m", 300)


def test_redis_alone_is_enough_where_no_history_was_ever_made(clean_valkey: str) -> None:
    with redis.Redis.from_url(clean_valkey) as client:
        redis_holds(client, 0, 120)
    with Reader(clean_valkey) as reader:
        assert same(reader.history("BTC-USD", "1m", minute(0), minute(120)).exact(), market(0, 120))
        hours = reader.history("BTC-USD", "1h", minute(0))
        assert hours.derived_from is Timeframe.M1 and len(hours) == 2 and hours.revision == 0
    named = Reader(clean_valkey, history="sqlite:////nowhere/history.db")
    with named, pytest.raises(StoreUnusable, match="there is no history at"):
        named.history("BTC-USD", "1m", minute(0))


def test_gaps_are_an_error_that_names_them_or_are_told(
    store: SqliteHistory, series: int, reader: Reader
) -> None:
    put(store, series, 0, 100)
    put(store, series, 200, 300)
    with pytest.raises(Incomplete, match=r"200 of 300 .*livecache history fill .*gaps=") as caught:
        reader.history("BTC-USD", "1m", minute(0), minute(300))
    assert caught.value.missing == ((minute(100), minute(200)),)
    assert (caught.value.have, caught.value.want) == (200, 300)
    answer = reader.history("BTC-USD", "1m", minute(0), minute(300), gaps="allow")
    assert answer.missing == covered(100, 200)
    assert same(answer.exact(), [*market(0, 100), *market(200, 300)])


def test_before_its_listing_nothing_is_missing(store: SqliteHistory, series: int, reader: Reader) -> None:
    put(store, series, 50, 100)
    store.list_since(series, minute(50))
    assert same(reader.history("BTC-USD", "1m", minute(0), minute(100)).exact(), market(50, 100))


def test_empty_buckets_are_left_out_carried_or_null(
    store: SqliteHistory, series: int, reader: Reader
) -> None:
    rows = [ExactCandle(minute(n), "1", "3", "0.5", str(n), "7") for n in (0, 2, 6, 8)]
    store.commit(series, Columns.of(rows[:2]), covered(0, 4))
    store.commit(series, Columns.of(rows[2:]), covered(5, 9))

    def closes(start: int, **options: object) -> list[float | None]:
        answer = reader.history("BTC-USD", "1m", minute(start), minute(9), gaps="allow", **options)  # type: ignore[arg-type]
        assert len(answer.time) == len(answer.close) == len(answer.volume) == len(answer)
        return [None if math.isnan(close) else close for close in answer.close.tolist()]

    assert closes(0) == [0, 2, 6, 8]
    assert closes(0, empty="null") == [0, None, 2, None, None, 6, None, 8]
    assert closes(0, empty="carry") == [0, 0, 2, 2, None, 6, 6, 8], "and nothing is carried over a hole"
    assert closes(1, empty="carry") == [0, 2, 2, None, 6, 6, 8], "from before the stretch, too"
    answer = reader.history("BTC-USD", "1m", minute(0), minute(4), empty="carry")
    assert answer.volume.tolist() == [7, 0, 7, 0] and answer.high.tolist() == [3, 0, 3, 2]


@pytest.mark.parametrize("timeframe", ["5m", "1h", "1d", "45m"])
def test_bigger_timeframes_are_the_exact_sums_of_smaller_ones(
    store: SqliteHistory, series: int, reader: Reader, timeframe: str
) -> None:
    put(store, series, 0, 1_440 * 3)
    answer = reader.history("BTC-USD", timeframe, minute(0), minute(1_440 * 3))
    step = answer.series.timeframe.ms
    parts: dict[int, list[ExactCandle]] = {}
    for row in market(0, 1_440 * 3):
        parts.setdefault(row.time // step * step, []).append(row)
    assert same(answer.exact(), [c for time, rows in parts.items() if (c := roll_up(time, rows))])
    assert answer.derived_from is Timeframe.M1


def test_where_it_comes_from_can_be_said(store: SqliteHistory, series: int, reader: Reader) -> None:
    put(store, series, 0, 120)
    hours = number_of(store, KEY._replace(timeframe=Timeframe.H1))
    own = ExactCandle(minute(0), "1", "1", "1", "1", "1")
    store.commit(hours, Columns.of([own]), covered(0, 60))
    assert same(reader.history("BTC-USD", "1h", minute(0), source="stored").exact(), [own])
    auto = reader.history("BTC-USD", "1h", minute(0))
    assert len(auto) == 2 and same(auto.exact()[:1], [own])
    derived = reader.history("BTC-USD", "1h", minute(0), source="derived")
    assert not derived.exact()[0].equals(own)
    with pytest.raises(Incomplete):
        reader.history("BTC-USD", "1h", minute(0), minute(120), source="stored")


def test_days_are_added_up_where_the_venue_has_them(store: SqliteHistory, reader: Reader) -> None:
    wants_of(store, "venue", traits_of(1_000, 1.0), ["BTC-USD"], [Timeframe.M1], Span(minute(0), minute(100)))
    put(store, number_of(store), 0, 1_440 * 3)
    answer = reader.history("BTC-USD", "1d", minute(0))
    assert answer.time.tolist() == [minute(480), minute(480 + 1_440)]


def test_what_was_known_as_of_a_time_is_read_as_it_was_then(
    store: SqliteHistory, series: int, reader: Reader, clock: HandClock
) -> None:
    clock.now = int(time.time() * 1000) - 3 * 3_600_000
    put(store, series, 0, 100)
    then, clock.now = clock.now + 1, clock.now + 2 * 3_600_000
    put(store, series, 50, 200, of=2)
    assert same(reader.history("BTC-USD", "1m", minute(0), as_of=then).exact(), market(0, 100))
    now = reader.history("BTC-USD", "1m", minute(0))
    assert same(now.exact()[-1:], market(100, 200, of=2)[-1:])
    with pytest.raises(HistoryError, match="90 days"):
        reader.history("BTC-USD", "1m", minute(0), as_of="2020-01-01")


def test_batches_are_the_same_in_parts_and_a_revision_of_what_has_passed_is_told(
    store: SqliteHistory, series: int, reader: Reader
) -> None:
    put(store, series, 0, 1_000)
    parts = list(reader.history_batches("BTC-USD", "1m", minute(0), rows=300))
    assert [len(part.coverage.spans) for part in parts] == [1, 1, 1, 1]
    assert same([row for part in parts for row in part.exact()], market(0, 1_000))
    hours = list(reader.history_batches("BTC-USD", "1h", minute(0), minute(960), rows=5, empty="carry"))
    whole = reader.history("BTC-USD", "1h", minute(0), minute(960), empty="carry")
    assert np.concatenate([part.close for part in hours]).tolist() == whole.close.tolist()
    running = reader.history_batches("BTC-USD", "1m", minute(0), rows=300)
    next(running)
    put(store, series, 900, 1_000, of=2)
    next(running)  # of what follows nobody has read anything yet
    put(store, series, 100, 110, of=2)
    with pytest.raises(HistoryChanged, match="read it once more"):
        next(running)


def test_the_venue_is_the_one_that_has_the_symbol(store: SqliteHistory, series: int, reader: Reader) -> None:
    put(store, series, 0, 10)
    put(store, number_of(store, SeriesId("other", "ETH-USD", Timeframe.M1)), 0, 10)
    assert reader.history("ETH-USD", "1m", minute(0)).series.venue == "other"
    assert reader.history("venue:BTC-USD", "1m", minute(0)).series == KEY
    put(store, number_of(store, SeriesId("other", "BTC-USD", Timeframe.M1)), 0, 10)
    with pytest.raises(UnknownSeries, match="say other:BTC-USD or venue:BTC-USD"):
        reader.history("BTC-USD", "1m", minute(0))
    with Reader(venue="other", history=f"sqlite:///{store.path}") as named:
        assert named.history("BTC-USD", "1m", minute(0)).series.venue == "other"


def test_what_is_not_there_is_told_with_what_may_have_been_meant(
    store: SqliteHistory, series: int, reader: Reader
) -> None:
    put(store, number_of(store, KEY._replace(timeframe=Timeframe.H1)), 0, 60)
    with pytest.raises(UnknownSeries, match="did you mean BTC-USD"):
        reader.history("BTC-USDT", "1h", minute(0))
    with pytest.raises(UnknownSeries, match="--timeframe 1m"):
        reader.history("BTC-USD", "1m", minute(0), source="derived")
    for wrong in ({"gaps": "skip"}, {"empty": "zero"}, {"source": "redis"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            reader.history("BTC-USD", "1h", minute(0), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must hold the open of a bucket"):
        reader.history("BTC-USD", "1h", minute(1), minute(2))
    with pytest.raises(ConfigError, match="sqlite:///path"):
        Reader(history="mysql://host/db")


def test_a_file_that_cannot_be_used_or_believed_is_an_error_with_its_remedy(
    store: SqliteHistory, series: int, reader: Reader
) -> None:
    put(store, series, 0, 1_440 * 3)
    cut(store.path)
    with pytest.raises(DamagedBlock, match="livecache history verify"):
        reader.history("BTC-USD", "1m", minute(0))
    assert len(reader.history("BTC-USD", "1m", minute(0), minute(1_000)).exact()), "the rest can be read"
    altered(store.path, f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(NewerSchema, match="upgrade livecache here"):
        reader.history("BTC-USD", "1m", minute(0))


def test_a_file_that_has_been_written_or_replaced_since_the_last_read_is_read_as_it_is(
    store: SqliteHistory, series: int, reader: Reader, tmp_path: Path
) -> None:
    for end in (100, 200):
        put(store, series, end - 100, end)
        assert same(reader.history("BTC-USD", "1m", minute(0)).exact(), market(0, end))
    with closing(SqliteHistory.open(tmp_path / "other.db")) as other:
        put(other, number_of(other, KEY), 0, 50, of=2)
    (tmp_path / "other.db").replace(store.path)
    assert same(reader.history("BTC-USD", "1m", minute(0)).exact(), market(0, 50, of=2))


def test_columns_go_into_frames_and_tables(store: SqliteHistory, series: int, reader: Reader) -> None:
    put(store, series, 0, 100)
    answer = reader.history("BTC-USD", "1m", minute(0))
    array = answer.to_numpy()
    assert array.dtype.names == ("time", "open", "high", "low", "close", "volume")
    assert array["close"].tolist() == answer.close.tolist()
    pytest.importorskip("pandas")
    frame = answer.to_pandas()
    assert frame["close"].tolist() == answer.close.tolist() and str(frame.index.tz) == "UTC"
    assert frame.attrs["symbol"] == "BTC-USD" and frame.attrs["missing"] == []
    pytest.importorskip("polars")
    assert answer.to_polars()["high"].to_list() == answer.high.tolist()
    pytest.importorskip("pyarrow")
    table = answer.to_arrow()
    assert table.column_names[0] == "time" and table["low"].to_pylist() == answer.low.tolist()
    assert table["time"].cast("int64").to_pylist() == answer.time.tolist()


def test_a_reader_goes_to_another_process_with_its_history_and_threads_may_share_it(
    store: SqliteHistory, series: int, reader: Reader
) -> None:
    put(store, series, 0, 500)
    copy: Reader = pickle.loads(pickle.dumps(reader))

    def read(n: int) -> bool:
        answer = copy.history("BTC-USD", "1m", minute(n), minute(n + 100))
        return same(answer.exact(), market(n, n + 100))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(0, 400, 10)))


def test_the_asynchronous_reader_reads_the_same(
    store: SqliteHistory, series: int, place: str, clean_valkey: str
) -> None:
    put(store, series, 0, 500)
    with redis.Redis.from_url(clean_valkey) as client:
        redis_holds(client, 450, 560)

    async def main() -> tuple[list[ExactCandle], int]:
        async with AsyncReader(clean_valkey, history=place) as reader:
            answer = await reader.history("BTC-USD", "1m", minute(0))
            parts = [part async for part in reader.history_batches("BTC-USD", "1m", minute(0), rows=100)]
            return answer.exact(), len(parts)

    exact, parts = asyncio.run(main())
    assert same(exact, market(0, 560)) and parts == 6
