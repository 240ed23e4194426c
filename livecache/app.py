"""The composition root: builds everything from the configuration and runs it. It alone knows all modules."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from .clock import Clock, SystemClock
from .config.load import Config, Loaded
from .embedded.server import EmbeddedServer
from .engine.engine import Engine, Settings, run_on
from .engine.venue_time import VenueTime
from .http.front import HttpFront
from .http.watch.instance import Instance
from .keys.keyspace import Keyspace
from .model.policy import Policy
from .model.series import SeriesId
from .model.timeframe import Timeframe
from .process.progress import ProgressBar
from .process.reloading import Reloading
from .process.stacks import told_on_signal
from .process.stopping import until_stopped
from .process.supervisor import of_this_process
from .quiet import logger
from .redis_url import address_of
from .venues.coinbase.auth import load_key
from .venues.coinbase.venue import CoinbaseVenue
from .wire.connecting import client_for, database_of, resolve_url

__all__ = ["assemble", "backfill", "open_engine", "run"]

_REDIS_TIMEOUT_S = 2.5  # as readers wait: the candles API reads by the same client
_LEASE_WAIT_S = 10.0  # a dead instance's lease has lapsed by then


@asynccontextmanager
async def open_engine(
    config: Config,
    *,
    announced: Sequence[SeriesId] = (),
    gives_way: bool = False,
    used_before: bool = False,
    bar: bool = False,
    instance: Instance | None = None,
) -> AsyncIterator[Engine]:
    """An engine ready to run, over the configured Redis or an embedded one; at the end all is closed.

    The `instance` has it for so long, and can change it.
    """
    async with AsyncExitStack() as stack:
        url, embedded = config.redis.url, config.redis.url == "embedded"
        if embedded:
            server = stack.enter_context(EmbeddedServer(_data_dir(config)))
            url = server.url
            logger.bind(event="embedded_started", url=url, dir=str(server.data_dir)).info(
                f"embedded Redis at {url}, data in {server.data_dir}"
            )
        else:
            url = resolve_url(url)
        store = client_for(
            redis.asyncio,
            url,
            socket_timeout=_REDIS_TIMEOUT_S,
            socket_connect_timeout=_REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),  # The writer retries, and says so.
        )
        stack.push_async_callback(store.aclose)
        engine, change = assemble(
            config,
            store,
            SystemClock(),
            announced=announced,
            sole_owner=embedded,
            gives_way=gives_way,
            used_before=used_before,
            progress=ProgressBar() if bar else None,
        )
        asked = False
        if instance is not None:
            instance.engine, instance.change, instance.redis = engine, change, address_of(url)
        try:
            yield engine
        except asyncio.CancelledError:
            asked = True  # to stop: another may come, and readers need not notice
            raise
        finally:
            if instance is not None:
                instance.engine = instance.change = None  # First: nobody is to look through it any more.
            await engine.close(for_good=not asked)


def assemble(
    config: Config, store: Any, clock: Clock, **options: Any
) -> tuple[Engine, Callable[[Config], None]]:
    """The engine of the configured venue, and what has both take over another configuration.

    `options` are the engine's.
    """
    time = VenueTime(clock)
    venue = CoinbaseVenue(
        config.venues.coinbase,
        key=load_key(config.venues.coinbase.key_file, os.environ),
        now=time.if_known,
        clock=clock,
        jitter=random.random,
    )
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    keys = Keyspace(config.redis.prefix, venue.name, database_of(store))
    settings = _settings(config, venue)
    engine = Engine(venue, store, keys, settings, time=time, name=name, jitter=random.random, **options)

    def change(config: Config) -> None:
        venue.reconfigure(config.venues.coinbase)
        engine.change(_settings(config, venue))

    return engine, change


def _settings(config: Config, venue: CoinbaseVenue) -> Settings:
    coinbase, cache, backfill = config.venues.coinbase, config.cache, config.backfill
    return Settings(
        symbols=coinbase.symbols,
        timeframes=cache.timeframes,
        policy=Policy(
            candles=cache.candles,
            min_candles=cache.min_candles,
            settle_delay_ms=int(coinbase.settle_delay * 1000),
            widen_pages=cache.widen_pages,
            max_lag_ms=int(cache.max_lag * 1000),
        ),
        per_s=venue.requests_per_s,
        batch_size=backfill.batch_size,
        batch_delay_s=None if backfill.batch_delay_ms is None else backfill.batch_delay_ms / 1000,
        require_all=cache.require == "all",
    )


def _data_dir(config: Config) -> Path | None:
    return Path(config.redis.data_dir).expanduser() if config.redis.data_dir else None


async def run(config: Config, source: str = "", again: Callable[[], Loaded] | None = None) -> int:
    """Warm the cache and keep it current until a signal; returns the exit code.

    `source` tells people where the configuration came from; `again` reads it again, by SIGHUP and on request.
    """

    clock = SystemClock()
    instance = Instance(config, clock, source)
    reloading = Reloading(instance, again) if again is not None else None
    instance.reload = reloading.reload if reloading is not None else None

    def begin(before: int) -> AbstractAsyncContextManager[Engine]:
        return open_engine(
            instance.config, gives_way=True, used_before=before > 0, bar=True, instance=instance
        )

    async def main() -> None:
        # Side by side, so that both end at once, and neither takes from the other's few seconds.
        with told_on_signal(), HttpFront(config.http, instance, clock) as http:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(run_on(begin), name="engine")
                tasks.create_task(http.run(), name="http")
                tasks.create_task(of_this_process().run(instance, clock), name="supervisor")

    await until_stopped(main, on_hangup=reloading.on_hangup if reloading is not None else None)
    logger.bind(event="stopped").info("stopped")
    return 0


async def backfill(
    config: Config, *, symbols: Sequence[str] | None, timeframes: Sequence[Timeframe] | None
) -> int:
    """Fill the cache once; 0, or 1 if any series failed. Prints a summary to stdout."""
    coinbase = config.venues.coinbase
    configured = [SeriesId("coinbase", s, t) for t in config.cache.timeframes for s in coinbase.symbols]
    chosen = msgspec.structs.replace(
        config,
        cache=msgspec.structs.replace(config.cache, timeframes=tuple(timeframes or config.cache.timeframes)),
        venues=msgspec.structs.replace(
            config.venues,
            coinbase=msgspec.structs.replace(coinbase, symbols=tuple(symbols or coinbase.symbols)),
        ),
    )
    code = 1

    async def main() -> None:
        nonlocal code
        chosen_too = [
            SeriesId("coinbase", s, t)
            for t in chosen.cache.timeframes
            for s in chosen.venues.coinbase.symbols
        ]
        announced = list(dict.fromkeys([*configured, *chosen_too]))
        async with open_engine(chosen, announced=announced, bar=True) as engine:
            await engine.fill(wait_s=_LEASE_WAIT_S)
        code = _summarise(engine)  # By now the last flush has computed every state.

    stopped = await until_stopped(main)
    return 130 if stopped else code


def _summarise(engine: Engine) -> int:
    """Print what became of each series; 1 if any failed."""
    failed = [t for t in engine.live.configured() if t.series in engine.backfiller.errors]
    tracks = engine.live.configured()
    held = sum(min(len(t.settled), t.policy.candles) for t in tracks)
    print(
        f"{len(tracks) - len(failed)} of {len(tracks)} series filled, {held} settled candles, "
        f"{engine.backfiller.requests} requests, {engine.backfiller.refusals} refused"
    )
    for track in failed:
        reason = track.failure or (track.state.reason if track.state else "")
        print(f"  {track.series.symbol} {track.series.timeframe}: {reason}")
    for track in tracks:
        if track.state is not None and not track.state.ready and track not in failed:
            print(f"  {track.series.symbol} {track.series.timeframe}: {track.state.reason}")
    unwritten = engine.writer.problems
    for series, problem in unwritten.items():
        print(f"  {series.symbol} {series.timeframe}: {problem}")
    return 1 if failed or unwritten else 0
