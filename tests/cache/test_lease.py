"""The lease: one writer at a time, with a token larger than all before."""

from __future__ import annotations

import asyncio
from typing import Any

import fakeredis
import pytest

from livecache.clock import SystemClock
from livecache.keys.keyspace import Keyspace, LeaseRecord, decode_lease, encode_lease
from livecache.model.timeframe import Timeframe
from livecache.write.lease import LEASE_MS, Fenced, Lease

from .support import SyncAdapter

KEYS = Keyspace()
STATE = KEYS.state("BTC-USD", Timeframe.M5)
FOREIGN_STATE = KEYS.state("ETH-USD", Timeframe.M5)
STATES = [STATE, FOREIGN_STATE]


class Steps(SystemClock):
    """A clock that a test moves; each sleep moves it too, and calls `on_sleep`."""

    def __init__(self, on_sleep: Any = lambda: None) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []
        self.on_sleep = on_sleep

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.slept.append(seconds)
        self.on_sleep()


def lease_of(fake: Any, clock: Steps, instance: str = "one", **other: Any) -> Lease:
    return Lease(SyncAdapter(fake), KEYS, instance, STATES, clock=clock, **other)


def test_the_first_writer_gets_the_lease_with_a_token_from_the_servers_clock() -> None:
    with fakeredis.FakeRedis() as fake:
        lease = lease_of(fake, Steps())
        token = asyncio.run(lease.acquire())
        assert token > 1_700_000_000_000
        assert decode_lease(fake.get(KEYS.lease)) == LeaseRecord("one", token)
        assert 0 < fake.pttl(KEYS.lease) <= LEASE_MS


def test_the_token_is_larger_than_any_that_was_ever_stamped_on_a_state() -> None:
    with fakeredis.FakeRedis() as fake:
        fake.hset(STATE, mapping={"fence": 9_000_000_000_000, "revision": 12})
        fake.set(FOREIGN_STATE, "not a hash, and not touched")
        token = asyncio.run(lease_of(fake, Steps()).acquire())
        assert token == 9_000_000_000_001
        assert fake.hgetall(STATE) == {b"fence": str(token).encode(), b"revision": b"0"}
        assert fake.get(FOREIGN_STATE) == b"not a hash, and not touched"


def test_states_that_do_not_exist_are_not_made_by_the_stamp() -> None:
    with fakeredis.FakeRedis() as fake:
        asyncio.run(lease_of(fake, Steps()).acquire())
        assert fake.keys() == [KEYS.lease.encode()]


def test_another_writer_waits_until_the_lease_is_gone() -> None:
    with fakeredis.FakeRedis() as fake:
        fake.hset(STATE, mapping={"fence": 5, "revision": 12})
        fake.set(KEYS.lease, encode_lease(LeaseRecord("other", 5)), px=60_000)
        clock: Steps = Steps(lambda: fake.delete(KEYS.lease) if len(clock.slept) == 12 else None)
        assert asyncio.run(lease_of(fake, clock).acquire())
        assert len(clock.slept) == 12


def test_of_an_emptied_server_the_one_that_wrote_there_goes_first() -> None:
    """It has everything in memory, where another would have to ask the venue."""
    with fakeredis.FakeRedis() as fake:
        fake.set(KEYS.lease, encode_lease(LeaseRecord("other", 5)), px=LEASE_MS)
        clock: Steps = Steps(lambda: fake.flushall() if len(clock.slept) == 1 else None)
        assert asyncio.run(lease_of(fake, clock).acquire())
        assert LEASE_MS / 1000 <= sum(clock.slept) <= LEASE_MS / 1000 + 1


def test_an_emptied_server_that_is_taken_anew_is_waited_for() -> None:
    def step() -> None:
        if len(clock.slept) == 1:
            fake.flushall()
        elif len(clock.slept) == 3:
            fake.set(KEYS.lease, encode_lease(LeaseRecord("other", 6)), px=60_000)
        elif len(clock.slept) == 9:
            fake.hset(STATE, mapping={"fence": 6, "revision": 1})
            fake.delete(KEYS.lease)

    with fakeredis.FakeRedis() as fake:
        fake.set(KEYS.lease, encode_lease(LeaseRecord("other", 5)), px=LEASE_MS)
        clock = Steps(step)
        assert asyncio.run(lease_of(fake, clock).acquire())
        assert len(clock.slept) == 9


def test_a_sole_owner_takes_a_dead_ones_lease_at_once_but_only_the_first_time() -> None:
    with fakeredis.FakeRedis() as fake:
        other = encode_lease(LeaseRecord("other", 5))
        fake.set(KEYS.lease, other)
        clock: Steps = Steps(lambda: fake.delete(KEYS.lease))
        lease = lease_of(fake, clock, sole_owner=True)
        asyncio.run(lease.acquire())
        assert clock.slept == []
        fake.set(KEYS.lease, other)
        asyncio.run(lease.acquire())
        assert clock.slept == [1.0]


def test_an_instance_takes_back_its_own_lease_whose_answer_was_lost() -> None:
    with fakeredis.FakeRedis() as fake:
        clock = Steps()
        lease = lease_of(fake, clock)
        first = asyncio.run(lease.acquire())
        second = asyncio.run(lease.acquire())
        assert second > first and clock.slept == []


@pytest.mark.parametrize("value", [None, encode_lease(LeaseRecord("other", 5)), "garbage"])
def test_a_lease_that_is_gone_or_anothers_is_not_renewed_and_not_released(value: str | None) -> None:
    with fakeredis.FakeRedis() as fake:
        lease = lease_of(fake, Steps())
        asyncio.run(lease.acquire())
        asyncio.run(lease.renew())
        fake.delete(KEYS.lease)
        if value:
            fake.set(KEYS.lease, value)
        with pytest.raises(Fenced):
            asyncio.run(lease.renew())
        assert asyncio.run(lease.release()) is False
        assert fake.get(KEYS.lease) == (value.encode() if value else None)


def test_a_lease_is_overdue_when_it_was_not_renewed_for_as_long_as_it_lasts() -> None:
    with fakeredis.FakeRedis() as fake:
        clock = Steps()
        lease = lease_of(fake, clock)
        assert lease.overdue
        asyncio.run(lease.acquire())
        clock.now_s += LEASE_MS / 1000
        assert not lease.overdue
        clock.now_s += 0.1
        assert lease.overdue
        asyncio.run(lease.renew())
        assert not lease.overdue
        assert asyncio.run(lease.release()) is True


def test_a_name_that_begins_like_the_holders_is_another_name() -> None:
    with fakeredis.FakeRedis() as fake:
        fake.set(KEYS.lease, encode_lease(LeaseRecord("one-two", 5)))
        clock: Steps = Steps(lambda: fake.delete(KEYS.lease))
        asyncio.run(lease_of(fake, clock).acquire())
        assert clock.slept == [1.0]
