"""What a reader says of a series that nobody fills: what was meant, or where else there is something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import fakeredis
import pytest
from redis.exceptions import NoPermissionError

from livecache import Reader, UnknownSeries
from livecache.keys.keyspace import Keyspace
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.read.elsewhere import LOOKED_S, Elsewhere

from .either import either
from .support import BTC, ETH, state
from .test_reader import put


def refusal(kind: str, url: str, symbol: str, timeframe: str = "5m", **options: Any) -> str:
    """What is said of that series."""
    with either(kind, url, **options) as reader, pytest.raises(UnknownSeries) as caught:
        reader.candles(symbol, timeframe, 3)
    return str(caught.value)


@pytest.fixture
def filled(store: Any) -> None:
    for series in (BTC, ETH):
        put(store, state(0, 10, 10), range(10), series=series)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("symbol", "timeframe", "told"),
    [
        ("btc-usd", "5m", "did you mean BTC-USD?"),
        ("BTCUSD", "5m", "did you mean BTC-USD?"),
        ("BTC/USD", "5m", "did you mean BTC-USD?"),
        ("EHT-USD", "5m", "did you mean ETH-USD?"),
        ("BTC-USD", "1m", "BTC-USD has 5m: is it in cache.timeframes?"),
        ("BTC-USD", "7m", "BTC-USD has 5m, and 7m is no whole multiple"),
        ("DOGE-USD", "5m", "there are BTC-USD, ETH-USD"),
    ],
)
def test_near_names_are_told(kind: str, clean_valkey: str, symbol: str, timeframe: str, told: str) -> None:
    said = refusal(kind, clean_valkey, symbol, timeframe)
    assert told in said and f"coinbase:{symbol}:{timeframe}: nobody fills this series" in said


@pytest.mark.usefixtures("filled")
def test_a_wrong_prefix_and_a_wrong_venue_are_told_apart(kind: str, clean_valkey: str) -> None:
    said = refusal(kind, clean_valkey, "BTC-USD", prefix="livecache-demo")
    assert "under the prefix 'livecache-demo', nor any other of coinbase" in said
    assert "there is the prefix livecache: give it as prefix=" in said
    said = refusal(kind, clean_valkey, "BTC-USD", venue="kraken")
    assert "of that prefix there is the venue coinbase: give it as venue=" in said


def test_where_nothing_is_the_service_is_asked_for(kind: str, clean_valkey: str, store: Any) -> None:
    store.set("somebody:else", "here")
    store.sadd("tenant:{x}:y:series", "a")
    assert "is `livecache run` running, on this Redis and with this prefix?" in refusal(
        kind, clean_valkey, "BTC-USD"
    )


def test_what_a_server_refuses_to_search_is_not_spoken_of() -> None:
    class Strict(fakeredis.FakeRedis):
        def execute_command(self, *command: Any, **options: Any) -> Any:
            if command[0] == "SCAN":
                raise NoPermissionError("User reader has no permissions to run the 'scan' command")
            return super().execute_command(*command, **options)  # type: ignore[no-untyped-call]

    with Strict() as client, pytest.raises(UnknownSeries, match="is `livecache run` running"):
        Reader(client=client).candles("BTC-USD", "5m", 3)


# --- how often it looks


def test_who_asks_again_and_again_has_it_looked_for_every_few_seconds() -> None:
    now = 0.0
    elsewhere = Elsewhere(Keyspace(), lambda: now)

    def ask(replies: Sequence[Any]) -> UnknownSeries | None:
        steps = elsewhere.unknown(SeriesId("coinbase", "BTC-USDT", Timeframe.M5), {})
        try:
            next(steps)
        except StopIteration as done:
            error: UnknownSeries = done.value
            return error
        error, _ = _carry(steps, replies)
        return error

    first = ask([[b"BTC-USD:5m"]])
    assert first is not None and first.hint == "did you mean BTC-USD?"
    now += LOOKED_S / 2
    again = ask([])
    assert again is not None and again.hint == first.hint
    now += LOOKED_S
    later = ask([[b"BTC-USDT:1h"]])
    assert later is not None and later.hint.startswith("BTC-USDT has 1h")


def test_a_server_of_a_million_keys_is_not_searched_to_its_end() -> None:
    elsewhere = Elsewhere(replace(Keyspace(), prefix="mine"), lambda: 0.0)
    steps = elsewhere.unknown(BTC, {})
    assert next(steps) == [("SMEMBERS", "mine:{coinbase}:series")]
    error, scans = _carry(steps, [set(), *([[b"7", [b"a:{coinbase}:series"]]] * 100)])
    assert scans == 10 and "there is the prefix a:" in error.hint


def _carry(steps: Any, replies: Sequence[Any]) -> tuple[UnknownSeries, int]:
    count = 0
    try:
        steps.send([replies[0]])
        for reply in replies[1:]:
            count += 1
            steps.send([reply])
    except StopIteration as done:
        return done.value, count
    raise AssertionError("it asks for more")
