"""Readers over a cluster: all nodes are read, and one that is away or a slot that moves costs little."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import redis

from livecache import Candles, NodeUnavailable, RedisUnavailable, SeriesId, Stale, Timeframe, UnknownSeries
from livecache.keys.keyspace import encode_update
from livecache.model.series import Kind, Update
from livecache.read.orders import REREAD_S
from livecache.wire.connecting import client_for

from ..cache.either import KINDS, either
from ..cache.support import STEP, T0, candle, state
from ..cache.test_reader import KEYS, put
from ..e2e.support import until
from ..http.api import listening, served
from .nodes import Node, Nodes

SYMBOLS = [f"S{number}-USD" for number in range(12)]
SERIES = [SeriesId("coinbase", symbol, Timeframe.M5) for symbol in SYMBOLS]


def put_all(store: Any, known: int) -> None:
    for series in SERIES:
        put(store, state(0, known, known), range(known), series=series)


def is_master(node: Node) -> bool:
    return bool(node.info("replication")["role"] == "master")


def candles_key(series: SeriesId) -> str:
    return KEYS.candles(series.symbol, series.timeframe)


@pytest.fixture
def store(clean_nodes: Nodes) -> Iterator[Any]:
    with client_for(redis, clean_nodes.url, socket_timeout=5) as client:
        yield client


@pytest.fixture(params=KINDS)
def reader(request: pytest.FixtureRequest, clean_nodes: Nodes, store: Any) -> Iterator[Any]:
    put_all(store, 10)
    with either(request.param, clean_nodes.url) as made:
        yield made


def test_whatever_is_read_is_read_over_all_nodes(reader: Any) -> None:
    answers = reader.many(SYMBOLS, "5m", 5)
    assert {len(candles) for candles in answers.values() if isinstance(candles, Candles)} == {5}
    assert len(answers.ok) == 12
    for series in SERIES:
        assert reader.candles(series.symbol, "5m", 5)[-1].time == T0 + 9 * STEP
    assert sorted(reader.series()) == sorted(SERIES)
    assert {view.members for view in reader.states()} == {10}
    assert len(reader.wait_ready(SYMBOLS, "5m", 5)) == 12
    assert reader.status().symbols == dict.fromkeys(sorted(SYMBOLS), "up")
    assert reader.candles(SYMBOLS[0], "10m", 2)[-1].time % (2 * STEP) == 0


def test_a_reader_of_a_cluster_that_nobody_fills_is_told_so(reader: Any, clean_nodes: Nodes) -> None:
    """It looks for what else there is, too, by commands that have no key."""
    for node in filter(is_master, clean_nodes.nodes):
        node.ask("FLUSHALL")
    with pytest.raises(UnknownSeries, match="nobody fills this series"):
        reader.candles(SYMBOLS[0], "5m", 5)
    assert set(map(type, reader.many(SYMBOLS, "5m", 5).errors.values())) == {UnknownSeries}


def told(store: Any, time: int) -> None:
    """An entry of the stream of closes."""
    series = KEYS.series_member(SERIES[0])
    store.xadd(
        KEYS.closes,
        {"series": series, "kind": "settled", "time": time, "candle": "null", "replaced": "null"},
    )


def test_closes_are_waited_for_at_the_node_that_has_them(reader: Any, store: Any) -> None:
    told(store, T0)
    with closing(reader.closes(after="0")) as closes:
        assert next(closes).time == T0
        with ThreadPoolExecutor(1) as elsewhere:
            elsewhere.submit(lambda: told(store, T0 + STEP))
            assert next(closes).time == T0 + STEP


@pytest.mark.parametrize("kind", KINDS)
def test_replicas_are_read_from_where_the_url_says_so(kind: str, clean_nodes: Nodes, store: Any) -> None:
    put_all(store, 10)

    def reads() -> int:
        replicas = [node for node in clean_nodes.nodes if not is_master(node)]
        told = [node.ask("INFO", "commandstats").get("cmdstat_evalsha_ro", {}) for node in replicas]
        return sum(int(one.get("calls", 0)) - int(one.get("failed_calls", 0)) for one in told)

    with either(kind, f"{clean_nodes.url}?read_from=replica") as reader:
        until("all are there", lambda: len(reader.many(SYMBOLS, "5m", 5).ok) == 12)
        before = reads()
        for series in SERIES:
            assert len(reader.candles(series.symbol, "5m", 5)) == 5
        assert reads() == before + 12
        store.delete(KEYS.alive(SYMBOLS[0]))
        until(
            "nobody vouches for it", lambda: isinstance(reader.many(SYMBOLS[:1], "5m", 5)[SYMBOLS[0]], Stale)
        )


def test_a_node_that_is_away_costs_its_own_series_alone(reader: Any, clean_nodes: Nodes, store: Any) -> None:
    """Each of them has its own error, which is told at once; and its candles again from the replica."""
    assert len(reader.many(SYMBOLS, "5m", 5).ok) == 12
    dead = clean_nodes.master_of(candles_key(SERIES[0]))
    its = {one for one in SERIES if clean_nodes.master_of(candles_key(one)) is dead}
    assert 0 < len(its) < 12
    until(
        "its replica has all of it", lambda: clean_nodes.replica_of(dead).ask("DBSIZE") == dead.ask("DBSIZE")
    )
    dead.kill()
    began = time.monotonic()
    answers = reader.many(SYMBOLS, "5m", 5)
    assert {*answers.errors} == its and {*map(type, answers.errors.values())} == {NodeUnavailable}
    assert len(answers.ok) == 12 - len(its)
    assert time.monotonic() - began < 1.0
    with pytest.raises(RedisUnavailable):
        reader.candles(SERIES[0].symbol, "5m", 5)
    until("the replica has taken over", lambda: len(reader.many(SYMBOLS, "5m", 5).ok) == 12, 30)


def test_a_slot_that_moves_is_read_all_the_while(reader: Any, clean_nodes: Nodes) -> None:
    """Key by key: with some of a series here and some there no node can answer, for a moment."""
    key = candles_key(SERIES[0])
    source = clean_nodes.master_of(key)
    target = next(node for node in clean_nodes.nodes if node is not source and is_master(node))

    def two_more() -> None:
        time.sleep(0.2)
        move()
        move()

    with clean_nodes.moving(key, target) as move, ThreadPoolExecutor(1) as elsewhere:
        assert len(reader.candles(SERIES[0].symbol, "5m", 5)) == 5
        move()
        moved = elsewhere.submit(two_more)
        began = time.monotonic()
        assert len(reader.candles(SERIES[0].symbol, "5m", 5)) == 5, "once all of it is there"
        took_s = time.monotonic() - began
        moved.result(10)
        for _ in range(3):
            assert len(reader.candles(SERIES[0].symbol, "5m", 5)) == 5
    assert len(reader.candles(SERIES[0].symbol, "5m", 5)) == 5
    assert len(reader.many(SYMBOLS, "5m", 5).ok) == 12
    assert took_s < 1.0


def hint(nodes: Nodes, series: SeriesId, n: int) -> None:
    """As the writer tells it in a cluster."""
    channel = KEYS.updates(series.symbol, series.timeframe)
    nodes.master_of(channel).ask("SPUBLISH", channel, encode_update(Update(Kind.CLOSED, candle(n))))


def listened_to(nodes: Nodes) -> int:
    return sum(len(node.ask("PUBSUB", "SHARDCHANNELS")) for node in nodes.nodes if node.lives)


def first(answers: Iterator[Any], count: int) -> dict[SeriesId, Any]:
    return dict(next(answers) for _ in range(count))


def test_series_are_followed_at_each_node_and_where_a_slot_has_moved_to(
    reader: Any, clean_nodes: Nodes, store: Any
) -> None:
    with closing(reader.follow_many(SYMBOLS, "5m", 5)) as answers:
        assert {*first(answers, 12)} == {*SERIES}
        assert listened_to(clean_nodes) == 12
        for known in (11, 12):
            put_all(store, known)
            began = time.monotonic()
            for series in SERIES:
                hint(clean_nodes, series, known - 1)
            given = first(answers, 12)
            assert {candles.known_through for candles in given.values()} == {T0 + known * STEP}
            assert time.monotonic() - began < REREAD_S - 1, "by hints, not by chance"
            if known == 11:
                key = candles_key(SERIES[0])
                source = clean_nodes.master_of(key)
                others = (node for node in clean_nodes.nodes if node is not source)
                with clean_nodes.moving(key, next(node for node in others if is_master(node))):
                    pass
                put(store, state(0, 11, 11), range(11), series=SERIES[0], feed="down")
                hint(clean_nodes, SERIES[0], 10)
                assert next(answers)[1].feed == "down"
    until("nothing is listened to any more", lambda: reader.series() and listened_to(clean_nodes) == 0)


def test_who_follows_hears_of_all_others_while_a_node_is_away(
    reader: Any, clean_nodes: Nodes, store: Any
) -> None:
    dead = clean_nodes.master_of(candles_key(SERIES[0]))
    its = {one for one in SERIES if clean_nodes.master_of(candles_key(one)) is dead}
    alive = [one for one in SERIES if one not in its]
    with closing(reader.follow_many(SYMBOLS, "5m", 5, patience=0)) as answers:
        assert {*first(answers, 12)} == {*SERIES}
        replica = clean_nodes.replica_of(dead)
        until("it has all of it", lambda: replica.ask("DBSIZE") == dead.ask("DBSIZE"))
        dead.kill()
        for series in alive:
            put(store, state(0, 11, 11), range(11), series=series)
            hint(clean_nodes, series, 10)
        given: dict[SeriesId, Any] = {}
        until("all others are heard of", lambda: given.update([next(answers)]) or {*alive} <= {*given}, 30)
        assert {given[one].known_through for one in alive} == {T0 + 11 * STEP}
        until("why not the others", lambda: {*its} <= {*given} or given.update([next(answers)]), 30)
        assert {type(given[one]) for one in its} == {NodeUnavailable}
        until("its replica is followed", lambda: _all_read(given) or given.update([next(answers)]), 30)


def test_a_stream_over_http_tells_what_each_node_hears(clean_nodes: Nodes, store: Any) -> None:
    put_all(store, 10)
    two = SERIES[:1] + [one for one in SERIES if is_apart(clean_nodes, one, SERIES[0])][:1]
    for series in two:
        put(store, state(0, 10, 10, forming=10), range(11), series=series)
    names = [f"{series.symbol}:5m" for series in two]
    with served(clean_nodes.url) as server, listening(server.url, *names) as stream:
        stream.event("state")
        until("it listens", lambda: listened_to(clean_nodes) == 2)
        for series in two:
            channel = KEYS.updates(series.symbol, series.timeframe)
            update = encode_update(Update(Kind.FORMING, candle(10)))
            clean_nodes.master_of(channel).ask("SPUBLISH", channel, update)
            assert stream.event("forming").data["symbol"] == series.symbol


def is_apart(nodes: Nodes, one: SeriesId, other: SeriesId) -> bool:
    return nodes.master_of(candles_key(one)) is not nodes.master_of(candles_key(other))


def _all_read(given: dict[SeriesId, Any]) -> bool:
    return len(given) == 12 and all(isinstance(one, Candles) for one in given.values())
