"""A sound cache as Redis would hold it, of one symbol; and the things that may be wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from livecache.keys.keyspace import AliveRecord, encode_alive, encode_state
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.rollup import roll_up
from livecache.model.series import SeriesId, SeriesState
from livecache.model.timeframe import Timeframe
from livecache.quality.findings import Flaw
from livecache.quality.inspection import Inspected

__all__ = ["DEFECTS", "ORIGIN", "START", "TIMEFRAMES", "Defect", "Line", "sound_line", "sound_symbols"]

ORIGIN = "https://api.coinbase.com"
TIMEFRAMES = (Timeframe.M5, Timeframe.M15, Timeframe.H1)
W = Timeframe.M5.ms
START = 1_770_000_000_000 // Timeframe.D1.ms * Timeframe.D1.ms
END = 1_770_000_000_000 // Timeframe.H1.ms * Timeframe.H1.ms


@dataclass
class Line:
    """One series, to be changed at will before it is looked at."""

    series: SeriesId
    state: SeriesState
    candles: dict[int, ExactCandle]
    now: int
    extra: dict[str, str] = field(default_factory=dict)  # fields of the state that are as given here
    members: list[tuple[bytes, float]] | None = None  # instead of the candles
    size: int | None = None  # that the state tells
    other: dict[str, Any] = field(default_factory=dict)

    @property
    def width(self) -> int:
        return self.series.timeframe.ms

    @property
    def settled(self) -> list[int]:
        """Open times of the settled candles."""
        return [time for time in sorted(self.candles) if time in self.state.coverage]

    def stored(self) -> list[tuple[bytes, float]]:
        return [(c.member().encode(), float(t)) for t, c in sorted(self.candles.items())]

    def found(self) -> Inspected:
        flat = encode_state(self.state, origin=ORIGIN, fence=7, revision=1, updated_at=1)
        fields = {str(k): str(v) for k, v in zip(flat[::2], flat[1::2], strict=True)}
        members = self.stored() if self.members is None else self.members
        fields["count"] = str(len(self.candles) if self.size is None else self.size)
        alive = encode_alive(AliveRecord("me", self.now, "up")).encode()
        plain = Inspected(
            self.series, "zset", "hash", {**fields, **self.extra}, members, len(members), alive, "string"
        )
        return replace(plain, **self.other)


def sound_line(buckets: int, timeframe: Timeframe = Timeframe.M5) -> Line:
    """One series of so many settled candles from `START` on, the last of which has just closed."""
    width = timeframe.ms
    end = START + buckets * width
    times = range(START, end, width)
    state = SeriesState(True, "", START, end, end, end, Coverage([(START, end)]), 0, 0)
    candles = {t: ExactCandle(t, "100", "101", "99", "100.5", "2") for t in times}
    return Line(SeriesId("coinbase", "BTC-USD", timeframe), state, candles, end + 20_000)


@st.composite
def sound_symbols(draw: st.DrawFn) -> list[Line]:
    """All series of one symbol, in any state that a healthy service leaves them in."""
    hours = draw(st.integers(3, 6))
    beyond = draw(st.integers(0, 11))  # 5m buckets that have closed since the hour
    unsettled = draw(st.integers(0, min(2, beyond)))  # the newest of them are only provisional
    pending = draw(st.booleans()) and unsettled == 0 and beyond > 0  # or nobody knows the last one yet
    empty = draw(st.sets(st.integers(0, hours * 12 - 1), max_size=hours * 6))
    forming = draw(st.booleans())
    closed = END + beyond * W
    now = closed + draw(st.integers(0, W - 1))
    start = END - hours * Timeframe.H1.ms
    fives: dict[int, ExactCandle] = {}
    for n, time in enumerate(range(start, closed, W)):
        if n not in empty:
            price = 100 + draw(st.integers(-9, 9))
            volume = (
                f"{draw(st.integers(1, 10**9))}e-8" if n % 7 == 0 else f"0.{draw(st.integers(1, 999)):03}"
            )
            fives[time] = ExactCandle(
                time, f"{price}.5", f"{price + 2}", f"{price}", f"{price + 1}.25", volume
            )
    lines = []
    for timeframe in TIMEFRAMES:
        width = timeframe.ms
        through = timeframe.floor(closed)
        candles: dict[int, ExactCandle] = {}
        for time in range(start, through, width):
            rolled = roll_up(time, [fives[t] for t in range(time, time + width, W) if t in fives])
            if rolled is not None:
                candles[time] = fives[time] if timeframe is Timeframe.M5 else rolled
        settled = known = through
        if timeframe is Timeframe.M5 and pending:
            settled = known = through - width
            candles.pop(settled, None)
        while settled > timeframe.floor(closed - unsettled * W) and settled - width in candles:
            settled -= width
        if forming and not pending:
            candles[through] = ExactCandle(through, "100", "101", "99", "100", "1")
        state = SeriesState(
            ready=True,
            reason="",
            contiguous_from=start,
            settled_through=settled,
            known_through=known,
            closed_through=through,
            coverage=Coverage([(start, settled)]),
            history_from=0,
            forming=through if forming and not pending else 0,
        )
        lines.append(Line(SeriesId("coinbase", "BTC-USD", timeframe), state, candles, now))
    return lines


Defect = Callable[[Line, st.DataObject], Flaw | None]
"""Plants one thing that is wrong; None if this series has nothing to plant it in."""


def _pick(line: Line, data: st.DataObject) -> int | None:
    return data.draw(st.sampled_from(line.settled)) if line.settled else None


def a_member_is_gone(line: Line, data: st.DataObject) -> Flaw | None:
    if (time := _pick(line, data)) is None:
        return None
    line.members = [one for one in line.stored() if one[1] != time]
    return Flaw.COUNT


def a_member_is_rubbish(line: Line, data: st.DataObject) -> Flaw | None:
    if (time := _pick(line, data)) is None:
        return None
    rubbish = data.draw(
        st.sampled_from([b"", b"[", b"{}", b"\xff", b"[1,2]", b'["a",1,1,1,1,1]', b"[" * 2_000, b"null"])
    )
    line.members = [(rubbish if score == time else member, score) for member, score in line.stored()]
    return Flaw.UNREADABLE


def a_member_lies_at_another_score(line: Line, data: st.DataObject) -> Flaw | None:
    if (time := _pick(line, data)) is None:
        return None
    shift = data.draw(st.sampled_from([1, -1, 0.5, line.width, -line.width]))
    line.members = sorted(
        ((member, score + shift if score == time else score) for member, score in line.stored()),
        key=lambda one: one[1],
    )
    return Flaw.MISPLACED


def a_candle_is_off_its_bucket(line: Line, data: st.DataObject) -> Flaw | None:
    if (time := _pick(line, data)) is None:
        return None
    moved = time + data.draw(st.integers(1, line.width - 1))
    line.candles[moved] = replace_time(line.candles.pop(time), moved)
    return Flaw.MISALIGNED


def replace_time(candle: ExactCandle, time: int) -> ExactCandle:
    return ExactCandle(time, *candle.numbers)


def a_price_makes_no_sense(line: Line, data: st.DataObject) -> Flaw | None:
    if (time := _pick(line, data)) is None:
        return None
    prices = data.draw(
        st.sampled_from(
            [
                ("10", "9", "8", "8.5"),  # the open above the high
                ("10", "12", "9", "13"),  # the close above it
                ("10", "12", "11", "11.5"),  # the open below the low
                ("10", "12", "9", "8"),  # the close below it
                ("10", "9", "12", "10"),  # upside down
                ("0", "1", "0", "1"),
                ("-1", "1", "-1", "1"),
                ("10", "12", "9", "NaN"),
                ('"10"', "12", "9", "10"),
            ]
        )
    )
    line.members = [
        (f"[{time},{','.join(prices)},1]".encode() if score == time else member, score)
        for member, score in line.stored()
    ]
    return Flaw.UNREADABLE if "NaN" in prices else Flaw.OHLCV


def a_candle_is_of_the_future(line: Line, data: st.DataObject) -> Flaw | None:
    time = line.series.timeframe.floor(line.now) + data.draw(st.integers(1, 1_000)) * line.width
    line.candles[time] = ExactCandle(time, "10", "12", "9", "10", "1")
    return Flaw.FUTURE


def a_bucket_has_two_members(line: Line, data: st.DataObject) -> Flaw | None:
    if (time := _pick(line, data)) is None:
        return None
    other = f"[{time},1,1,1,1,1]".encode()
    line.members = sorted([*line.stored(), (other, float(time))], key=lambda one: one[1])
    line.size = len(line.members)
    return Flaw.DUPLICATE


def the_state_is_gone(line: Line, data: st.DataObject) -> Flaw | None:
    if not line.candles:
        return None
    line.other["fields"] = {}
    line.other["state_type"] = "none"
    return Flaw.STATE


def a_field_of_the_state_is_damaged(line: Line, data: st.DataObject) -> Flaw | None:
    numbers = ["count", "known_through", "closed_through", "schema", "fence", "coverage", "ready"]
    line.extra[data.draw(st.sampled_from(numbers))] = data.draw(
        st.sampled_from(["", "x", "-1", "1.5", "9" * 40, "[[2,1]]", "[[1]]", "٣"])
    )
    return Flaw.STATE


def the_watermarks_are_out_of_order(line: Line, data: st.DataObject) -> Flaw | None:
    line.state = replace(line.state, settled_through=line.state.known_through + line.width)
    return Flaw.WATERMARKS


def a_watermark_is_between_buckets(line: Line, data: st.DataObject) -> Flaw | None:
    name = data.draw(st.sampled_from(["contiguous_from", "known_through", "closed_through"]))
    off = data.draw(st.integers(1, line.width - 1))
    line.extra[name] = str(getattr(line.state, name) + off)
    return Flaw.WATERMARKS


def settled_claims_what_is_not_covered(line: Line, data: st.DataObject) -> Flaw | None:
    if line.state.settled_through - line.state.contiguous_from < 2 * line.width:
        return None
    end = line.state.settled_through
    line.state = replace(line.state, coverage=line.state.coverage.remove(end - line.width, end))
    return Flaw.WATERMARKS


def coverage_runs_ahead(line: Line, data: st.DataObject) -> Flaw | None:
    through = line.state.closed_through
    line.state = replace(line.state, coverage=line.state.coverage.add(through, through + line.width))
    return Flaw.COVERAGE


def nobody_has_read_a_few_old_buckets(line: Line, data: st.DataObject) -> Flaw | None:
    last = line.state.settled_through - 2 * Timeframe.H1.ms
    if last <= line.state.contiguous_from:
        return None
    first = data.draw(st.sampled_from(range(line.state.contiguous_from, last, line.width)))
    end = first + line.width * data.draw(st.integers(1, 3))
    line.candles = {t: c for t, c in line.candles.items() if not first <= t < end}
    line.state = replace(line.state, contiguous_from=end, coverage=line.state.coverage.remove(first, end))
    begins = [*line.candles, *(span.start for span in line.state.coverage)]
    return Flaw.GAP if first > min(begins, default=first) else None


def an_old_bucket_was_never_settled(line: Line, data: st.DataObject) -> Flaw | None:
    times = [t for t in line.settled if t + line.width < line.now - 700_000]
    if not times:
        return None
    time = data.draw(st.sampled_from(times))
    line.state = replace(line.state, coverage=line.state.coverage.remove(time, time + line.width))
    return Flaw.OVERDUE


def a_key_is_of_another_type(line: Line, data: st.DataObject) -> Flaw | None:
    name = data.draw(st.sampled_from(["set_type", "state_type", "alive_type"]))
    line.other[name] = "list"
    return Flaw.FOREIGN


def a_key_expires(line: Line, data: st.DataObject) -> Flaw | None:
    line.other["expires_ms"] = data.draw(st.integers(0, 10**9))
    return Flaw.EXPIRES


def nothing_is_stored(line: Line, data: st.DataObject) -> Flaw | None:
    line.other |= {"fields": {}, "members": (), "size": 0}
    return Flaw.ABSENT


DEFECTS: tuple[Defect, ...] = (
    a_member_is_gone,
    a_member_is_rubbish,
    a_member_lies_at_another_score,
    a_candle_is_off_its_bucket,
    a_price_makes_no_sense,
    a_candle_is_of_the_future,
    a_bucket_has_two_members,
    the_state_is_gone,
    a_field_of_the_state_is_damaged,
    the_watermarks_are_out_of_order,
    a_watermark_is_between_buckets,
    settled_claims_what_is_not_covered,
    coverage_runs_ahead,
    nobody_has_read_a_few_old_buckets,
    an_old_bucket_was_never_settled,
    a_key_is_of_another_type,
    a_key_expires,
    nothing_is_stored,
)
