"""The composition root: builds everything from the configuration and runs it. It alone knows all modules."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec

from .clock import Clock, SystemClock
from .config.render import Loaded
from .config.schema import Config
from .config.since import since_of
from .embedded.state import default_data_dir
from .engine.engine import Engine, Settings
from .engine.fleet import Fleet
from .engine.limiter import Limiter
from .engine.venue_time import VenueTime
from .errors import ConfigError
from .http.front import HttpFront
from .http.watch.instance import Change, Instance
from .keys.history_place import Place
from .keys.keyspace import Keyspace
from .model.budget import Rolling
from .model.policy import Policy, longest_word
from .model.series import SeriesId
from .model.timeframe import Timeframe
from .model.traits import Traits
from .process.logs import setup
from .process.progress import ProgressBar
from .process.reloading import Reloading
from .process.stacks import told_on_signal
from .process.stopping import until_stopped
from .process.store import Store, data_dir, open_store
from .process.supervisor import of_this_process
from .quiet import logger
from .quota.quota import Quota
from .redis_url import address_of
from .sharing.hold import Membership
from .sharing.sharer import Sharer
from .venues.registry import build, code_of
from .wire.connecting import database_of
from .wire.scripts import RedisLike

if TYPE_CHECKING:
    from .history.service.log_keeper import LogKeeper
    from .history.service.service import HistoryService

__all__ = ["SWITCH_S", "assemble", "backfill", "load_venues", "open_engine", "run"]

SWITCH_S = 0.0005
"""A thread that reads years lets go of the interpreter after so long: the feed waits for it, each time."""

_LEASE_WAIT_S = 10.0  # a dead instance's lease has lapsed by then


@asynccontextmanager
async def engine_over(
    config: Config, store: Store, *, venue: str = "", instance: Instance | None = None, **options: Any
) -> AsyncIterator[Engine]:
    """The engine of that venue, ready to run; at the end it is closed. Meanwhile the `instance` can
    change it.

    `options` are the engine's.
    """
    engine, change = assemble(
        *(config, store.client, SystemClock()),
        venue=venue,
        shared=not store.embedded,
        spread=store.spread,
        **options,
    )
    changes = instance.changes if instance is not None else {}
    part = engine.venue.name, engine.keys.shard
    changes[part] = change
    asked = False
    try:
        yield engine
    except asyncio.CancelledError:
        asked = True  # to stop: another may come, and readers need not notice
        raise
    finally:
        del changes[part]
        await engine.close(for_good=not asked)


@asynccontextmanager
async def open_engine(config: Config, **options: Any) -> AsyncIterator[Engine]:
    """The engine of the first configured venue, ready to run over its store; at the end all is closed."""
    async with (
        open_store(config) as store,
        engine_over(config, store, sole_owner=store.embedded, **options) as engine,
    ):
        yield engine


def assemble(
    config: Config,
    store: Any,
    clock: Clock,
    *,
    venue: str = "",
    environ: Mapping[str, str] = os.environ,
    shared: bool = False,
    shard: int | None = None,
    name: str = "",
    spread: RedisLike | None = None,
    limiters: dict[str, Limiter] | None = None,
    **options: Any,
) -> tuple[Engine, Change]:
    """The engine of the venue with that id, and what has both take over another configuration.

    Without an id it is the first that is configured; with a `shard` it fills that alone, for the member of
    that `name`. `shared`: others may be in the store as well, with whom the venue's budget is shared. The
    engines of a venue that are given the same `limiters` wait in one, which the first leaves there.
    `options` are the engine's.
    """
    id_, name = venue or next(iter(config.venues)), name or _name()
    keys = Keyspace(config.redis.prefix, id_, database_of(store))
    limiters = {} if limiters is None else limiters
    if (limiter := limiters.get(id_)) is None:
        scope = config.venues[id_].scope(id_, environ) if shared else ""
        quota = Quota(spread or store, keys, scope, name, clock) if scope else None
        limiter = limiters[id_] = Limiter((), VenueTime(clock), random.random, quota)
    time = limiter.time
    built = build(
        id_,
        config.venues[id_],
        environ=environ,
        now=time.if_known,
        clock=clock,
        jitter=random.random,
    )
    if shard is not None:
        keys = keys.of_shard(shard, config.venues[id_].shards)
    settings = _settings(config, keys, built.traits)
    engine = Engine(
        *(built, store, keys, settings),
        time=time,
        name=name,
        jitter=random.random,
        spread=spread,
        limiter=limiter,
        **options,
    )

    def change(config: Config) -> Callable[[], None]:
        engine.check(_settings(config, keys, built.traits))

        def take() -> None:
            built.reconfigure(config.venues[id_])
            engine.change(_settings(config, keys, built.traits))

        return take

    return engine, change


def _name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def _sharer(
    instance: Instance,
    store: Store,
    venue: str,
    ready: Callable[[], Collection[int]],
    shun: Callable[[], Collection[int]],
) -> Sharer | None:
    """What shares the venue's symbols with other processes, if it is to be split into shards."""
    config = instance.config
    shards = config.venues[venue].shards
    if shards == 1:
        return None
    keys = Keyspace(config.redis.prefix, venue, database_of(store.client))
    membership = Membership(store.spread, keys, shards, _name())

    def fills() -> str:
        now = instance.config  # as it was read again last
        told = sorted(now.venues[venue].symbols), sorted(map(str, now.cache_of(venue).timeframes))
        return hashlib.sha256(repr(told).encode()).hexdigest()[:12]

    return Sharer(membership, SystemClock(), random.random, ready, shun, fills, client=store.client)


def _settings(config: Config, keys: Keyspace, traits: Traits) -> Settings:
    own, cache = config.venues[keys.venue], config.cache_of(keys.venue)
    max_lag_ms, delay_s, word_s = int(cache.max_lag * 1000), own.settle_delay, own.confirm_after
    word_ms = min(Policy().confirm_after_ms, longest_word(max_lag_ms))
    return Settings(
        symbols=tuple(symbol for symbol in own.symbols if keys.owns(symbol)),
        order=() if keys.shard is None else own.symbols,
        timeframes=cache.timeframes,
        policy=Policy(
            candles=cache.candles,
            min_candles=cache.min_candles,
            settle_delay_ms=traits.settle_delay_ms if delay_s is None else int(delay_s * 1000),
            widen_pages=cache.widen_pages,
            max_lag_ms=max_lag_ms,
            confirm_after_ms=word_ms if word_s is None else int(word_s * 1000),
        ),
        budgets=(*_batches(config), *own.bounds),
        require_all=cache.require == "all",
    )


def _batches(config: Config) -> tuple[Rolling, ...]:
    """At most `batch_size` requests in any `batch_delay_ms`, where that is wanted."""
    size, delay_ms = config.backfill.batch_size, config.backfill.batch_delay_ms
    return () if size is None or delay_ms is None else (Rolling("batch", size, delay_ms / 1000),)


def _history(config: Config, clock: Clock) -> tuple[HistoryService | None, LogKeeper | None]:
    """What keeps years of candles, if that is wanted, and the log of it. Raises ConfigError."""
    wanted = config.history
    if wanted.url == "off":
        return None, None
    if find_spec("numpy") is None:
        raise ConfigError(
            "history.url is set, and numpy is not installed", "pip install 'livecache[history]'"
        )
    from .history.service.log_keeper import LogKeeper
    from .history.service.service import HistoryService

    place = Place.of(
        wanted.url, data_dir(config) or default_data_dir(os.environ), wanted.password_file, wanted.layout
    )
    log = LogKeeper(place, clock, next(iter(config.venues)))
    setup(config.log.level, config.log.format, also=log.take)
    history = HistoryService(
        place,
        clock,
        timeframes=wanted.timeframes,
        since=since_of(wanted.since).of,
        share=wanted.share,
        jitter=random.random,
    )
    return history, log


def load_venues(config: Config) -> None:
    """Load the code of the configured venues, so that nobody waits for it once they run."""
    for id_, own in config.venues.items():
        code_of(own.kind or id_)


async def run(config: Config, source: str = "", again: Callable[[], Loaded] | None = None) -> int:
    """Warm the cache and keep it current until a signal; returns the exit code.

    `source` tells people where the configuration came from; `again` reads it again, by SIGHUP and on request.
    """

    clock = SystemClock()
    instance = Instance(config, clock, source)
    history, log = _history(config, clock)
    if history is not None:
        sys.setswitchinterval(SWITCH_S)
        instance.history, instance.history_place = history.standings, history.place
    reloading = Reloading(instance, again, log.take if log else None) if again is not None else None
    instance.reload = reloading.reload if reloading is not None else None

    fleet = Fleet(config.venues, clock, random.random)
    instance.places = fleet.places
    limiters: dict[str, Limiter] = {}  # by venues, of those that are split

    async def main() -> None:
        with told_on_signal(), HttpFront(config.http, instance, clock) as http:
            async with log or nullcontext(), open_store(config) as store, AsyncExitStack() as stack:
                if history is not None:
                    stack.push_async_callback(history.ended)
                instance.redis = address_of(store.url)

                def begin(
                    venue: str, has_written: bool, shard: int | None = None
                ) -> AbstractAsyncContextManager[Engine]:
                    sharer = fleet.places[venue].sharer
                    return engine_over(
                        instance.config,
                        store,
                        venue=venue,
                        instance=instance,
                        shard=shard,
                        name=sharer.name if sharer is not None else "",
                        limiters=limiters if sharer is not None else None,
                        sole_owner=store.embedded and not has_written,
                        gives_way=True,
                        used_before=has_written,
                        beside=history.beside if history else None,
                        progress=ProgressBar() if len(fleet.places) == 1 and shard is None else None,
                    )

                # Side by side, so that all end at once, and none takes from the others' few seconds.
                async with asyncio.TaskGroup() as tasks:
                    join = partial(_sharer, instance, store)
                    tasks.create_task(fleet.run(begin, join), name="engines")
                    tasks.create_task(http.run(), name="http")
                    if log is not None:
                        tasks.create_task(log.run(), name="history log")
                    tasks.create_task(of_this_process().run(instance, clock), name="supervisor")

    await until_stopped(main, on_hangup=reloading.on_hangup if reloading is not None else None)
    logger.bind(event="stopped").info("stopped")
    return 0


async def backfill(
    config: Config,
    *,
    symbols: Mapping[str, Sequence[str]] | None,
    timeframes: Sequence[Timeframe] | None,
) -> int:
    """Fill the cache once; 0, or 1 if any series failed. Prints a summary to stdout.

    `symbols` are by the ids of their venues.
    """
    chosen = _chosen(config, symbols, timeframes)
    code = 0

    async def main() -> None:
        nonlocal code
        async with open_store(config) as store:
            for venue in chosen.venues:  # one after another: each has its own limits, and the log its order
                announced = list(dict.fromkeys([*_series(config, venue), *_series(chosen, venue)]))
                async with engine_over(
                    chosen,
                    store,
                    venue=venue,
                    announced=announced,
                    sole_owner=store.embedded,
                    progress=ProgressBar(),
                ) as engine:
                    await engine.fill(wait_s=_LEASE_WAIT_S)
                # By now the last flush has computed every state.
                code |= _summarise(engine, f"{venue}: " if len(chosen.venues) > 1 else "")

    stopped = await until_stopped(main)
    return 130 if stopped else code


def _chosen(
    config: Config, symbols: Mapping[str, Sequence[str]] | None, timeframes: Sequence[Timeframe] | None
) -> Config:
    """The configuration with these symbols and timeframes alone; None means those configured."""
    venues = {
        venue: msgspec.structs.replace(
            own,
            symbols=tuple(own.symbols if symbols is None else symbols[venue]),
            timeframes=tuple(timeframes) if timeframes else own.timeframes,
        )
        for venue, own in config.venues.items()
        if symbols is None or venue in symbols
    }
    return msgspec.structs.replace(config, venues=venues)


def _series(config: Config, venue: str) -> list[SeriesId]:
    timeframes, symbols = config.cache_of(venue).timeframes, config.venues[venue].symbols
    return [SeriesId(venue, symbol, timeframe) for timeframe in timeframes for symbol in symbols]


def _summarise(engine: Engine, head: str) -> int:
    """Print what became of each series; 1 if any failed. `head` begins the first line."""
    failed = [t for t in engine.live.configured() if t.series in engine.backfiller.first_fill.errors]
    tracks = engine.live.configured()
    held = sum(min(len(t.settled), t.policy.candles) for t in tracks)
    print(
        f"{head}{len(tracks) - len(failed)} of {len(tracks)} series filled, {held} settled candles, "
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
