"""Who writes: one instance holds the lease whatever the venue does, and the others wait or give up."""

from __future__ import annotations

import redis

from livecache.keys.keyspace import Keyspace, LeaseRecord, encode_lease

from .support import exchange, free_port, livecache, settings, until

LEASE = Keyspace("livecache", "coinbase").lease


def test_the_lease_is_held_for_as_long_as_the_venue_does_not_answer(clean_valkey: str) -> None:
    port = free_port()
    env = settings(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", clean_valkey, ["BTC-USD"])
    with redis.Redis.from_url(clean_valkey) as store, livecache("run", env=env) as service:
        service.event("venue_unreachable")
        until("the lease is taken", lambda: store.pttl(LEASE) > 0)
        renewals = 0
        before = 6_000

        def renewed() -> bool:
            nonlocal renewals, before
            left = int(str(store.pttl(LEASE)))
            assert left > 0, "the lease has lapsed"
            renewals += left > before
            before = left
            return renewals >= 5  # longer than an unrenewed lease would have lasted

        until("the lease is renewed", renewed)
        assert store.keys("livecache:*:5m*") == [], "and nothing is written meanwhile"
        service.stop()
        assert service.ended() == 0
        assert "Redis was not told" not in service.story()
        assert not store.exists(LEASE)


def test_a_back_fill_does_not_wait_for_an_instance_that_goes_on_writing(clean_valkey: str) -> None:
    with exchange() as venue, redis.Redis.from_url(clean_valkey) as store:
        store.set(LEASE, encode_lease(LeaseRecord("somebody-else", 1)))
        with livecache("backfill", env=venue.settings(clean_valkey)) as command:
            assert command.ended(30) == 6
            assert "another livecache writes this cache: somebody-else" in command.story()
        assert venue.candle_requests == []


def test_a_service_that_waits_for_its_turn_stops_without_a_word_about_readers(clean_valkey: str) -> None:
    with exchange() as venue, redis.Redis.from_url(clean_valkey) as store:
        store.set(LEASE, encode_lease(LeaseRecord("somebody-else", 1)))
        with livecache("run", env=venue.settings(clean_valkey)) as service:
            service.event("lease_wait")
            service.stop()
            assert service.ended() == 0
            assert "Redis was not told" not in service.story()
        assert store.get(LEASE) is not None
