"""The backfiller: makes coverage equal to what is wanted, for ever.

At the start that is the warm-up; a moment after each close it is the settling of the bucket that closed;
after trouble it is the repair. One loop, one rule. The schedule decides, this acts and reports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import RepairNotNow
from ..ledger.repair import RepairPlan, order_repair, pages_waiting
from ..model.series import SeriesId
from ..model.timeframe import Timeframe, iso
from ..pacing.meter import Ticket
from ..proof.history import history_ends
from ..proof.page import PageFacts
from ..proof.track import Track
from ..quiet import logger
from ..venues.venue import FailureKind, FetchFailure, Page, Venue
from .limiter import Limiter
from .listing import Listing
from .live import Live
from .repeats import Repeats, tell_unreachable
from .schedule import FAILING_AFTER, Attempts, Pick, Schedule

__all__ = ["Backfiller", "NoProgress", "Progress"]

_IN_FLIGHT_MOST = 64
_UNKNOWN_RETRY_S = 600.0
_LONGEST_WAIT_S = 1.0
_REPORT_EVERY_S = 10.0
_REFUSALS = (FailureKind.REFUSED, FailureKind.BANNED)


class Progress(Protocol):
    """Where progress is shown, beside the log."""

    def start(self, total: int) -> None: ...
    def advance(self, completed: int, errors: int) -> None: ...
    def stop(self) -> None: ...


class NoProgress:
    """Shows nothing."""

    def start(self, total: int) -> None: ...
    def advance(self, completed: int, errors: int) -> None: ...
    def stop(self) -> None: ...


@dataclass(slots=True)
class Fill:
    """How far the first fill is."""

    total: int
    started_s: float
    began: int = 0  # the venue's time: what had closed by then belongs to the fill
    completed: set[SeriesId] = field(default_factory=set)
    errors: set[SeriesId] = field(default_factory=set)
    reported: int = 0  # tenths of the total
    reported_s: float = 0.0
    over: bool = False


class Backfiller:
    """Asks for pages, the most urgent first, as fast as the limiter allows."""

    def __init__(
        self,
        live: Live,
        venue: Venue,
        limiter: Limiter,
        jitter: Callable[[], float],
        progress: Progress | None = None,
    ) -> None:
        self.requests = 0
        self.refusals = 0
        self.failures = 0
        self.rejected = 0  # rows of pages that could not be believed
        self._live = live
        self._venue = venue
        self._limiter = limiter
        self._progress = progress or NoProgress()
        self._schedule = Schedule(live.timeline, jitter)
        self._repeats = Repeats(live.clock)
        self._slots = asyncio.Semaphore(_IN_FLIGHT_MOST)
        self.listing = Listing(live, venue, limiter)
        self._fill = Fill(total=len(live.configured()), started_s=live.clock.monotonic())

    @property
    def errors(self) -> frozenset[SeriesId]:
        """Series whose first fill failed, and has not succeeded since."""
        return frozenset(self._fill.errors)

    def repair(self, symbol: str, timeframe: Timeframe, start: int | None, end: int | None) -> RepairPlan:
        """Have a span read again, `[start, end)` in Unix ms; without one of them, as far as is kept.

        What is settled stays served meanwhile. Raises `UnknownSeries`, `RepairRefused` or `RepairNotNow`.
        """
        live = self._live
        if not live.serving:
            raise RepairNotNow("this instance does not write yet", "it is starting, or another one writes")
        plan = order_repair(
            live.timeline,
            symbol,
            timeframe,
            start,
            end,
            now=live.time.heard,
        )
        logger.bind(
            event="repair_ordered",
            symbol=symbol,
            timeframe=str(timeframe),
            pages=plan.pages,
            waiting=plan.waiting,
        ).info(f"{symbol} {timeframe} is read again from {iso(plan.start)} to {iso(plan.end)}")
        self._schedule.hurry(symbol, live.timeline.symbols[symbol].sources[timeframe])
        live.time.due.set()
        live.changed.set()
        return plan

    def repairing(self, symbol: str, timeframe: Timeframe) -> int:
        """How many pages of this series' repair are still to be read. Raises `UnknownSeries`."""
        return pages_waiting(self._live.timeline, (symbol, timeframe))

    def arranged(self) -> None:
        """The timeline has other symbols or timeframes: those that came are filled, as at a start."""
        self._schedule.arranged()
        self.listing.unknown.intersection_update(self._live.timeline.symbols)
        began = self._fill.began
        self._fill = Fill(total=len(self._live.configured()), started_s=self._live.clock.monotonic())
        if began:
            self._start_report()
        self._live.time.due.set()

    async def run(self, *, once: bool = False) -> None:
        """Work until cancelled; with `once`, until every series was filled or has failed."""
        self._start_report()
        try:
            async with asyncio.TaskGroup() as fetches:
                while not (once and self._fill.over):
                    if (pick := self._pick()) is None:
                        await self._wait()
                        continue
                    await self._slots.acquire()
                    # By the moment of the slot something more urgent may have come up.
                    taken = await self._limiter.acquire_for(pick.urgency, pick, self._pick)
                    if taken is None:
                        self._slots.release()
                        continue
                    ticket, pick = taken
                    self._schedule.started(pick)
                    request = pick.request
                    fetches.create_task(
                        self._fetch(pick, ticket), name=f"page {request.symbol} {request.timeframe}"
                    )
        finally:
            self._progress.stop()

    async def _wait(self) -> None:
        """Sleep until a bucket is due, a retry is, a page has come, or a second has passed."""
        live = self._live
        live.time.next_due = self._schedule.next_due()
        retry = self._schedule.next_retry_s(live.clock.monotonic())
        live.time.due.clear()
        if live.time.next_due and live.time.heard >= live.time.next_due:
            return
        try:
            async with asyncio.timeout(min(_LONGEST_WAIT_S, retry or _LONGEST_WAIT_S)):
                await live.time.due.wait()
        except TimeoutError:
            pass
        for symbol in self.listing.take_listed():
            for timeframe in live.timeline.children:
                self._schedule.hurry(symbol, timeframe)

    def _pick(self) -> Pick | None:
        live = self._live
        return self._schedule.pick(live.time.heard, live.clock.monotonic())

    async def _fetch(self, pick: Pick, ticket: Ticket) -> None:
        request = pick.request
        heard = self._live.time.heard  # before the request is sent: it decides what can settle
        self.requests += 1
        try:
            outcome = await self._venue.fetch(request)
        finally:
            self._schedule.ended(request)
            self._slots.release()
            self._live.time.due.set()
        self._limiter.heard(ticket, outcome)
        if self._venue.traits is not self._live.timeline.traits:  # It has taught what it is like.
            self._live.timeline.learn(self._venue.traits)
            self._schedule.replan_all()
        timeline, wanted_by = self._live.timeline, pick.want.witness or request.timeframe
        if request.symbol not in timeline.symbols or wanted_by not in timeline.children:
            return  # It was taken out meanwhile.
        if isinstance(outcome, Page):
            self._take(pick, outcome, heard)
        else:
            self.refusals += outcome.kind in _REFUSALS
            await self._fail(pick, outcome)

    def _take(self, pick: Pick, page: Page, heard: int) -> None:
        request, live = pick.request, self._live
        self.rejected += page.spoiled
        live.time.answered()
        self._repeats.forget("venue_unreachable")
        self.listing.knows(request.symbol)
        if self._schedule.succeeded(request) is not None and pick.want.witness is None:
            live.timeline.fail(request.symbol, request.timeframe, "")
        rows = {row.time: row for row in page.rows}
        facts = PageFacts(request.start, request.end, rows, heard, page.rejected, dict(page.reasons))
        if pick.want.witness is not None:
            told = request.symbol, pick.want.witness, request.timeframe
            live.timeline.apply_witness(*told, facts, live.now())
            self._schedule.replan(request.symbol)
            live.changed.set()
            return
        track = live.timeline.symbols[request.symbol].tracks[request.timeframe]
        before, contested = track.coverage, bool(track.contested)
        live.timeline.apply_page(request.symbol, request.timeframe, facts, live.now())
        self._schedule.brought(request, live.clock.monotonic(), news=track.coverage != before)
        self._schedule.replan(request.symbol)
        live.changed.set()
        if contested and not track.contested:
            logger.bind(
                event="repair_complete", symbol=request.symbol, timeframe=str(request.timeframe)
            ).info(f"{request.symbol} {request.timeframe} has been read again")
        self._report(request.symbol)

    async def _fail(self, pick: Pick, failure: FetchFailure) -> None:
        request, live = pick.request, self._live
        if failure.kind in (FailureKind.PAGE_TOO_LONG, FailureKind.UNSUPPORTED_TIMEFRAME):
            self._schedule.brought(request, live.clock.monotonic(), news=False)
            return
        if failure.kind is FailureKind.UNKNOWN_SYMBOL and await self._forsake(request.symbol):
            return
        self.failures += 1
        attempts = self._schedule.failed(
            request.symbol,
            request.timeframe,
            failure.message,
            live.clock.monotonic(),
            refused=failure.kind in _REFUSALS,
        )
        away = failure.kind in (FailureKind.NETWORK, FailureKind.TIMEOUT)
        if away:
            tell_unreachable(self._repeats, self._venue, failure)
        record = logger.bind(
            event="backfill_task_failed",
            symbol=request.symbol,
            timeframe=str(request.timeframe),
            attempt=max(1, attempts.count),
            error=failure.message,
        )
        again = f" (tried {attempts.count} times)" if attempts.count > 1 else ""
        text = f"{request.symbol} {request.timeframe}: {failure.message}{again}"
        record.log("DEBUG" if away else "WARNING", text)
        if failure.cause is not None:
            record.opt(exception=failure.cause).debug(f"{text}: the cause")
        if attempts.count >= FAILING_AFTER and pick.want.witness is None:
            wait_s = attempts.not_before_s - live.clock.monotonic()
            again = iso((live.now() or int(live.clock.wall() * 1000)) // 1000 * 1000 + int(wait_s) * 1000)
            reason = f"{failure.message}, tried {attempts.count} times, next at {again}"
            live.timeline.fail(request.symbol, request.timeframe, reason)
            live.changed.set()
            self._mark_failed(request.symbol, request.timeframe)

    async def _forsake(self, symbol: str) -> bool:
        """The venue does not know the symbol: say so, go on with the others. False if its list names it."""
        live, schedule = self._live, self._schedule
        now_s = live.clock.monotonic()
        before = {(symbol, t): schedule.attempts.get((symbol, t)) for t in live.timeline.children}
        for timeframe in live.timeline.children:
            schedule.attempts[symbol, timeframe] = Attempts(count=FAILING_AFTER - 1)
            schedule.failed(symbol, timeframe, "unknown", now_s, _UNKNOWN_RETRY_S)
        if symbol in self.listing.unknown:
            return True
        standing = await self.listing.forsake(symbol)
        if symbol not in live.timeline.symbols:
            return True
        if not standing:
            schedule.attempts |= {key: attempts or Attempts() for key, attempts in before.items()}
            return False
        live.timeline.stand(symbol, standing, live.now())
        for timeframe in live.timeline.timeframes:
            self._mark_failed(symbol, timeframe)
        live.changed.set()
        return True

    # --- reporting the first fill -----------------------------------------------------------------

    def _start_report(self) -> None:
        timeline, fill = self._live.timeline, self._fill
        fill.started_s = fill.reported_s = self._live.clock.monotonic()
        fill.began = self._live.time.heard
        symbols, timeframes = list(timeline.symbols), [str(t) for t in timeline.timeframes]
        logger.bind(event="backfill_start", symbols=symbols, timeframes=timeframes, total=fill.total).info(
            f"filling {fill.total} series: {len(symbols)} symbols, {', '.join(timeframes)}"
        )
        self._progress.start(fill.total)
        for symbol in symbols:
            self._report(symbol)

    def _mark_failed(self, symbol: str, timeframe: Timeframe) -> None:
        track = self._live.timeline.symbols[symbol].tracks[timeframe]
        if track.working or track.series in self._fill.completed:
            return
        self._fill.errors.add(track.series)
        self._report(symbol)

    def _report(self, symbol: str) -> None:
        """Note which of the symbol's series are filled now, and tell after each how far all is."""
        fill = self._fill
        self._tell()
        for track in self._live.timeline.symbols[symbol].tracks.values():
            if track.working or track.series in fill.completed or not self._filled(track):
                continue
            fill.completed.add(track.series)
            fill.errors.discard(track.series)
            logger.bind(
                event="backfill_symbol_complete",
                symbol=symbol,
                timeframe=str(track.series.timeframe),
                count=len(track.settled),
            ).debug(f"{track.series} holds {len(track.settled)} settled candles")
            self._tell()

    def _tell(self) -> None:
        """Tell how far the first fill is, at every tenth and every ten seconds, and once when it is over."""
        fill = self._fill
        if fill.over:
            return
        done = len(fill.completed) + len(fill.errors)
        self._progress.advance(len(fill.completed), len(fill.errors))
        elapsed = self._live.clock.monotonic() - fill.started_s
        tenths = done * 10 // fill.total if fill.total else 10
        late = self._live.clock.monotonic() - fill.reported_s > _REPORT_EVERY_S
        if done and (tenths > fill.reported or late):
            fill.reported, fill.reported_s = tenths, self._live.clock.monotonic()
            rate = done / elapsed if elapsed > 0 else 0.0
            most = self._live.timeline.policy.candles
            eta = (fill.total - done) / rate if rate else 0.0
            logger.bind(
                event="backfill_progress",
                completed=len(fill.completed),
                total=fill.total,
                percent=round(100 * done / fill.total, 1),
                elapsed=round(elapsed, 2),
                rate=round(rate, 2),
                eta=round(eta, 1),
                errors=len(fill.errors),
            ).info(f"filling up to {most} candles: {done} of {fill.total} series after {elapsed:.1f} s")
        if done >= fill.total:
            fill.over = True
            self.listing.filled.set()
            self._progress.stop()
            self._live.time.due.set()
            logger.bind(
                event="backfill_complete",
                completed=len(fill.completed),
                errors=len(fill.errors),
                elapsed=round(elapsed, 2),
                requests=self.requests,
            ).info(
                f"filled: {len(fill.completed)} series, {len(fill.errors)} failed, "
                f"{self.requests} requests in {elapsed:.1f} s"
            )

    def _filled(self, track: Track) -> bool:
        """Whether the series holds all that is wanted of it, or all that the venue has."""
        run = track.newest_settled_run()
        if run is None:
            return False
        symbol = track.series.symbol
        settleable = track.grid.closed(self._fill.began - track.policy.settle_delay_ms)
        awaits_proof = self._live.timeline.symbols[symbol].awaits_proof(track, self._live.now())
        if run[0].end < settleable and not awaits_proof:
            return False
        if run[1] >= track.policy.candles or bool(track.history_from and run[0].start <= track.history_from):
            return True
        return history_ends(track, self._live.now())
