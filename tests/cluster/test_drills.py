"""The whole service over a cluster whose nodes die: what readers get, what is written, what stays."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import redis

from livecache.keys.keyspace import Keyspace
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.wire.connecting import client_for
from livecache.wire.refusals import ERRORS

from ..e2e.support import exchange, livecache, market_of, reach, until
from ..e2e.truth import Truth, Watcher, everything_is_right, series_of, watching
from .nodes import Node, Nodes

KEYS = Keyspace()
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD", "LTC-USD")
TIMEFRAMES = ("5m", "15m", "1h")
SERIES = series_of(SYMBOLS, TIMEFRAMES)
WITHIN_S = 120.0

KNOWN = {"NodeUnavailable", "RedisUnavailable", "Stale", "NotReady", "UnknownSeries"}


def on(nodes: Nodes, master: Node) -> list[SeriesId]:
    """The series that this master has."""
    there = {symbol for symbol in SYMBOLS if nodes.master_of(KEYS.fence(symbol)) is master}
    return [series for series in SERIES if series.symbol in there]


def data_master(nodes: Nodes) -> Node:
    """One that has series, and not the lease."""
    lease = nodes.master_of(KEYS.lease)
    masters = [nodes.master_of(KEYS.fence(symbol)) for symbol in SYMBOLS]
    return next(node for node in masters if node is not lease)


class Writes:
    """When which series was written, as their states tell it: looked at all the while, from outside."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._seen: dict[SeriesId, list[float]] = {series: [] for series in SERIES}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._look, args=(symbol,)) for symbol in SYMBOLS]

    def gap_s(self, series: list[SeriesId], began: float) -> float:
        """The longest time since then until any write of one symbol was followed by another."""
        longest = 0.0
        for symbol in {one.symbol for one in series}:
            times = sorted(t for one in series if one.symbol == symbol for t in self._seen[one] if t > began)
            longest = max(longest, *(b - a for a, b in zip([began, *times], times, strict=False)), 0.0)
        return longest

    def _look(self, symbol: str) -> None:
        states = {
            series: KEYS.state(symbol, series.timeframe) for series in SERIES if series.symbol == symbol
        }
        revisions: dict[SeriesId, object] = {}
        with client_for(redis, self._url, socket_timeout=0.5, socket_connect_timeout=0.5) as client:
            while not self._stop.wait(0.1):
                for series, key in states.items():
                    try:
                        found = client.hmget(key, "fence", "revision")
                    except ERRORS:
                        continue
                    if found != revisions.setdefault(series, found):
                        revisions[series] = found
                        self._seen[series].append(time.monotonic())

    def __enter__(self) -> Writes:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


@contextmanager
def drill(nodes: Nodes) -> Iterator[tuple[Truth, Writes, ExitStack, dict[str, str]]]:
    """A market, who looks at the writes, and a stack for services and watchers. In the end all is right."""
    truth = Truth(market_of(*SYMBOLS))
    with exchange(market_of(*SYMBOLS), speed=60.0, update_ms=30_000) as venue:
        with Writes(nodes.url) as writes, ExitStack() as stack:
            yield truth, writes, stack, venue.settings(nodes.url, CACHE_TIMEFRAMES=",".join(TIMEFRAMES))
        with client_for(redis, nodes.url) as client:
            assert everything_is_right(client, SERIES, truth) > 1000
            assert closes_missing(client) == []


def closes_missing(client: Any) -> list[str]:
    """Settled 5m buckets between two that were announced, and were not themselves."""
    told: dict[str, set[int]] = {}
    for _, entry in client.xrange(KEYS.closes):
        if entry[b"kind"] == b"settled" and entry[b"series"].endswith(b":5m"):
            told.setdefault(entry[b"series"].decode(), set()).add(int(entry[b"time"]))
    step = Timeframe.M5.ms
    return [
        f"{series} at {missing}"
        for series, times in told.items()
        for missing in range(min(times), max(times), step)
        if missing not in times
    ]


def right(*watchers: Watcher) -> None:
    for watcher in watchers:
        assert watcher.wrong == []
        assert watcher.went_back == []
        assert watcher.errors() <= KNOWN


@pytest.mark.takes(25)
def test_a_data_master_dies_under_a_running_service(clean_nodes: Nodes) -> None:
    """Its symbols are back within seconds, all others are not even late; then a restart, and a take-over."""
    nodes, dead = clean_nodes, data_master(clean_nodes)
    hit = on(nodes, dead)
    fine = [series for series in SERIES if series not in hit]
    with drill(nodes) as (truth, writes, stack, env):
        of_hit = stack.enter_context(watching(nodes.url, hit, truth))
        of_fine = stack.enter_context(watching(nodes.url, fine, truth))
        with livecache("run", env=env) as service:
            service.event("backfill_complete", WITHIN_S)
            until("all can be read", lambda: of_hit.sees_all() and of_fine.sees_all(), WITHIN_S)

            began = time.monotonic()
            dead.kill()
            until("they can be read again", lambda: of_hit.all_read_since(began + 1), WITHIN_S)
            until("they are written again", lambda: writes.gap_s(hit, began) > 0, WITHIN_S)
            assert of_fine.errors(began) == set()
            print(
                f"data master killed: reads back {of_hit.all_read_since(began + 1) - began:.1f} s, blind "
                f"{of_hit.blind_s(began):.1f} s; writes of its symbols {writes.gap_s(hit, began):.1f} s, "
                f"of others {writes.gap_s(fine, began):.1f} s apart at most; others' reads "
                f"{max(look.took for look in of_fine.since(began)):.2f} s"
            )
            assert of_hit.blind_s(began) < 20
            nodes.revive()
            service.stop()
        with livecache("run", env=env) as service:
            assert service.event("adopted", WITHIN_S)["series"] == len(SERIES)
            service.event("warm", WITHIN_S)
            with livecache("run", env=env) as standby:
                standby.event("lease_wait", WITHIN_S)
                service.send(signal.SIGKILL)
                service.ended()
                standby.event("lease_acquired", WITHIN_S)
                assert standby.event("adopted", WITHIN_S)["series"] == len(SERIES)
                standby.event("warm", WITHIN_S)
                standby.stop()
        right(of_hit, of_fine)


# --- the whole of it


def _printed(
    what: str, began: float, hit: list[SeriesId], of_hit: Watcher, of_fine: Watcher, writes: Writes
) -> None:
    fine = [series for series in SERIES if series not in hit]
    print(
        f"| {what} | {of_hit.blind_s(began):.1f} s, {_failed(of_hit, began)} | "
        f"{writes.gap_s(hit, began):.1f} s | {of_fine.blind_s(began):.1f} s, "
        f"{writes.gap_s(fine, began):.1f} s, {_failed(of_fine, began)} |"
    )


def _failed(watcher: Watcher, began: float) -> str:
    after = watcher.since(began)
    return f"{sum(bool(look.errors) for look in after)} of {len(after)} looks with an error"


DRILLS = (
    *("data master killed", "lease's master killed", "data master hangs", "lease's master hangs"),
    *("slot moved", "slot moved at once", "lease's slot moved", "failover asked for"),
    *("writer killed", "writer stopped, a master dead"),
)


@pytest.mark.long
@pytest.mark.parametrize("what", DRILLS)
def test_whatever_happens_no_final_candle_is_wrong_doubled_or_missing(clean_nodes: Nodes, what: str) -> None:
    nodes = clean_nodes
    lease = nodes.master_of(KEYS.lease)
    struck = lease if what.startswith("lease") else data_master(nodes)
    heir = nodes.replica_of(struck)
    hit = on(nodes, struck)
    fine = [series for series in SERIES if series not in hit]
    with drill(nodes) as (truth, writes, stack, env):
        of_hit = stack.enter_context(watching(nodes.url, hit, truth))
        of_fine = stack.enter_context(watching(nodes.url, fine, truth))
        service = stack.enter_context(livecache("run", env=env))
        service.event("backfill_complete", WITHIN_S)
        until("all can be read", lambda: of_hit.sees_all() and of_fine.sees_all(), WITHIN_S)
        if what.startswith("writer"):
            standby = stack.enter_context(livecache("run", env=env))
            standby.event("lease_wait", WITHIN_S)
        reach(time.monotonic() + 3)
        began = over = time.monotonic()
        match what.split(" ", 1)[-1] if what.startswith("lease") else what:
            case "data master killed" | "master killed":
                struck.kill()
            case "data master hangs" | "master hangs":
                struck.send(signal.SIGSTOP)
            case "slot moved" | "slot moved at once":
                # A key at a time with a rest after each; or as redis-cli does it, ten at a time.
                most, rest_s = (10, 0.0) if what.endswith("at once") else (1, 0.2)
                key = KEYS.lease if struck is lease else KEYS.fence(hit[0].symbol)
                # Never that of the lease: in the end it would have all of the symbols.
                target = next(n for n in nodes.masters() if n is not struck and n is not lease)
                with nodes.moving(key, target, most=most) as move:
                    while move():
                        reach(time.monotonic() + rest_s)
                over = time.monotonic()
            case "failover asked for":
                heir.ask("CLUSTER", "FAILOVER")
            case "writer killed":
                service.send(signal.SIGKILL)
                service.ended()
            case "writer stopped, a master dead":
                service.send(signal.SIGSTOP)
                struck.kill()
        if "moved" not in what and what != "writer killed":
            # What comes before is the cluster's own, by its `cluster-node-timeout`.
            until("its replica is the master", lambda: heir.info("replication")["role"] == "master")
            over = time.monotonic()
        reach(began + 15)
        if what.endswith("hangs"):
            struck.send(signal.SIGCONT)
        if what == "writer stopped, a master dead":
            service.send(signal.SIGCONT)
        nodes.revive()
        reach(time.monotonic() + 10)
        _printed(f"{what} ({over - began:.1f} s)", began, hit, of_hit, of_fine, writes)
        until("all can be read", lambda: of_hit.sees_all() and of_fine.sees_all(), WITHIN_S)
        for one in (standby,) if what.startswith("writer") else (service,):
            one.stop()
        right(of_hit, of_fine)
