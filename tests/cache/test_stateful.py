"""Two writers, whatever happens to them and to Redis: the double and the server agree at every command.

The writers are the real ones, with the shipped scripts. Time is virtual, so that leases expire and audits
come due in milliseconds, and the same steps always lead to the same end.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from livecache.errors import ForeignKey
from livecache.keys.keyspace import Keyspace, decode_lease, decode_member, decode_state
from livecache.model.candle import ExactCandle
from livecache.model.series import Close, Kind, SeriesId, Update
from livecache.read.answer import Request, arguments
from livecache.wire.scripts import Script
from livecache.writer.adoption import load
from livecache.writer.writer import Writer
from tests.sizes import examples

from .mirror import Connection, Mirror, VirtualClock
from .support import BTC, ETH, ORIGIN, STEP, T0, Source, candle, state, whole

KEYS = Keyspace()
SERIES = (BTC, ETH)
READ = Script.load("read/read.lua")
SETS = [KEYS.candles(s.symbol, s.timeframe) for s in SERIES]
STATES = [KEYS.state(s.symbol, s.timeframe) for s in SERIES]
ALIVE = [KEYS.alive(s.symbol) for s in SERIES]
FOREVER_S = 25.0
"""Longer than any lease, retry, back-off or audit of the writer's."""

series_of = st.sampled_from(SERIES)
names = st.sampled_from(["one", "two"])


class Instance:
    """One process: what it holds in memory, its connection, and its writer."""

    def __init__(self, name: str, mirror: Mirror, source: Source, inspect: Any) -> None:
        self.name = name
        self.source = source
        self.connection = Connection(mirror, lambda before: inspect(self, before))
        self.writer = Writer(
            self.connection,
            KEYS,
            SERIES,
            source,
            origin=ORIGIN,
            instance=name,
            clock=mirror.clock,
            wake=source.wake,
            jitter=lambda: 0.0,
        )
        self.refused = False  # to start, where a key is somebody else's: its supervisor starts it again
        self.task = asyncio.create_task(self._live(), name=f"instance {name}")

    async def _live(self) -> None:
        try:
            await self.writer.open()
        except ForeignKey:
            self.refused = True
        else:
            await self.writer.run()

    async def kill(self) -> None:
        """As SIGKILL does it: nothing is said to Redis any more."""
        self.connection.stop()
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


class Writers(RuleBasedStateMachine):
    """What two instances and somebody else with redis-cli may do, in any order."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.fake = fakeredis.FakeRedis()
        self.real = redis.Redis.from_url(self.url)
        self.real.flushall()
        self.real.script_flush()
        self.mirror = Mirror(self.fake, self.real, VirtualClock(), KEYS)
        self.truth: dict[SeriesId, int] = dict.fromkeys(SERIES, 10)  # buckets so far
        self.names = 0
        self.copies: dict[str, tuple[list[Any], dict[Any, Any]]] = {}
        self.instances: dict[str, Instance] = {}
        self.running(self._start("one"))
        self.running(self._start("two"))

    def teardown(self) -> None:
        try:
            self.running(self._end())
        finally:
            with contextlib.suppress(Exception):
                self.running(self._kill_all())
            self.loop.close()
            self.fake.close()
            self.real.close()

    def running(self, step: Any) -> Any:
        return self.loop.run_until_complete(step)

    # --- what processes do

    @rule(series=series_of, ago=st.integers(0, 3), there=st.booleans(), volume=st.integers(1, 9))
    def the_venue_says_something(self, series: SeriesId, ago: int, there: bool, volume: int) -> None:
        """A bucket near the end changes, appears or turns out to be empty; both instances hear of it."""
        self.truth[series] += ago == 0
        n = self.truth[series] - 1 - ago
        bucket = T0 + n * STEP
        new = candle(n, volume=str(volume)) if there else None
        for instance in self.instances.values():
            known = state(max(0, n - 8), n, n + 1, forming=n + 1)
            updates = (Update(Kind.FORMING, new),) if new else ()
            keep_from = bucket - 8 * STEP
            instance.source.change(series, {bucket: new}, known, keep_from=keep_from, updates=updates)
            instance.source.closes.append(Close(Kind.SETTLED, series, bucket, new, None))
        self.running(self.mirror.quiet())

    @rule(series=series_of, buckets=st.sets(st.integers(0, 9), max_size=6))
    def a_series_is_read_anew(self, series: SeriesId, buckets: set[int]) -> None:
        for instance in self.instances.values():
            first = self.truth[series] - 10
            held = sorted(first + n for n in buckets)
            instance.source.fill(whole(series, held, state(first, first + 9, first + 10)))
        self.running(self.mirror.quiet())

    @rule(seconds=st.sampled_from([0.5, 2.0, 7.0, 12.0]))
    def time_passes(self, seconds: float) -> None:
        self.running(self.mirror.pass_time(seconds))

    @rule(name=names)
    def an_instance_is_stopped(self, name: str) -> None:
        self.instances[name].connection.stop()

    @rule(name=names)
    def an_instance_goes_on(self, name: str) -> None:
        self.instances[name].connection.go_on()
        self.running(self.mirror.quiet())

    @rule(name=names, clean=st.booleans())
    def an_instance_is_started_again(self, name: str, clean: bool) -> None:
        self.running(self._restart(name, clean=clean))

    @rule(name=names, when=st.sampled_from(["before", "after"]))
    def a_connection_is_cut(self, name: str, when: str) -> None:
        self.instances[name].connection.cut = when

    # --- what others do to Redis

    @rule(key=st.sampled_from([*SETS, *STATES, *ALIVE, KEYS.lease, KEYS.series, KEYS.closes, KEYS.feed]))
    def a_key_is_deleted(self, key: str) -> None:
        for client in self.mirror.both():
            client.delete(key)

    @rule(key=st.sampled_from([*SETS, *STATES, *ALIVE]), kind=st.sampled_from(["string", "list"]))
    def a_key_is_somebody_elses(self, key: str, kind: str) -> None:
        for client in self.mirror.both():
            client.delete(key)
            if kind == "string":
                client.set(key, "precious")
            else:
                client.rpush(key, "precious")

    @rule(index=st.integers(0, 1), lost=st.booleans(), ago=st.integers(0, 9))
    def members_are_tampered_with(self, index: int, lost: bool, ago: int) -> None:
        """One is removed, or a bucket gets a second one."""
        key = SETS[index]
        if self.fake.type(key) not in (b"zset", b"none"):
            return
        n = self.truth[SERIES[index]] - ago
        for client in self.mirror.both():
            if lost:
                client.zremrangebyrank(key, ago, ago)
            else:
                client.zadd(key, {candle(n, volume="0.1").member(): T0 + n * STEP})

    @rule(
        index=st.integers(0, 1),
        field=st.sampled_from(["fence", "revision", "count"]),
        value=st.sampled_from(["", "0", "1", "nonsense", "1753056100000"]),
    )
    def the_state_is_tampered_with(self, index: int, field: str, value: str) -> None:
        if self.fake.type(STATES[index]) != b"hash":
            return
        for client in self.mirror.both():
            client.hset(STATES[index], field, value)

    @rule(key=st.sampled_from([*SETS, *STATES]))
    def a_key_gets_a_time_limit(self, key: str) -> None:
        for client in self.mirror.both():
            client.pexpire(key, 5_000)
        self.mirror.note_limits()

    @rule()
    def everything_is_lost(self) -> None:
        for client in self.mirror.both():
            client.flushall()

    @rule(index=st.integers(0, 1))
    def a_copy_is_kept(self, index: int) -> None:
        set_, hash_ = SETS[index], STATES[index]
        if self.fake.type(set_) == b"zset" and self.fake.type(hash_) == b"hash":
            self.copies[set_] = (self.fake.zrange(set_, 0, -1, withscores=True), self.fake.hgetall(hash_))

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def an_older_copy_comes_back(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.copies)))
        members, fields = self.copies[key]
        for client in self.mirror.both():
            client.delete(key, f"{key}:state")
            client.zadd(key, dict(members)) if members else None
            client.hset(f"{key}:state", mapping=fields)

    # --- what readers do

    @rule(series=series_of, count=st.integers(1, 12), settled=st.booleans(), span=st.booleans())
    def somebody_reads(self, series: SeriesId, count: int, settled: bool, span: bool) -> None:
        """Both servers give the same reply, whatever state they are in."""
        edge = T0 + self.truth[series] * STEP
        request = Request(
            series,
            count,
            0,
            settled=settled,
            forming=not settled,
            empty="skip",
            max_lag=600_000,
            span=(edge - count * STEP, edge) if span else None,
        )
        index = SERIES.index(series)
        keys = (SETS[index], STATES[index], ALIVE[index])
        for args in (arguments(request), ("state",)):
            with contextlib.suppress(redis.ResponseError):
                self.mirror.execute("EVAL", READ.text, 3, *keys, *args)

    @rule()
    def a_third_instance_looks_at_what_is_stored(self) -> None:
        """Adoption: what it believes is one candle a bucket, each of them in order."""
        connection = Connection(self.mirror, lambda before: self._nothing_changed(before))
        now = T0 + max(self.truth.values()) * STEP
        adopted = self.running(load(connection, KEYS, SERIES, origin=ORIGIN, now=now))
        for stored in adopted.stored:
            times = [one.time for one in stored.candles]
            assert times == sorted(set(times))

    # --- what always holds

    @invariant()
    def both_instances_live(self) -> None:
        for instance in self.instances.values():
            if instance.task.done() and not instance.refused:
                instance.task.result()
                raise AssertionError(f"{instance.name} has ended by itself")

    @invariant()
    def both_servers_hold_the_same(self) -> None:
        assert self.mirror.contents(self.fake) == self.mirror.contents(self.real)

    def _inspect(self, instance: Instance, before: dict[str, Any]) -> None:
        """After each command of a writer's: what it was allowed to change, and what it made of it."""
        after = self.mirror.contents()
        if before == after:
            return
        if not _is_held_by(before, instance.name):
            changed = {key for key in {*before, *after} if _lasting(before, key) != _lasting(after, key)}
            assert changed <= {KEYS.lease}, f"{instance.name} has no lease, and changed {changed}"
        for key in STATES:
            old, new = _fence(before, key), _fence(after, key)
            assert new is None or old is None or new >= old, "an older writer's token came back"
        for set_, hash_ in zip(SETS, STATES, strict=True):
            if (before.get(set_), before.get(hash_)) != (after.get(set_), after.get(hash_)):
                _is_whole(before, after, set_, hash_)

    def _nothing_changed(self, before: dict[str, Any]) -> None:
        assert self.mirror.contents() == before

    # --- inside

    async def _start(self, name: str) -> None:
        source = Source()
        other = next(iter(self.instances.values()), None)
        for series in SERIES:
            first = other.source.content[series] if other else None
            source.fill(first or whole(series, range(10), state(0, 10, 10)))
        self.names += 1
        # Each start is an instance of its own, as in `livecache run`.
        self.instances[name] = Instance(f"{name}-{self.names}", self.mirror, source, self._inspect)
        await self.mirror.quiet()

    async def _restart(self, name: str, *, clean: bool) -> None:
        instance = self.instances.pop(name)
        if clean:
            instance.connection.go_on()
            instance.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await instance.task
            await instance.writer.close()
        else:
            await instance.kill()
        await self._start(name)

    async def _end(self) -> None:
        """After all trouble: one of them writes, and Redis holds what it holds."""
        for client in self.mirror.both():
            for key in [*SETS, *STATES, *ALIVE]:
                if client.type(key) in (b"string", b"list"):
                    client.delete(key)
        for name, instance in tuple(self.instances.items()):
            instance.connection.go_on()
            if instance.refused:
                await self._restart(name, clean=False)
        await self.mirror.pass_time(FOREVER_S)
        self.the_venue_says_the_same_again()
        await self.mirror.pass_time(FOREVER_S)
        self.both_instances_live()
        (writing,) = [i for i in self.instances.values() if i.name == self.mirror.holder()]
        assert not writing.writer.problems  # One that waits may still have those it began with.
        contents = self.mirror.contents()
        for series, set_, hash_ in zip(SERIES, SETS, STATES, strict=True):
            wanted = writing.source.content[series].members
            members, _ = contents.get(set_, ([], False))
            held = [decode_member(raw, series.timeframe) for raw, _ in members]
            assert {one.time: one for one in held} == {t: c for t, c in wanted.items() if c}
            fields, _ = contents[hash_]
            record = decode_state({k.decode(): v.decode() for k, v in fields.items()})
            assert record.state == writing.source.content[series].state
            assert record.count == len(held)
            assert not any(limited for _, limited in (contents.get(set_, ([], False)), contents[hash_]))
        self.both_servers_hold_the_same()

    def the_venue_says_the_same_again(self) -> None:
        """A change that changes nothing, so that every series is looked at once more."""
        for instance in self.instances.values():
            for series in SERIES:
                content = instance.source.content[series]
                assert content.state is not None
                instance.source.change(series, {}, content.state)

    async def _kill_all(self) -> None:
        for instance in self.instances.values():
            await instance.kill()


def _is_held_by(contents: dict[str, Any], name: str) -> bool:
    held = contents.get(KEYS.lease)
    return held is not None and decode_lease(held[0]).instance == name


def _lasting(contents: dict[str, Any], key: str) -> Any:
    """What a key holds, but for the marks by which a new tenure fences off an older one."""
    held = contents.get(key)
    if key in STATES and held is not None and isinstance(held[0], dict):
        return {k: v for k, v in held[0].items() if k not in (b"fence", b"revision")}
    return held


def _fence(contents: dict[str, Any], key: str) -> int | None:
    held = contents.get(key)
    raw = held[0].get(b"fence", b"") if held and isinstance(held[0], dict) else b""
    return int(raw) if raw.isdigit() else None


def _is_whole(before: dict[str, Any], after: dict[str, Any], set_: str, hash_: str) -> None:
    """A series that was just written: as many members as its state says, one a bucket, each in its place."""
    fields = after.get(hash_, ({}, False))[0]
    if fields.get(b"revision") in (b"0", before.get(hash_, ({}, False))[0].get(b"revision")):
        return  # Only stamped by a new tenure, or only freed of a time limit.
    members = after.get(set_, ([], False))[0]
    assert int(fields[b"count"]) == len(members)
    times = [time for _, time in members]
    assert times == sorted(set(times)), "two members for one bucket"
    candles: list[ExactCandle] = [decode_member(raw, BTC.timeframe) for raw, _ in members]
    assert [one.time for one in candles] == times


@pytest.fixture
def machine(clean_valkey: str) -> type[Writers]:
    return type("WritersOnThisServer", (Writers,), {"url": clean_valkey})


@pytest.mark.hypothesis
def test_two_writers_agree_with_their_double_and_heal_from_anything(machine: type[Writers]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(8, least=4),
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            phases=(Phase.explicit, Phase.generate),
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
