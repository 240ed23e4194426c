"""What an orchestrator is told: when a restart helps, and why something is not ready."""

from __future__ import annotations

import asyncio
import json
from importlib.metadata import version
from typing import Any

import redis.asyncio
from redis.backoff import NoBackoff

from livecache.app import assemble
from livecache.config.schema import Config
from livecache.engine.engine import Engine
from livecache.engine.fleet import Place
from livecache.http.watch.health import REASONS_MOST, STIRS_WITHIN_S, Health, reasons_dead, shortened
from livecache.http.watch.instance import Instance
from livecache.http.watch.lookout import LOOK_AGAIN_MOST_S, LOOK_AGAIN_S, Lookout
from livecache.keys.keyspace import Keyspace
from livecache.venues.coinbase.settings import CoinbaseSettings

from ..e2e.support import free_port
from ..e2e.test_start import Hurried
from ..service.hand_clock import HandClock

ASKED: Any = None  # The handlers look at nothing of a request.


def engine_without_redis(clock: Any) -> tuple[Engine, Instance, Health]:
    """An engine whose Redis and venue refuse connections, and what is said of it."""
    nobody = f"127.0.0.1:{free_port()}"
    coinbase = CoinbaseSettings(rest_url=f"http://{nobody}", ws_url=f"ws://{nobody}")
    retry = redis.asyncio.retry.Retry(NoBackoff(), 0)
    store = redis.asyncio.Redis.from_url(f"redis://{nobody}", retry=retry)
    config = Config(venues={"coinbase": coinbase})
    engine, _ = assemble(config, store, clock)
    instance = Instance(config, clock)
    instance.places = {"coinbase": Place(engine)}
    return engine, instance, Health(instance, Lookout(instance, clock))


async def said(answer: Any) -> tuple[int, dict[str, Any]]:
    response = await answer
    return response.status, json.loads(response.body)


async def closed(engine: Engine) -> None:
    await engine.close(for_good=False)
    await engine.store.aclose()


def test_only_a_writer_that_does_not_stir_is_dead() -> None:
    assert reasons_dead(still_s=0.0) == reasons_dead(still_s=STIRS_WITHIN_S) == []
    assert reasons_dead(still_s=75.4) == ["the writer has neither written, waited nor tried for 75 s"]


def test_a_writer_that_got_stuck_is_told_to_whoever_can_restart_it() -> None:
    async def main() -> None:
        clock = HandClock()
        engine, _, health = engine_without_redis(clock)  # And nobody runs it.
        status, content = await said(health.alive(ASKED))
        assert (status, content.pop("version")) == (200, version("livecache"))
        assert content == {"alive": True, "role": "starting", "uptime_s": 0.0, "reasons": []}
        clock.time += STIRS_WITHIN_S + 1
        status, content = await said(health.alive(ASKED))
        assert (status, content["alive"], len(content["reasons"])) == (503, False, 1)
        await closed(engine)

    asyncio.run(main())


def test_it_lives_for_however_long_neither_redis_nor_the_venue_answers() -> None:
    """Two minutes of a hurried clock; and it says why it is not ready."""

    async def main() -> None:
        clock = Hurried(60.0)
        engine, _, health = engine_without_redis(clock)
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            starting = tasks.create_task(engine.run())
            while clock.monotonic() < 2 * STIRS_WITHIN_S:
                await asyncio.sleep(0.01)
                assert (await said(health.alive(ASKED)))[0] == 200
            for probe, name in ((health.started, "started"), (health.ready, "ready")):
                status, content = await said(probe(ASKED))
                assert (status, content[name], content["role"]) == (503, False, "starting")
                assert content["reasons"][0].startswith("Redis cannot be read: ")
            starting.cancel()
        await closed(engine)

    asyncio.run(main())


def test_redis_is_looked_at_once_a_second_however_many_ask(clean_valkey: str) -> None:
    async def main() -> None:
        clock = HandClock()
        engine, instance, _ = engine_without_redis(clock)
        engine.store = redis.asyncio.Redis.from_url(clean_valkey)
        lookout = Lookout(instance, clock)
        before = (await engine.store.info("commandstats")).get("cmdstat_smembers", {"calls": 0})["calls"]
        looks = await asyncio.gather(*(lookout.look() for _ in range(50)))
        clock.time += LOOK_AGAIN_S
        looks.append(await lookout.look())
        after = (await engine.store.info("commandstats"))["cmdstat_smembers"]["calls"]
        assert after - before == 2
        assert {tuple(look.reasons) for look in looks} == {("no series under the prefix 'livecache' yet",)}
        await closed(engine)

    asyncio.run(main())


class Dying(redis.asyncio.Redis):
    """Answers so many round trips, and is gone then."""

    left = 0

    def pipeline(self, *args: Any, **options: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise redis.ConnectionError("gone")
        return super().pipeline(*args, **options)


class Ticking(HandClock):
    """A tenth of a second later each time that it is looked at."""

    def monotonic(self) -> float:
        self.time += 0.1
        return super().monotonic()


def test_a_look_that_failed_waits_as_long_as_what_was_answered_took(clean_valkey: str) -> None:
    """Else a Redis that answers most and then fails is asked for thousands of series each second."""

    async def main() -> None:
        clock = Ticking()
        engine, instance, _ = engine_without_redis(clock)
        store: Any = Dying.from_url(clean_valkey)
        engine.store = store
        await store.sadd(Keyspace().series, *(f"COIN{n}-USD:5m" for n in range(2_000)))
        lookout = Lookout(instance, clock)
        store.left = 99
        assert (await lookout.look()).series == 2_000
        for answered, again in ((12, False), (0, True)):  # the list and most of the rest; nothing
            clock.time += LOOK_AGAIN_MOST_S
            store.left = answered
            assert (await lookout.look()).reasons[0].startswith("Redis cannot be read: ")
            store.left = 99
            clock.time += LOOK_AGAIN_S
            assert bool((await lookout.look()).series) == again
        await closed(engine)

    asyncio.run(main())


class Slow(redis.asyncio.Redis):
    """Answers when it is let."""

    let: asyncio.Event

    def pipeline(self, *args: Any, **options: Any) -> Any:
        pipeline = super().pipeline(*args, **options)
        execute = pipeline.execute

        async def executed(*args: Any, **options: Any) -> Any:
            await self.let.wait()
            return await execute(*args, **options)

        pipeline.execute = executed  # type: ignore[method-assign]
        return pipeline


def test_while_a_look_takes_its_time_who_asks_is_told_of_the_one_before(clean_valkey: str) -> None:
    """But not of one that is older than another could have been by then: for that is waited."""

    async def main() -> None:
        clock = HandClock()
        engine, instance, _ = engine_without_redis(clock)
        store: Any = Slow.from_url(clean_valkey)
        engine.store, store.let = store, asyncio.Event()
        lookout = Lookout(instance, clock, patience_s=0.01)
        store.let.set()
        await store.sadd(Keyspace().series, "BTC-USD:5m")
        assert (await lookout.look()).series == 1
        await store.sadd(Keyspace().series, "ETH-USD:5m")
        store.let.clear()
        clock.time += LOOK_AGAIN_S
        assert (await lookout.look()).series == 1
        store.let.set()
        async with asyncio.timeout(30):
            while (await lookout.look()).series == 1:
                pass
        store.let.clear()
        clock.time += 2 * LOOK_AGAIN_MOST_S + 1
        await store.sadd(Keyspace().series, "SOL-USD:5m")
        asking = [asyncio.create_task(lookout.look()) for _ in range(3)]
        assert not (await asyncio.wait(asking, timeout=0.1))[0]
        store.let.set()
        assert {look.series for look in await asyncio.gather(*asking)} == {3}
        await closed(engine)

    asyncio.run(main())


def test_many_reasons_are_counted_and_secrets_in_them_hidden() -> None:
    few = ["redis://user:s3cret@host is away"]
    assert shortened(few) == ["redis://user:***@host is away"]
    many = [f"COIN{n}-USD 5m: warming up" for n in range(6_300)]
    told = shortened(many)
    assert told == [*many[:REASONS_MOST], f"and {6_300 - REASONS_MOST} more"]
