"""The candles API of a process that serves two venues, which have a symbol in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from livecache.http.shapes.series import MarketsAnswer, SeriesAnswer
from livecache.http.shapes.service import AliveAnswer, ReadyAnswer, ServiceAnswer
from livecache.keys.keyspace import Keyspace
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from ..cache.support import BTC, candle
from ..cache.test_close_events import announce
from ..e2e.support import until
from .api import Served, listening, served
from .filling import NOW, fill
from .support import Answer, ask

TWIN = SeriesId("toy", "BTC-USD", Timeframe.M5)
KEYS = Keyspace(venue="toy")
TROUBLE = "the key livecache:{toy}:lease holds a list that is not livecache's"


@pytest.fixture
def server(store: Any, clean_valkey: str) -> Iterator[Served]:
    """BTC-USD is at both, ETH-USD at coinbase, B:B and OLD-USD at toy, whose clock is an hour behind."""
    for symbol, last in (("BTC-USD", 250.0), ("ETH-USD", 20.0)):
        fill(store, symbol, "5m", [1.0] * 60, forming=last)
    for symbol in ("BTC-USD", "B:B"):
        fill(store, symbol, "5m", [5.0] * 60, now=NOW - 3_600_000, venue="toy", forming=6.0)
    with served(clean_valkey, venues=("coinbase", "toy")) as running:
        yield running


def candles(server: Served, symbol: str, **more: object) -> Answer:
    query = "".join(f"&{name}={value}" for name, value in more.items())
    return ask(server.url, f"/api/v1/candles?symbol={symbol}&timeframe=5m{query}")


def test_the_table_and_the_markets_have_all_venues_each_by_its_own_clock(server: Served) -> None:
    told = msgspec.convert(ask(server.url, "/api/v1/series").content, SeriesAnswer)
    assert {(row.venue, row.symbol) for row in told.series} == {
        *(("coinbase", "BTC-USD"), ("coinbase", "ETH-USD"), ("toy", "BTC-USD"), ("toy", "B:B")),
    }
    assert (told.venue, told.total, told.ready, told.time) == ("", 4, 4, NOW)
    assert msgspec.to_builtins(told.venues) == [
        {"venue": "coinbase", "time": NOW, "trouble": ""},
        {"venue": "toy", "time": NOW - 3_600_000, "trouble": ""},
    ]
    markets = msgspec.convert(ask(server.url, "/api/v1/markets").content, MarketsAnswer)
    last = {(row.venue, row.symbol): (row.last, len(row.closes)) for row in markets.markets}
    assert last["coinbase", "BTC-USD"] == (250.0, 33) and last["toy", "BTC-USD"] == (6.0, 33)


def test_a_symbol_of_both_says_its_venue_and_others_need_not(server: Served) -> None:
    assert candles(server, "toy:BTC-USD", limit=3).content["venue"] == "toy"
    span = {"from": NOW - 7_200_000, "to": NOW - 5_400_000}
    assert [candles(server, "toy:BTC-USD", **span).content["candles"][0][4]] == [5.0]
    assert candles(server, "ETH-USD", limit=3).content["venue"] == "coinbase"
    assert candles(server, "B:B", limit=3).content["venue"] == "toy"
    both, unknown, near = (candles(server, name) for name in ("BTC-USD", "DOGE-USD", "ETH/USD"))
    assert (both.status, both.content["hint"]) == (404, "say coinbase:BTC-USD or toy:BTC-USD")
    assert unknown.content["detail"] == "DOGE-USD: nobody fills this symbol"
    assert near.content["hint"] == "did you mean coinbase:ETH-USD?"
    assert ask(server.url, "/api/v1/stream?series=BTC-USD:5m").status == 404


def test_a_stream_tells_of_both_and_goes_on_in_each_where_it_was(store: Any, server: Served) -> None:
    series = ("coinbase:BTC-USD:5m", "toy:BTC-USD:5m")
    before = announce(store, 7, shown=candle(7), series=TWIN)
    with listening(server.url, *series) as stream:
        first = stream.event("state")
        assert first.id == f"coinbase=0-0,toy={before}"
        assert [row["venue"] for row in first.data["series"]] == ["coinbase", "toy"]
        announce(store, 8, shown=candle(8))
        announce(store, 8, shown=candle(8, "99.5"), series=TWIN)
        told = [stream.event("closed") for _ in range(2)]
        assert {(one.data["venue"], one.data["candle"][4]) for one in told} == {
            ("coinbase", 101.5),
            ("toy", 99.5),
        }
        left = told[-1].id
    missed = [announce(store, 9, shown=candle(9), series=one) for one in (BTC, TWIN)]
    with listening(server.url, *series, after=left) as again:
        told = [again.event("closed") for _ in range(2)]
        assert {one.data["venue"] for one in told} == {"coinbase", "toy"}, "each where it was, in any order"
        assert told[-1].id == f"coinbase={missed[0]},toy={missed[1]}"
        until("it listens", lambda: store.pubsub_numsub(KEYS.updates(*TWIN[1:]))[0][1] == 1)
        fill(store, "BTC-USD", "5m", [5.0] * 60, now=NOW - 3_600_000, venue="toy", forming=7.0)
        store.publish(KEYS.updates(*TWIN[1:]), '{"kind":"forming"}')
        forming = again.event("forming")
        assert (forming.data["venue"], forming.data["candle"][4]) == ("toy", 7.0)
    with listening(server.url, "*", after="0") as everything:
        assert len([everything.event("closed") for _ in range(5)]) == 5, "all that is kept, of both"
    with listening(server.url, "*", after=f"coinbase={missed[0]},toy=7-7") as lost:
        assert lost.event("lost", "closed").data["after"] == "7-7", "of one only"


@pytest.mark.parametrize("left", ["{0}", "coinbase={0}", "coinbase={0},gone=7-7"])
def test_a_venue_that_an_id_does_not_name_is_told_from_its_beginning(
    store: Any, server: Served, left: str
) -> None:
    told, new = (announce(store, n, shown=candle(n)) for n in (7, 8))
    others = [announce(store, n, shown=candle(n), series=TWIN) for n in (6, 9)]
    with listening(server.url, "*", after=left.format(told)) as again:
        ids = [again.event("closed").id for _ in range(3)]
        assert ids[0] == f"coinbase={new},toy=0-0"
        assert ids[1:] == [f"coinbase={new},toy={other}" for other in others], "none is lost"


def test_the_trouble_of_one_is_told_as_its_own_and_hides_nothing_of_the_other(
    store: Any, server: Served
) -> None:
    server.leave("coinbase", TROUBLE)
    told = ask(server.url, "/api/v1/series").content
    assert [one["trouble"] for one in told["venues"]] == [TROUBLE, ""]
    assert told["total"] == 4, "what it has written is still there"
    assert candles(server, "coinbase:BTC-USD", limit=3).status == 200
    who = msgspec.convert(ask(server.url, "/api/v1/service").content, ServiceAnswer)
    assert (who.venue, who.role, who.instance) == ("", "writing", "here-1-0aff1e")
    assert {venue: (one.role, one.trouble) for venue, one in (who.venues or {}).items()} == {
        "coinbase": ("starting", TROUBLE),
        "toy": ("writing", ""),
    }
    msgspec.convert(ask(server.url, "/healthz").content, AliveAnswer)
    ready = msgspec.convert(ask(server.url, "/readyz").content, ReadyAnswer)
    assert not ready.ready and ready.reasons == [f"coinbase: {TROUBLE}"]
    assert {venue: one.ready for venue, one in (ready.venues or {}).items()} == {
        "coinbase": False,
        "toy": True,
    }
    server.leave("toy")
    assert ask(server.url, "/api/v1/series").content["kind"] == "starting"


def test_what_is_not_ready_of_one_leaves_room_for_the_others(store: Any, server: Served) -> None:
    for n in range(30):
        fill(store, f"COIN{n}-USD", "5m", [1.0], reason="warming up")
    fill(store, "LATE-USD", "5m", [1.0], venue="toy", reason="warming up")
    ready = msgspec.convert(ask(server.url, "/readyz").content, ReadyAnswer)
    assert [one for one in ready.reasons if one.startswith("toy: ")] == ["toy: LATE-USD 5m: warming up"]
    assert len(ready.reasons) == 21 and ready.reasons[-1] == "and 11 more"


def test_keys_of_one_that_cannot_be_read_hide_nothing_of_the_other(store: Any, server: Served) -> None:
    for key in (KEYS.series, KEYS.closes):
        store.delete(key)
        store.set(key, "not ours")
    told = ask(server.url, "/api/v1/series").content
    assert {row["venue"] for row in told["series"]} == {"coinbase"}
    assert KEYS.series in told["venues"][1]["trouble"]
    assert candles(server, "ETH-USD", limit=3).status == 200
    with listening(server.url, "ETH-USD:5m") as stream:
        assert stream.event("state").id == "coinbase=0-0"
        entry = announce(store, 8, shown=candle(8), series=BTC._replace(symbol="ETH-USD"))
        assert stream.event("closed").id == f"coinbase={entry}"
