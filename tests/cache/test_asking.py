"""What people pass to a reader: numbers of numpy's, times of any kind; what is refused names the argument."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import fakeredis
import pytest
import redis.asyncio

from livecache import AsyncReader, ConfigError, Reader, ReadError, UnknownSeries, UnknownTimeframe
from livecache.read.asking import seconds_of, time_of

from .either import either
from .support import BTC, ETH, STEP, T0, state
from .test_reader import put


@pytest.fixture
def reader() -> Iterator[Reader]:
    with fakeredis.FakeRedis() as client:
        put(client, state(0, 10, 10), range(10), series=BTC)
        put(client, state(0, 10, 10), range(10), series=ETH)
        yield Reader(client=client)


class Index:
    """A number of somebody else's."""

    def __index__(self) -> int:
        return 3


# --- numbers


@pytest.mark.parametrize("kind", ["int64", "int32", "uint8", "intp"])
def test_a_number_of_numpys_is_a_number(reader: Reader, kind: str) -> None:
    numpy = pytest.importorskip("numpy")
    three = getattr(numpy, kind)(3)
    assert len(reader.candles("BTC-USD", "5m", three)) == 3
    assert len(reader.candles("BTC-USD", "5m", 50, at_least=three)) == 10
    assert len(reader.candles("BTC-USD", "5m", limit=three)) == 3
    assert len(reader.many(["BTC-USD"], "5m", three).ok["BTC-USD"]) == 3


def test_whatever_has_an_index_is_a_number(reader: Reader) -> None:
    assert len(reader.candles("BTC-USD", "5m", Index())) == 3


@pytest.mark.parametrize("value", [True, False, 1.5, 3.0, math.nan, Decimal(3), "3", b"3", [], 0, -1, 10**9])
def test_what_is_no_number_is_refused_by_the_name_of_the_argument(reader: Reader, value: Any) -> None:
    with pytest.raises(ValueError, match=r"^count is a number from 1 to 100000, not"):
        reader.candles("BTC-USD", "5m", value)
    with pytest.raises(ValueError, match=r"^at_least is a number from 1 to count \(5\), not"):
        reader.candles("BTC-USD", "5m", 5, at_least=value)


def test_who_does_not_say_how_many_is_told_to(reader: Reader) -> None:
    for read in (reader.candles, reader.follow):
        with pytest.raises(TypeError, match=r"how many candles\? Give a count, such as 60"):
            read("BTC-USD", "5m")
    for read_many in (reader.many, reader.wait_ready, reader.follow_many):
        with pytest.raises(TypeError, match="how many candles"):
            read_many(["BTC-USD"], "5m")


def test_numpys_truth_and_arrays_are_no_numbers(reader: Reader) -> None:
    numpy = pytest.importorskip("numpy")
    for value in (numpy.bool_(True), numpy.array([1, 2]), numpy.float64(3)):
        with pytest.raises(ValueError, match=r"^count is a number"):
            reader.candles("BTC-USD", "5m", value)


def test_count_and_limit_are_one_thing(reader: Reader) -> None:
    assert reader.candles("BTC-USD", "5m", limit=4) == reader.candles("BTC-USD", "5m", 4)
    with pytest.raises(TypeError, match="count and limit are two words for the same"):
        reader.candles("BTC-USD", "5m", 4, limit=4)


@pytest.mark.parametrize("value", [5, 5.0, Decimal(5), timedelta(seconds=5)])
def test_seconds_are_any_real_number_or_a_timedelta(reader: Reader, value: Any) -> None:
    assert seconds_of("max_lag", value) == 5
    assert len(reader.candles("BTC-USD", "5m", 3, max_lag=value)) == 3


def test_seconds_of_numpys_and_pandas_keep_their_unit() -> None:
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    assert seconds_of("max_lag", numpy.timedelta64(2, "m")) == 120
    assert seconds_of("max_lag", numpy.float32(2.5)) == 2.5
    assert seconds_of("max_lag", pandas.Timedelta("90s")) == 90


@pytest.mark.parametrize("value", [-1, math.nan, "5", b"5", True, [], timedelta(seconds=-1)])
@pytest.mark.parametrize("name", ["max_lag", "newest_within", "patience", "timeout"])
def test_what_are_no_seconds_is_refused_by_the_name_of_the_argument(
    reader: Reader, name: str, value: Any
) -> None:
    call: Any = {"patience": reader.follow, "timeout": reader.wait_ready}.get(name, reader.candles)
    asked: tuple[Any, ...] = (["BTC-USD"], "5m", 4) if name == "timeout" else ("BTC-USD", "5m", 4)
    with pytest.raises(ValueError, match=f"^{name} is a number of seconds"):
        call(*asked, **{name: value})


# --- times


FIVE = datetime(2025, 7, 21, 0, 25, tzinfo=UTC)  # the open of bucket 5
MS = T0 + 5 * STEP
FORMS: list[Any] = [
    MS,
    str(MS),
    FIVE,
    FIVE.astimezone(timezone(timedelta(hours=5, minutes=30))),
    "2025-07-21T00:25Z",
    "2025-07-21T00:25:00.000Z",
    "2025-07-21 00:25",
    "2025-07-21T05:55+05:30",
    "20250721T0025Z",
    "2025-07-21t00:25z",
    " 2025-07-21T00:25:00,000Z ",
    "2025-W30-1T00:25",
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_time_is_taken_in_every_form(reader: Reader, form: Any) -> None:
    assert time_of("start", form) == MS
    assert [c.time for c in reader.range("BTC-USD", "5m", form, MS + 2 * STEP)] == [MS, MS + STEP]
    assert reader.range("BTC-USD", "5m", T0, form)[-1].time == MS - STEP


def test_times_of_pandas_and_numpy_are_times(reader: Reader) -> None:
    pandas, numpy = pytest.importorskip("pandas"), pytest.importorskip("numpy")
    for form in (
        pandas.Timestamp(FIVE),
        pandas.Timestamp(FIVE).tz_convert("America/New_York"),
        numpy.datetime64("2025-07-21T00:25"),
        numpy.datetime64("2025-07-21T00:25:00.000000000"),
        numpy.int64(MS),
    ):
        assert time_of("start", form) == MS
    candles = reader.candles("BTC-USD", "5m", 10)
    assert reader.range("BTC-USD", "5m", candles.time[2], candles.time[5]) == candles[2:5]
    frame = candles.to_pandas()
    assert reader.range("BTC-USD", "5m", frame.index[2], frame.index[5]) == candles[2:5]


@pytest.mark.parametrize("name", ["start", "end"])
@pytest.mark.parametrize(
    "value",
    [1.5, float(MS), True, None, "yesterday", "", "1612", "2025-13-01", "12:00", [], -1, 10**18, b"1"],
)
def test_what_is_no_time_is_refused_by_the_name_of_the_argument(
    reader: Reader, name: str, value: Any
) -> None:
    span: dict[str, Any] = {"start": T0, "end": MS, name: value}
    with pytest.raises(ValueError, match=f"^{name} is a time: Unix ms, an aware datetime or ISO 8601"):
        reader.range("BTC-USD", "5m", **span)


@pytest.mark.parametrize("name", ["start", "end"])
def test_a_time_without_a_zone_is_refused_with_the_remedy(reader: Reader, name: str) -> None:
    span: dict[str, Any] = {"start": T0, "end": MS}
    with pytest.raises(ValueError, match=rf"^{name} has no time zone.*replace\(tzinfo=timezone.utc\)"):
        reader.range("BTC-USD", "5m", **(span | {name: datetime(2025, 7, 21, 0, 25)}))
    with pytest.raises(ValueError, match=f"^{name} is a date without a time"):
        reader.range("BTC-USD", "5m", **(span | {name: date(2025, 7, 21)}))


def test_no_time_of_pandas_and_numpy_is_refused() -> None:
    pandas, numpy = pytest.importorskip("pandas"), pytest.importorskip("numpy")
    for value in (pandas.NaT, numpy.datetime64("NaT")):
        with pytest.raises(ValueError, match=r"^start is a time"):
            time_of("start", value)
    with pytest.raises(ValueError, match="tz_localize"):
        time_of("start", pandas.Timestamp("2025-07-21"))


def test_a_span_that_holds_nothing_names_both_ends(reader: Reader) -> None:
    with pytest.raises(ValueError, match=f"start {MS} to end {T0} must hold"):
        reader.range("BTC-USD", "5m", MS, T0)


# --- names


@pytest.mark.parametrize("value", [None, 5, ["BTC-USD"], b"BTC-USD", ("BTC-USD", "5m")])
def test_what_is_no_symbol_is_refused_by_name(reader: Reader, value: Any) -> None:
    with pytest.raises(ValueError, match=r"^symbol is a text such as 'BTC-USD', not"):
        reader.candles(value, "5m", 3)


@pytest.mark.parametrize("value", [None, 5, ["5m"], "5 m", timedelta(minutes=5)])
def test_what_is_no_timeframe_is_refused_by_name(reader: Reader, value: Any) -> None:
    with pytest.raises(UnknownTimeframe, match=r"^unknown timeframe"):
        reader.candles("BTC-USD", value, 3)


# --- many


WAYS: list[tuple[Any, ...]] = [
    ([("BTC-USD", "5m", 4), ("ETH-USD", "5m", 4)],),
    ((["BTC-USD", "5m", 4], ["ETH-USD", "5m", 4]),),
    (["BTC-USD", "ETH-USD"], "5m", 4),
    ({"BTC-USD": 1, "ETH-USD": 2}, "5m", 4),
    ([("BTC-USD", "5m"), ("ETH-USD", "5m")], None, 4),
    ([BTC, ETH], None, 4),
]


@pytest.mark.parametrize("asked", WAYS)
def test_many_are_asked_for_in_several_ways(kind: str, clean_valkey: str, store: Any, asked: Any) -> None:
    for series in (BTC, ETH):
        put(store, state(0, 10, 10), range(10), series=series)
    with either(kind, clean_valkey) as reader:
        for found in (reader.many(*asked), reader.wait_ready(*asked)):
            assert list(found) == [BTC, ETH] and [len(candles) for candles in found.values()] == [4, 4]


def test_candles_of_another_venue_are_not_given_for_those_that_were_asked_for() -> None:
    reader = Reader("redis://127.0.0.1:9", venue="coinbase")
    with pytest.raises(ValueError, match=r"'kraken'.* is of another venue than 'coinbase', which is read"):
        reader.many([BTC._replace(venue="kraken")], count=4)
    with pytest.raises(ValueError, match="of another venue"):
        reader.follow_many([BTC, BTC._replace(venue="kraken")], count=4)


def test_answers_are_found_by_what_was_asked_for(reader: Reader) -> None:
    found = reader.many([("BTC-USD", "5m", 4), ("ETH-USD", "5m", 4), ("SOL-USD", "1h", 4)])
    there: list[Any] = [BTC, tuple(BTC), ("BTC-USD", "5m"), "BTC-USD"]
    for key in there:
        assert found[key] is found[BTC] and key in found and found.get(key) is found[BTC]
    assert isinstance(found["SOL-USD"], UnknownSeries)
    elsewhere: list[Any] = ["DOGE-USD", ("BTC-USD", "1h"), 5, None]
    for key in elsewhere:
        assert key not in found and found.get(key, "nothing") == "nothing"
        with pytest.raises(KeyError):
            found[key]
    assert list(found.ok) == [BTC, ETH] and [type(e) for e in found.errors.values()] == [UnknownSeries]
    assert isinstance(found, dict) and len(found) == 3


def test_a_symbol_in_several_timeframes_is_ambiguous(reader: Reader) -> None:
    found = reader.many([("BTC-USD", "5m", 4), ("BTC-USD", "1h", 4)])
    name: Any = "BTC-USD"
    assert name not in found and found.get("BTC-USD") is None
    with pytest.raises(KeyError, match="asked for in several timeframes"):
        found["BTC-USD"]


def test_many_become_one_frame(reader: Reader) -> None:
    pandas = pytest.importorskip("pandas")
    frame = reader.many(["BTC-USD", "ETH-USD"], "5m", 4).to_pandas()
    assert list(frame.columns.names) == ["symbol", "field"] and frame.shape == (4, 10)
    assert frame["ETH-USD", "close"].tolist() == [101.5] * 4
    assert (
        frame.index[0] == pandas.Timestamp(T0 + 6 * STEP, unit="ms", tz="UTC") and frame.index.name == "time"
    )
    assert frame.attrs == {"venue": "coinbase", "timeframe": "5m"}
    assert frame.xs("close", axis=1, level="field").shape == (4, 2)


def test_one_frame_holds_nan_where_a_series_has_no_candle() -> None:
    pytest.importorskip("pandas")
    with fakeredis.FakeRedis() as client:
        put(client, state(0, 10, 10), range(10), series=BTC)
        put(client, state(0, 10, 10), [0, 1, 2, 4, 5, 6, 8, 9], series=ETH)
        frame = Reader(client=client).many(["BTC-USD", "ETH-USD"], "5m", 6).to_pandas()
    assert frame.index.is_monotonic_increasing and len(frame) == 7
    assert frame["ETH-USD", "close"].isna().sum() == 1 and frame["BTC-USD", "close"].isna().sum() == 1


def test_many_become_one_long_frame_of_polars(reader: Reader) -> None:
    pytest.importorskip("polars")
    frame = reader.many(["BTC-USD", "ETH-USD"], "5m", 4).to_polars()
    assert frame.shape == (8, 7) and frame["symbol"].to_list() == ["BTC-USD"] * 4 + ["ETH-USD"] * 4


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_a_frame_is_of_all_that_was_asked_for_or_an_error(reader: Reader, package: str) -> None:
    pytest.importorskip(package)
    found = reader.many(["BTC-USD", "SOL-USD"], "5m", 4)
    with pytest.raises(UnknownSeries, match="SOL-USD"):
        getattr(found, f"to_{package}")()
    assert len(getattr(found.ok, f"to_{package}")()) == 4
    mixed = reader.many([("BTC-USD", "5m", 4), ("BTC-USD", "15m", 4)])
    mixed.update(dict.fromkeys(mixed, found[BTC]))
    with pytest.raises(ValueError, match="of 5m, 15m"):
        getattr(mixed, f"to_{package}")()
    assert len(getattr(reader.many([], "5m", 4), f"to_{package}")()) == 0


# --- clients and URLs


def test_a_client_of_the_wrong_kind_is_told(clean_valkey: str) -> None:
    awaited = redis.asyncio.Redis.from_url(clean_valkey)
    plain = redis.Redis.from_url(clean_valkey)
    with pytest.raises(
        ConfigError, match=r"client is a redis.asyncio.client.Redis, not a redis.Redis.*AsyncReader"
    ):
        Reader(client=awaited)
    with pytest.raises(
        ConfigError, match=r"client is a redis.client.Redis, not a redis.asyncio.Redis.*Reader"
    ):
        AsyncReader(client=plain)
    for kind in (Reader, AsyncReader):
        with pytest.raises(ConfigError, match="client is a URL"):
            kind(client=clean_valkey)
        with pytest.raises(ConfigError, match=r"the Redis URL is text, not Redis.*client="):
            kind(plain)  # type: ignore[arg-type]


def test_a_client_that_decodes_is_told_and_not_the_data() -> None:
    client = fakeredis.FakeRedis(decode_responses=True)
    with pytest.raises(ConfigError, match=r"turns replies into text.*decode_responses=False"):
        Reader(client=client)

    class Wrapped:
        """A client of no kind that can be asked."""

        def execute_command(self, *command: Any) -> Any:
            return client.execute_command(*command)  # type: ignore[no-untyped-call]

    put(client, state(0, 10, 10), range(10))
    with pytest.raises(ConfigError, match="decode_responses=False"):
        Reader(client=Wrapped()).candles("BTC-USD", "5m", 4)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost:6379", "is not a URL"),
        ("localhost", "is not a URL"),
        ("redis://[::1", "is not a URL"),
        ("http://localhost", "the scheme 'http'"),
        ("redis://localhost:port", "its port is not a number"),
        ("redis://localhost/zero", "its database is not a number"),
        ("redis://localhost?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("redis://localhost?decode_responses=true", "decode_responses"),
        (b"redis://localhost", "is text, not bytes"),
        (6379, "is text, not int"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_when_the_reader_is_made(url: Any, message: str) -> None:
    for kind in (Reader, AsyncReader):
        with pytest.raises(ConfigError, match=f"the Redis URL.*{message}"):
            kind(url)


@pytest.mark.parametrize("name", ["settled", "forming"])
@pytest.mark.parametrize("value", ["false", "yes", None, 2, []])
def test_what_is_neither_true_nor_false_is_refused_by_name(reader: Reader, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} is True or False, not"):
        reader.candles("BTC-USD", "5m", 3, **{name: value})


def test_a_truth_of_numpys_is_one(reader: Reader) -> None:
    numpy = pytest.importorskip("numpy")
    assert len(reader.candles("BTC-USD", "5m", 3, settled=numpy.True_, forming=numpy.False_)) == 3


def test_a_url_beside_a_client_is_refused() -> None:
    with fakeredis.FakeRedis() as client, pytest.raises(ConfigError, match="url and client are both given"):
        Reader("redis://localhost", client=client)


@pytest.mark.parametrize("name", ["prefix", "venue"])
@pytest.mark.parametrize("value", [5, None, b"livecache", "two words", ""])
def test_names_of_keys_are_texts(name: str, value: Any) -> None:
    for kind in (Reader, AsyncReader):
        if (name, value) == ("venue", None):
            continue  # whichever there is
        with pytest.raises(ConfigError, match=f"the {name} .* cannot be part of a Redis key"):
            kind("redis://localhost", **{name: value})


def test_states_are_asked_for_by_series_or_by_pairs(reader: Reader) -> None:
    assert [view.series for view in reader.states([("ETH-USD", "5m"), BTC])] == [ETH, BTC]
    wrong: Any
    for wrong in ("BTC-USD", ["BTC-USD"], [5], [("a", "b", "c", "d")], [("kraken", "BTC-USD", "5m")]):
        with pytest.raises(ValueError, match=r"a series or \(symbol, timeframe\)|another venue"):
            reader.states(wrong)


def test_seconds_of_a_reader_itself_are_looked_at() -> None:
    for kind in (Reader, AsyncReader):
        with pytest.raises(ValueError, match=r"^max_lag is a number of seconds"):
            kind("redis://localhost", max_lag="60")  # type: ignore[arg-type]


def test_a_read_error_is_no_argument(reader: Reader) -> None:
    with pytest.raises(ReadError):
        reader.candles("SOL-USD", "5m", 3)
