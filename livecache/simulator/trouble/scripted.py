"""Plays a script of faults on the exchange, and counts what it did."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from ...clock import Clock, SystemClock
from ...errors import ConfigError
from ...model.candle import ExactCandle
from ...model.naming import near_symbols
from ...model.timeframe import Timeframe
from ..clock import MarketClock
from ..market.market import Market
from ..market.revised import RevisedMarket
from ..options import ServerOptions
from . import script as kinds
from .faults import Answer, Faults, FeedFrame, HangUp, RequestRecord, Stage
from .playing import NEVER, Episodes, Playing
from .script import ANSWER_FORMS, FORMS, PAGE_FORMS, ROW_FORMS, Episode, FaultScript, moment_ms
from .spoiled import (
    garbled,
    odd_answer,
    odd_page,
    product_of,
    refusing,
    shifted_stamp,
    shifted_time,
    with_snapshot,
    with_spoilt_rows,
)

__all__ = ["ScriptedFaults", "check_words"]

_M5 = Timeframe.M5
_CANDLES = "candles"
_NOTHING: Mapping[str, object] = {}

# What changes the words of a frame or a page knows those of the first venue alone; so do frames of products.
_WORDED = (
    *(kinds.ReplayedSnapshot, kinds.Garbage, kinds.NoFinalUpdate, kinds.StampAhead, kinds.ClockSkew),
    *(kinds.SpoiltRow, kinds.OddPage),
)
_OF_FRAMES = (kinds.Drop, kinds.Duplicate, kinds.Reorder)


def check_words(script: FaultScript, venue: str) -> None:
    """Raises ConfigError for a fault that the face of another venue than the first one cannot play."""
    for episode in script.faults:
        named = f"fault {episode.__struct_config__.tag}: the simulated {venue} does not play it"
        if isinstance(episode, _WORDED):
            others = [name for name, kind in kinds.KINDS.items() if not issubclass(kind, _WORDED)]
            raise ConfigError(named, f"one of {', '.join(others)}")
        if isinstance(episode, _OF_FRAMES) and episode.products:
            raise ConfigError(f"{named} for single products", "leave products out")


class ScriptedFaults(Faults):
    """The faults of a script, for one `Simulator`; further ones may `begin` while it runs.

    `refusing` words an error of that status, and Retry-After in seconds.
    `counts`: how many of each kind happened, as `"close 1001"`, `"garbage nan"`, `"http_error 502"` or
    `"mute"`; what holds for a while counts once.
    """

    def __init__(
        self,
        script: FaultScript | None = None,
        *,
        host_clock: Clock | None = None,
        refusing: Callable[[int, int | None], Answer] = refusing,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._script = script or FaultScript()
        self._host = host_clock or SystemClock()
        self._refusing = refusing
        self._snapshots: dict[str, str] = {}  # the last one of each product
        self._halted: dict[str, tuple[int, Mapping[str, object]]] = {}  # from when, and what the list says
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, market: Market, clock: MarketClock) -> Market:
        """`ConfigError` if the script names a product that the market has not."""
        self._clock = clock
        self._products = market.products()
        self._aliases = dict(market.aliases())
        self._market = RevisedMarket(market)
        self._schedule = Episodes(clock, self._script.seed, self.counts)
        for episode in self._script.faults:
            self._check(episode)
            self._add(episode, moment_ms(episode.at, clock.start_ms))
        return self._market

    def begin(self, episode: Episode) -> None:
        """Let it begin now, whatever its `at` says. From any thread; the simulator must exist already."""
        self._check(episode)
        self._soon(partial(self._add, episode, self._clock.now()))

    def end_all(self) -> None:
        """End all that plays now and drop what is to come. From any thread. Revisions stay."""
        self._soon(self._schedule.end_all)

    async def play(self, stage: Stage) -> None:
        self._loop = asyncio.get_running_loop()
        refused = False
        while True:
            self._changed.clear()
            now, refuse = self._schedule.refresh(), any(self._schedule.of(kinds.Unreachable))
            if refuse != refused:
                await (stage.pause_listening() if refuse else stage.resume_listening())
                refused = refuse
            due = self._schedule.next_change
            wait_s = None if due == NEVER else self._clock.real_s(max(0, due - now))
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()

    # --- what the exchange asks

    async def rest(self, request: RequestRecord, proceed: Callable[[], Awaitable[Answer]]) -> Answer | None:
        schedule = self._schedule
        if any(schedule.of(kinds.Outage)):
            return None
        asked = request.timeframe
        for playing, fault in schedule.of(kinds.OfRequests):
            if not self._concerns(fault, request.product, asked, request.buckets):
                continue
            match fault:
                case kinds.HttpError(status=status) if schedule.strikes(playing, status):
                    return self._refusing(status, fault.retry_after)
                case kinds.Hang() if schedule.strikes(playing):
                    await self._host.sleep(fault.seconds)
                    return None
                case kinds.Reset() if schedule.strikes(playing):
                    answer = await proceed()
                    return replace(answer, cut_after=len(answer.body) // 2)
                case kinds.OddAnswer(forms=answers):
                    odd = playing.chance.choice(answers or ANSWER_FORMS)
                    if schedule.strikes(playing, odd):
                        return odd_answer(await proceed(), odd)
                case kinds.OddPage(forms=pages) if asked is not None:
                    how = playing.chance.choice(pages or PAGE_FORMS)
                    if schedule.strikes(playing, how):
                        other = self._rows(request, asked, how)
                        return odd_page(await proceed(), how, asked.ms // 1000, other, playing.chance)
                case kinds.SpoiltRow(forms=forms, every=every) if asked is not None:
                    form = playing.chance.choice(forms or ROW_FORMS)
                    if schedule.strikes(playing, form):
                        return with_spoilt_rows(await proceed(), form, asked.ms // 1000, every)
        answer = await proceed()
        for _, skew in schedule.of(kinds.ClockSkew):
            if request.path.endswith("/time"):
                answer = shifted_time(answer, skew.seconds)
        return answer

    def page(
        self, product: str, timeframe: Timeframe, rows: list[ExactCandle], *, newest: bool
    ) -> list[ExactCandle]:
        for playing, fault in self._schedule.of(kinds.OfRequests):
            if not self._concerns(fault, product, timeframe, len(rows)):
                continue
            match fault:
                case kinds.ShortPage() if rows and self._schedule.strikes(playing):
                    kept = int(len(rows) * fault.keep)
                    return rows[len(rows) - kept :] if newest else rows[:kept]
                case kinds.EmptyPage() if self._schedule.strikes(playing):
                    return []
        return rows

    def frame(self, frame: FeedFrame) -> Iterable[str | HangUp]:
        if frame.channel == _CANDLES and '"type":"snapshot"' in frame.text:
            self._snapshots[product_of(frame.text)] = frame.text
        sent: list[str | HangUp] = [frame.text]
        self._schedule.refresh()
        for playing in list(self._schedule.active):
            sent = self._struck(playing, frame, sent)
        return sent

    def mute(self, channel: str, product: str, subscribed_ms: int) -> bool:
        for playing, fault in self._schedule.of(kinds.Mute):
            concerned = channel == _CANDLES and _names(fault.products, product)
            if concerned and not (fault.cured and subscribed_ms > playing.begin):
                return True
        return any(
            not (fault.cured and subscribed_ms > playing.begin)
            for playing, fault in self._schedule.of(kinds.SilentFeed)
        )

    def lists(self, product: str) -> bool:
        return not any(_names(f.products, product) for _, f in self._schedule.of(kinds.Delisted))

    def listed(self, product: str) -> Mapping[str, object]:
        begin, told = self._halted.get(product, (NEVER, _NOTHING))
        return told if begin <= self._clock.now() else _NOTHING

    def refusal(self, products: Sequence[str]) -> tuple[frozenset[str], str]:
        for _, fault in self._schedule.of(kinds.RefusedSubscription):
            if bad := [product for product in products if product in fault.products]:
                about = f": {', '.join(bad)} not available" if fault.named else ""
                complaint = f"failed to subscribe{about}" if fault.told else ""
                return frozenset(products if fault.whole else bad), complaint
        return frozenset(), ""

    def options(
        self, product: str, usual: ServerOptions, timeframe: Timeframe | None = None
    ) -> ServerOptions:
        for playing in self._schedule.active:
            match playing.episode:
                case kinds.EdgeLag(seconds=seconds) as fault if _names(fault.products, product):
                    if not fault.timeframes or timeframe in fault.timeframes:
                        usual = replace(usual, edge_lag_ms=usual.edge_lag_ms + int(seconds * 1000))
                case kinds.NewestAbsent(products=products) if _names(products, product):
                    usual = replace(usual, forming_bucket=False)
                case kinds.NoFinalUpdate(products=products) if _names(products, product):
                    usual = replace(usual, final_update=_no_final_update)
        return usual

    # --- how it does it

    def _concerns(
        self, fault: kinds.OfRequests, product: str, timeframe: Timeframe | None, buckets: int
    ) -> bool:
        of = fault.timeframes
        named = _names(fault.products, self._aliases.get(product, product))
        return named and (not of or timeframe in of) and buckets >= fault.least

    def _rows(self, request: RequestRecord, asked: Timeframe, form: kinds.PageForm) -> Sequence[ExactCandle]:
        """What a page of another product, or timeframe, holds over the times that were asked for."""
        product = self._aliases.get(request.product, request.product)
        if form == "other_product":
            product = next((other for other in self._products if other != product), product)
        elif form == "other_timeframe":
            asked = Timeframe.H1 if asked is not Timeframe.H1 else Timeframe.M15
        else:
            return ()
        start, end = (request.start or 0) * 1000, (request.end or 0) * 1000 + 1
        return self._market.candles(product, asked, start, end, self._clock.now())[-1000:]

    def _check(self, episode: Episode) -> None:
        products: tuple[str, ...] = getattr(episode, "products", ())
        for product in products:
            if product not in self._products:
                near = near_symbols(product, self._products)
                hint = (
                    f"did you mean {' or '.join(near)}?"
                    if near
                    else f"such as {', '.join(self._products[:3])}"
                )
                kind = episode.__struct_config__.tag
                raise ConfigError(f"fault {kind}: the market has no product {product!r}", hint)

    def _add(self, episode: Episode, begin: int) -> None:
        if isinstance(episode, kinds.Revision):
            bucket = _M5.floor(begin) - (episode.back + 1) * _M5.ms
            for product in episode.products or self._products:
                self._market.revise(product, bucket, begin)
        if isinstance(episode, kinds.Halted):
            told: dict[str, object] = {"status": episode.status, **dict.fromkeys(episode.flags, True)}
            for product in episode.products:
                self._market.halt(product, begin)
                self._halted[product] = (begin, told)
        self._schedule.add(episode, begin)
        self._changed.set()

    def _soon(self, act: Callable[[], None]) -> None:
        if self._loop is None:
            act()
        else:
            self._loop.call_soon_threadsafe(act)
            self._loop.call_soon_threadsafe(self._changed.set)

    def _struck(self, playing: Playing, frame: FeedFrame, sent: list[str | HangUp]) -> list[str | HangUp]:
        """What goes out in place of `sent`, by one episode."""
        fault, strikes = playing.episode, partial(self._schedule.strikes, playing)
        of_candles = frame.channel == _CANDLES
        match fault:
            case kinds.StampAhead(seconds=seconds) | kinds.ClockSkew(seconds=seconds):
                return [text if isinstance(text, HangUp) else shifted_stamp(text, seconds) for text in sent]
            case kinds.CloseFeed(code=code, behind=behind):
                if (of_candles or not behind) and strikes(code):
                    close = HangUp(None if code == "abort" else code)
                    return [*sent, close] if behind else [close]
            case kinds.Reorder():
                if playing.held is not None and playing.held[0] == frame.session:
                    (_, late), playing.held = playing.held, None
                    return [*sent, late]
                if _about(fault, frame) and strikes():
                    playing.held = (frame.session, frame.text)
                    return []
            case kinds.Drop() if _about(fault, frame) and strikes():
                return []
            case kinds.Duplicate() if _about(fault, frame) and strikes():
                return sent + sent
            case kinds.ReplayedSnapshot() if of_candles and _about(fault, frame):
                snapshot = self._snapshots.get(product_of(frame.text))
                if snapshot is not None and snapshot != frame.text and strikes():
                    return [with_snapshot(frame.text, snapshot)]
            case kinds.Garbage(forms=forms) if of_candles and _about(fault, frame):
                form = playing.chance.choice(forms or FORMS)
                if strikes(form):
                    return [garbled(frame.text, form)]
        return sent


def _names(products: tuple[str, ...], product: str) -> bool:
    return not products or product in products


def _about(fault: kinds.Strike, frame: FeedFrame) -> bool:
    return not fault.products or product_of(frame.text) in fault.products


def _no_final_update(product: str) -> bool:
    return False
