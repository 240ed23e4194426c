"""`livecache prune`: only what is ours, is not configured, and is filled by nobody else."""

from __future__ import annotations

import json

import pytest
import redis

from livecache.__main__ import main
from livecache.keys.keyspace import Keyspace, LeaseRecord, encode_lease
from livecache.model.timeframe import Timeframe

from .support import KEYS, fill

M5 = Timeframe.M5


@pytest.fixture(autouse=True)
def configured(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """BTC-USD alone is configured."""
    monkeypatch.setenv("LIVECACHE_VENUES_COINBASE_SYMBOLS", "BTC-USD")


def keys_of(store: redis.Redis) -> set[str]:
    return {key.decode() for key in store.scan_iter()}


def test_what_is_no_longer_configured_is_listed_and_removed_when_told(
    store: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    before = keys_of(store)
    fill(store, "OLD-USD", vouched=False)
    store.zadd(KEYS.candles("BTC-USD", Timeframe.M1), {"[60000,1,1,1,1,1]": 60_000})
    everything = keys_of(store)

    assert main(["prune"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(
        "would remove BTC-USD 1m\nwould remove OLD-USD 5m\n2 series are not in the defaults"
    )
    assert keys_of(store) == everything, "it was only asked"

    assert main(["prune", "--yes"]) == 0
    assert capsys.readouterr().out == "removed BTC-USD 1m\nremoved OLD-USD 5m\n"
    assert keys_of(store) == before
    assert store.smembers(KEYS.series) == {b"BTC-USD:5m"}
    assert main(["prune", "--yes"]) == 0
    assert "nothing to remove under the prefix 'cli-test'" in capsys.readouterr().out


def test_what_another_instance_fills_stays(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store, "ETH-USD")
    fill(store, "OLD-USD")
    store.srem(KEYS.series, "OLD-USD:5m")
    store.set(KEYS.lease, encode_lease(LeaseRecord("the other one", 7)))
    assert main(["prune", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "dry_run": False,
        "unconfigured": [{"symbol": "OLD-USD", "timeframe": "5m"}],
        "removed": [{"symbol": "OLD-USD", "timeframe": "5m"}],
        "kept": [{"symbol": "ETH-USD", "timeframe": "5m"}],
        "writer": "the other one",
        "more": False,
    }
    assert store.exists(KEYS.candles("ETH-USD", M5), KEYS.state("ETH-USD", M5)) == 2
    assert main(["prune"]) == 0
    assert "kept: 1 series not configured here, since the other one fills them" in capsys.readouterr().out


def test_nothing_of_others_is_touched(store: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    """Other prefixes, other venues, keys that only look like ours, and keys of ours with others' data."""
    others = [
        *(Keyspace(prefix).candles("OLD-USD", M5) for prefix in ("cli-test2", "x:cli-test", "cli")),
        Keyspace("cli-test", "kraken").candles("OLD-USD", M5),
        "cli-test:{coinbase:OLD-USD}:5m:mine",
        "cli-test:{coinbase:OLD-USD}:7m",
        "cli-test:{coinbase:OLD USD}:5m",
        "cli-test:{coinbase:}:5m",
        "cli-test:{coinbase:OLD-USD",
    ]
    for key in others:
        store.zadd(key, {"x": 1})
    store.rpush(KEYS.candles("LIST-USD", M5), "precious")
    store.hset(KEYS.state("LIST-USD", M5), "ready", 1)
    before = keys_of(store)
    assert main(["prune", "--yes"]) == 0
    assert "left alone: 1 series" in capsys.readouterr().out
    assert keys_of(store) == before


def test_a_prefix_is_taken_literally(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIVECACHE_REDIS_PREFIX", "li[a-z]*")
    literal, matched = Keyspace("li[a-z]*"), Keyspace("live")
    for keys in (literal, matched):
        store.zadd(keys.candles("OLD-USD", M5), {"x": 1})
    assert main(["prune", "--yes"]) == 0
    assert capsys.readouterr().out == "removed OLD-USD 5m\n"
    assert keys_of(store) == {matched.candles("OLD-USD", M5)}
