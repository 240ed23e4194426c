"""Readers over a cluster: all nodes are read, and one that is away or a slot that moves costs little."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from livecache import Candles, NodeUnavailable, RedisUnavailable, SeriesId, Timeframe
from livecache.wire.connecting import client_for

from ..cache.either import KINDS, either
from ..cache.support import STEP, T0, state
from ..cache.test_reader import KEYS, put
from ..e2e.support import until
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
