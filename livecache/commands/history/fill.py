"""`livecache history fill`: asks for what is missing of the years that are wanted, until nothing is."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...clock import SystemClock
from ...config.schema import Config
from ...engine.limiter import Limiter, Urgency
from ...engine.venue_time import VenueTime
from ...errors import ConfigError, VenueUnreachable
from ...history.opening import Place, open_history
from ...history.ordering import wants_of
from ...history.service.log_keeper import LogKeeper
from ...history.service.orders import wanted as due
from ...history.service.service import Wishes
from ...history.store import HistoryDatabase, SeriesInfo, Want
from ...history.tally import Line, Tally
from ...history.thread import Healing, StoreThread
from ...history.worker import Worker
from ...keys.keyspace import Keyspace
from ...model.budget import Hour, least_s
from ...model.coverage import Span
from ...model.timeframe import Timeframe, iso
from ...pacing.backoff import delays
from ...process.logs import setup
from ...process.stopping import until_stopped
from ...quiet import logger
from ...quota.quota import Quota
from ...repeats import Repeats
from ...venues.configured import ConfiguredVenue
from ...venues.registry import build
from ...venues.remedies import tell_unreachable
from ...venues.venue import FetchFailure
from ...wire.connecting import database_of
from .report import draw, print_report, write_report

__all__ = ["Filling", "Wanted", "fill", "shared_redis"]

_ASKS, _ASK_S = 8, 4.0  # half a minute in all
_CONCURRENCY = 8
_PATIENCE_S = 20.0  # with a server that restarts: less than a lease


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be filled. Times are Unix ms; one of 0 or less is so long before the venue's now.

    `since` is before `until` then.
    """

    symbols: Mapping[str, Sequence[str]]
    """By the ids of their venues."""
    timeframes: Sequence[Timeframe]
    since: int
    until: int = 0
    force: bool = False
    oldest_first: bool = False
    scheduled: Callable[[Timeframe], int] | None = None
    """Only what is due is wanted: since when, of each timeframe, in place of `since`."""

    def span(self, now: int) -> Span:
        """From when until when, at that time."""
        end = self.until if self.until > 0 else now + self.until
        start = self.since if self.since > 0 else end + self.since
        return Span(max(0, start), min(end, now))


def fill(config: Config, place: Place, wanted: Wanted, *, report: Path | None, as_json: bool) -> int:
    """Fill, and print a report; 0, 1 where symbols failed, 130 where it was stopped. Raises StoreUnusable."""
    return asyncio.run(_fill(config, place, wanted, report, as_json=as_json))


async def _fill(config: Config, place: Place, wanted: Wanted, report: Path | None, *, as_json: bool) -> int:
    clock = SystemClock()
    fillings: list[Filling] = []
    unreachable: list[VenueUnreachable] = []

    async def one(filling: Filling) -> None:
        try:
            await filling.run(wanted)
        except VenueUnreachable as error:  # the others go on
            logger.bind(event="history_unreachable").error("{}", error.message)
            unreachable.append(error)

    async def main() -> None:
        async with AsyncExitStack() as stack:
            thread = await stack.enter_async_context(StoreThread())
            store = await thread(lambda: open_history(place))
            stack.push_async_callback(thread, store.close)
            log = await stack.enter_async_context(LogKeeper(place, clock, next(iter(wanted.symbols), "")))
            setup(config.log.level, config.log.format, also=log.take)
            logger.bind(event="history_opened", path=str(place)).info("history in {}", place)
            redis = await shared_redis(config, stack)
            patience_s = _PATIENCE_S if place.path is None else 0.0
            fillings.extend(
                Filling(config, venue, store, thread, clock, redis, patience_s) for venue in wanted.symbols
            )
            async with asyncio.TaskGroup() as keeping:
                logging = keeping.create_task(log.run(), name="history log")
                sharing = [keeping.create_task(each.limiter.share(), name="quota") for each in fillings]
                drawing = keeping.create_task(
                    draw(lambda: _lines(fillings), lambda: _hours(fillings)), name="history table"
                )
                async with asyncio.TaskGroup() as tasks:
                    for filling in fillings:
                        name = filling.venue.name
                        with logger.contextualize(venue=name) if len(fillings) > 1 else nullcontext():
                            tasks.create_task(one(filling), name=f"history {name}")
                for helper in (drawing, logging, *sharing):
                    helper.cancel()
            for filling in fillings:
                await filling.limiter.leave()

    stopped = await until_stopped(main)
    lines, hours = _lines(fillings), _hours(fillings)
    print_report(lines, hours, as_json=as_json)
    if wanted.scheduled is not None and not lines and not stopped and not unreachable and not as_json:
        print("nothing is due")
    if report is not None:
        write_report(lines, hours, report)
    if stopped:
        print("stopped: the same command again asks for what is missing", file=sys.stderr)
        return 130
    if unreachable:
        raise unreachable[0]
    return 1 if any(line.error for line in lines) else 0


async def shared_redis(config: Config, stack: AsyncExitStack) -> Any:
    """The Redis over which services share what their venues allow; None where it is one service's own."""
    if config.redis.url == "embedded":
        return None
    from ...process.store import open_store

    return (await stack.enter_async_context(open_store(config))).client


def _lines(fillings: Sequence[Filling]) -> list[Line]:
    return [line for filling in fillings for line in filling.lines]


def _hours(fillings: Sequence[Filling]) -> dict[str, Hour]:
    return {filling.venue.name: filling.hour for filling in fillings}


class Filling:
    """One venue being filled."""

    def __init__(
        self,
        config: Config,
        venue: str,
        store: HistoryDatabase,
        thread: StoreThread,
        clock: SystemClock,
        redis: Any = None,
        patience_s: float = 0.0,
    ) -> None:
        self._store, self._clock = store, clock
        self._thread = Healing(thread, store, patience_s=patience_s)
        self._time = VenueTime(clock)
        self._settings = config.venues[venue]
        self.venue: ConfiguredVenue = build(
            venue,
            self._settings,
            environ=os.environ,
            now=self._time.if_known,
            clock=clock,
            jitter=random.random,
        )
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        quota = None
        if redis is not None:
            keys = Keyspace(config.redis.prefix, venue, database_of(redis))
            scope = self._settings.scope(venue, os.environ)
            quota = Quota(redis, keys, scope, f"{self._name}-{secrets.token_hex(3)}", clock)
        self.limiter = Limiter(self._settings.bounds, self._time, random.random, quota)
        self.limiter.shares.clear()  # Nobody lives beside it in this process.
        self.limiter.learn(self.venue.traits.budgets)
        self._began_ms = 0
        self._tally = Tally(clock.monotonic, self._page, least_s=self._least_s, wall_s=clock.wall)

    @property
    def lines(self) -> list[Line]:
        """What became of each series."""
        return list(self._tally.lines.values())

    @property
    def hour(self) -> Hour:
        """The requests of the hour that ends now."""
        return self.limiter.hour

    async def run(self, wanted: Wanted) -> None:
        """Submit what is missing, and work until nothing is left."""
        try:
            await self._learn_time()
            await self._submit(wanted)
            worker = await self._worker(
                urgency=Urgency.HISTORY,
                urgent=None,
                oldest_first=wanted.oldest_first,
                symbols=wanted.symbols[self.venue.name],
            )
            await worker.run(once=True, waits=wanted.scheduled is None)
        finally:
            await self.venue.aclose()

    async def work(self) -> None:
        """Work on whatever is ordered of the venue, by whomever, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.limiter.share(), name="quota")
                await self._learn_time()
                deep = await self._worker(urgency=Urgency.HISTORY, urgent=False)
                reads = await self._worker(urgency=Urgency.READ, urgent=True)
                tasks.create_task(deep.run(), name="history worker")
                tasks.create_task(reads.run(), name="history of readers")
        finally:
            await self.limiter.leave()
            await self.venue.aclose()

    async def _worker(
        self,
        *,
        urgency: Urgency,
        urgent: bool | None,
        oldest_first: bool = False,
        symbols: Sequence[str] = (),
    ) -> Worker:
        kept = {each.symbol for each in await self._thread(self._store.assets)}
        self._began_ms = self._time.now()
        return Worker(
            self._store,
            self._thread,
            self.venue,
            self.limiter,
            self._clock,
            name=self._name,
            watch=self._tally,
            concurrency=_CONCURRENCY,
            urgency=urgency,
            urgent=urgent,
            oldest_first=oldest_first,
            known={*self._settings.symbols, *symbols, *kept},
        )

    async def _learn_time(self) -> None:
        """What may be settled goes by the venue's clock."""
        if not self.venue.traits.clock:
            self._time.ask_host()
            return
        failure: FetchFailure | None = None
        repeats = Repeats(self._clock)
        for _, delay in zip(range(_ASKS), delays(random.random, most_s=_ASK_S), strict=False):
            ticket = await self.limiter.acquire(Urgency.LIVE)
            answer = await self.venue.time()
            self.limiter.heard(ticket, answer)
            if isinstance(answer, FetchFailure):
                failure = answer
                tell_unreachable(repeats, self.venue, answer)
                await self._clock.sleep(delay)
                continue
            self._time.confirm(answer)
            if self._time.venue_clock.known:
                return
        why = failure.message if failure else "it contradicts itself"
        raise VenueUnreachable(
            f"{self.venue.name} does not tell its time: {why}",
            f"is {self.venue.origin} to be reached from here? `livecache doctor` tries it",
        )

    async def _submit(self, wanted: Wanted) -> None:
        traits, settings = self.venue.traits, self._settings
        delay_ms = (
            traits.settle_delay_ms if settings.settle_delay is None else int(settings.settle_delay * 1000)
        )
        now = self._time.now()
        settled = traits.final_by(now, delay_ms)
        if wanted.scheduled is not None:
            await self._submit_due(wanted, wanted.scheduled, settled)
            return
        span = wanted.span(now)
        if span.start >= span.end:
            raise ConfigError(
                f"nothing lies between {iso(span.start)} and {iso(span.end)}", "see --since and --until"
            )
        symbols, store = wanted.symbols[self.venue.name], self._store

        def submit() -> list[tuple[Want, SeriesInfo]]:
            wants = wants_of(
                *(store, self.venue.name, traits, symbols, wanted.timeframes, span),
                final=settled,
                now=now,
                force=wanted.force,
            )
            store.submit(wants)
            return [(want, store.info(want.series)) for want in wants]

        wants = await self._thread(submit)
        if not wants:
            raise ConfigError(
                f"no candle between {iso(span.start)} and {iso(span.end)} is final or shown by now",
                "see --since and --until",
            )
        await self._tell(wants)

    async def _submit_due(self, wanted: Wanted, since: Callable[[Timeframe], int], settled: int) -> None:
        store, venue, now = self._store, self.venue, self._time.now()
        wishes = Wishes(wanted.symbols[venue.name], wanted.timeframes, since)
        host_now = int(self._clock.wall() * 1000)

        def submit() -> list[tuple[Want, SeriesInfo]]:
            wants = due(
                store,
                venue.name,
                venue.traits,
                wishes,
                now=now,
                settled=settled,
                oldest={},
                host_now=host_now,
            )
            store.submit(wants)
            return [(want, store.info(want.series)) for want in wants]

        await self._tell(await self._thread(submit))

    async def _tell(self, wants: Sequence[tuple[Want, SeriesInfo]]) -> None:
        store = self._store
        for want, series in wants:
            missing = await self._thread(
                lambda want=want: store.lacks(want)  # type: ignore[misc]
            )
            self._tally.wanted(series, Span(want.start, want.end), missing)

    def _least_s(self, requests: float) -> float:
        traits = self.venue.traits
        smallest = min(traits.served, key=lambda each: each.ms)
        budgets = (*traits.budgets, *self._settings.bounds)
        return least_s(budgets, traits.costs(smallest), requests, self._began_ms / 1000)

    def _page(self, series: SeriesInfo) -> int:
        return self.venue.traits.deep_page(series.key.timeframe)
