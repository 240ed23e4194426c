"""One run's world: host, venue, Redis and processes; here faults become true and are lifted again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import redis

from livecache.errors import RepairNotNow, RepairRefused
from livecache.keys.keyspace import Keyspace
from livecache.model.series import SeriesId

from .faults import Fault, Kind, Scenario
from .faulty_store import Store
from .faulty_venue import FaultyVenue
from .process import Host, Process
from .truth import Truth

if TYPE_CHECKING:
    from .auditor import Auditor

__all__ = ["World"]

PREFIX = "sim"
DAMAGE = b"[1,2"  # what a damaged member looks like
_FOREIGN_S = 30.0
TTL_S = 20.0
_SAVE_EVERY_MS = 240_000


class World:
    """What a run's faults act on."""

    def __init__(self, scenario: Scenario, client: redis.Redis) -> None:
        self.scenario = scenario
        self.random = Random(scenario.seed + 1)
        self.host = Host(scenario.start_ms, scenario.skew_s)
        self.truth = Truth(scenario.market)
        self.venue = FaultyVenue(
            self.truth, self.host.venue_ms, Random(scenario.seed + 2), tick_s=scenario.tick_s,
            latency_s=scenario.latency_s, edge_s=scenario.edge_s, omits_newest=scenario.omits_newest,
            last_update_lost=scenario.last_update_lost, links=scenario.links,
            flags=scenario.flags,
        )  # fmt: skip
        self.keys = Keyspace(PREFIX, "coinbase")
        self.client = client
        self.store = Store(client, self.keys, lambda: self.host.venue_ms() / 1000)
        self.series = [SeriesId("coinbase", s, t) for t in scenario.timeframes for s in scenario.symbols]
        self.processes: list[Process] = []
        self.injected: Counter[str] = Counter()
        self.started = 0
        self.auditor: Auditor | None = None
        self._lift: list[tuple[int, Callable[[], None]]] = []
        self._rolls_back = any(f.kind is Kind.ROLLED_BACK for f in scenario.faults)
        self._saved_at = 0
        self._closely_until_s = 0.0

    def now(self) -> int:
        """The venue's time, Unix ms."""
        return self.host.venue_ms()

    # --- processes

    def start(self) -> Process:
        """Start another process."""
        self.started += 1
        process = Process(
            f"p{self.started}", self.host, self.venue, self.store, self.scenario.symbols,
            self.scenario.timeframes, sole_owner=self.scenario.embedded and not self.processes,
            candles=self.scenario.candles, seed=self.scenario.seed + self.started,
        )  # fmt: skip
        self.processes.append(process)
        process.start()
        self.disturb(tenure=True)
        return process

    async def end(self, *, clean: bool) -> None:
        """End every process."""
        while self.processes:
            process = self.processes.pop(0)
            await (process.stop() if clean else process.kill())
        self.disturb(tenure=True)

    async def after_foreign_origin(self) -> None:
        """Fill the store from another venue that has other prices, as if under another configuration."""
        own = self.venue
        self.venue = FaultyVenue(
            Truth(self.scenario.market + 1), self.host.venue_ms, Random(1), tick_s=5.0, latency_s=0.1,
            edge_s=0.0, origin="http://elsewhere",
        )  # fmt: skip
        self.start()
        await asyncio.sleep(_FOREIGN_S)
        await self.end(clean=self.random.random() < 0.5)
        self.store.expire()
        self.venue = own

    # --- faults

    def lift_due(self) -> None:
        """End the faults whose time is over; now and then Redis saves what it has."""
        now = self.now()
        if now - self._saved_at > _SAVE_EVERY_MS and self._rolls_back:
            self._saved_at = now
            self.store.save()
        due = [(at, lift) for at, lift in self._lift if at <= now]
        for each in due:
            self._lift.remove(each)
            each[1]()

    def lift_all(self) -> None:
        """From here on nothing is wrong any more."""
        lifts, self._lift = self._lift, []
        for _, lift in lifts:
            lift()

    async def inject(self, fault: Fault) -> None:
        """Make a fault true."""
        self.injected[fault.kind.name] += 1
        venue, kind = self.venue, fault.kind
        if fault.lasts_s:
            self._hold(fault)
        match kind:
            case Kind.FEED_CUT | Kind.FEED_DEAD:
                venue.connections += 1
            case Kind.FRAME_LOST:
                venue.lose_frames += 1
            case Kind.STAMP_AHEAD:
                venue.ahead += 1
            case Kind.REVISED:
                self._revise(fault.symbol)
            case Kind.PAGE_LIMIT:
                venue.longest_page = 310
            case Kind.NO_4H:
                venue.lost_4h = True
            case Kind.DELISTED:
                venue.delisted.add(fault.symbol)
                self._later(fault.lasts_s, lambda: venue.delisted.discard(fault.symbol))
            case Kind.TIME_WRONG:
                venue.wrong_time_s = fault.amount
            case Kind.CLOCK_JUMP:
                self.host.skew_s += fault.amount
            case Kind.HOST_SLEEP:
                self._sleep(fault.amount)
            case _:
                await self._inject_into_redis(fault)
                await self._inject_into_processes(fault)

    async def _inject_into_redis(self, fault: Fault) -> None:
        store, client = self.store, self.client
        full = store.is_full
        store.full(False)  # for what we do to it ourselves
        match fault.kind:
            case Kind.REDIS_REFUSES if fault.what == "OOM":
                full = True
                self._later(fault.lasts_s, lambda: store.full(False))
            case Kind.FLUSHED:
                self._flush()
            case Kind.ROLLED_BACK:
                self.look()
                if store.roll_back():
                    self.disturb(lost=True)
                    for series in self.series:  # The copy may be of a time when something was damaged.
                        key = self.keys.candles(series.symbol, series.timeframe)
                        if client.type(key) == b"string":
                            client.delete(key)
                            self.disturb(damaged=series)
                        elif client.zscore(key, DAMAGE) is not None:
                            self.disturb(damaged=series)
            case Kind.KEYS_LOST:
                for series, key in self._some_keys(fault.what):
                    self.disturb(damaged=series)
                    client.delete(key)
                    store.persist(key)  # What is written there anew has no time limit.
                self._closely_until_s = self.host.monotonic() + 6.0  # until the audit has come round
            case Kind.TTL_SET:
                for series, key in self._some_keys(fault.what):
                    self.disturb(damaged=series)
                    store.let_expire(key, TTL_S)
            case Kind.DAMAGED:
                self.disturb(damaged=self._series(fault))
                key = self._key(fault)
                if client.type(key) == b"zset" and (newest := client.zrange(key, -1, -1, withscores=True)):
                    client.zremrangebyrank(key, -1, -1)
                    client.zadd(key, {DAMAGE: newest[0][1]})
            case Kind.FOREIGN:
                self.disturb(damaged=self._series(fault))
                key = self._key(fault)
                client.set(key, "not livecache's")
                self._later(fault.lasts_s, lambda: self._remove_foreign(fault))
            case Kind.LEASE_LOST:
                client.delete(self.keys.lease)
                store.persist(self.keys.lease)
        store.full(full)

    async def _inject_into_processes(self, fault: Fault) -> None:
        match fault.kind:
            case Kind.STOPPED:
                await self._restart(fault.amount, clean=True)
            case Kind.KILLED:
                await self._die()
                await self._restart(fault.amount, clean=False)
            case Kind.STORM:
                for _ in range(6):
                    await self._restart(self.random.uniform(0.0, 3.0), clean=False)
                    await self.pass_time(self.random.uniform(0.0, fault.amount / 5))
            case Kind.PAUSED:
                await self._pause(fault)
            case Kind.SUCCEEDED:
                await self._succeed(fault)
            case Kind.REPAIRED:
                self._repair(self._series(fault))

    async def pass_time(self, seconds: float) -> None:
        """Let time pass while a fault is under way; readers go on looking."""
        end = self.host.monotonic() + seconds
        while (left := end - self.host.monotonic()) > 0:
            await asyncio.sleep(min(left, self._until_next_look()))
            self.lift_due()
            self.look()

    def _until_next_look(self) -> float:
        """Seconds until readers look again: often after a close, where most happens."""
        if self.host.monotonic() < self._closely_until_s:
            return self.random.uniform(0.3, 1.0)
        into_s = self.now() / 1000 % 300
        return self.random.uniform(0.5, 4.0) if into_s < 20 else self.random.uniform(1.0, 28.0)

    def look(self) -> None:
        """Have the auditor look now."""
        if self.auditor is not None:
            self.auditor.look()

    def disturb(self, *, tenure: bool = False, lost: bool = False, damaged: SeriesId | None = None) -> None:
        """Tell the auditor what it must not hold against the service."""
        if self.auditor is not None:
            self.auditor.disturbed(tenure=tenure, lost=lost, damaged=damaged)

    # --- the venue and the host

    def _hold(self, fault: Fault) -> None:
        self.venue.active.append(fault)
        self._later(fault.lasts_s, lambda: self._end(fault))

    def _end(self, fault: Fault) -> None:
        if fault in self.venue.active:
            self.venue.active.remove(fault)

    def _later(self, seconds: float, lift: Callable[[], None]) -> None:
        self._lift.append((self.now() + int(seconds * 1000), lift))

    def _revise(self, symbol: str) -> None:
        """Add volume to a minute that traded in one of the last buckets."""
        end = self.now() - 120_000
        trades = self.truth.trades(symbol, end - 1_200_000, end)
        if trades:
            minute = self.random.choice(trades).time_us // 60_000_000 * 60_000
            self.truth.revise(symbol, minute, self.now(), Decimal(str(self.random.randint(1, 99))))

    def _sleep(self, seconds: float) -> None:
        """The host sleeps: what reached it before is still to be read, then connections are found dead."""
        venue = self.venue
        self.look()
        venue.stale_stamp = self.now()
        self.host.slept_s += seconds
        venue.connections += 1
        self._later(1.0, self._forget_stale)

    def _forget_stale(self) -> None:
        self.venue.stale_stamp = 0

    # --- Redis

    def _flush(self) -> None:
        self.look()
        self.client.flushall()
        self.disturb(lost=True)

    def _remove_foreign(self, fault: Fault) -> None:
        self.disturb(damaged=self._series(fault))
        key = self._key(fault)
        if self.client.type(key) == b"string":
            self.client.delete(key)

    def _series(self, fault: Fault) -> SeriesId:
        assert fault.timeframe is not None
        return SeriesId("coinbase", fault.symbol, fault.timeframe)

    def _key(self, fault: Fault) -> str:
        assert fault.timeframe is not None
        return self.keys.candles(fault.symbol, fault.timeframe)

    def _some_keys(self, what: str) -> list[tuple[SeriesId, str]]:
        sets = [(s, self.keys.candles(s.symbol, s.timeframe)) for s in self.series]
        states = [(s, self.keys.state(s.symbol, s.timeframe)) for s in self.series]
        among = {"set": sets, "state": states, "some": [*sets, *states]}[what]
        return [each for each in among if self.random.random() < 0.5]

    # --- processes under faults

    async def _die(self) -> None:
        """Wait until a writer stands between two commands, and leave it there."""
        if not self.processes:
            return
        connection = self.processes[0].connection
        connection.left = self.random.randrange(12)
        try:
            async with asyncio.timeout(10.0):
                await connection.dead.wait()
        except TimeoutError:
            pass

    async def _restart(self, down_s: float, *, clean: bool) -> None:
        await self.end(clean=clean)
        await self.pass_time(down_s)
        self.start()

    async def _pause(self, fault: Fault) -> None:
        """The writer stands still. Another takes over, or nobody does. Then it wakes, and must not write."""
        if not self.processes:
            return
        paused = self.processes[0]
        paused.runs.clear()
        second = self.start() if fault.amount > 10.0 else None
        await self.pass_time(fault.amount)
        if fault.what == "FLUSHED":
            self._flush()
        paused.runs.set()
        await self.pass_time(20.0)
        if second is not None:
            self.processes.remove(paused)
            await paused.kill()

    def _repair(self, series: SeriesId) -> None:
        """Order it of whoever writes. Readers and the auditor are told nothing: they must not notice."""
        for process in self.processes:
            if process.engine is not None:
                with suppress(RepairRefused, RepairNotNow):
                    process.engine.repairs.order(series.symbol, series.timeframe, None, None)

    async def _succeed(self, fault: Fault) -> None:
        """A second instance waits without a request of its own, and takes over when the first one dies."""
        if not self.processes:
            return
        first, second = self.processes[0], self.start()
        await self.pass_time(fault.amount)
        if first.is_writer and not second.is_writer and second.venue and second.venue.asked:
            raise AssertionError("an instance that waits asked for candles")
        self.processes.remove(first)
        await first.kill()
        await self.pass_time(15.0)
