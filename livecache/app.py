"""The composition root: builds everything from the configuration and runs it. It alone knows all modules."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from .clock import Clock, SystemClock
from .config.load import Config, Loaded
from .embedded.server import EmbeddedServer
from .engine.backfiller import Backfiller, NoProgress
from .engine.consumer import Feeds
from .engine.live import Live
from .engine.ratelimit import RateLimiter
from .engine.timekeeper import Timekeeper
from .errors import LeaseHeld
from .http.front import HttpFront
from .http.watch.instance import Instance
from .keys.keyspace import Keyspace
from .ledger.timeline import Timeline
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
from .venues.coinbase.pace import paced
from .venues.coinbase.venue import CoinbaseVenue
from .venues.counted import CountedVenue
from .wire.advice import advise
from .wire.connecting import client_for, database_of, resolve_url
from .write.lease import Overtaken
from .writer import adoption
from .writer.writer import Writer

__all__ = ["Service", "backfill", "run", "start_service"]

_REDIS_TIMEOUT_S = 2.5  # as readers wait: the candles API reads by the same client
_LEASE_WAIT_S = 10.0  # a dead instance's lease has lapsed by then
_LEARN_AGAIN_S = 1.0  # in line for so long, the clock ran on by the host's alone


class Service:
    """One venue's service, composed: `start`, then `follow` the feed and `fill`, until cancelled."""

    def __init__(
        self,
        config: Config,
        store: Any,
        *,
        announced: Sequence[SeriesId] = (),
        sole_owner: bool,
        gives_way: bool = False,
        used_before: bool = False,
        bar: bool,
        clock: Clock | None = None,
        address: str = "",
    ) -> None:
        self.config = config
        self.address = address
        self.clock = clock or SystemClock()
        settings = config.venues.coinbase
        self.name = instance = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        key = load_key(settings.key_file, os.environ)
        self._keyed = key is not None
        self._coinbase = CoinbaseVenue(
            settings,
            key=key,
            now=self.venue_time,
            clock=self.clock,
            jitter=random.random,
        )
        self.venue = CountedVenue(self._coinbase, self.clock)
        timeline = Timeline(
            self.venue.name,
            settings.symbols,
            config.cache.timeframes,
            _policy(config),
            self.venue.unsupported,
        )
        self.live: Live = Live(
            timeline,
            self.clock,
            instance,
            self.venue.origin,
            started_s=self.clock.monotonic(),
            require_all=config.cache.require == "all",
        )
        self.keys = Keyspace(config.redis.prefix, self.venue.name, database_of(store))
        self.series = tuple(track.series for track in self.live.configured())
        self.store = store
        rate, size, delay_s = self._pace(config)
        self.limiter = RateLimiter(rate, self.clock, batch_size=size, batch_delay_s=delay_s)
        self.timekeeper = Timekeeper(self.live, self.venue, self.limiter, random.random)
        self.backfiller = Backfiller(
            self.live,
            self.venue,
            self.limiter,
            random.random,
            ProgressBar() if bar else NoProgress(),
        )
        self.feeds = Feeds(self.live, self.venue, self.backfiller.listing)
        self.writer = Writer(
            store,
            self.keys,
            self.series,
            self.live,
            announced=announced or self.series,
            origin=self.venue.origin,
            instance=instance,
            clock=self.clock,
            wake=self.live.changed,
            sole_owner=sole_owner,
            gives_way=gives_way,
            used_before=used_before,
        )

    def change(self, config: Config) -> None:
        """Take over what can be changed while it runs (`config_changes.LIVE`); all else is as it was.

        May be called at any time: while it starts, waits, warms up or cannot reach Redis.
        """
        settings, live, before = config.venues.coinbase, self.live, self.config
        self.config = config
        live.timeline.arrange(settings.symbols, config.cache.timeframes, _policy(config))
        live.require_all = config.cache.require == "all"
        self.limiter.change(*self._pace(config))
        self._coinbase.reconfigure(settings)
        series = tuple(track.series for track in live.configured())
        if series != self.series:
            self.series = series
            self.writer.change(series)
        self.feeds.changed.set()
        if live.serving:
            live.timeline.adopt((), live.now())
            for symbol in live.timeline.symbols.values():
                symbol.trim(live.now())
        if (config.cache, settings.symbols) != (before.cache, before.venues.coinbase.symbols):
            self.backfiller.arranged()
        live.changed.set()

    def _pace(self, config: Config) -> tuple[float, int | None, float | None]:
        """Requests a second, and how many of them in what time, if that is bounded."""
        rate = paced(config.venues.coinbase.requests_per_second, keyed=self._keyed)
        delay_ms = config.backfill.batch_delay_ms
        return rate, config.backfill.batch_size, None if delay_ms is None else delay_ms / 1000

    def venue_time(self) -> int | None:
        """The venue's clock in Unix ms, None before it was heard."""
        return self.live.now() or None

    async def start(self, opened: Callable[[], None] = lambda: None) -> None:
        """Learn the venue's time, become the one writer, and take over what an earlier run left.

        `opened` is called once this is the writer.
        """
        is_writer = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            holding = tasks.create_task(self._open_and_hold(is_writer, opened), name="open the cache")
            await self.timekeeper.learn()
            in_line_s = self.clock.monotonic()
            await is_writer.wait()
            if self.clock.monotonic() - in_line_s > _LEARN_AGAIN_S:
                await self.timekeeper.learn()
                while self.live.venue_clock.doubted:  # A leap counts once a second answer agrees.
                    await self.timekeeper.learn()
            now = self.live.now()
            adopted = await self.writer.patiently(
                lambda: adoption.load(self.store, self.keys, self.series, origin=self.venue.origin, now=now)
            )
            # What readers were told to be over is over here as well before anything is written.
            told = max((one.known.end for one in adopted.stored if one.known), default=0)
            await self.clock.sleep(max(0, told - self.live.now()) / 1000)
            holding.cancel()
        await advise(self.store)
        filled = set(self.series)  # which may have changed meanwhile
        self.live.timeline.adopt([one for one in adopted.stored if one.series in filled], now)
        if adopted.stored:
            candles = sum(len(stored.candles) for stored in adopted.stored)
            logger.bind(event="adopted", series=len(adopted.stored), candles=candles).info(
                f"taken over from an earlier run: {len(adopted.stored)} series, {candles} candles"
            )
        self.live.serving = True
        self.live.changed.set()

    async def _open_and_hold(self, is_writer: asyncio.Event, opened: Callable[[], None]) -> None:
        """Become the one writer, and stay it for however long the venue does not answer."""
        for problem in await self.writer.open():
            raise problem  # The prefix is somebody else's: better to stop than to mix with their data.
        is_writer.set()
        opened()
        await self.writer.run()

    async def run(self) -> None:
        """Fill, follow and write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.writer.run(), name="writer")
            tasks.create_task(self.timekeeper.run(), name="timekeeper")
            tasks.create_task(self.backfiller.run(), name="backfiller")
            tasks.create_task(self.feeds.run(), name="feed")
            tasks.create_task(self.backfiller.listing.run(), name="listing")

    async def start_or_give_up(self) -> None:
        """Like `start`, but `LeaseHeld` where another instance writes: what is to end does not wait."""
        try:
            async with asyncio.timeout(_LEASE_WAIT_S) as patience:
                await self.start(opened=lambda: patience.reschedule(None))
        except TimeoutError:
            holder = await self.writer.holder()
            if holder is None:  # It is Redis or the venue that does not answer: those are worth waiting for.
                await self.start()
            else:
                raise LeaseHeld(holder) from None

    async def fill(self) -> None:
        """Fill everything once, and write it."""
        async with asyncio.TaskGroup() as tasks:
            helpers = [
                tasks.create_task(self.writer.run(), name="writer"),
                tasks.create_task(self.timekeeper.run(), name="timekeeper"),
            ]
            await self.backfiller.run(once=True)
            for helper in helpers:
                helper.cancel()


@asynccontextmanager
async def start_service(
    config: Config,
    *,
    announced: Sequence[SeriesId] = (),
    gives_way: bool = False,
    used_before: bool = False,
    bar: bool = False,
) -> AsyncIterator[Service]:
    """A service ready to start, over the configured Redis or an embedded one; at the end all is closed."""
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
        service = Service(
            config,
            store,
            announced=announced,
            sole_owner=embedded,
            gives_way=gives_way,
            bar=bar,
            address=address_of(url),
        )
        stack.push_async_callback(service.venue.aclose)
        asked = False
        try:
            yield service
        except asyncio.CancelledError:
            asked = True  # to stop: another may come, and readers need not notice
            raise
        finally:
            await service.writer.close(for_good=not asked)


def _policy(config: Config) -> Policy:
    return Policy(
        candles=config.cache.candles,
        min_candles=config.cache.min_candles,
        settle_delay_ms=int(config.venues.coinbase.settle_delay * 1000),
        widen_pages=config.cache.widen_pages,
        max_lag_ms=int(config.cache.max_lag * 1000),
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

    async def serve() -> None:
        for began in itertools.count():
            try:
                config = instance.config
                async with start_service(config, gives_way=True, used_before=began > 0, bar=True) as service:
                    instance.service = service
                    try:
                        await service.start()
                        await service.run()
                    finally:
                        instance.service = None  # Before it is closed: nobody is to look through it then.
            except* Overtaken:
                # What this one holds is older than what is stored: it waits in line as if just started.
                logger.bind(event="starting_over").info("starting over, behind the other instance")

    async def main() -> None:
        # Side by side, so that both end at once, and neither takes from the other's few seconds.
        with told_on_signal(), HttpFront(config.http, instance, clock) as http:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(serve(), name="service")
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
        async with start_service(chosen, announced=announced, bar=True) as service:
            await service.start_or_give_up()
            await service.fill()
        code = _summarise(service)  # By now the last flush has computed every state.

    stopped = await until_stopped(main)
    return 130 if stopped else code


def _summarise(service: Service) -> int:
    """Print what became of each series; 1 if any failed."""
    failed = [t for t in service.live.configured() if t.series in service.backfiller.errors]
    tracks = service.live.configured()
    held = sum(min(len(t.settled), t.policy.candles) for t in tracks)
    print(
        f"{len(tracks) - len(failed)} of {len(tracks)} series filled, {held} settled candles, "
        f"{service.backfiller.requests} requests, {service.backfiller.refusals} refused"
    )
    for track in failed:
        reason = track.failure or (track.state.reason if track.state else "")
        print(f"  {track.series.symbol} {track.series.timeframe}: {reason}")
    for track in tracks:
        if track.state is not None and not track.state.ready and track not in failed:
            print(f"  {track.series.symbol} {track.series.timeframe}: {track.state.reason}")
    unwritten = service.writer.problems
    for series, problem in unwritten.items():
        print(f"  {series.symbol} {series.timeframe}: {problem}")
    return 1 if failed or unwritten else 0
