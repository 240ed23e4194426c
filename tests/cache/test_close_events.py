"""The stream of closes: every entry at least once, resumable, and no gap that is not told."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from livecache import Candle, CloseEvent, ClosesLost, ReadError, RedisUnavailable, UnknownTimeframe
from livecache.keys.keyspace import encode_close
from livecache.model.candle import ExactCandle
from livecache.model.series import Close, Kind, SeriesId
from livecache.model.timeframe import Timeframe
from livecache.read.close_events import ENTRIES_A_READ, decode_event

from ..e2e.store import store_in
from .either import either
from .support import BTC, ETH, STEP, T0, candle
from .test_follow import later
from .test_reader import KEYS


def announce(
    client: Any,
    n: int,
    *,
    kind: Kind = Kind.CLOSED,
    shown: ExactCandle | None = None,
    replaced: ExactCandle | None = None,
    series: SeriesId = BTC,
    **xadd: Any,
) -> str:
    """Add an entry for bucket `n` as the writer would; its id."""
    keys = replace(KEYS, venue=series.venue)
    flat = encode_close(Close(kind, series, T0 + n * STEP, shown, replaced), keys)
    entry: bytes = client.xadd(keys.closes, dict(zip(flat[::2], flat[1::2], strict=True)), **xadd)
    return entry.decode()


def blocked(client: Any) -> int:
    return int(client.info("clients")["blocked_clients"])


# --- what is given


def test_an_entry_says_what_became_of_a_bucket(kind: str, clean_valkey: str, store: Any) -> None:
    ids = [
        announce(store, 1, shown=candle(1)),
        announce(store, 2, kind=Kind.SETTLED),
        announce(store, 3, kind=Kind.REVISED, shown=candle(3, close="99"), replaced=candle(3)),
    ]
    with either(kind, clean_valkey) as reader, closing(reader.closes(after="0")) as events:
        closed, settled, revised = islice(events, 3)
    shown = Candle(T0 + STEP, 100.0, 110.0, 90.0, 101.5, 2.5)
    assert closed == CloseEvent(ids[0], BTC, "closed", T0 + STEP, shown, None)
    assert (settled.kind, settled.candle, settled.replaced) == ("settled", None, None), "proven empty"
    assert (revised.kind, revised.candle.close, revised.replaced.close) == ("revised", 99, 101.5)
    with pytest.raises(AttributeError, match="immutable"):
        closed.time = 0


def test_an_event_without_a_candle_says_that_it_is_empty(kind: str, clean_valkey: str, store: Any) -> None:
    announce(store, 1, shown=candle(1))
    announce(store, 2, kind=Kind.SETTLED)
    with either(kind, clean_valkey) as reader, closing(reader.closes(after="0")) as events:
        traded, empty = islice(events, 2)
    assert (traded.empty, empty.empty) == (False, True)
    assert traded.datetime == traded.candle.datetime == datetime(2025, 7, 21, 0, 5, tzinfo=UTC)


HOUR = BTC._replace(timeframe=Timeframe.H1)


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        (["BTC-USD"], [BTC, HOUR]),
        ([BTC], [BTC]),
        ([("BTC-USD", "1h"), "ETH-USD"], [ETH, HOUR]),
        (["ETH-USD", ("ETH-USD", "5m")], [ETH]),
        ({"SOL-USD": 1, "BTC-USD": 2}, [BTC, HOUR]),
    ],
)
def test_only_what_happens_to_some_series_is_told_on_request(
    kind: str, clean_valkey: str, store: Any, series: Any, expected: list[SeriesId]
) -> None:
    asked = list(series)
    announce(store, 1, shown=candle(1), series=ETH)
    announce(store, 2, shown=candle(2), series=BTC)
    announce(store, 0, shown=candle(0), series=HOUR)
    last = announce(store, 3, shown=candle(3), series=expected[0])
    with either(kind, clean_valkey) as reader, closing(reader.closes(after="0", series=asked)) as events:
        given = list(islice(events, len(expected) + 1))
    assert [event.series for event in given] == [*expected, expected[0]] and given[-1].id == last


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ("BTC-USD", "series is a list"),
        ([], "series is a list"),
        ([5], "a series or .symbol, timeframe."),
        ([("BTC-USD", "7m")], "unknown timeframe"),
        ([BTC._replace(venue="kraken")], "of another venue"),
    ],
)
def test_what_names_no_series_is_refused_at_once(
    kind: str, clean_valkey: str, series: Any, message: str
) -> None:
    with either(kind, clean_valkey) as reader, pytest.raises((ValueError, UnknownTimeframe), match=message):
        next(reader.closes(series=series))


def test_without_an_id_only_what_comes_from_now_on_is_given(kind: str, clean_valkey: str, store: Any) -> None:
    announce(store, 1)
    with (
        either(kind, clean_valkey) as reader,
        closing(reader.closes()) as events,
        later(lambda: announce(store, 2), lambda: blocked(store)),
    ):
        assert next(events).time == T0 + 2 * STEP


def test_a_client_that_gives_up_soon_waits_in_shorter_steps(kind: str, clean_valkey: str, store: Any) -> None:
    url = f"{clean_valkey}{'&' if '?' in clean_valkey else '?'}socket_timeout=0.4"
    began = time.monotonic()
    with (
        either(kind, url) as reader,
        closing(reader.closes(patience=0)) as events,
        later(lambda: announce(store, 2), lambda: time.monotonic() > began + 0.9),
    ):
        assert next(events).time == T0 + 2 * STEP


def test_a_stream_that_does_not_exist_yet_is_waited_for(kind: str, clean_valkey: str, store: Any) -> None:
    with (
        either(kind, clean_valkey) as reader,
        closing(reader.closes()) as events,
        later(lambda: announce(store, 1), lambda: blocked(store)),
    ):
        assert next(events).time == T0 + STEP


def test_who_was_away_goes_on_after_the_last_event_and_misses_none(
    kind: str, clean_valkey: str, store: Any
) -> None:
    buckets = range(2 * ENTRIES_A_READ + 50)
    for n in buckets:
        announce(store, n)
    with either(kind, clean_valkey) as reader:
        with closing(reader.closes(after="0")) as events:
            first = list(islice(events, 120))
        with closing(reader.closes(after=first[-1].id)) as events:
            rest = list(islice(events, len(buckets) - 120))
    assert [event.time for event in (*first, *rest)] == [T0 + n * STEP for n in buckets]


def test_a_series_of_a_timeframe_to_come_is_passed_over(kind: str, clean_valkey: str, store: Any) -> None:
    fields = {"series": "BTC-USD:45m", "time": 0, "kind": "closed", "candle": "null", "replaced": "null"}
    store.xadd(KEYS.closes, fields)
    announce(store, 1)
    with either(kind, clean_valkey) as reader, closing(reader.closes(after="0")) as events:
        assert next(events).series == BTC


# --- what is told


def test_a_stream_that_was_trimmed_beyond_the_last_event_is_told(
    kind: str, clean_valkey: str, store: Any
) -> None:
    first = announce(store, 0)
    for n in range(1, 5):
        announce(store, n)
    store.xtrim(KEYS.closes, maxlen=2, approximate=False)
    with either(kind, clean_valkey) as reader:
        with pytest.raises(ClosesLost, match="is gone") as caught:
            next(reader.closes(after=first))
        assert caught.value.after == first
        with closing(reader.closes(after="0")) as events:
            assert next(events).time == T0 + 3 * STEP, "as the hint says: what is left"


def test_a_trim_that_overtakes_who_is_slow_is_told(kind: str, clean_valkey: str, store: Any) -> None:
    announce(store, 0)
    with either(kind, clean_valkey) as reader:
        events = reader.closes(after="0")
        next(events)
        for n in range(1, 10):
            announce(store, n, maxlen=3, approximate=False)
        with pytest.raises(ClosesLost):
            next(events)


@pytest.mark.parametrize("refilled", [False, True])
def test_a_server_that_was_emptied_is_told(kind: str, refilled: bool, clean_valkey: str, store: Any) -> None:
    announce(store, 0)
    with either(kind, clean_valkey) as reader:
        events = reader.closes(after="0")
        next(events)
        store.flushall()
        if refilled:  # with entries that are newer by their ids, so that nothing looks amiss
            announce(store, 1)
        with pytest.raises(ClosesLost):
            next(events)


def test_a_server_that_is_emptied_while_one_waits_is_told(kind: str, clean_valkey: str, store: Any) -> None:
    announce(store, 0)
    with either(kind, clean_valkey) as reader:
        events = reader.closes()
        with later(store.flushall, lambda: blocked(store)), pytest.raises(ClosesLost):
            next(events)


def test_an_entry_that_cannot_be_read_is_named_and_can_be_passed_over(
    kind: str, clean_valkey: str, store: Any
) -> None:
    damaged = store.xadd(KEYS.closes, {"series": "BTC-USD:5m", "time": "soon", "kind": "closed"}).decode()
    announce(store, 1)
    with either(kind, clean_valkey) as reader:
        with pytest.raises(ReadError, match=damaged):
            next(reader.closes(after="0"))
        with closing(reader.closes(after=damaged)) as events:
            assert next(events).time == T0 + STEP


_VALUES = st.binary(max_size=60) | st.sampled_from(
    [b"closed", b"BTC-USD:5m", b"null", b"1753056000000", b"[1,2,3,4,5,6]", b"[" * 5_000, b"1e400", b"true"]
)


@given(st.dictionaries(st.sampled_from([b"series", b"time", b"kind", b"candle", b"replaced"]), _VALUES))
def test_whatever_an_entry_holds_it_is_an_event_or_an_error_that_names_it(fields: dict[bytes, bytes]) -> None:
    event, told = None, ""
    try:
        event = decode_event("5-0", fields, KEYS)
    except ReadError as error:
        told = str(error)
    assert event is None or (event.id, event.kind) == ("5-0", "closed")
    assert not told or "5-0" in told


def test_a_foreign_key_in_its_place_is_told(kind: str, clean_valkey: str, store: Any) -> None:
    store.set(KEYS.closes, "mine")
    with either(kind, clean_valkey) as reader, pytest.raises(ReadError, match="not livecache's"):
        next(reader.closes())


@pytest.mark.parametrize("after", ["", "$", "now", "1-2-3", "-1", 5])
def test_what_is_no_id_is_refused_at_once(kind: str, after: Any, clean_valkey: str) -> None:
    with either(kind, clean_valkey) as reader, pytest.raises(ValueError, match="after is"):
        reader.closes(after=after)


def test_a_server_that_is_killed_and_comes_back_with_its_data_loses_nothing(
    kind: str, tmp_path: Path
) -> None:
    with store_in(tmp_path / "store") as server, either(kind, server.url) as reader:
        with redis.Redis.from_url(server.url) as client:
            announce(client, 0)
            announce(client, 1)
            client.config_set("appendfsync", "always")
            announce(client, 2)
        events = reader.closes(after="0")
        assert next(events).time == T0
        server.kill()
        server.start()
        assert [event.time for event in islice(events, 2)] == [T0 + STEP, T0 + 2 * STEP]
        server.kill()
        events = reader.closes(patience=0.3)
        with pytest.raises(RedisUnavailable):
            next(events)
