"""Which page to ask for next. Pure: decides over the plans of all symbols; the backfiller acts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from heapq import heapify, heappop, heapreplace

import msgspec

from ..ledger.timeline import Timeline
from ..model.budget import NOTHING, Costs
from ..model.coverage import Span
from ..model.timeframe import Timeframe
from ..pacing.backoff import delay_s
from ..proof.history import next_edge
from ..proof.plan import Priority, Want, plan
from ..proof.track import Track
from ..venues.venue import PageRequest
from .limiter import Urgency

__all__ = ["FAILING_AFTER", "Attempts", "Pick", "Schedule"]

FAILING_AFTER = 5
"""Failed attempts after which a series is reported as failing; it is tried on, at longer intervals."""

_REFUSALS_AN_ATTEMPT = 4
"""So many refusals (429) in a row count as one failed attempt."""

_SETTLING_SHARE = 3
"""Every third request settles while anything is due, whatever else is more urgent."""

_MOST_BARREN = 8
"""Spans of one series whose pages brought nothing, and that are remembered at once."""

_Ranked = tuple[int, int, int, int, str, Want]
"""How urgent a want is (its priority, the place in the order of what waits for it, that of its symbol), which
of its symbol's it is, the symbol and the want."""

_PLANNED_AT_ONCE = 100
"""Symbols, of half a millisecond each; the others have their turn when it is asked again."""


class Attempts(msgspec.Struct):
    """The failures in a row of one series' requests."""

    count: int = 0
    refusals: int = 0
    not_before_s: float = 0.0  # monotonic
    message: str = ""


class Pick(msgspec.Struct, frozen=True):
    """The request to make next, and what it was chosen for."""

    request: PageRequest
    want: Want
    costs: Costs  # in the venue's budgets

    @property
    def urgency(self) -> Urgency:
        """What is served now goes before what is to be served."""
        live = self.want.priority in (Priority.REPAIR, Priority.SETTLE)
        return Urgency.LIVE if live else Urgency.WARM


class _Planned(msgspec.Struct):
    wants: list[_Ranked]  # the most urgent first
    settles: list[_Ranked]  # … of those that settle
    valid_until: int  # venue time


class Schedule(msgspec.Struct):
    """Remembers what is in flight and what failed, and picks the most urgent page."""

    timeline: Timeline
    jitter: Callable[[], float]
    in_flight: dict[str, dict[Timeframe, Span]] = {}
    attempts: dict[tuple[str, Timeframe], Attempts] = {}
    _plans: dict[str, _Planned] = {}
    _places: dict[str, int] = {}  # of the symbols
    _valid_until: int = 0  # all plans, at least
    _asked: dict[tuple[str, Timeframe], Span] = {}
    # Pages in a row that settled nothing, and when (monotonic) the next may be asked for.
    _barren: dict[tuple[str, Timeframe], dict[Span, tuple[int, float]]] = {}
    _since_settling: int = 0

    def pick(self, heard: int, monotonic_s: float) -> Pick | None:
        """The most urgent page that may be asked for now, or None."""
        best: tuple[Want, str] | None = None
        if self._since_settling >= _SETTLING_SHARE - 1:
            best = self._most_urgent(heard, monotonic_s, settling=True)
        if best is None:
            best = self._most_urgent(heard, monotonic_s)
        if best is None:
            return None
        want, symbol = best
        span = Span(want.start, want.end)
        # The venue's edge keeps an answer for a second: who asks again wants another one.
        fresh = want.priority is Priority.REPAIR or self._asked.get((symbol, want.timeframe)) == span
        request = PageRequest(symbol, want.timeframe, want.start, want.end, fresh)
        traits = self.timeline.traits
        served, buckets = traits.served.get(want.timeframe), traits.grid(want.timeframe).count(*span)
        return Pick(request, want, served.costs_of(buckets) if served else NOTHING)

    def started(self, pick: Pick) -> None:
        """The request is on its way."""
        request = pick.request
        span = Span(request.start, request.end)
        self.in_flight.setdefault(request.symbol, {})[request.timeframe] = span
        self._asked[request.symbol, request.timeframe] = span
        self._since_settling = 0 if pick.want.priority is Priority.SETTLE else self._since_settling + 1
        self.replan(request.symbol)

    def ended(self, request: PageRequest) -> None:
        """The request was answered, or failed, or was given up."""
        self.in_flight.get(request.symbol, {}).pop(request.timeframe, None)
        self.replan(request.symbol)

    def brought(self, request: PageRequest, monotonic_s: float, *, news: bool) -> None:
        """A page has come. One that settled nothing is asked for again only after a growing while."""
        span = Span(request.start, request.end)
        barren = self._barren.setdefault((request.symbol, request.timeframe), {})
        count, _ = barren.pop(span, (0, 0.0))
        if news:
            return
        if len(barren) >= _MOST_BARREN:
            del barren[min(barren, key=lambda each: barren[each][1])]  # the one that waits least
        barren[span] = count + 1, monotonic_s + delay_s(count + 1, self.jitter(), most_s=300.0)

    def hurry(self, symbol: str, timeframe: Timeframe) -> None:
        """Whatever failed or brought nothing of late, the series is worth asking for now."""
        self._barren.pop((symbol, timeframe), None)
        if attempts := self.attempts.get((symbol, timeframe)):
            attempts.not_before_s = 0.0
        self.replan(symbol)

    def succeeded(self, request: PageRequest) -> Attempts | None:
        """Forget the failures; what they were, if there were any."""
        return self.attempts.pop((request.symbol, request.timeframe), None)

    def failed(
        self,
        symbol: str,
        timeframe: Timeframe,
        message: str,
        monotonic_s: float,
        at_least_s: float = 0.0,
        *,
        refused: bool = False,
    ) -> Attempts:
        """Count a failure and say when to try again."""
        attempts = self.attempts.setdefault((symbol, timeframe), Attempts())
        attempts.refusals += refused
        # Being too fast is no fault of the series: the limiter slows down. Only many in a row are.
        if not refused or attempts.refusals % _REFUSALS_AN_ATTEMPT == 0:
            attempts.count += 1
        attempts.message = message
        attempts.not_before_s = monotonic_s + max(at_least_s, delay_s(max(1, attempts.count), self.jitter()))
        self.replan(symbol)
        return attempts

    def replan(self, symbol: str) -> None:
        """Something about the symbol has changed."""
        self._plans.pop(symbol, None)

    def replan_all(self) -> None:
        """Something about the venue has changed."""
        self._plans.clear()
        self._places.clear()

    def arranged(self) -> None:
        """There are other symbols or timeframes: what was remembered of those that are gone is forgotten."""
        symbols, timeframes = self.timeline.symbols, self.timeline.children
        for remembered in (self.attempts, self._asked, self._barren):
            for symbol, timeframe in [k for k in remembered if k[0] not in symbols or k[1] not in timeframes]:
                del remembered[symbol, timeframe]
        self.replan_all()

    def next_due(self) -> int:
        """When (venue time) a plan changes by the mere passing of time, or did."""
        return self._valid_until if len(self._plans) == len(self.timeline.symbols) else 1

    def next_retry_s(self, monotonic_s: float) -> float | None:
        """Seconds until the next failed request may be tried again, or None."""
        waits = [a.not_before_s - monotonic_s for a in self.attempts.values() if a.not_before_s > monotonic_s]
        return min(waits, default=None)

    def _most_urgent(
        self, heard: int, monotonic_s: float, *, settling: bool = False
    ) -> tuple[Want, str] | None:
        """What comes first of all that may be asked for now; with `settling` of what settles."""
        self._plan_anew(heard)
        plans = self._plans.values()
        if settling:
            first = [planned.settles[0] for planned in plans if planned.settles]
        else:
            first = [planned.wants[0] for planned in plans if planned.wants]
        heapify(first)
        while first:
            *_, at, symbol, want = first[0]
            if not self._held_back(symbol, want, monotonic_s):
                return want, symbol
            planned = self._plans[symbol]
            rest = (planned.settles if settling else planned.wants)[at + 1 :]
            if rest:
                heapreplace(first, rest[0])
            else:
                heappop(first)
        return None

    def _plan_anew(self, heard: int) -> None:
        """Plan for the symbols of which something has changed, or time has. It is asked for at every page."""
        symbols, plans = self.timeline.symbols, self._plans
        anew = {symbol for symbol, its in symbols.items() if its.hurried}
        if len(plans) < len(symbols):
            anew |= symbols.keys() - plans.keys()
        if heard >= self._valid_until:
            anew |= {symbol for symbol, planned in plans.items() if heard >= planned.valid_until}
        if not self._places:
            self._places = {symbol: place for place, symbol in enumerate(symbols)}
        for symbol in sorted(anew, key=self._places.__getitem__)[:_PLANNED_AT_ONCE]:
            symbols[symbol].hurried = False
            plans[symbol] = self._plan(symbol, heard)
        if anew:
            self._valid_until = min(planned.valid_until for planned in plans.values())

    def _held_back(self, symbol: str, want: Want, monotonic_s: float) -> bool:
        """Whether the page failed or brought nothing lately, and is not to be asked for again yet."""
        attempts = self.attempts.get((symbol, want.timeframe))
        if attempts is not None and monotonic_s < attempts.not_before_s:
            return True
        barren = self._barren.get((symbol, want.timeframe), {})
        _, until_s = barren.get(Span(want.start, want.end), (0, 0.0))
        return monotonic_s < until_s

    def _plan(self, symbol: str, heard: int) -> _Planned:
        tracks = self.timeline.symbols[symbol].tracks
        failing = [t for t in tracks if self._count(symbol, t) >= FAILING_AFTER]
        wants = plan(
            tracks,
            self.timeline.children,
            now=heard,
            in_flight=self.in_flight.get(symbol, {}),
            failing=failing,
        )
        until = next_edge(tracks.values(), heard)
        retries = [again for t in tracks.values() if (again := t.next_again(heard))]
        late = self.timeline.symbols[symbol].late
        ordered = [(_rank(want, tracks, late), self._order(want, tracks), want) for want in wants]
        ordered.sort(key=lambda one: one[:2])
        place = self._places[symbol]
        ranked = [(rank, order, place, at, symbol, w) for at, (rank, order, w) in enumerate(ordered)]
        settles = [one for one in ranked if one[-1].priority is Priority.SETTLE]
        return _Planned(ranked, settles, min([until, *retries]))

    def _count(self, symbol: str, timeframe: Timeframe) -> int:
        attempts = self.attempts.get((symbol, timeframe))
        return attempts.count if attempts else 0

    def _order(self, want: Want, tracks: Mapping[Timeframe, Track]) -> int:
        """The place of the most urgent configured timeframe that waits for this page."""
        order = self.timeline.timeframes
        # A parent that has enough candles gets a few more by the page, but does not wait for it.
        waiting = (t for t in want.serves if t is want.timeframe or not _has_enough(tracks[t]))
        return min((order.index(t) for t in waiting if t in order), default=len(order))


def _rank(want: Want, tracks: Mapping[Timeframe, Track], late: Collection[Timeframe]) -> int:
    """How urgent the page is, 0 the most: what came late is warmed up only once what is served is settled."""
    waits_for_none = all(t in late or tracks[t].sound for t in want.serves)
    if want.priority is Priority.WARM and waits_for_none and not want.serves.isdisjoint(late):
        return 2 * Priority.SETTLE + 1
    return 2 * want.priority


def _has_enough(track: Track) -> bool:
    """Whether the series holds as many settled candles as make it ready."""
    run = track.newest_settled_run()
    return run is not None and run[1] >= track.policy.min_candles
