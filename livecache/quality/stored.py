"""One series as it lies in Redis: is each member a candle, and does the state say what is there? Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from ..errors import OutsideCalendar
from ..keys.keyspace import AliveRecord, Damaged, StateRecord, decode_alive, decode_state, parse_member
from ..model.candle import ExactCandle, rejection
from ..model.coverage import Span
from ..model.grid import Grid
from ..model.series import SeriesId
from ..model.timeframe import iso
from .findings import FINDINGS_A_KIND_MAX, Finding, Flaw, repair_command
from .inspection import Inspected

__all__ = ["Examined", "examine"]

_SPANS_MAX = 1_000
"""Spans of a coverage that is looked at: it has one, or a few after trouble."""

_RESTORED = "the running service writes it anew within seconds"


@dataclass(slots=True)
class Examined:
    """What could be read of a series, and what is wrong with it."""

    series: SeriesId
    record: StateRecord | None = None
    alive: AliveRecord | None = None
    candles: dict[int, ExactCandle] = field(default_factory=dict)  # those to be believed, by open time
    members: int = 0
    now: int = 0  # the venue's time as far as Redis tells it, Unix ms; 0 if it does not
    damaged: set[int] = field(default_factory=set)  # buckets of which a member is there, and no use
    findings: list[Finding] = field(default_factory=list)
    doubted: Span | None = None  # what a repair should read again; from 0 on: all of the series

    @property
    def grid(self) -> Grid:
        """Where its buckets lie."""
        timeframe = self.series.timeframe
        return self.record.state.grid_of(timeframe) if self.record else timeframe.grid

    def report(
        self,
        kind: Flaw,
        message: str,
        *,
        start: int = 0,
        end: int = 0,
        remedy: str = "",
        mends: bool = True,
    ) -> None:
        """Note a finding; by default a repair of these buckets, or of all of them, `mends` it."""
        if mends and not remedy:
            self.doubt(start, end)
            remedy = repair_command(self.series, start, end, self.grid)
        symbol, timeframe = self.series.symbol, self.series.timeframe.value
        buckets = self.grid.count(start, end)
        self.findings.append(Finding(kind, message, remedy, symbol, timeframe, start, end, buckets))

    def outside(self, error: OutsideCalendar) -> None:
        """Times of it are none of its grid's: nothing of the state can be judged."""
        self.record = None
        self.report(Flaw.STATE, f"not all of its times lie on its grid: {error.message}")

    def doubt(self, start: int, end: int) -> None:
        """Have a repair read these buckets again, beside others; without a start, all."""
        before = self.doubted
        self.doubted = Span(min(start, before.start), max(end, before.end)) if before else Span(start, end)


def examine(found: Inspected) -> Examined:
    """The series decoded, with every finding that needs no other series and no judgement of time."""
    stored = Examined(found.series, members=found.size)
    if not _types_are_ours(found, stored):
        return stored
    if found.alive is not None:
        try:
            stored.alive = decode_alive(found.alive)
        except Damaged as damage:
            stored.report(Flaw.STATE, f"the alive key cannot be read: {damage}", remedy=_RESTORED)
    if not found.fields and not found.size:
        stored.report(
            Flaw.ABSENT, "nothing is stored yet", remedy="see the log of `livecache run`, which fills it"
        )
        return stored
    try:
        _examine_state(found, stored)
        _examine_members(found, stored)
    except OutsideCalendar as error:
        stored.outside(error)
    if found.expires_ms is not None:
        seconds = found.expires_ms / 1000
        stored.report(Flaw.EXPIRES, f"somebody set a time limit: it is gone in {seconds:.0f} s")
    return stored


def _types_are_ours(found: Inspected, stored: Examined) -> bool:
    kinds = (
        ("set", found.set_type, "zset"),
        ("state", found.state_type, "hash"),
        ("alive key", found.alive_type, "string"),
    )
    for what, kind, expected in kinds:
        if kind not in (expected, "none"):
            remedy = "delete that key if nothing needs it, or set another redis.prefix"
            stored.report(Flaw.FOREIGN, f"its {what} is a {kind}, which is not livecache's", remedy=remedy)
    return not stored.findings


def _examine_state(found: Inspected, stored: Examined) -> None:
    fields: Mapping[str, str] = found.fields or {}
    if not fields:
        stored.report(Flaw.STATE, f"there is no state beside {found.size} members")
        return
    try:
        stored.record = decode_state(fields, stored.series.timeframe)
    except Damaged as damage:
        stored.report(Flaw.STATE, str(damage))
        return
    state, grid = stored.record.state, stored.grid
    if len(state.coverage.spans) > _SPANS_MAX:
        stored.report(Flaw.STATE, f"coverage has {len(state.coverage.spans)} spans")
        stored.record = None
        return
    stored.now = max(state.closed_through, stored.alive.time if stored.alive else 0)
    if surplus := found.size - stored.record.count:
        what = f"{surplus} are not livecache's" if surplus > 0 else f"{-surplus} are gone"
        stored.report(
            Flaw.COUNT,
            f"the set has {found.size} members of the {stored.record.count} that were written: {what}",
        )
    for message in _watermark_faults(stored.record, grid):
        stored.report(Flaw.WATERMARKS, message)
    for start, end in state.coverage:
        if not (grid.bounds(start) and grid.bounds(end) and end <= state.closed_through):
            stored.report(
                Flaw.COVERAGE,
                f"the settled span from {iso(start)} to {iso(end)} is not one of whole, closed buckets",
            )


def _watermark_faults(record: StateRecord, grid: Grid) -> Iterator[str]:
    """What is wrong with the watermarks by themselves."""
    state = record.state
    marks = {
        "contiguous_from": state.contiguous_from,
        "settled_through": state.settled_through,
        "known_through": state.known_through,
        "closed_through": state.closed_through,
    }
    names = list(marks)
    for before, after in pairwise(names):
        if marks[before] > marks[after]:
            yield f"{before} ({iso(marks[before])}) is later than {after} ({iso(marks[after])})"
    for name, mark in {**marks, "forming": state.forming}.items():
        if mark and not grid.bounds(mark):
            yield f"{name} ({mark}) is not the open of a bucket"
    if state.forming and state.forming != grid.ceil(state.closed_through):
        yield f"forming ({iso(state.forming)}) is not the bucket after the last that closed"


def _examine_members(found: Inspected, stored: Examined) -> None:
    """Every member by itself, and against its neighbours; the first sound one of a bucket is believed."""
    timeframe, grid = found.series.timeframe, stored.grid
    told: Counter[Flaw] = Counter()
    latest = grid.floor(stored.now) if stored.now else None

    def report(kind: Flaw, message: str, time: int) -> None:
        told[kind] += 1
        stored.damaged.add(grid.floor(time))
        if told[kind] <= FINDINGS_A_KIND_MAX:
            start = grid.floor(time) if 0 < time < 1 << 47 else 0
            stored.report(kind, message, start=start, end=grid.end(start) if start else 0)

    for member, score in found.members:
        at = int(score) if abs(score) < 1 << 60 else 0
        try:
            candle = parse_member(member)
        except Damaged as damage:
            report(Flaw.UNREADABLE, f"the member at {score:.0f} is {str(damage)[:200]}", at)
            continue
        time = candle.time
        if time != score:
            report(Flaw.MISPLACED, f"the candle of {iso(time)} lies at the score {score:.0f}", time)
            continue
        if time not in grid or not time:
            report(Flaw.MISALIGNED, f"{iso(time)} is not the open of a {timeframe} bucket", time)
        elif reason := rejection(candle, timeframe, None, grid):
            report(Flaw.OHLCV, f"the candle of {iso(time)}: {reason}", time)
        elif latest is not None and time > latest:
            report(Flaw.FUTURE, f"the candle of {iso(time)} lies ahead of the venue's clock", time)
        elif time in stored.candles:
            report(Flaw.DUPLICATE, f"there are two members for the bucket of {iso(time)}", time)
        else:
            stored.candles[time] = candle
    if len(found.members) < found.size:
        stored.report(Flaw.COUNT, f"only {len(found.members)} of {found.size} members were looked at")
    for kind, count in told.items():
        if count > FINDINGS_A_KIND_MAX:
            stored.report(kind, f"and {count - FINDINGS_A_KIND_MAX} more of this kind")
