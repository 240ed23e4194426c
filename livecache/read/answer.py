"""What the reply of read.lua means: the candles, or the error that says why they cannot be had. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter, lt
from typing import Any, Literal, NamedTuple

import msgspec

from ..errors import (
    ConfigError,
    NotListed,
    NotReady,
    NotTraded,
    OutOfSync,
    OutsideCalendar,
    ReadError,
    Stale,
    UnknownSeries,
)
from ..keys.keyspace import RETIRED, SCHEMA, UNDECODABLE, AliveRecord, decode_alive, standing_of
from ..model.candle import Candle
from ..model.grid import Grid, read_grid
from ..model.series import SeriesId
from ..model.timeframe import iso
from .candles import Candles

__all__ = [
    "HINT_RUN",
    "Empty",
    "Older",
    "Request",
    "State",
    "Verbatim",
    "arguments",
    "decide",
    "verbatim",
]

Empty = Literal["skip", "carry", "null"]
"""What stands for a bucket in which nothing was traded: nothing, the previous close, or NaN."""

HINT_RUN = "is livecache running? see `livecache status`"

_TIME_MAX = 1 << 50  # ms: the year 37648

_candles = msgspec.json.Decoder(list[Candle])
_integers = msgspec.json.Decoder(list[int])
_time_of = attrgetter("time")


@dataclass(frozen=True, slots=True)
class Request:
    """One read, its arguments checked. `span` is None, or the [start, end) that is asked for, Unix ms."""

    series: SeriesId
    count: int
    at_least: int
    settled: bool
    forming: bool
    empty: Empty
    max_lag: int  # ms of the venue's clock
    span: tuple[int, int] | None = None
    newest_within: int | None = None  # ms of the venue's clock since the newest candle ended; None: any
    parts: tuple[int, int] | None = None  # of what is added up: from where to where its parts are known
    guessed: bool = False  # nobody has said at which venue: where nobody fills it, it may be at another


def arguments(request: Request) -> tuple[Any, ...]:
    """The arguments of read.lua for this request."""
    if request.span:
        return ("range", *request.span)
    # One more than asked for: the candle before the first, whose close an empty bucket may carry.
    return ("newest", "settled" if request.settled else "known", request.count + 1, int(request.forming))


class Older(NamedTuple):
    """Candles from before those of a reply; from `start` (Unix ms) to these nothing is missing."""

    start: int
    candles: Sequence[Candle]
    grid: Grid  # which knows as old sessions


def decide(request: Request, reply: Sequence[Any], key: str, older: Older | None = None) -> Candles:
    """The candles in a reply that has a state, or a `ReadError`. `key` is the set's, for messages."""
    try:
        return _decide(request, reply, key, older)
    except (NotReady, Stale) as error:
        if request.parts and isinstance(error, NotReady):
            error.hint = _added_up(error.hint, request.series.timeframe, *request.parts)
        reason = (reply[0][2] or b"").decode(errors="replace")
        if reason == RETIRED:
            raise UnknownSeries(
                f"{request.series}: nobody fills it any more: it was taken out of the configuration",
                "put it back into cache.timeframes or the venue's symbols; see `livecache series`",
            ) from None
        if standing_of(reason) != "unknown":
            raise
        raise NotListed(
            f"{request.series}: {reason.partition(': ')[2]}",
            "the service asks for it again every ten minutes, and goes on with the others",
            have=getattr(error, "have", 0),
            want=request.count,
        ) from error
    except OutsideCalendar as error:
        # Its writer has told the sessions of all that it tells of.
        raise ReadError(f"{request.series}: {error.message}", f"see HGETALL {key}:state") from None


def _added_up(hint: str, multiple: Any, start: int, end: int) -> str:
    told = f"it is added up from {multiple.of}, of which [{iso(start)}, {iso(end)}) is known without a gap"
    return f"{hint}; {told}" if hint else told


@dataclass(frozen=True, slots=True)
class Verbatim:
    """What a read gives, and the members that it was decoded from: JSON arrays, oldest first."""

    candles: Candles
    """What a `Reader` returns for this request: so nothing is handed on that it would refuse."""
    members: Sequence[bytes]
    """The closed candles."""
    forming: bytes | None
    """The bucket in progress, if it was asked for and something was traded in it."""
    closed_through: int
    """End of the last bucket that has closed by the venue's clock, Unix ms."""
    reason: str
    """Why the series is not ready, as its writer says; "" if it is."""
    grid: Grid
    """Where its buckets lie."""


def verbatim(request: Request, reply: Sequence[Any], key: str) -> Verbatim:
    """`decide`, which raises what a reader raises, and the members that its candles come from."""
    candles = decide(request, reply, key)
    fields, _, _, members, others = reply
    forming = others[0] if request.forming and others else None
    count = len(candles) - (forming is not None)
    # Whatever was left out of the decoded candles was left out at their start.
    ordered = members if request.span else members[::-1]
    return Verbatim(
        candles,
        ordered[len(ordered) - count :],
        forming,
        closed_through=int(fields[6]),
        reason=(fields[2] or b"").decode(errors="replace"),
        grid=State.of(fields, request.series, key).grid,
    )


def _decide(request: Request, reply: Sequence[Any], key: str, older: Older | None) -> Candles:
    series = request.series
    fields, alive_raw, size, members, others = reply
    state = State.of(fields, series, key)
    alive = _alive(alive_raw, series)
    through = state.settled_through if request.settled else state.known_through
    if not through:
        kind = "settled" if request.settled else "known"
        raise NotReady(f"{series}: nothing is {kind} yet{state.because}", want=request.count)
    # By the venue's clock alone: the newest that either the writer or its last sign of life has seen.
    due = (state.grid.final_due if request.settled else state.grid.due)(through)
    lag = max(alive.time, state.closed_through) - due
    if lag > request.max_lag:
        raise Stale(
            f"{series}: its newest bucket is overdue by {lag // 1000} s of the venue's clock, "
            f"and max_lag is {request.max_lag // 1000} s{state.because}",
            "ask for a larger max_lag if older candles will do",
        )
    if size != state.members:
        raise NotReady(
            f"{series}: Redis holds {size} of its {state.members} candles",
            "they come back with the next write",
        )

    if request.span:
        # With the one before it, whose close an empty bucket may carry.
        before = _decode(others, key, state.grid, 1, request.span[0])
        closed = before + _decode(members, key, state.grid, *request.span)
    else:
        closed = _decode(members[::-1], key, state.grid, 1, through)
    if closed and closed[0].time < state.contiguous_from:
        closed = [candle for candle in closed if candle.time >= state.contiguous_from]
    if older is not None:
        closed = [*older.candles, *closed]
        state = state._replace(contiguous_from=older.start, grid=older.grid)
    if request.span:
        start, end = _span(request, request.span, closed, state, through)
    else:
        start, end = _newest(request, closed, state, through)
    if request.forming:
        if not state.forming or state.forming != state.grid.ceil(state.known_through) or alive.feed != "up":
            raise OutOfSync(
                f"{series}: the feed does not vouch for the bucket in progress{state.because}",
                "closed candles can be read without forming=True",
            )
        end = state.grid.end(state.forming)
        closed += _decode(others, key, state.grid, state.forming, end)
    if request.newest_within is not None:
        _traded_lately(request, closed, end, max(alive.time, state.closed_through), state)
    chosen, synthetic = _filled(closed, start, end, state.grid, request.empty)
    return Candles(
        chosen,
        series=series,
        contiguous_from=state.contiguous_from,
        settled_through=state.settled_through,
        known_through=state.known_through,
        forming=state.forming if request.forming else 0,
        feed=alive.feed,
        age=max(0, alive.time - state.known_through),
        synthetic=synthetic,
        standing=standing_of(state.because[2:]) if state.because else "",
    )


class State(NamedTuple):
    """What a read needs of the state hash. `because` is its reason, as the end of a message."""

    members: int
    because: str
    grid: Grid
    contiguous_from: int
    settled_through: int
    known_through: int
    closed_through: int
    forming: int

    @classmethod
    def of(cls, fields: Sequence[Any], series: SeriesId, key: str) -> State:
        """The state in the fields that read.lua returns, in its order: bytes, or None where one is absent."""
        schema, count, reason, *times, told = fields
        if isinstance(schema, str):
            raise ConfigError("the client turns replies into text", "make it with decode_responses=False")
        try:
            found = int(schema or b"0")
            numbers = _integers.decode(b"[%b]" % b",".join([count, *times])) if found == SCHEMA else []
        except (TypeError, ValueError, *UNDECODABLE):  # one is absent, or no number
            found, numbers = 0, []
        grid = series.timeframe.grid
        if told is not None:
            try:
                grid = read_grid(told.decode(), series.timeframe.ms)
            except ValueError:
                numbers = []
        if found > SCHEMA:
            raise ReadError(
                f"{series}: written with schema {found}, this reader knows {SCHEMA}", "update livecache"
            )
        whole = found == SCHEMA and len(numbers) == len(times) + 1
        if not whole or not _plausible(grid, *numbers):
            raise ReadError(f"{series}: its state cannot be understood", f"see HGETALL {key}:state")
        text = (reason or b"").decode(errors="replace")
        return cls(numbers[0], f"; {text}" if text else "", grid, *numbers[1:])


def _plausible(
    grid: Grid, count: int, contiguous: int, settled: int, known: int, closed: int, forming: int
) -> bool:
    """Whether a writer may have written these: in order, each the open of a bucket, none absurdly late."""
    ordered = 0 <= contiguous <= settled <= known <= closed < _TIME_MAX and 0 <= forming < _TIME_MAX
    times = {contiguous, settled, known, closed, forming} - {0}
    return ordered and count >= 0 and all(map(grid.bounds, times))


def _alive(raw: bytes | None, series: SeriesId) -> AliveRecord:
    if raw is None:
        raise Stale(
            f"{series}: nobody vouches for it now; its writer has stopped, or does not hear the venue",
            HINT_RUN,
        )
    try:
        return decode_alive(raw)
    except ValueError as error:
        raise ReadError(f"{series}: {error}", HINT_RUN) from None


def _newest(request: Request, closed: Sequence[Candle], state: State, through: int) -> tuple[int, int]:
    """From where to where the newest `count` reach; `NotReady` if fewer than `at_least` are there."""
    grid = state.grid
    if request.empty == "skip":
        have = min(len(closed), request.count)
        start = closed[-have].time if have else through
    else:
        start = max(state.contiguous_from, grid.far_back(through, request.count))
        if request.empty == "carry" and not (closed and closed[0].time <= start):
            # Before the first candle there is nothing to carry.
            start = closed[0].time if closed else through
        have = grid.count(start, through)
    if have < request.at_least:
        what = "candles" if request.empty == "skip" else "buckets"
        raise NotReady(
            f"{request.series}: {have} of {request.count} {what} are there without a gap{state.because}",
            "fewer will do? say at_least" if have else "",
            have=have,
            want=request.count,
        )
    return start, through


def _span(
    request: Request, span: tuple[int, int], closed: Sequence[Candle], state: State, through: int
) -> tuple[int, int]:
    """The span that was asked for; `NotReady` if not all of it is known."""
    opens = state.grid.opens(*span)
    start, end = (opens[0], state.grid.end(opens[-1])) if opens else span
    have = state.grid.count(max(start, state.contiguous_from), min(end, through))
    if have < len(opens):
        raise NotReady(
            f"{request.series}: [{start}, {end}) was asked for, and [{state.contiguous_from}, {through}) "
            f"is known without a gap{state.because}",
            have=have,
            want=request.count,
        )
    if request.empty == "carry" and not (closed and closed[0].time <= start):
        raise NotReady(
            f"{request.series}: no candle at or before {start} whose close could be carried",
            "ask for a later start, or for empty='null'",
            want=request.count,
        )
    return start, end


def _traded_lately(request: Request, candles: Sequence[Candle], end: int, now: int, state: State) -> None:
    """Raise `NotTraded` if the newest candle before `end` has ended longer ago than `newest_within`."""
    series, within = request.series, request.newest_within or 0
    newest = bisect_left(candles, end, key=_time_of) - 1
    # While the exchange is closed nothing can be traded.
    if newest >= 0 and now - state.grid.after(candles[newest].time) <= within:
        return
    last = f"its newest candle opened at {iso(candles[newest].time)}" if newest >= 0 else "no candle is there"
    raise NotTraded(
        f"{series}: {last}, and nothing was traded within {within // 1000} s{state.because}",
        "ask for a larger newest_within if older candles will do",
    )


def _filled(
    candles: list[Candle], start: int, end: int, grid: Grid, empty: Empty
) -> tuple[list[Candle], frozenset[int]]:
    """The candles of [start, end), with empty buckets filled as asked; and the open times of the filled."""
    first, last = bisect_left(candles, start, key=_time_of), bisect_left(candles, end, key=_time_of)
    if empty == "skip":
        return candles[first:last], frozenset()
    there = {candle.time: candle for candle in candles[first:last]}
    price = volume = math.nan
    if empty == "carry":
        # Whoever asks has made sure that there is a candle before the span, or one in its first bucket.
        price, volume = (candles[first - 1].close if first else math.nan), 0.0
    filled: list[Candle] = []
    synthetic: list[int] = []
    for time in grid.opens(start, end):
        candle = there.get(time)
        if candle is None:
            candle = Candle(time, price, price, price, price, volume)
            synthetic.append(time)
        elif empty == "carry":
            price = candle.close
        filled.append(candle)
    return filled, frozenset(synthetic)


def _decode(members: Sequence[bytes], key: str, grid: Grid, start: int, end: int) -> list[Candle]:
    """The candles in the members, oldest first. `ReadError` names the key if one is damaged.

    All were found in `[start, end)`: one that says it is of another time is damaged.
    """
    hint = f"delete {key}, and its writer restores it"
    try:
        # All at once is three times as fast as one by one.
        candles = _candles.decode(b"[%b]" % b",".join(members))
    except UNDECODABLE as error:
        raise ReadError(f"a candle in {key} cannot be read: {str(error)[:200]}", hint) from None
    times = [candle.time for candle in candles]
    if len(times) != len(members) or not _one_a_bucket(times, grid, start, end):
        raise ReadError(f"{key} holds something other than one candle a bucket", hint)
    return candles


def _one_a_bucket(times: list[int], grid: Grid, start: int, end: int) -> bool:
    """Whether these are opens of buckets, ascending, in `[start, end)`."""
    if not times:
        return True
    first, last = times[0], times[-1]
    if not start <= first <= last < end:
        return False
    # Mostly nothing is missing between them, and that is seen at once: 4 % of a read. They are counted before
    # they are listed, for between two times, damaged or of a thin market, there may be any number of buckets.
    if grid.count(first, last + 1) == len(times):
        return times == [*grid.opens(first, last + 1)]
    return all(map(lt, times, times[1:])) and all(time in grid for time in times)
