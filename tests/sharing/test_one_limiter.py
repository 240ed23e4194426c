"""The shards that one process holds ask as one: together no more often than is allowed, the urgent first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from livecache.app import assemble
from livecache.config.load import load
from livecache.engine.engine import Engine
from livecache.engine.limiter import Limiter, Urgency
from livecache.simulator import MarketClock, Product, SeededMarket, Simulator
from livecache.simulator.trouble import script as faults
from livecache.simulator.trouble.faults import RequestRecord
from livecache.simulator.trouble.scripted import ScriptedFaults
from tests.quota.members import most_in
from tests.simulation.service import AUDIT_EVERY
from tests.simulation.virtual import BlockingRedis, VirtualClock, run_virtually

START = 1_784_110_170_000  # half a minute before five minutes end
PER_S = 5
SHARDS = 12
SYMBOLS = tuple(f"{letter}AA-USD" for letter in "ABCDEFGHIJKLMNOPQR")


class Process:
    """Engines of one venue as `livecache run` composes them, over an exchange that counts."""

    def __init__(self, client: redis.Redis, directory: Path, shared: bool = False) -> None:
        self.clock = VirtualClock(START / 1000)
        self.faults = ScriptedFaults(host_clock=self.clock)
        self.engines: list[Engine] = []
        self.simulator = Simulator(
            SeededMarket(1, [Product.parse(name) for name in SYMBOLS]),
            clock=MarketClock(START, 1.0, self.clock.monotonic), faults=self.faults, host_clock=self.clock,
            latency_s=0.05, update_ms=30_000, trades_ms=30_000, requests_per_second=PER_S + 1,
        )  # fmt: skip
        self._limiters: dict[str, Limiter] = {}
        self._store = BlockingRedis(client)
        self._file = directory / "config.toml"
        self._shared = shared

    @asynccontextmanager
    async def exchange(self) -> AsyncIterator[None]:
        async with self.simulator:
            self._file.write_text(f"""
                [cache]
                timeframes = ["5m", "1h"]
                candles = 60
                [venues.coinbase]
                symbols = {list(SYMBOLS)}
                shards = {SHARDS}
                least_delay = {1 / PER_S}
                rest_url = "{self.simulator.rest_url}"
                ws_url = "{self.simulator.ws_url}"
            """)
            yield

    @asynccontextmanager
    async def serving(self, shard: int) -> AsyncIterator[Engine]:
        engine, _ = assemble(
            load(self._file, {}).config, self._store, self.clock, venue="coinbase", environ={}, shard=shard,
            shared=self._shared, name="one", limiters=self._limiters, gives_way=True, audit_every=AUDIT_EVERY,
        )  # fmt: skip
        self.engines.append(engine)
        try:
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(engine.run(), name=f"shard {shard}")
                yield engine
                running.cancel()
        finally:
            await engine.close(for_good=False)

    @asynccontextmanager
    async def all(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.exchange())
            for shard in range(SHARDS):
                await stack.enter_async_context(self.serving(shard))
            yield

    async def warm(self) -> None:
        async with asyncio.timeout(120):
            while not all(engine.live.warm_s is not None for engine in self.engines if engine.series):
                await asyncio.sleep(0.5)

    def asked(self, since_s: float = 0.0) -> list[RequestRecord]:
        """What the exchange was asked for since then."""
        exchange: Any = self.simulator.exchange
        return [each for each in exchange.requests if each.at >= since_s]

    def keeps_to_the_rate(self) -> bool:
        """Whether no second had more than it may, and nothing was refused."""
        return most_in([each.at for each in self.asked()]) <= PER_S + 1 and all(
            each.status != 429 for each in self.asked()
        )


def told(url: str, directory: Path, story: Callable[[Process], Awaitable[None]], **how: bool) -> None:
    with redis.Redis.from_url(url) as client:

        async def main() -> None:
            process = Process(client, directory, **how)
            async with process.all():
                await process.warm()
                await story(process)
            assert process.keeps_to_the_rate()

        run_virtually(main())


@pytest.mark.parametrize("shared", [False, True])
def test_twelve_shards_of_a_process_ask_no_more_often_than_one_may(
    clean_valkey: str, tmp_path: Path, shared: bool
) -> None:
    async def story(process: Process) -> None:
        quota = process.engines[0].limiter.quota
        assert (quota.members, quota.asks) == (1, 0) if quota else not shared
        assert len(process.asked()) > 40

    told(clean_valkey, tmp_path, story, shared=shared)


def test_a_ban_that_one_shard_is_told_of_stops_all_until_it_is_over(
    clean_valkey: str, tmp_path: Path
) -> None:
    async def story(process: Process) -> None:
        process.faults.begin(faults.HttpError(status=418, retry_after=60))
        while not process.engines[0].limiter.banned_until:
            await asyncio.sleep(0.1)
        began_s = process.clock.monotonic()
        filled = [engine for engine in process.engines if engine.series]
        await asyncio.sleep(5)
        assert all("banned" in track.failure for engine in filled for track in engine.live.configured())
        await asyncio.sleep(54)
        assert process.asked(began_s + 1) == []
        await asyncio.sleep(20)
        assert len({each.product for each in process.asked(began_s)} - {""}) > SHARDS
        assert not any(track.failure for engine in filled for track in engine.live.configured())

    told(clean_valkey, tmp_path, story)


def test_what_is_urgent_in_one_shard_goes_before_what_is_deep_in_another(
    clean_valkey: str, tmp_path: Path
) -> None:
    async def story(process: Process) -> None:
        one, other = process.engines[:2]
        starts: dict[str, float] = {}

        async def ask(engine: Engine, what: str, urgency: Urgency) -> None:
            ticket = await engine.limiter.acquire(urgency)
            starts[what] = ticket.started
            engine.limiter.heard(ticket, None)

        async with asyncio.TaskGroup() as tasks:
            for number in range(20):
                tasks.create_task(ask(one, f"deep {number}", Urgency.HISTORY), name="deep")
            await asyncio.sleep(1)
            began_s = process.clock.monotonic()
            tasks.create_task(ask(other, "urgent", Urgency.LIVE), name="urgent")
        assert starts["urgent"] - began_s <= 1 / PER_S
        assert most_in([*starts.values()]) <= PER_S + 1

    told(clean_valkey, tmp_path, story)


def test_a_process_is_one_member_until_its_last_shard_has_ended(clean_valkey: str, tmp_path: Path) -> None:
    async def main(client: redis.Redis) -> None:
        process = Process(client, tmp_path, shared=True)

        async with process.exchange():
            first, last = process.serving(0), process.serving(1)
            await first.__aenter__()
            await process.warm()
            engine = await last.__aenter__()
            await process.warm()
            key = engine.keys.budget("address")
            await first.__aexit__(None, None, None)
            assert client.hexists(key, "member:one")
            client.delete(key)
            await asyncio.sleep(2)
            assert client.hexists(key, "member:one"), "the other is heard of in its stead"
            assert (await engine.limiter.acquire(Urgency.LIVE)).started
            await last.__aexit__(None, None, None)
            assert not client.hexists(key, "member:one")

    with redis.Redis.from_url(clean_valkey) as client:
        run_virtually(main(client))
