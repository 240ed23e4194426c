"""Two services over one store and one exchange, and what is done to the one that writes.

Each instance reaches the store through a gate of its own. So what it writes bears its name in the server's
own record of commands, and its network can fail while all others' works.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import redis

from livecache.keys.keyspace import decode_lease
from livecache.model.timeframe import Timeframe

from .gate import Gate, gate
from .recorder import Recorder, Write, recorder, unlawful
from .support import Exchange, Process, exchange, livecache, market_of, until
from .truth import KEYS, Truth, Watcher, everything_is_right, series_of, watching

__all__ = ["FAULTS", "SERIES", "SPEED", "Instance", "Pair", "TakeOver", "pair"]

SYMBOLS = ("BTC-USD", "ETH-USD")
TIMEFRAMES = ("5m", "15m", "1h", "4h", "1d")
SERIES = series_of(SYMBOLS, TIMEFRAMES)

SPEED = 60.0
"""A lease of six seconds lasts longer than a 5m bucket then: in each, something closes and has to settle."""

WITHIN_S = 40.0  # of everything waited for here; what is promised is measured, not waited for
_IN_FLIGHT_S = 0.3  # a request on its way when its sender died arrives within this time


@dataclass
class Instance:
    """One of the two services. Its gate stays when it is killed and started again."""

    name: str
    gate: Gate
    process: Process

    def holds(self, lease: bytes | None) -> bool:
        """Whether that is its lease."""
        return lease is not None and f"-{self.process.pid}-" in decode_lease(lease).instance


@dataclass(frozen=True, slots=True)
class TakeOver:
    """What became of one fault. Times in real seconds since the fault."""

    fault: str
    lease_s: float  # until the other instance held the lease
    alive_s: float  # until it vouched for the first symbol
    asked: int | None  # candle requests until then, where only the waiting one could make any
    blind_s: float  # the longest time in which a reader could not read every series
    errors: Counter[str]  # what it got meanwhile, by the name of the error
    late_ms: int  # by how much the newest bucket of an answer was overdue at most, ms of the venue's clock


class Pair:
    """Two running instances; `leader` writes and `waiting` waits."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self._url = url
        self._stack = stack
        self.venue: Exchange = stack.enter_context(
            exchange(market_of(*SYMBOLS), speed=SPEED, update_ms=5_000)
        )
        self.truth = Truth(market_of(*SYMBOLS))
        self.store: redis.Redis = stack.enter_context(redis.Redis.from_url(url))
        self.recorder: Recorder = stack.enter_context(recorder(url))
        port = urlsplit(url).port or 0
        self.instances: list[Instance] = []
        for name in ("one", "two"):
            its = stack.enter_context(gate(port))
            self.instances.append(Instance(name, its, self._start(its)))
        until("one of them writes", self._written, WITHIN_S)
        self.watcher: Watcher = stack.enter_context(watching(url, SERIES, self.truth))
        until("everything can be read", self.watcher.sees_all, WITHIN_S)
        self.waiting.process.event("lease_wait", WITHIN_S)

    @property
    def leader(self) -> Instance:
        """The one whose lease it is."""
        lease = self.store.get(KEYS.lease)
        assert lease is None or isinstance(lease, bytes)
        return next(one for one in self.instances if one.holds(lease))

    @property
    def waiting(self) -> Instance:
        """The other one."""
        leader = self.leader
        return next(one for one in self.instances if one is not leader)

    def fail(self, fault: str) -> TakeOver:
        """Do that to the leader; return once the other has taken over and the first one waits again."""
        old, new = self.leader, self.waiting
        waits = len(old.process.events("lease_wait"))
        began, began_at = time.monotonic(), time.time()
        heal, idle = _INFLICT[fault](old)
        lease_at = self._first_write(new, began_at, KEYS.lease)
        alive_at = self._first_write(new, lease_at, KEYS.alive(SYMBOLS[0]))
        until("everything can be read again", lambda: self._all_new(new), WITHIN_S)
        heal()
        if fault == "kill -9":
            old.process = self._start(old.gate)
            waits = 0
        until(f"{old.name} waits", lambda: len(old.process.events("lease_wait")) > waits, WITHIN_S)
        until("everything can be read", self.watcher.sees_all, WITHIN_S)
        looks = self.watcher.since(began)
        taken = began + lease_at - began_at
        asked = [r for r in self.venue.candle_requests if began + _IN_FLIGHT_S < r.at < taken]
        return TakeOver(
            fault,
            lease_at - began_at,
            alive_at - began_at,
            len(asked) if idle else None,
            self.watcher.blind_s(began),
            sum((look.errors for look in looks), Counter[str]()),
            max(look.late for look in looks),
        )

    def wait_for_closes(self, count: int) -> None:
        """Return once so many 5m buckets have closed, and are settled."""
        through = Timeframe.M5.floor(self.venue.simulator.now()) + count * Timeframe.M5.ms
        until(f"{count} closes", lambda: self.watcher.settled.get(SERIES[0], 0) >= through, WITHIN_S)

    def unlawful_writes(self) -> list[str]:
        """Every write so far that was made without the lease."""
        self.recorder.catch_up()
        return unlawful(self.recorder.writes, KEYS.lease, self._writer)

    def _writer(self, write: Write) -> str:
        """Who made a write. A port may serve both in turn: whoever came by it last before that moment."""
        last, name = 0.0, write.client
        for one in self.instances:
            since = one.gate.addresses.get(write.client, 0.0)
            if last < since <= write.at:
                last, name = since, one.name
        return name

    def compare(self) -> int:
        """Hold the whole store against what was traded; how many candles that were."""
        return everything_is_right(self.store, SERIES, self.truth)

    def _start(self, its: Gate) -> Process:
        env = self.venue.settings(its.url, CACHE_TIMEFRAMES=",".join(TIMEFRAMES))
        return self._stack.enter_context(livecache("run", env=env))

    def _written(self) -> bool:
        return self.store.exists(KEYS.lease) == 1 and self.store.exists(KEYS.alive(SYMBOLS[0])) == 1

    def _first_write(self, who: Instance, since: float, key: str) -> float:
        """When that instance first set the key, by the server's wall clock; waited for."""

        def found() -> float | None:
            for write in reversed(self.recorder.writes[:]):
                if write.at < since:
                    break
                if write.command == "SET" and write.key == key and write.client in who.gate.addresses:
                    first[0] = write.at
            return first[0] or None

        first = [0.0]
        return until(f"{who.name} sets {key}", found, WITHIN_S)

    def _all_new(self, who: Instance) -> bool:
        """Whether every series bears the token of that instance's lease, and readers get it."""
        lease = self.store.get(KEYS.lease)
        assert lease is None or isinstance(lease, bytes)
        if lease is None or not who.holds(lease) or not self.watcher.sees_all():
            return False
        token = str(decode_lease(lease).token).encode()
        states = (KEYS.state(one.symbol, one.timeframe) for one in SERIES)
        return all(self.store.hget(state, "fence") == token for state in states)


def _kill(one: Instance) -> tuple[Callable[[], None], bool]:
    one.process.send(signal.SIGKILL)
    one.process.ended()
    return (lambda: None), True


def _pause(one: Instance) -> tuple[Callable[[], None], bool]:
    one.process.send(signal.SIGSTOP)
    return (lambda: one.process.send(signal.SIGCONT)), True


def _stall(one: Instance) -> tuple[Callable[[], None], bool]:
    one.gate.stall()
    return one.gate.open, False


def _cut(one: Instance) -> tuple[Callable[[], None], bool]:
    one.gate.cut()
    return one.gate.open, False


# Each returns what undoes it, and whether the leader can ask the venue for nothing meanwhile.
_INFLICT: dict[str, Callable[[Instance], tuple[Callable[[], None], bool]]] = {
    "SIGSTOP, SIGCONT": _pause,
    "kill -9": _kill,
    "network stalls": _stall,
    "network is cut": _cut,
}

FAULTS = tuple(_INFLICT)


@contextmanager
def pair(url: str) -> Iterator[Pair]:
    """Two instances over the store at that URL, which is empty, and one exchange: warm, and one waiting."""
    with ExitStack() as stack:
        yield Pair(url, stack)
