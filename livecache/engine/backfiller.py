"""The backfiller: makes coverage equal to what is wanted, for ever.

At the start that is the warm-up; a moment after each close it is the settling of the bucket that closed;
after trouble it is the repair. One loop, one rule. The schedule decides, this acts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from ..model.candle import ExactCandle
from ..model.timeframe import iso
from ..pacing.meter import Ticket
from ..proof.evidence import PageFacts
from ..quiet import logger
from ..repeats import Repeats
from ..venues.remedies import tell_unreachable
from ..venues.venue import FailureKind, FetchFailure, Page, Venue
from .first_fill import FirstFill, NoProgress, Progress
from .limiter import Limiter
from .listing import Listing
from .live import Live
from .schedule import FAILING_AFTER, Attempts, Pick, Schedule

__all__ = ["Backfiller"]

_IN_FLIGHT_MOST = 64
_UNKNOWN_RETRY_S = 600.0
_LONGEST_WAIT_S = 1.0


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
        self.schedule = Schedule(live.timeline, jitter)
        self._repeats = Repeats(live.clock)
        self._slots = asyncio.Semaphore(_IN_FLIGHT_MOST)
        self.listing = Listing(live, venue, limiter)
        self.first_fill = FirstFill(
            live, progress or NoProgress(), self.listing.filled, lambda: self.requests
        )

    def arranged(self) -> None:
        """The timeline has other symbols or timeframes: those that came are filled, as at a start."""
        self.schedule.arranged()
        self.listing.unknown.intersection_update(self._live.timeline.symbols)
        self.first_fill.again()
        self._live.due.set()

    async def run(self, *, once: bool = False) -> None:
        """Work until cancelled; with `once`, until every series was filled or has failed."""
        self.first_fill.begin()
        try:
            async with asyncio.TaskGroup() as fetches:
                while not (once and self.first_fill.over):
                    if (pick := self._pick()) is None:
                        await self._wait()
                        continue
                    await self._slots.acquire()
                    # By the moment of the slot something more urgent may have come up.
                    taken = await self._limiter.acquire_for(pick, self._pick)
                    if taken is None:
                        self._slots.release()
                        continue
                    ticket, pick = taken
                    self.schedule.started(pick)
                    request = pick.request
                    fetches.create_task(
                        self._fetch(pick, ticket), name=f"page {request.symbol} {request.timeframe}"
                    )
        finally:
            self.first_fill.stop()

    async def _wait(self) -> None:
        """Sleep until a bucket is due, a retry is, a page has come, or a second has passed."""
        live = self._live
        next_due = self.schedule.next_due()
        retry = self.schedule.next_retry_s(live.clock.monotonic())
        live.due.clear()
        live.time.wake(live.due, next_due)
        if next_due and live.time.heard >= next_due:
            await asyncio.sleep(0)  # There are more to plan for than has been done in one go.
            return
        try:
            async with asyncio.timeout(min(_LONGEST_WAIT_S, retry or _LONGEST_WAIT_S)):
                await live.due.wait()
        except TimeoutError:
            pass
        for symbol in self.listing.take_listed():
            for timeframe in live.timeline.children:
                self.schedule.hurry(symbol, timeframe)

    def _pick(self) -> Pick | None:
        live = self._live
        return self.schedule.pick(live.time.heard, live.clock.monotonic())

    async def _fetch(self, pick: Pick, ticket: Ticket) -> None:
        request = pick.request
        heard = self._live.time.heard  # before the request is sent: it decides what can settle
        self.requests += 1
        try:
            outcome = await self._venue.fetch(request)
        finally:
            self.schedule.ended(request)
            self._slots.release()
            self._live.due.set()
        self._limiter.heard(ticket, outcome)
        if self._venue.traits is not self._live.timeline.traits:  # It has taught what it is like.
            self._live.timeline.learn(self._venue.traits)
            self._limiter.learn(self._venue.traits.budgets)
            self.schedule.replan_all()
        timeline, wanted_by = self._live.timeline, pick.want.witness or request.timeframe
        if request.symbol not in timeline.symbols or wanted_by not in timeline.children:
            return  # It was taken out meanwhile.
        if isinstance(outcome, Page):
            self._take(pick, outcome, heard)
        else:
            self.refusals += outcome.kind.too_fast
            await self._fail(pick, outcome)

    def _take(self, pick: Pick, page: Page, heard: int) -> None:
        request, live = pick.request, self._live
        self.rejected += page.spoiled
        live.time.answered()
        self._repeats.forget("venue_unreachable")
        self.listing.knows(request.symbol)
        if self.schedule.succeeded(request) is not None and pick.want.witness is None:
            live.timeline.fail(request.symbol, request.timeframe, "")
        if page.about and 0 < page.about.listed <= heard:
            listed, finals = page.about.listed, live.timeline.traits.finals
            # Before its calendar there is nothing to be had.
            begins = finals.far_back(listed + 1, 1) if finals else listed
            live.timeline.symbols[request.symbol].begins(begins)
        rows = {row.time: row for row in page.rows}
        if heard < live.timeline.symbols[request.symbol].rescaled:
            return  # It was asked for before a split, and may tell of what was before.
        if live.timeline.traits.finals or page.actions:
            self._heed_splits(page, rows)
        facts = PageFacts(request.start, request.end, rows, heard, page.rejected, dict(page.reasons))
        if pick.want.witness is not None:
            told = request.symbol, pick.want.witness, request.timeframe
            live.timeline.apply_witness(*told, facts, live.now())
            self.schedule.replan(request.symbol)
            live.changed.set()
            return
        track = live.timeline.symbols[request.symbol].tracks[request.timeframe]
        before, contested = track.coverage, bool(track.contested)
        live.timeline.apply_page(request.symbol, request.timeframe, facts, live.now())
        self.schedule.brought(request, live.clock.monotonic(), news=track.coverage != before)
        self.schedule.replan(request.symbol)
        live.changed.set()
        if contested and not track.contested:
            logger.bind(
                event="repair_complete", symbol=request.symbol, timeframe=str(request.timeframe)
            ).info(f"{request.symbol} {request.timeframe} has been read again")
        self.first_fill.report(request.symbol)

    def _heed_splits(self, page: Page, rows: Mapping[int, ExactCandle]) -> None:
        """What was read before a split is read again: the venue tells it in another scale by now."""
        from fractions import Fraction  # late: few venues have shares

        from ..ledger.splitting import forget, rescaled, rescaled_since

        splits = [(each.time, Fraction(each.value)) for each in page.actions if each.kind == "split"]
        symbol, heard = page.request.symbol, self._live.time.heard
        timeline = self._live.timeline.symbols[symbol]
        track = timeline.tracks[page.request.timeframe]
        if since := rescaled_since(track, rows, splits):
            ratio = splits[-1][1]
        elif (ratio := rescaled(track, rows, heard).limit_denominator(100)) != 1:
            since = heard
        if since:
            forget(timeline, since, heard)
            logger.bind(event="split", symbol=symbol, ratio=str(ratio), time=since).warning(
                f"{symbol} was split {ratio} at {iso(since)}: its candles are read again"
            )

    async def _fail(self, pick: Pick, failure: FetchFailure) -> None:
        request, live = pick.request, self._live
        if failure.kind in (FailureKind.PAGE_TOO_LONG, FailureKind.UNSUPPORTED_TIMEFRAME):
            self.schedule.brought(request, live.clock.monotonic(), news=False)
            return
        if failure.kind is FailureKind.UNKNOWN_SYMBOL and await self._forsake(request.symbol, failure):
            return
        self.failures += 1
        attempts = self.schedule.failed(
            request.symbol,
            request.timeframe,
            failure.message,
            live.clock.monotonic(),
            refused=failure.kind.too_fast,
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
            self.first_fill.failed(request.symbol, request.timeframe)

    async def _forsake(self, symbol: str, failure: FetchFailure) -> bool:
        """The venue does not know the symbol: say so, go on with the others. False if its list names it."""
        live, schedule = self._live, self.schedule
        now_s = live.clock.monotonic()
        before = {(symbol, t): schedule.attempts.get((symbol, t)) for t in live.timeline.children}
        for timeframe in live.timeline.children:
            schedule.attempts[symbol, timeframe] = Attempts(count=FAILING_AFTER - 1)
            schedule.failed(symbol, timeframe, "unknown", now_s, _UNKNOWN_RETRY_S)
        if symbol in self.listing.unknown:
            return True
        standing = await self.listing.forsake(symbol, failure.message)
        if symbol not in live.timeline.symbols:
            return True
        if not standing:
            schedule.attempts |= {key: attempts or Attempts() for key, attempts in before.items()}
            return False
        live.timeline.stand(symbol, standing, live.now())
        for timeframe in live.timeline.timeframes:
            self.first_fill.failed(symbol, timeframe)
        live.changed.set()
        return True
