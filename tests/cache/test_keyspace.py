"""The key space's names and encodings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecache.errors import ConfigError
from livecache.keys.keyspace import (
    AliveRecord,
    Damaged,
    Keyspace,
    LeaseRecord,
    decode_alive,
    decode_coverage,
    decode_lease,
    decode_member,
    decode_state,
    encode_alive,
    encode_close,
    encode_coverage,
    encode_lease,
    encode_state,
    encode_update,
)
from livecache.model.coverage import Coverage
from livecache.model.series import Close, Kind, SeriesId, Update
from livecache.model.timeframe import Timeframe

from .support import BTC, ORIGIN, T0, candle, state

KEYS = Keyspace()


def _fields(**other: str) -> dict[str, str]:
    flat = encode_state(state(0, 3, 4, forming=4), origin=ORIGIN, fence=7, revision=3, updated_at=9)
    texts = [str(value) for value in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True)) | {"count": "4"} | other


def test_the_keys_are_those_of_the_contract() -> None:
    assert KEYS.candles("BTC-USD", Timeframe.M5) == "livecache:{coinbase:BTC-USD}:5m"
    assert KEYS.state("BTC-USD", Timeframe.M5) == "livecache:{coinbase:BTC-USD}:5m:state"
    assert KEYS.updates("BTC-USD", Timeframe.M5) == "livecache:{coinbase:BTC-USD}:5m:updates"
    assert (
        Keyspace(database=3).updates("BTC-USD", Timeframe.M5) == "livecache:{coinbase:BTC-USD}:5m:updates:3"
    )
    assert KEYS.alive("BTC-USD") == "livecache:{coinbase:BTC-USD}:alive"
    assert KEYS.closes == "livecache:{coinbase}:closes"
    assert KEYS.series == "livecache:{coinbase}:series"
    assert KEYS.feed == "livecache:{coinbase}:feed"
    assert KEYS.lease == "livecache:{coinbase}:lease"


def test_a_series_is_named_in_the_set_and_found_again() -> None:
    assert KEYS.series_member(BTC) == "BTC-USD:5m"
    assert KEYS.parse_series("BTC-USD:5m") == BTC
    assert KEYS.parse_series("BTC/USDT:USDT:1h") == SeriesId("coinbase", "BTC/USDT:USDT", Timeframe.H1)


@pytest.mark.parametrize("member", ["", "5m", ":5m", "BTC-USD:7m", "BTC-USD"])
def test_a_name_that_this_version_does_not_know_is_no_series(member: str) -> None:
    assert KEYS.parse_series(member) is None


@pytest.mark.parametrize("name", ["", "a b", "a{b", "a}b", "a\nb", "a\x00b", "x" * 129])
def test_a_prefix_or_symbol_that_would_spoil_a_key_is_a_clear_error(name: str) -> None:
    with pytest.raises(ConfigError, match="prefix"):
        Keyspace(name)
    with pytest.raises(ConfigError, match="symbol"):
        KEYS.alive(name)


def test_a_member_keeps_the_digits_of_the_venue() -> None:
    raw = b"[1753056000000,117265.70,117400,1.172e5,117300.10,12.34567890]"
    assert decode_member(raw, Timeframe.M5).member().encode() == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[1753056000000,1,2,1,1]",
        b"[1753056000000,1,2,1,1,1,1]",
        b'[1753056000000,"1",2,1,1,1]',
        b"[1753056000000,1,2,1,3,1]",
        b"[1753056000000,-1,2,1,1,1]",
        b"[1753056000000,NaN,2,1,1,1]",
        b"[1753056000001,1,2,1,1,1]",
        b"[1.5,1,2,1,1,1]",
        b"[1753056000000,null,2,1,1,1]",
    ],
)
def test_a_damaged_member_is_told_as_such(raw: bytes) -> None:
    with pytest.raises(Damaged):
        decode_member(raw, Timeframe.M5)


def test_a_state_comes_back_as_it_was_written() -> None:
    record = decode_state(_fields())
    assert record.state == state(0, 3, 4, forming=4)
    assert (record.count, record.origin, record.fence, record.revision) == (4, ORIGIN, 7, 3)
    assert (record.schema, record.updated_at) == (1, 9)


@pytest.mark.parametrize("name", sorted(_fields()))
def test_a_state_that_lacks_a_field_names_it(name: str) -> None:
    fields = _fields()
    del fields[name]
    with pytest.raises(Damaged, match=name):
        decode_state(fields)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schema", "2"),
        ("count", "-1"),
        ("fence", "x"),
        ("known_through", ""),
        ("coverage", "{}"),
        ("count", "²"),
    ],
)
def test_a_state_with_a_senseless_field_names_it(name: str, value: str) -> None:
    with pytest.raises(Damaged, match=name):
        decode_state(_fields(**{name: value}))


@given(st.lists(st.tuples(st.integers(0, 2**45), st.integers(1, 10**9)), max_size=5))
def test_coverage_comes_back_as_it_was_written(spans: list[tuple[int, int]]) -> None:
    coverage = Coverage((start, start + size) for start, size in spans)
    assert decode_coverage(encode_coverage(coverage)) == coverage


@pytest.mark.parametrize("text", ["", "[[1]]", "[[2,1]]", "[[-5,1]]", '[["1","2"]]', "[[1,1]]", "null"])
def test_a_coverage_of_another_shape_is_damaged(text: str) -> None:
    with pytest.raises(Damaged):
        decode_coverage(text)


def test_alive_and_lease_come_back_as_they_were_written() -> None:
    assert encode_alive(AliveRecord("a", T0, "up")) == '{"instance":"a","time":1753056000000,"feed":"up"}'
    assert decode_alive(encode_alive(AliveRecord("a", T0, "up"))) == AliveRecord("a", T0, "up")
    assert encode_lease(LeaseRecord("a", 5)) == '{"instance":"a","token":5}'
    assert decode_lease(b'{"instance":"a","token":5}') == LeaseRecord("a", 5)
    for decode in (decode_alive, decode_lease):
        with pytest.raises(Damaged):
            decode(b"\xff")


def test_announcements_are_json() -> None:
    update = encode_update(Update(Kind.CLOSED, candle(0)))
    assert update == '{"kind":"closed","candle":[1753056000000,100.00,110.0,90,101.5,2.5]}'
    entry = encode_close(Close(Kind.SETTLED, BTC, T0, None, candle(0)), KEYS)
    assert entry == [
        *("series", "BTC-USD:5m", "time", T0, "kind", "settled"),
        *("candle", "null", "replaced", candle(0).member()),
    ]


@pytest.mark.parametrize(
    "raw",
    ['[0,"x",', '{"instance":"a","x":', "[0,1,1,1,1,1,", "[[0,"],
    ids=["member", "record", "extra", "spans"],
)
def test_what_is_nested_without_end_is_damaged_and_no_crash(raw: str) -> None:
    deep = raw + "[" * 100_000
    for decode in (decode_alive, decode_lease, decode_coverage):
        with pytest.raises(Damaged):
            decode(deep)
    with pytest.raises(Damaged):
        decode_member(deep, Timeframe.M5)


def test_a_record_that_no_writer_wrote_is_damaged() -> None:
    for time, feed in ((-5, "up"), (5, "sideways"), ("1" + "0" * 4000, "up")):
        with pytest.raises(Damaged):
            decode_alive(f'{{"instance":"a","time":{time},"feed":"{feed}"}}')
    with pytest.raises(Damaged):
        decode_lease('{"instance":"a","token":-1}')
