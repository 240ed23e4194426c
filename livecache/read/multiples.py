"""What is not stored but can be added up exactly from a timeframe that is: 45m from 15m, 2d from 1d. Pure.

Of what read.lua replies for that timeframe this makes the reply that there would be for the multiple. So all
that is decided of a reply is decided of this one too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import msgspec

from ..errors import OutsideCalendar, ReadError, UnknownSeries
from ..keys.keyspace import UNDECODABLE, Damaged, Keyspace, decode_member
from ..model.candle import ExactCandle
from ..model.grid import Grid, SessionGrid, read_grid
from ..model.rollup import roll_up
from ..model.series import SeriesId
from ..model.timeframe import Multiple, Timeframe
from .answer import Request, State

__all__ = ["Parts", "looked_for", "parts_of"]

_DAYS_A_MONTH = 31

_grids = msgspec.json.Decoder(dict[Timeframe, str])


def looked_for(keys: Keyspace, series: SeriesId) -> list[tuple[Any, ...]]:
    """The commands whose replies `parts_of` takes; none where nothing can be added up to it."""
    _, symbol, timeframe = series
    sources = Multiple(timeframe.value).sources
    if not sources:
        return []
    commands: list[tuple[Any, ...]] = [
        ("SISMEMBER", keys.series, keys.series_member(series)),
        ("HMGET", keys.feed, "sums_below", "grids"),
    ]
    for source in sources:
        commands.append(("SISMEMBER", keys.series, keys.series_member(SeriesId("", symbol, source))))
        commands.append(("HMGET", keys.state(symbol, source), "grid"))
    return commands


class Parts(NamedTuple):
    """The series whose candles are added up, and the multiple that they are added up to."""

    series: SeriesId
    multiple: Multiple

    def arguments(self, request: Request) -> tuple[Any, ...]:
        """The arguments of read.lua, for what `request` asks for of the multiple."""
        if request.span:
            return ("range", *self._span(request.span))
        # And of the bucket in progress, and of the oldest one, of which only some may be among them: that is
        # one more than are taken.
        most = (request.count + 2) * self._most
        return ("newest", "settled" if request.settled else "known", most, int(request.forming))

    def added_up(self, request: Request, reply: Sequence[Any], key: str) -> tuple[Request, list[Any]]:
        """The request for the multiple, and what the reply would be if it were stored. `key` is its parts'.

        Raises `ReadError` for what cannot be read.
        """
        try:
            return self._added_up(request, reply, key)
        except OutsideCalendar as error:
            raise ReadError(f"{self.series}: {error.message}", f"see HGETALL {key}:state") from None

    def _added_up(self, request: Request, reply: Sequence[Any], key: str) -> tuple[Request, list[Any]]:
        fields, alive, size, members, others = reply
        state, grid = State.of(fields, self.series, key), self.multiple.grid
        if not state.grid.divides(grid):
            raise ReadError(f"{self.series}: its buckets lie elsewhere now", "read again")
        sums = _watermarks(state, grid)
        contiguous, settled, known, _, forming = sums
        parts = self._parts(members if request.span else members[::-1], state.grid, key)
        if request.span:
            whole = parts
            before = self._parts(others, state.grid, key)
            rest = [_at(grid.floor(part.time), part) for part in before]
        else:
            whole = [part for part in parts if part.time < (settled if request.settled else known)]
            current = [part for part in parts if part.time >= forming]
            rest = _summed([*current, *self._parts(others, state.grid, key)], grid) if forming else []
        # What lies before a hole is told of, but of no bucket that reaches into it.
        whole = [part for part in whole if part.time < state.contiguous_from or part.time >= contiguous]
        made = [candle.member().encode() for candle in _summed(whole, grid)]
        told = [*fields[:3], *(b"%d" % time for time in sums), None]
        answer = [
            told,
            alive,
            size,
            made if request.span else made[::-1],
            [c.member().encode() for c in rest],
        ]
        series = SeriesId(*self.series[:2], self.multiple)  # type: ignore[arg-type]  # named as one
        return replace(request, series=series, parts=(state.contiguous_from, state.known_through)), answer

    @property
    def _most(self) -> int:
        """The most parts that a bucket may have."""
        multiple, of = self.multiple, self.series.timeframe
        longest = multiple.ms // 30 * _DAYS_A_MONTH if multiple.endswith("M") else multiple.ms
        return -(-longest // of.ms)

    def _span(self, span: tuple[int, int]) -> tuple[int, int]:
        """From where to where the parts lie of the buckets that open in `span`."""
        grid = self.multiple.grid
        try:
            opens = grid.opens(*span)
        except OutsideCalendar as error:
            raise ReadError(f"{self.series}: {error.message}", "ask for other times") from None
        return (opens[0], grid.end(opens[-1])) if opens else (span[0], span[0])

    def _parts(self, members: Sequence[bytes], grid: Grid, key: str) -> list[ExactCandle]:
        """The candles of a set, oldest first. Raises `ReadError` that names its key if one is damaged."""
        hint = f"delete {key}, and its writer restores it"
        try:
            parts = [decode_member(member, self.series.timeframe, grid) for member in members]
        except Damaged as error:
            raise ReadError(f"a candle in {key} cannot be read: {str(error)[:200]}", hint) from None
        if any(a.time >= b.time for a, b in pairwise(parts)):
            raise ReadError(f"{key} holds something other than one candle a bucket", hint)
        return parts


def parts_of(series: SeriesId, replies: Sequence[Any]) -> Parts | None:
    """The largest of what is filled that adds up to it; None if the series itself is filled.

    Raises `UnknownSeries` where nothing does, `ReadError` where that cannot be told.
    """
    (filled, (sums_below, grids), *found), there = replies, []
    if filled:
        return None
    venue, symbol, timeframe = series
    multiple = Multiple(timeframe.value)
    try:
        bound = Timeframe(_text(sums_below)) if sums_below else None
        own = {t: read_grid(text, t.ms) for t, text in _grids.decode(grids).items()} if grids else {}
        told = [(t, read_grid(_text(g), t.ms) if g else t.grid) for t, g in _filled(multiple, found)]
    except (ValueError, *UNDECODABLE):
        raise ReadError(f"{series}: where buckets lie cannot be understood", "update livecache") from None
    for source, grid in told:
        there.append(source.value)
        if bound and source.ms < bound.ms <= multiple.ms:
            continue
        if its := multiple.added_up(source, grid, own):
            return Parts(SeriesId(venue, symbol, source), its)
    if there:
        why = f"from {bound} on candles are no sums there" if bound else "their buckets begin elsewhere"
        hint = "put it, or a larger part of it, into cache.timeframes"
        if multiple.ms > Timeframe.D1.ms and any(isinstance(grid, SessionGrid) for _, grid in told):
            why = "sessions of an exchange are never joined on read"
            hint = "put 1d, 1w or 1M into cache.timeframes, and ask for these"
        raise UnknownSeries(
            f"{series}: nobody fills it, and {', '.join(there)} do not add up to it: {why}", hint
        )
    return None


def _filled(multiple: Multiple, replies: Sequence[Any]) -> Iterable[tuple[Timeframe, Any]]:
    """Of what it may be added up from, what is filled, each with how its grid is told."""
    pairs = zip(multiple.sources, replies[::2], replies[1::2], strict=True)
    return [(source, grid) for source, filled, (grid,) in pairs if filled]


def _watermarks(state: State, grid: Grid) -> tuple[int, int, int, int, int]:
    """Those of a series in that grid, in their order: nothing in them says more than its parts do."""
    first, settled, known, closed = state[3:7]
    if not known or (through := grid.closed(known)) <= 0:
        return 0, 0, 0, max(0, grid.closed(closed)) if closed else 0, 0
    contiguous = min(grid.ceil(first), through)
    forming = 0
    if state.forming and state.forming == state.grid.ceil(known) and first <= grid.ceil(through):
        forming = grid.ceil(through)
    settled = min(max(grid.closed(settled), contiguous), through)
    return contiguous, settled, through, grid.closed(closed), forming


def _summed(parts: Iterable[ExactCandle], grid: Grid) -> list[ExactCandle]:
    grouped = groupby(parts, key=lambda part: grid.floor(part.time))
    return [summed for time, group in grouped if (summed := roll_up(time, [*group]))]


def _at(time: int, part: ExactCandle) -> ExactCandle:
    return ExactCandle(time, *part.numbers)


def _text(raw: Any) -> str:
    return raw.decode() if isinstance(raw, bytes) else str(raw)
