"""The plan: which pages to ask for next, so that coverage becomes what is wanted with the fewest requests.

    missing = wanted − coverage

One rule serves warm-up, settling, repair, widening and deepening; only their urgency differs. A page of a
small timeframe is expected to settle its parents by roll-up as well, so those are asked for only if that
cannot be enough.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

from ..model.coverage import Coverage, Span
from ..model.grid import Grid
from ..model.policy import CONFIRM_MS
from ..model.rollup import source_of
from ..model.timeframe import Timeframe
from .evidence import APART_MS, LAG_MS
from .feeding import trusted
from .history import asked_once, asked_run, final_edge, oldest_to_be_had, searched, shown_edge
from .kin import asking_bigger
from .rebuilding import rebuilding
from .track import Track

__all__ = ["Priority", "Want", "plan"]

_SOON_MS = 120_000

REACH_BACK = 12
"""Buckets before a just-closed one that its settling request reads again, to see revisions."""


class Priority(IntEnum):
    """Why a page is wanted, the most urgent first."""

    REPAIR = 0  # a hole between settled buckets, or a suspect one
    WARM = 1  # up to `min_candles`
    SETTLE = 2  # a bucket that has closed
    WIDEN = 3  # a thin series, searched further back
    DEEPEN = 4  # from `min_candles` up to `candles`
    CONFIRM = 5  # what is presumed only, and where history ends


class Want(NamedTuple):
    """One page worth asking for: `[start, end)` in Unix ms, aligned to the timeframe."""

    priority: Priority
    timeframe: Timeframe
    start: int
    end: int
    serves: frozenset[Timeframe] = frozenset()  # timeframes that are waiting for this page
    witness: Timeframe | None = None  # the series that it bears witness for, if it is not read for its own


class _Planned(NamedTuple):
    """What coverage will be once every page in flight or wanted has come."""

    coverage: Coverage
    waiting: bool  # whether history is still on its way here


def plan(
    tracks: Mapping[Timeframe, Track],
    children: Mapping[Timeframe, Timeframe | None],
    *,
    now: int,
    in_flight: Mapping[Timeframe, Span],
    failing: Collection[Timeframe] = (),
) -> list[Want]:
    """The pages that one symbol's tracks (smallest timeframe first) want now, at most one a timeframe.

    `in_flight` are pages asked for but not answered; `failing` timeframes promise nothing to their
    parents. Of those that the venue does not serve only the children can be asked for.
    """
    wants: list[Want] = []
    planned: dict[Timeframe, _Planned] = {}
    for timeframe, track in tracks.items():
        child = children[timeframe]
        expected = _held(track, now)
        waiting = False
        if child is not None:
            # What is still to come. What the child holds already was rolled up, or can be no more.
            grown = _parents_of(planned[child].coverage, track.grid)
            expected = expected | grown.without(_parents_of(tracks[child].coverage, track.grid))
            waiting = planned[child].waiting
        if track.open:
            # Open buckets that are asked for again soon: parents need not ask in their stead.
            expected = expected | track.waiting(now, within_ms=_SOON_MS)
        flight = in_flight.get(timeframe)
        if flight is not None:
            expected = expected | _settleable(track, flight, now)
            waiting = waiting or _adds_history(track, flight)
        elif want := _to_be_had(
            _want(track, expected, now, waiting, _parents(tracks, children, timeframe)), track, now
        ):
            if timeframe in track.traits.served:
                wants.append(want)
            elif child is not None:
                source = source_of(child, children, track.traits)
                lacks = (expected | track.waiting(now)).missing(want.start, want.end)
                through = _to_be_had(_through(tracks[source], track, want, lacks), tracks[source], now)
                if through and source not in in_flight and all(w.timeframe is not source for w in wants):
                    wants.append(through)
            span = Span(want.start, want.end)
            expected = expected | _settleable(track, span, now)
            waiting = waiting or _adds_history(track, span)
        promised = track.coverage if timeframe in failing else expected
        planned[timeframe] = _Planned(promised, waiting and timeframe not in failing)
    asked = {w.timeframe for w in wants} | set(in_flight)
    served = ((w, _served(w.timeframe, children, asked)) for w in wants)
    planned_wants = [
        _up_to_now(w, now, tracks[w.timeframe])._replace(serves=s, priority=_urgency(w, s, tracks))
        for w, s in served
    ]
    urgent = {w.timeframe for w in planned_wants if w.priority < Priority.DEEPEN} | set(in_flight)
    return [*planned_wants, *_witnesses(tracks, now, asked, urgent)]


def _witnesses(
    tracks: Mapping[Timeframe, Track], now: int, asked: set[Timeframe], urgent: Collection[Timeframe]
) -> Iterator[Want]:
    """Pages of smaller timeframes that would make up for rows which cannot be believed; and of bigger ones
    that tell whether something was traded where pages have no row, once all of these have come.
    """
    for timeframe, track in tracks.items():
        if not track.open or track.working:
            continue
        found = rebuilding(track, now)
        if found is None and timeframe not in urgent:
            found = asking_bigger(track, now)
        if found is not None and found[0] not in asked:
            asked.add(found[0])
            yield Want(Priority.REPAIR, found[0], *found[1], frozenset({timeframe}), timeframe)


def _want(
    track: Track, expected: Coverage, now: int, waiting: bool, parents: Collection[Track]
) -> Want | None:
    timeframe, grid, page = track.series.timeframe, track.grid, track.page
    edge = grid.closed(now)
    shown = shown_edge(track, now)
    reach = oldest_to_be_had(track, now)
    if track.working:
        return _want_working(track, expected, now, parents)

    asked = expected | track.waiting(now) if track.open else expected
    run = asked_run(track, now)
    have = run[1] if run else 0
    # No more than is likely to do, before any page of its own; and, as its last, the bucket in progress.
    newest = page if track.open or have >= track.policy.min_candles else track.first
    oldest = grid.far_back(edge, newest - 1)
    if track.traits.finals:  # Those that are not final yet do not count.
        oldest = max(grid.far_back(final_edge(track, now), newest - 1), grid.far_back(edge, page - 1))
    newest_page = Span(max(oldest, reach), edge)
    if not asked or (
        have < track.policy.min_candles
        and _buckets(asked, grid) < track.policy.min_candles
        and asked.spans[-1].start > newest_page.start
    ):
        return Want(Priority.WARM, timeframe, *newest_page)

    # Holes, the one at the newest end among them: what has closed since.
    oldest = min(track.settled, default=0) if have < track.policy.candles else track.keep_from
    wanted_from = max(oldest, asked.spans[0].start, reach)
    if expected != _held(track, now) and _buckets(expected, grid) >= track.policy.candles:
        # What is on its way may be enough; whether older holes still matter shows when it is here.
        wanted_from = max(wanted_from, expected.spans[-1].start)
    missing = asked.missing(wanted_from, shown)
    suspects = [t for t in track.suspect if t >= wanted_from or (t in track.contested and t >= reach)]
    if suspects:
        first = min(suspects)
        return Want(Priority.REPAIR, timeframe, first, _until(grid, first, page - 1, edge))
    if missing:
        hole = missing.spans[-1]
        at_end = hole.end == shown
        first = missing.spans[0].start
        if first < newest_page.start:
            # More than a page is missing: the newest page first, the rest page by page.
            return Want(Priority.WARM, timeframe, *(newest_page if at_end else _across(track, hole)))
        if first >= grid.far_back(edge, REACH_BACK) and track.coverage:
            return Want(Priority.SETTLE, timeframe, _reach_back(track, edge, page), edge)
        priority = Priority.SETTLE if at_end and len(missing.spans) == 1 else Priority.REPAIR
        if track.state is None or not track.state.ready:
            priority = min(priority, Priority.WARM)
        before = max((t for t in track.settled if t < hole.start), default=hole.start)
        bounded = at_end or before >= newest_page.start
        return Want(priority, timeframe, *(newest_page if bounded else _across(track, hole)))
    older = _older(track, asked, now, waiting)
    return older if older or _closed(track, now) else _confirming(track, now)


def _across(track: Track, hole: Span) -> Span:
    """The page over a hole, with the candle after it if that is near: rows on both sides prove most."""
    grid, page = track.grid, track.page
    after = min((t for t in track.settled if t >= hole.end), default=hole.end)
    end = grid.end(after) if after > hole.end or after in track.settled else hole.end
    end = end if grid.count(hole.end, end) <= page // 2 else hole.end
    return Span(grid.far_back(end, page), end)


def _to_be_had(want: Want | None, track: Track, now: int) -> Want | None:
    """What of the page the venue still has."""
    if want is None or want.end <= (oldest := oldest_to_be_had(track, now)):
        return None
    return want._replace(start=max(want.start, oldest))


def _held(track: Track, now: int) -> Coverage:
    """What is settled, and what the feed's word stands for so long."""
    return track.coverage | trusted(track, now) if track.flagged else track.coverage


def _older(track: Track, asked: Coverage, now: int, waiting: bool) -> Want | None:
    """More history: until there are as many real candles as wanted, or no more are to be had."""
    timeframe, grid, page = track.series.timeframe, track.grid, track.page
    run = asked_run(track, now)
    if run is None or waiting or run[1] >= track.policy.candles:
        return None
    start = asked.spans[-1].start
    if (track.history_from and start <= track.history_from) or searched(track, now):
        return None
    if start != run[0].start:
        return None  # More is on its way by roll-up.
    if not track.coverage and asked_once(track, now):
        return None  # An empty page where a product trades now is asked for again before older ones are.
    priority = Priority.WIDEN if run[1] < track.policy.min_candles else Priority.DEEPEN
    # A run shorter than a page is read whole: the overlap checks the roll-up.
    edge = grid.closed(now)
    end = edge if start > grid.far_back(edge, page - 1) else start
    first = grid.far_back(end, page)
    return Want(priority, timeframe, first, end) if first < end else None


def _closed(track: Track, now: int) -> bool:
    """Whether the exchange is closed: nobody looks again at what has not changed since."""
    return track.traits.finals is not None and track.grid.closed(now) > track.grid.floor(now)


def _confirming(track: Track, now: int) -> Want | None:
    """What may have to be taken back, an hour after it was asked for last: nothing else is to be done."""
    timeframe, grid, page = track.series.timeframe, track.grid, track.page
    edge = grid.closed(now)
    if track.presumed and (due := _to_confirm(track, now)):
        first = _from_candle(track, min(due), max(due), page - 1)
        # A bucket less than there may be: with the one in progress asked for too, the first stays in it.
        return Want(Priority.CONFIRM, timeframe, first, _until(grid, first, page - 1, edge))
    if (
        not track.exhausted
        or now < track.end_asked + CONFIRM_MS
        or track.history_from <= oldest_to_be_had(track, now)
    ):
        return None
    # Half of it lies before where history seems to end: another window than any page that said so.
    start = grid.far_back(track.history_from, page // 2)
    return Want(Priority.CONFIRM, timeframe, start, _until(grid, start, page, edge))


def _to_confirm(track: Track, now: int) -> list[int]:
    """The presumed buckets that are worth another page: each hour, and what is likely and was found so at an
    age that no edge lags, a minute later.
    """

    def again(bucket: int, asked: int) -> int:
        first = track.likely.get(bucket) == asked
        return APART_MS if first and asked >= track.grid.end(bucket) + LAG_MS else CONFIRM_MS

    reach = oldest_to_be_had(track, now)
    return [t for t, asked in track.presumed.items() if asked + again(t, asked) <= now and t >= reach]


def _reach_back(track: Track, edge: int, page: int) -> int:
    """Where a page that settles begins: a dozen buckets back, or at the oldest presumed one."""
    start, oldest = track.grid.far_back(edge, REACH_BACK), track.grid.far_back(edge, page - 1)
    within = (t for t in track.presumed if oldest <= t < start)
    return min(within, default=start)


def _from_candle(track: Track, first: int, edge: int, page: int) -> int:
    """Where a page begins that is to prove `first`: at the candle before it, if that leaves room for it all.

    What was cut short shows by that.
    """
    before = max((t for t in track.settled if t <= first), default=first)
    return before if track.grid.count(before, edge) <= page else first


def _want_working(track: Track, expected: Coverage, now: int, parents: Collection[Track]) -> Want | None:
    """A working series is wanted from where its parents are settled: nothing else reads it."""
    timeframe, grid = track.series.timeframe, track.grid
    edge = grid.closed(now)
    shown = shown_edge(track, now)
    start = edge
    for parent in parents:
        forming = parent.grid.closed(now)
        run = parent.newest_settled_run()
        start = min(start, max(parent.grid.back(forming), min(forming, run[0].end) if run else forming))
    # What was asked for and stayed open is asked for again when that is worth a page.
    known = expected | track.waiting(now)
    missing = known.missing(max(start, oldest_to_be_had(track, now)), shown)
    if not missing:
        return None
    # A longer page where history is missing: bigger parents may be settled by it too.
    first = missing.spans[0].start
    newest = track.page if track.coverage or track.open else track.first
    reach = REACH_BACK if first >= grid.far_back(edge, REACH_BACK) and track.coverage else newest
    priority = Priority.SETTLE if track.coverage else Priority.WARM
    return Want(priority, timeframe, grid.far_back(edge, reach), edge)


def _parents(
    tracks: Mapping[Timeframe, Track], children: Mapping[Timeframe, Timeframe | None], child: Timeframe
) -> list[Track]:
    return [tracks[p] for p, c in children.items() if c is child]


def _through(source: Track, parent: Track, want: Want, lacks: Coverage) -> Want:
    """The page of the source's that brings the newest part of what a parent of it wants and `lacks`."""
    until = lacks.spans[-1].end if lacks else want.end
    longest = parent.grid.ceil(source.grid.far_back(until, source.page))
    start = min(max(want.start, longest), parent.grid.back(until))
    # With what follows, for rows on both sides prove most.
    end = max(until, _until(source.grid, start, source.page, want.end))
    return Want(want.priority, source.series.timeframe, start, end)


def _urgency(want: Want, serves: Collection[Timeframe], tracks: Mapping[Timeframe, Track]) -> Priority:
    """A page that deepens one timeframe is a warm-up page if another becomes ready by it."""
    if want.priority is Priority.DEEPEN and any(
        not tracks[t].working
        and (run := tracks[t].newest_settled_run())
        and run[1] < tracks[t].policy.min_candles
        for t in serves
    ):
        return Priority.WARM
    return want.priority


def _up_to_now(want: Want, now: int, track: Track) -> Want:
    """A page up to the last close asks for the bucket in progress too: its row proves the page fresh."""
    end = track.grid.end(track.grid.floor(now))
    if want.end != track.grid.closed(now) or end <= now:
        return want
    return want._replace(start=max(want.start, track.grid.far_back(end, track.page)), end=end)


def _settleable(track: Track, span: Span, now: int) -> Coverage:
    start = track.grid.end_before(track.grid.ceil(span.start))
    return Coverage([(start, min(span.end, shown_edge(track, now)))])


def _served(
    timeframe: Timeframe, children: Mapping[Timeframe, Timeframe | None], asked: Collection[Timeframe]
) -> frozenset[Timeframe]:
    """The timeframe and those that wait to be rolled up from it, rather than for a page of their own."""
    served = {timeframe}
    for parent, child in children.items():  # smallest first
        if child in served and parent not in asked:
            served.add(parent)
    return frozenset(served)


def _parents_of(coverage: Coverage, grid: Grid) -> Coverage:
    """The parent buckets of which all children are covered."""
    return Coverage((grid.end_before(grid.ceil(s.start)), grid.closed(s.end)) for s in coverage.spans)


def _adds_history(track: Track, span: Span) -> bool:
    return not track.coverage or span.start < track.coverage.spans[-1].start


def _buckets(coverage: Coverage, grid: Grid) -> int:
    return grid.count(*coverage.spans[-1]) if coverage else 0


def _until(grid: Grid, start: int, page: int, edge: int) -> int:
    """Where the page ends that begins at `start`: after so many buckets, or at the edge."""
    return edge if grid.count(start, edge) <= page else grid.after(start, page)
