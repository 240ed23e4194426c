"""Several processes share a venue's symbols: whatever becomes of one, each shard has one holder, and soon."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest
import redis

from livecache import Reader
from livecache.keys.keyspace import decode_lease

from .gate import Gate, gate
from .recorder import Recorder, Write, recorder, unlawful
from .support import Busy, Exchange, Process, exchange, livecache, market_of, reach, until
from .truth import KEYS, Truth, Watcher, everything_is_right, series_of, watching

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "ADA-USD", "XRP-USD", "LTC-USD", "DOGE-USD", "LINK-USD")
TIMEFRAMES = ("5m", "15m")
SERIES = series_of(SYMBOLS, TIMEFRAMES)
SHARDS = 12
SPEED = 60.0
WITHIN_S = 60.0  # of what is waited for; what is promised is measured


class Trio:
    """Processes over one store and one exchange. Each has a gate of its own, which tells who wrote what."""

    def __init__(self, url: str, stack: ExitStack, **more: str) -> None:
        self._url, self._stack, self._more = url, stack, more
        market = market_of(*SYMBOLS)
        self.venue: Exchange = stack.enter_context(exchange(market, speed=SPEED, update_ms=5_000))
        self.truth = Truth(market_of(*SYMBOLS))
        self.store: redis.Redis = stack.enter_context(redis.Redis.from_url(url))
        self.recorder: Recorder = stack.enter_context(recorder(url))
        self.processes: dict[str, Process] = {}
        self.gates: dict[str, Gate] = {}
        for name in ("one", "two", "three"):
            self.start(name)
        until("all shards are held, evenly", lambda: self.counts() == [4, 4, 4], WITHIN_S)
        self.watcher: Watcher = stack.enter_context(watching(url, SERIES, self.truth))
        until("everything can be read", self.watcher.sees_all, WITHIN_S)

    def start(self, name: str) -> None:
        self.gates[name] = its = self._stack.enter_context(gate(urlsplit(self._url).port or 0))
        env = self.venue.settings(
            its.url, CACHE_TIMEFRAMES=",".join(TIMEFRAMES), VENUES_COINBASE_SHARDS=SHARDS, **self._more
        )
        self.processes[name] = self._stack.enter_context(livecache("run", env=env))

    def holders(self) -> list[str]:
        """Whose each lease is, of those that live; "" for nobody's."""
        found = []
        for lease in self.store.mget([KEYS.lease_of(shard) for shard in range(SHARDS)]):
            pid = decode_lease(lease).instance.split("-")[-2] if lease else ""
            found.append(next((n for n, process in self.processes.items() if str(process.pid) == pid), ""))
        return found

    def counts(self) -> list[int]:
        """How many shards each holds, the fewest first; [] while one is nobody's."""
        holders = self.holders()
        held = Counter(holders)
        return [] if "" in holders else sorted(held[name] for name in self.processes)

    def held(self) -> bool:
        """Whether every shard is held by one that lives, and every series can be read."""
        return bool(self.counts()) and self.watcher.sees_all()

    def lose(self, name: str, number: signal.Signals) -> float:
        """Send it that; how long until the others hold all that was its own."""
        process, began = self.processes.pop(name), time.monotonic()
        process.send(number)
        until("the others hold all", self.held, WITHIN_S)
        return time.monotonic() - began

    def check(self) -> None:
        """Nothing was wrong, nothing is, nothing is missing, and nobody wrote what was another's."""
        assert self.watcher.wrong == []
        assert self.watcher.went_back == []
        assert everything_is_right(self.store, SERIES, self.truth) > 1_000
        self.recorder.catch_up()
        for shard in range(SHARDS):
            assert unlawful(self._writes_of(shard), KEYS.lease_of(shard), self._writer) == []

    def _writes_of(self, shard: int) -> list[Write]:
        keys = KEYS.of_shard(shard, SHARDS)
        heads = tuple(keys.alive(symbol).removesuffix("alive") for symbol in SYMBOLS if keys.owns(symbol))
        lease = KEYS.lease_of(shard)
        return [w for w in self.recorder.writes if w.key == lease or (heads and w.key.startswith(heads))]

    def _writer(self, write: Write) -> str:
        found = [(its.addresses.get(write.client, 0.0), name) for name, its in self.gates.items()]
        return max((since, name) for since, name in found if since <= write.at)[1]


@contextmanager
def trio(url: str, **more: str) -> Iterator[Trio]:
    """Of these settings beside the usual ones."""
    with ExitStack() as stack:
        yield Trio(url, stack, **more)


@pytest.mark.takes(60)
def test_when_one_is_killed_or_comes_every_shard_is_held_within_nine_seconds(clean_valkey: str) -> None:
    with trio(clean_valkey) as three, Busy() as busy:
        with Reader(clean_valkey) as reader:
            until("all feeds are up", lambda: set(reader.status().symbols.values()) == {"up"}, WITHIN_S)
            status = reader.status()
        assert status.writer is not None and status.writer == status.instance
        assert len(status.writer.split(", ")) == 3 and status.connected
        assert status.budget_members == 3, "a process is one, whatever it holds"
        with livecache("check", env={"LIVECACHE_REDIS_URL": clean_valkey}) as check:
            assert check.ended() == 0, check.story()
        began, waited_s = time.monotonic(), busy.s
        took_s = three.lose("two", signal.SIGKILL)
        print(f"killed: all held after {took_s:.1f} s, blind for {three.watcher.blind_s(began):.1f} s")
        assert took_s < 9.0 + busy.s - waited_s
        three.start("four")
        began = time.monotonic()
        until("the new one has its part", lambda: three.counts() == [4, 4, 4], WITHIN_S)
        print(f"joined: even after {time.monotonic() - began:.1f} s")
        until("everything can be read", three.watcher.sees_all, WITHIN_S)
        if busy.longest_s < 0.2:  # A host that stands still breaks a feed of this speed, and a lease.
            assert three.watcher.errors(began) == set(), "what was moved could be read all the while"
        three.check()


@pytest.mark.long
@pytest.mark.takes(120)
def test_whatever_becomes_of_one_each_shard_has_one_holder(clean_valkey: str) -> None:
    with trio(clean_valkey) as three:
        for name, number in (("one", signal.SIGTERM), ("two", signal.SIGSTOP), ("three", signal.SIGKILL)):
            process, began = three.processes[name], time.monotonic()
            took_s = three.lose(name, number)
            print(f"{number.name}: all held after {took_s:.1f} s, blind {three.watcher.blind_s(began):.1f} s")
            assert took_s < (4.0 if number is signal.SIGTERM else 9.0)
            if number is signal.SIGSTOP:
                reach(began + 12)
                process.send(signal.SIGCONT)
                three.processes[name] = process
            else:
                three.start(f"after {name}")
            until("all have their part", lambda: three.counts() == [4, 4, 4], WITHIN_S)
            until("everything can be read", three.watcher.sees_all, WITHIN_S)
        three.check()
