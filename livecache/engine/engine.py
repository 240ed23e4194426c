"""One venue running: everything that fills, follows and writes its candles, composed.

The engine is handed its venue, its way to Redis, its clock and its policy; it builds none of them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..errors import LeaseHeld
from ..keys.keyspace import Keyspace
from ..ledger.timeline import Timeline
from ..model.budget import Budget
from ..model.policy import Policy
from ..model.rollup import children_of
from ..model.series import SeriesId, Stored
from ..model.timeframe import Timeframe, iso
from ..quiet import logger
from ..venues.venue import Venue
from ..wire.advice import advise
from ..wire.scripts import RedisLike, batches
from ..wire.trouble import TROUBLE
from ..write.ban import load_ban, tell_ban
from ..writer import adoption
from ..writer.writer import AUDIT_EVERY, Writer
from .backfiller import Backfiller
from .consumer import Feeds
from .first_fill import Progress
from .limiter import Limiter
from .live import Live
from .repairs import RepairDesk
from .timekeeper import Timekeeper
from .venue_time import VenueTime

__all__ = ["Engine", "Settings"]

_LOOK_S = 5.0  # at whether a ban is over: no timer runs while the host sleeps
_LEARN_AGAIN_S = 1.0  # in line for so long, the clock ran on by the host's alone
_ASK_AGAIN_S = 1.0
_HEARS_WITHIN_S = 5.0  # a feed, if there is anything to be heard
_ADOPTED_AT_ONCE = 100  # symbols: some 25 ms


@dataclass(frozen=True, slots=True)
class Settings:
    """What is wanted of an engine; all of it can be changed while it runs.

    The `budgets` bound requests beside what the venue allows. With `require_all`, symbols that the venue
    does not know or trade keep it from being warm.
    """

    symbols: tuple[str, ...]
    timeframes: tuple[Timeframe, ...]
    policy: Policy
    budgets: tuple[Budget, ...]
    require_all: bool = False
    order: tuple[str, ...] = ()  # of all the venue's symbols, where these are those of a shard


class Engine:
    """One venue's service: `run` or `fill`, once, then `close`.

    `store` is a `redis.asyncio.Redis`, or whatever else sends commands; `spread` is what writes go by, if
    that is another: in a cluster. `time` is the venue's, by which `venue` decodes as well. `name` is this
    tenure's. `jitter` is uniform in [0, 1). `announced` are the series that readers may expect, where those
    filled now are only some. `beside` is what else runs with the engine, once it has started: it ends with
    it, before the venue is closed. Requests wait in the `limiter`, which other engines of the venue may have
    as well, or in one of its own. The rest is as `Writer` has it.
    """

    def __init__(
        self,
        venue: Venue,
        store: Any,
        keys: Keyspace,
        settings: Settings,
        *,
        time: VenueTime,
        name: str,
        jitter: Callable[[], float],
        announced: Sequence[SeriesId] = (),
        beside: Callable[[Engine], Coroutine[Any, Any, None]] | None = None,
        spread: RedisLike | None = None,
        sole_owner: bool = False,
        gives_way: bool = False,
        used_before: bool = False,
        audit_every: int = AUDIT_EVERY,
        progress: Progress | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        self.venue = venue
        self.store = store
        self.way: RedisLike = spread or store
        self.keys = keys
        self.settings = settings
        self.clock = time.clock
        self.name = name
        self._beside = beside
        timeline = Timeline(venue.name, settings.symbols, settings.timeframes, settings.policy, venue.traits)
        self.started = asyncio.Event()
        self._is_writer = asyncio.Event()
        self._in_line_s = math.inf
        self.live = Live(
            timeline,
            time,
            name,
            venue.origin,
            started_s=self.clock.monotonic(),
            require_all=settings.require_all,
        )
        self.series = tuple(track.series for track in self.live.configured())
        self.limiter = limiter or Limiter(settings.budgets, time, jitter)
        self.limiter.change(settings.budgets)
        self.limiter.learn(venue.traits.budgets)
        self.live.hour = lambda: self.limiter.hour
        self.live.sharing = lambda: self.limiter.quota.members if self.limiter.quota else 1
        self.timekeeper = Timekeeper(self.live, self.venue, self.limiter, jitter)
        self.backfiller = Backfiller(self.live, self.venue, self.limiter, jitter, progress)
        self.repairs = RepairDesk(self.live, self.backfiller.schedule)
        self.feeds = Feeds(self.live, self.venue, self.backfiller.listing)
        self.writer = Writer(
            self.way,
            keys,
            self.series,
            self.live,
            announced=announced or self.series,
            order=settings.order,
            origin=venue.origin,
            instance=name,
            clock=self.clock,
            wake=self.live.changed,
            sole_owner=sole_owner,
            gives_way=gives_way,
            used_before=used_before,
            audit_every=audit_every,
            jitter=jitter,
        )

    @property
    def in_line(self) -> bool:
        """Whether it serves, or would as soon as the lease is free, and without losing sight of a bucket."""
        if self.started.is_set() or not self.writer.pulse.waits_for:
            return self.started.is_set()
        hears = self.feeds.heard or self.clock.monotonic() - self._in_line_s > _HEARS_WITHIN_S
        return hears and self.live.time.venue_clock.known

    def check(self, settings: Settings) -> None:
        """Refuse settings that cannot be had of the venue. Raises ConfigError."""
        traits = self.live.timeline.traits
        settings.policy.check(traits)
        children_of(settings.timeframes, traits)

    def change(self, settings: Settings) -> None:
        """Take over other settings, and what the venue allows by other ones of its own.

        May be called at any time: while it starts, waits, warms up or cannot reach Redis.
        """
        live, before, self.settings = self.live, self.settings, settings
        live.timeline.arrange(settings.symbols, settings.timeframes, settings.policy)
        live.require_all = settings.require_all
        self.limiter.change(settings.budgets)
        self.limiter.learn(self.venue.traits.budgets)
        series = tuple(track.series for track in live.configured())
        if series != self.series or settings.order != before.order:
            self.series = series
            self.writer.change(series, settings.order)
        self.feeds.changed.set()
        if live.serving:
            live.timeline.adopt((), live.now())
            for symbol in live.timeline.symbols.values():
                symbol.trim(live.now())
        if _wanted(settings) != _wanted(before):
            self.backfiller.arranged()
        live.changed.set()

    async def run(self) -> None:
        """Start, then fill, follow and write until cancelled. Errors are as `start` has them."""
        async with asyncio.TaskGroup() as tasks:
            await self.start(tasks)
            if self.keys.shard is None:
                self._hear(tasks)
            tasks.create_task(self.backfiller.run(), name="backfiller")
            tasks.create_task(self.backfiller.listing.run(), name="listing")
            if self._beside is not None:
                tasks.create_task(self._beside(self), name="beside")

    def _hear(self, tasks: asyncio.TaskGroup) -> None:
        tasks.create_task(self.timekeeper.run(), name="timekeeper")
        tasks.create_task(self.feeds.run(), name="feed")

    async def fill(self, *, wait_s: float) -> None:
        """Start, fill everything once, and write it.

        `LeaseHeld` where another instance writes for `wait_s` seconds: what is to end does not wait.
        """
        async with asyncio.TaskGroup() as tasks:
            helpers = [tasks.create_task(self._give_up(wait_s), name="impatience")]
            helpers += await self.start(tasks)
            helpers.append(tasks.create_task(self.timekeeper.run(), name="timekeeper"))
            await self.backfiller.run(once=True)
            for helper in helpers:
                helper.cancel()

    async def start(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Learn the venue's time, become the one writer, and take over what an earlier run left.

        Returns the tasks in `tasks` that write from then on. What ends it comes in the group: `ForeignKey`
        where a key is somebody else's, `RedisUnavailable` where waiting for Redis is in vain, and with
        `gives_way` `Overtaken`, whenever another instance has written meanwhile.
        """
        live = self.live
        banned = await self._ban()
        self.limiter.heed(banned or 0)
        serving = [
            tasks.create_task(self._write(), name="writer"),
            tasks.create_task(self._tell_bans(), name="bans"),
            tasks.create_task(self.limiter.share(), name="quota"),
        ]
        await self.timekeeper.learn()
        in_line_s = self._in_line_s = self.clock.monotonic()
        if self.keys.shard is not None:
            self._hear(tasks)  # Whoever hands a shard over goes on until the feed is heard here, too.
        await self._is_writer.wait()
        if banned is None:
            self.limiter.heed(await self._ban() or 0)
        if self.clock.monotonic() - in_line_s > _LEARN_AGAIN_S:
            await self.timekeeper.learn()
            while live.time.venue_clock.doubted:  # A leap counts once others agree.
                await self.clock.sleep(_ASK_AGAIN_S)
                await self.timekeeper.learn()
        await self._adopt()
        live.serving = True
        live.changed.set()
        self.started.set()
        return serving

    async def _ban(self) -> int | None:
        """Until when the venue has banned us, as an earlier run was told; None while Redis does not tell."""
        try:
            return await load_ban(self.way, self.keys)
        except TROUBLE:
            return None  # The writer says so.

    async def _tell_bans(self) -> None:
        """Say of each ban until when it lasts: to readers now, and to the next run."""
        while True:
            if not self.limiter.banned_until:
                await self.limiter.ban.wait()
            while until := self.limiter.banned_until:
                another = self.limiter.ban
                self._excuse(f"venue banned until {iso(until)}")
                now = int(self.clock.wall() * 1000)
                if self.limiter.ban_follows:
                    await self.writer.patiently(partial(tell_ban, self.way, self.keys, until, now))
                while self.limiter.banned_until == until and not another.is_set():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(min(_LOOK_S, until / 1000 - self.clock.wall())):
                            await another.wait()
            self._excuse("")

    def _excuse(self, reason: str) -> None:
        for track in self.live.configured():
            self.live.timeline.fail(track.series.symbol, track.series.timeframe, reason)
        self.live.changed.set()

    async def _write(self) -> None:
        """Become the one writer, and stay it for however long the venue does not answer."""
        await self.writer.open()
        self._is_writer.set()
        await self.writer.run()

    async def _adopt(self) -> None:
        live, now, token = self.live, self.live.now(), self.writer.token
        adopted = await self.writer.patiently(
            lambda: adoption.load(
                self.way,
                self.keys,
                [series for series in self.series if self.writer.holds(series.symbol)],
                origin=self.venue.origin,
                now=now,
                grid=live.timeline.traits.grid,
            )
        )
        # What readers were told to be over is over here as well before anything is written.
        told = max((one.known.end for one in adopted.stored if one.known), default=0)
        await self.clock.sleep(max(0, told - live.now()) / 1000)
        self.writer.found(token, adopted.stored)
        await advise(self.way)
        of_symbols: dict[str, list[Stored]] = {}
        for one in adopted.stored:
            of_symbols.setdefault(one.series.symbol, []).append(one)
        for some in batches(list(of_symbols.values()), _ADOPTED_AT_ONCE):
            filled = set(self.series)  # which may have changed meanwhile
            if there := [one for its in some for one in its if one.series in filled]:
                live.timeline.adopt(there, now)
            await asyncio.sleep(0)  # The lease is to be kept meanwhile.
        if adopted.stored:
            candles = sum(len(stored.candles) for stored in adopted.stored)
            logger.bind(event="adopted", series=len(adopted.stored), candles=candles).info(
                f"taken over from an earlier run: {len(adopted.stored)} series, {candles} candles"
            )

    async def _give_up(self, wait_s: float) -> None:
        await self.clock.sleep(wait_s)
        # Where nobody holds it, it is Redis that does not answer: that is worth waiting for.
        if not self._is_writer.is_set() and (holder := await self.writer.holder()) is not None:
            raise LeaseHeld(holder)

    async def close(self, *, for_good: bool) -> None:
        """Say farewell to Redis, as `Writer.close` does, and close the venue."""
        await self.limiter.leave()
        await self.writer.close(for_good=for_good)
        await self.venue.aclose()


def _wanted(settings: Settings) -> object:
    """What has the series filled anew where it changes."""
    policy = replace(settings.policy, settle_delay_ms=0)
    return settings.symbols, settings.timeframes, policy, settings.require_all
