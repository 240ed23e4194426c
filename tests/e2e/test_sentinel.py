"""Sentinels: the service and its readers follow a failover, and nobody is told anything wrong meanwhile."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from livecache import AsyncReader, CloseEvent, Reader, RedisUnavailable
from livecache.keys.keyspace import Keyspace
from livecache.model.timeframe import Timeframe
from livecache.wire.connecting import client_for

from ..cache.either import KINDS, either
from .gate import gate
from .servers import MASTER, Server, certificates, sentinel, server
from .support import Busy, exchange, free_port, livecache, market_of, until
from .truth import Truth, everything_is_right, series_of, watching

KEYS = Keyspace()
SYMBOLS = ("BTC-USD", "ETH-USD")
SERIES = series_of(SYMBOLS, ("5m", "15m", "1h", "4h", "1d"))
WITHIN_S = 120.0


@contextmanager
def pair() -> Iterator[tuple[Server, Server, Server]]:
    """A master, its replica in step, and a Sentinel that knows of both."""
    with server() as master, server("--replicaof", f"127.0.0.1 {master.port}") as replica, sentinel(
        master
    ) as watch:  # fmt: skip
        until("the replica is in step", lambda: _in_step(replica), WITHIN_S)
        # It asks the master every ten seconds. Afterwards it does so again: then an old master is told
        # what it is only once the signs of life have expired that a new one was left with.
        with watch.client() as client:
            client.execute_command("SENTINEL", "DEBUG", "info-period", 200)
            until("the Sentinel knows of it", lambda: _knows_replica(watch), WITHIN_S)
            client.execute_command("SENTINEL", "DEBUG", "info-period", 10_000)
        yield master, replica, watch


def _in_step(replica: Server) -> bool:
    with replica.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")


def _knows_replica(watch: Server) -> bool:
    with watch.client() as client:
        return int(client.sentinel_masters()[MASTER]["num-slaves"]) == 1


def _is_master(one: Server) -> bool:
    with one.client() as client:
        return bool(client.info("replication")["role"] == "master")


@pytest.mark.takes(20)
def test_the_service_and_its_readers_follow_two_failovers() -> None:
    """One that is asked for, after which the old master lives on as a replica; and one by kill -9.

    The first Sentinel of the URL is dead.
    """
    truth = Truth(market_of(*SYMBOLS))
    with (
        pair() as (first, second, watch),
        exchange(market_of(*SYMBOLS), speed=60.0, update_ms=5_000) as venue,
    ):
        url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{watch.port}/{MASTER}/0"
        with livecache("run", env=venue.settings(url)) as service, watching(url, SERIES, truth) as watcher:
            service.event("backfill_complete")
            until("all can be read", watcher.sees_all, WITHIN_S)

            _fail_over(watch, second)
            began = time.monotonic()
            until("all can be read there", lambda: watcher.all_read_since(began), WITHIN_S)
            until("the lease is there", lambda: _holds_lease(second), WITHIN_S)
            until("the first follows the second", lambda: _in_step(first), WITHIN_S)

            second.kill()
            until("the first is master again", lambda: _is_master(first), WITHIN_S)
            began = time.monotonic()
            until("all can be read there", lambda: watcher.all_read_since(began), WITHIN_S)
            until("the lease is there", lambda: _holds_lease(first), WITHIN_S)

            assert asyncio.run(_read(url)) == 60
            with livecache("ready", env=venue.settings(url)) as ready:
                assert ready.ended() == 0, ready.story()
            with livecache("redis", "SCARD", KEYS.series, env=venue.settings(url)) as asked:
                assert asked.ended() == 0, asked.story()
                assert asked.output == ["(integer) 10"]
            service.stop()
            with redis.Redis(port=first.port) as raw:
                everything_is_right(raw, SERIES, truth)
        assert watcher.wrong == []
        assert watcher.went_back == []
        assert watcher.errors() <= {"RedisUnavailable", "Stale", "NotReady", "UnknownSeries"}


def _holds_lease(master: Server) -> bool:
    with master.client() as client:
        return bool(client.exists(KEYS.lease))


async def _read(url: str) -> int:
    async with AsyncReader(url) as reader:
        return len(await reader.candles("BTC-USD", "5m", 60))


def test_who_follows_goes_on_at_the_new_master_and_misses_no_close() -> None:
    """At a failover that is asked for, for which the replica is brought into step first."""
    truth = Truth(market_of(*SYMBOLS))
    with pair() as (_, second, watch), exchange(market_of(*SYMBOLS), speed=60.0, update_ms=5_000) as venue:
        url = f"redis+sentinel://127.0.0.1:{watch.port}/{MASTER}"
        with (
            livecache("run", env=venue.settings(url, CACHE_TIMEFRAMES="5m")) as service,
            either("sync", url, max_lag=3_600) as reader,
            either("async", url) as other,
        ):
            service.event("warm", WITHIN_S)
            with (
                closing(reader.follow("BTC-USD", "5m", 60, patience=WITHIN_S)) as answers,
                closing(other.closes(after="0", patience=WITHIN_S)) as closes,
            ):
                through = [next(answers).known_through]
                settled = [settled_next(closes, truth)]
                _fail_over(watch, second)
                until("the lease is there", lambda: _holds_lease(second), WITHIN_S)
                while through[-1] < through[0] + 2 * Timeframe.M5.ms:
                    through.append(next(answers).known_through)
                while settled[-1] < through[-1] - Timeframe.M5.ms:
                    settled.append(settled_next(closes, truth))
            service.stop()
        assert through == sorted(through)
        assert settled == list(range(settled[0], settled[-1] + 1, Timeframe.M5.ms)), "each, and once"


def _fail_over(watch: Server, to: Server) -> None:
    """Ask the Sentinel for a failover, again where it gave one up: it allows two seconds for it."""

    def is_done() -> bool:
        if not _is_master(to):
            with watch.client() as client, suppress(redis.ResponseError):  # One is under way.
                client.execute_command("SENTINEL", "FAILOVER", MASTER)
        return _is_master(to)

    until("the other is master", is_done, WITHIN_S, every_s=0.5)


def settled_next(closes: Iterator[CloseEvent], truth: Truth) -> int:
    """The open time of the next bucket of BTC-USD that is told as settled, as it was traded."""
    event = next(event for event in closes if event.series == SERIES[0] and event.kind == "settled")
    assert event.candle is not None
    assert truth.fault(event.series, event.candle, final=True) == ""
    return event.time


def test_a_replica_that_lacks_the_last_writes_is_written_whole_without_asking_the_venue() -> None:
    """It was cut off from the master a moment before that died, and the service wrote on meanwhile."""
    truth = Truth(market_of(*SYMBOLS))
    state = KEYS.state("BTC-USD", Timeframe.M5)
    with pair() as (master, replica, watch), exchange(market_of(*SYMBOLS)) as venue:
        url = f"redis+sentinel://127.0.0.1:{watch.port}/{MASTER}"
        with livecache("run", env=venue.settings(url)) as service, watching(url, SERIES, truth) as watcher:
            service.event("backfill_complete")
            until("all can be read", watcher.sees_all, WITHIN_S)
            with replica.client() as behind, master.client() as ahead:
                behind.config_set("masteruser", "nobody")
                behind.config_set("masterauth", "wrong")
                ahead.client_kill_filter(_type="replica")
                old = behind.hget(state, "revision")
                until("the master is ahead", lambda: ahead.hget(state, "revision") != old, WITHIN_S)
            asked = len(venue.candle_requests)
            master.kill()
            until("the replica is master", lambda: _is_master(replica), WITHIN_S)
            began = time.monotonic()
            until("all can be read there", lambda: watcher.all_read_since(began), WITHIN_S)
            until("the lease is there", lambda: _holds_lease(replica), WITHIN_S)
            assert service.events("cache_lost") or service.events("lease_gone"), service.story()
            assert len(venue.candle_requests) == asked, "it was all in memory"
            service.stop()
            with redis.Redis(port=replica.port) as raw:
                everything_is_right(raw, SERIES, truth)
        assert watcher.wrong == []
        assert watcher.went_back == []


def test_with_tls_the_sentinels_are_asked_over_tls_too(tmp_path: Path) -> None:
    """Where they lead is asked for. (The master here speaks no TLS itself, and so the way ends there.)"""
    made = certificates(tmp_path)
    with server() as master, sentinel(master) as watch, gate(watch.port, made.server_context) as way:
        address = f"127.0.0.1:{way.port}/{MASTER}"
        with client_for(redis, f"rediss+sentinel://{address}?ssl_ca_certs={made.ca}") as client:
            assert client.connection_pool.sentinel_manager.discover_master(MASTER) == (
                "127.0.0.1",
                master.port,
            )
            assert issubclass(client.connection_pool.connection_class, redis.SSLConnection)
        untrusted = pytest.raises(RedisUnavailable, match=r"CERTIFICATE_VERIFY_FAILED.*ssl_ca_certs")
        with Reader(f"rediss+sentinel://{address}") as reader, untrusted:
            reader.series()


def test_sentinels_with_a_password_of_their_own_are_told_it() -> None:
    with server() as master, sentinel(master, "requirepass hush") as watch:
        url = f"redis+sentinel://127.0.0.1:{watch.port}/{MASTER}"
        with Reader(f"{url}?sentinel_password=hush") as reader:
            assert reader.series() == []
        refused = pytest.raises(RedisUnavailable, match="check user and password: sentinel_username")
        with Reader(f"{url}?sentinel_password=wr0ng") as reader, refused as caught:
            reader.series()
        assert "wr0ng" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_tried_again_asks_the_sentinels_anew(kind: str) -> None:
    """One attempt meets the connection that broke, and the next one is at the new master already."""
    asynchronous = kind == "async"
    library: Any = redis.asyncio if asynchronous else redis
    retry: Any = (AsyncRetry if asynchronous else Retry)(NoBackoff(), 1)
    with server() as old, server() as new, sentinel(old) as watch, asyncio.Runner() as runner:
        client = client_for(library, f"redis+sentinel://127.0.0.1:{watch.port}/{MASTER}", retry=retry)

        def answered(work: Any) -> Any:
            async def awaited() -> Any:
                return await work

            return runner.run(awaited()) if asynchronous else work

        assert answered(client.ping())
        with watch.client() as asked:
            asked.execute_command("SENTINEL", "REMOVE", MASTER)
            asked.execute_command("SENTINEL", "MONITOR", MASTER, "127.0.0.1", new.port, 1)
        old.kill()
        assert answered(client.info("server"))["tcp_port"] == new.port
        answered(client.aclose() if asynchronous else client.close())


# --- what is stopped and does not end: it accepts, and never answers


class _Stopped:
    """Processes that are stopped until the end."""

    def __init__(self) -> None:
        self._servers: list[Server] = []

    def stop(self, one: Server) -> None:
        one.process.send_signal(signal.SIGSTOP)
        self._servers.append(one)

    def __enter__(self) -> _Stopped:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._servers:
            one.process.send_signal(signal.SIGCONT)


def _longest(url: str, kind: str, stop: Callable[[], None], reads: int) -> float:
    """How long the longest read takes, in seconds; some before, and so many after `stop`.

    What a busy host kept it waiting for a processor does not count.
    """
    longest_s = 0.0
    with either(kind, url) as reader, Busy() as busy:
        for number in range(3 + reads):
            if number == 3:
                stop()
            began, waited_s = time.monotonic(), busy.s
            with suppress(RedisUnavailable):
                reader.series()
            longest_s = max(longest_s, time.monotonic() - began - (busy.s - waited_s))
    return longest_s


@pytest.mark.takes(25)
@pytest.mark.parametrize("kind", KINDS)
def test_a_master_that_hangs_holds_up_no_read_for_longer_than_four_seconds(kind: str) -> None:
    """And neither do Sentinels that hang with it; a failover comes in the middle of it."""
    with pair() as (master, replica, watch), sentinel(master) as other, _Stopped() as stopped:
        url = f"redis+sentinel://127.0.0.1:{other.port},127.0.0.1:{watch.port}/{MASTER}"

        def stop() -> None:
            stopped.stop(other)
            stopped.stop(master)

        longest_s = _longest(url, kind, stop, 4)
        assert longest_s <= 4.0
        until("the replica is master", lambda: _is_master(replica), WITHIN_S)
        with either(kind, url) as reader:
            assert until("it is read there", lambda: _read_there(reader), WITHIN_S)


def _read_there(reader: Any) -> bool:
    try:
        return bool(reader.series() == [])
    except RedisUnavailable:
        return False


@pytest.mark.takes(15)
@pytest.mark.parametrize("kind", KINDS)
def test_sentinels_that_hang_hold_up_no_read_for_longer_than_four_seconds(kind: str) -> None:
    """Three of four; the last is asked first from the second read on."""
    with server() as master, ExitStack() as stack, _Stopped() as stopped:
        watches = [stack.enter_context(sentinel(master)) for _ in range(4)]
        url = f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in watches)}/{MASTER}"
        for one in watches[:3]:
            stopped.stop(one)
        began = time.monotonic()
        assert _longest(url, kind, lambda: None, 0) <= 4.0
        with either(kind, url) as reader:
            until("it is found behind those that hang", lambda: _read_there(reader), WITHIN_S)
        assert time.monotonic() - began < WITHIN_S


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_hangs_is_asked_once(kind: str) -> None:
    with server() as one, _Stopped() as stopped:
        url = f"redis://127.0.0.1:{one.port}"
        assert _longest(url, kind, lambda: stopped.stop(one), 2) <= 4.0
