"""The commands over a cluster: those that look, check and remove; also as a user who may do little more."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from livecache import Timeframe
from livecache.__main__ import main
from livecache.commands.doctor.diagnosis import Outcome
from livecache.commands.doctor.redis import redis_server
from livecache.config.load import load

from ..cache.test_reader import KEYS
from .nodes import Nodes
from .test_readers import SYMBOLS, is_master, put_all, store

__all__ = ["store"]

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(
    clean_nodes: Nodes,
    store: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs a command over the cluster, which holds twelve symbols; its exit code, and what it printed."""
    put_all(store, 101)
    for key in (*map(KEYS.fence, SYMBOLS), KEYS.lease_of(3)):
        store.set(key, "1")  # as a service leaves them, whatever is in them
    for key in (KEYS.members, KEYS.budget("address")):
        store.hset(key, "one", "1")
    monkeypatch.setenv("LIVECACHE_REDIS_URL", clean_nodes.url)
    monkeypatch.setenv("LIVECACHE_VENUES_COINBASE_SYMBOLS", ",".join(SYMBOLS))
    monkeypatch.setenv("LIVECACHE_CACHE_TIMEFRAMES", "5m")

    def run(*arguments: str) -> tuple[int, str]:
        code = main([*arguments])
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


def test_what_looks_sees_all_nodes(run: Run, clean_nodes: Nodes) -> None:
    code, told = run("series", "--json")
    assert (code, len(json.loads(told)["series"])) == (0, 12)
    code, told = run("status", "--json")
    assert code == 0 and len(json.loads(told)["series"]) == 12
    code, told = run("show", SYMBOLS[3], "5m", "--json")
    assert code == 0 and len(json.loads(told)["buckets"]) > 0
    assert run("ready", *(f"{symbol}:5m" for symbol in SYMBOLS[:1]))[0] in (0, 1)
    assert run("export", "--symbols", SYMBOLS[5], "--count", "3")[0] == 0


def test_cluster_tells_what_each_node_has(run: Run, clean_nodes: Nodes) -> None:
    code, told = run("cluster", "--json")
    assert code == 0, told
    nodes = json.loads(told)["nodes"]
    assert json.loads(told)["slots_served"] == 16_384 and len(nodes) == 6
    masters = [one for one in nodes if one["role"] == "primary"]
    assert sum(one["symbols"] for one in masters) == sum(one["series"] for one in masters) == 12
    assert {one["node"] for one in masters} == {
        f"127.0.0.1:{node.port}" for node in clean_nodes.nodes if is_master(node)
    }
    assert all(one["of"] for one in nodes if one not in masters)
    code, told = run("cluster")
    assert code == 0 and "16384 of 16384 slots are served" in told


def test_one_command_goes_where_its_key_is_or_to_the_node_that_is_named(run: Run, clean_nodes: Nodes) -> None:
    for symbol in SYMBOLS:
        assert run("redis", "EXISTS", KEYS.alive(symbol)) == (0, "(integer) 1\n")
    code, told = run("redis", "PING")
    assert code == 2 and "PING has no key" in told and "--node 127.0.0.1:" in told
    for node in clean_nodes.nodes:
        assert run("redis", "--node", f"127.0.0.1:{node.port}", "PING") == (0, "PONG\n")
    assert run("redis", "--node", "127.0.0.1:1", "PING")[0] == 2


def test_doctor_examines_each_master(run: Run, clean_nodes: Nodes) -> None:
    found = redis_server(load(None, os.environ))
    assert [one for one in found if one.outcome is Outcome.WRONG] == []
    assert sum("answers in" in one.message for one in found) == 3
    assert "12 series" in found[-1].message


@pytest.mark.parametrize("may", ["everything", "little"])
def test_check_and_prune_see_every_key_whatever_else_is_refused(
    may: str, run: Run, clean_nodes: Nodes, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`little`: as managed services have it, without CONFIG, COMMAND, INFO, WAIT and the like."""
    if may == "little":
        refused = ("config", "command", "info", "wait", "role", "debug", "client", "acl", "script")
        for node in clean_nodes.nodes:
            rules = ["~*", "&*", "+@all", *(f"-{name}" for name in refused), "+client|setinfo"]
            node.ask("ACL", "SETUSER", "guest", "on", ">secret", *rules)
        monkeypatch.setenv("LIVECACHE_REDIS_URL", clean_nodes.url.replace("://", "://guest:secret@"))
    code, told = run("check", "--json")
    report = json.loads(told)
    assert len(report["series"]) == 12
    assert report["findings"] == []
    monkeypatch.setenv("LIVECACHE_VENUES_COINBASE_SYMBOLS", ",".join(SYMBOLS[:-2]))
    code, told = run("prune")
    assert code == 0 and told.count("would remove") == 2
    code, told = run("prune", "--yes")
    assert code == 0 and told.count("removed") == 2
    assert (
        not store.exists(KEYS.candles(SYMBOLS[-1], Timeframe.M5)) and len(store.smembers(KEYS.series)) == 10
    )
    assert run("cluster")[0] == 0
