"""What nobody stores is added up on read, exactly: or there is an error that says what is missing of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from typing import Any

import fakeredis
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from livecache import NotReady, OutOfSync, Reader, ReadError, UnknownSeries, UnknownTimeframe
from livecache.keys.keyspace import AliveRecord, Keyspace, encode_alive, encode_state
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.grid import DAY_MS, EpochGrid, Grid, SessionGrid
from livecache.model.series import SeriesState
from livecache.model.timeframe import Timeframe
from tests.sizes import examples

from .either import either
from .support import ORIGIN, T0

KEYS = Keyspace()
M = 60_000
EXACT = Context(prec=100)
SERVER = fakeredis.FakeRedis()  # one for all examples: its interpreter of scripts is slow to make


@dataclass(frozen=True)
class Kept:
    """A series as it lies in Redis. Times are Unix ms; candles by their time."""

    timeframe: Timeframe
    candles: Mapping[int, ExactCandle]
    first: int
    settled: int
    known: int
    forming: int = 0
    grid: Grid | None = None

    def put(self, client: Any, symbol: str = "BTC-USD", *, now: int | None = None, **fields: Any) -> None:
        """Write it as the writer would."""
        key = KEYS.candles(symbol, self.timeframe)
        client.delete(key)
        if self.candles:
            client.zadd(key, {c.member(): c.time for c in self.candles.values()})
        state = SeriesState(
            ready=True,
            reason="",
            contiguous_from=self.first,
            settled_through=self.settled,
            known_through=self.known,
            closed_through=self.known,
            coverage=Coverage([(self.first, self.settled)] if self.first < self.settled else []),
            history_from=0,
            forming=self.forming,
            grid=self.grid.text(self.first, self.known) if self.grid else "",
        )
        flat = encode_state(state, origin=ORIGIN, fence=5, revision=1, updated_at=1)
        client.hset(f"{key}:state", mapping=dict(zip(flat[::2], flat[1::2], strict=True)))
        client.hset(f"{key}:state", mapping={"count": len(self.candles), **fields})
        time = self.known + 1000 if now is None else now
        client.set(KEYS.alive(symbol), encode_alive(AliveRecord("one", time, "up")), px=100_000)
        client.sadd(KEYS.series, f"{symbol}:{self.timeframe.value}")


def candle(time: int, n: int = 0) -> ExactCandle:
    return ExactCandle(time, f"{100 + n}.5", f"{110 + n}.0", f"{90 - n % 40}", f"{101 + n}.25", f"0.1{n}")


def series(timeframe: Timeframe, buckets: range, *, first: int = 0, **other: Any) -> Kept:
    """The buckets of that timeframe after T0, all traded and settled, known from `first` on."""
    grid = other.get("grid") or timeframe.grid
    start = grid.ceil(T0)
    at = [grid.after(start, n) for n in range(buckets.stop + 1)]
    candles = {at[n]: candle(at[n], n) for n in buckets}
    times = {"first": at[max(first, buckets.start)], "settled": at[buckets.stop], "known": at[buckets.stop]}
    return Kept(timeframe, candles, **{**times, **other})


# --- it is what one would add up by hand


def by_hand(parts: list[ExactCandle], time: int) -> tuple[float, ...]:
    volume = Decimal(0)
    for part in parts:
        volume = EXACT.add(volume, Decimal(part.volume))
    high, low = max(Decimal(p.high) for p in parts), min(Decimal(p.low) for p in parts)
    return time, float(parts[0].open), float(high), float(low), float(parts[-1].close), float(volume)


VOLUMES = ["0", "0.1", "0.2", "0.30000001", "12.5", "1e-7", "123456789012345678.00000001", "3E2"]


@st.composite
def kept(draw: st.DrawFn) -> tuple[Kept, str, int]:
    """A random series, a multiple of its timeframe by name, and how many parts that has."""
    timeframe = draw(st.sampled_from([Timeframe.M1, Timeframe.M5, Timeframe.H1, Timeframe.H8, Timeframe.D1]))
    count = draw(st.integers(1, 9))
    name = f"{count * int(timeframe[:-1])}{timeframe[-1]}"
    start = T0 + draw(st.integers(-20, 20)) * timeframe.ms
    start -= start % timeframe.ms
    buckets = draw(st.integers(0, 60))
    first, settled, known = sorted(draw(st.tuples(*[st.integers(0, buckets)] * 3)))
    at = [start + n * timeframe.ms for n in range(buckets + 2)]
    forming = draw(st.booleans())
    candles = {}
    drawn = random.Random(draw(st.integers(0, 1 << 32)))  # hypothesis would take seconds for so many numbers
    for n in range(known + forming):
        if drawn.random() < 0.75:
            low, a, b, high = sorted(drawn.randint(1, 10**10) for _ in range(4))
            a, b = drawn.choice([(a, b), (b, a)])
            opened, top, bottom, closed = (f"{Decimal(each).scaleb(-5):f}" for each in (a, high, low, b))
            candles[at[n]] = ExactCandle(at[n], opened, top, bottom, closed, drawn.choice(VOLUMES))
    one = Kept(timeframe, candles, at[first], at[settled], at[known], at[known] if forming else 0)
    return one, name, count * timeframe.ms


@given(kept(), st.integers(1, 12), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=examples(120), suppress_health_check=[HealthCheck.too_slow])
def test_a_multiple_is_what_its_parts_add_up_to(
    drawn: tuple[Kept, str, int], count: int, settled: bool, forming: bool
) -> None:
    one, name, step = drawn
    assume(not (settled and forming))
    through = one.settled if settled else one.known
    expected = []
    for time in range(one.first - one.first % step, through + step, step):
        whole = one.first <= time and time + step <= through
        current = forming and one.first <= time <= one.forming < time + step
        parts = [c for t, c in sorted(one.candles.items()) if time <= t < time + step]
        if (whole or current) and parts:
            expected.append(by_hand(parts, time))
    known = [row for row in expected if row[0] + step <= through]
    SERVER.flushall()
    one.put(SERVER)
    begun = one.forming - one.forming % step
    refused: type[ReadError] | None = NotReady if len(known) < count else None
    if not refused and forming and (not one.forming or begun < one.first):
        refused = OutOfSync

    def read() -> Any:
        options: Any = {"settled": settled, "forming": forming, "max_lag": 1e9}
        return Reader(client=SERVER).candles("BTC-USD", name, count, **options)

    if refused:
        with pytest.raises(refused) as told:
            read()
        assert getattr(told.value, "have", 0) in (0, len(known))
        return
    candles = read()
    assert [tuple(c) for c in candles] == expected[len(known) - count :]
    assert candles.series == ("coinbase", "BTC-USD", name)
    assert candles.known_through % step == candles.contiguous_from % step == 0
    assert candles.known_through <= one.known and candles.settled_through <= max(
        one.settled, one.first + step
    )


@given(kept(), st.integers(-3, 12), st.integers(1, 8))
@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
def test_a_range_of_a_multiple_is_all_known_or_refused(
    drawn: tuple[Kept, str, int], skipped: int, count: int
) -> None:
    one, name, step = drawn
    start = one.first - one.first % step + skipped * step + 1
    end = start + count * step
    opens = [start - 1 + n * step for n in range(1, count + 1)]
    assume(start >= 0)
    whole = all(one.first <= time and time + step <= one.known for time in opens)
    SERVER.flushall()
    one.put(SERVER)
    reader = Reader(client=SERVER)
    if not whole:
        with pytest.raises(NotReady):
            reader.range("BTC-USD", name, start, end, max_lag=1e9)
        return
    candles = reader.range("BTC-USD", name, start, end, max_lag=1e9)
    filled = reader.range("BTC-USD", name, start, end, max_lag=1e9, empty="null")
    parts = {t: [c for at, c in sorted(one.candles.items()) if t <= at < t + step] for t in opens}
    assert [tuple(c) for c in candles] == [by_hand(p, t) for t, p in parts.items() if p]
    assert [c.time for c in filled] == opens and filled.synthetic == {t for t, p in parts.items() if not p}


# --- how it is asked for, by both readers


@pytest.fixture
def reader(kind: str, clean_valkey: str) -> Any:
    # The series that a test puts end at different times: none is stale for that.
    with either(kind, clean_valkey, max_lag=1e9) as opened:
        yield opened


def opens(rows: Any) -> list[int]:
    return [int(row[0] - T0) // M for row in rows]


def test_the_longest_that_is_kept_is_added_up(reader: Any, store: Any) -> None:
    series(Timeframe.M5, range(100)).put(store)
    series(Timeframe.M15, range(60)).put(store)
    candles = reader.candles("BTC-USD", "45m", 3)
    assert opens(candles) == [765, 810, 855], "of 15m, which reaches further than 5m"
    assert candles[0].open == 151.5
    assert candles[0].volume == float(Decimal("0.151") + Decimal("0.152") + Decimal("0.153"))
    assert repr(candles) == "<Candles: 3 of BTC-USD 45m, feed up, age 1000 ms>"
    assert opens(reader.candles("BTC-USD", "10m", 2)) == [480, 490], "of 5m: 15m is no part of it"


def test_a_timeframe_that_nobody_keeps_is_added_up_as_well(reader: Any, store: Any) -> None:
    series(Timeframe.M15, range(60)).put(store)
    assert reader.candles("BTC-USD", "1h", 15) == tuple(reader.candles("BTC-USD", "60m", 15))
    assert reader.candles("BTC-USD", "1h", 1)[0].open == 156.5
    series(Timeframe.H1, range(15)).put(store)
    assert reader.candles("BTC-USD", "1h", 1)[0].open == 114.5, "once it is kept it is read"


@pytest.mark.parametrize(
    ("kept", "name", "begins"),
    [
        (Timeframe.D1, "2d", "2025-07-21T00:00Z"),  # an even number of days since 1970
        (Timeframe.D1, "1w", "2025-07-21T00:00Z"),  # a Monday
        (Timeframe.W1, "2w", "2025-07-21T00:00Z"),  # an even number of weeks since 5 January 1970, a Monday
        (Timeframe.MN1, "3M", "2025-10-01T00:00Z"),  # a quarter
        (Timeframe.D1, "1M", "2025-08-01T00:00Z"),
        (Timeframe.H1, "36h", "2025-07-21T12:00Z"),
    ],
)
def test_buckets_begin_where_anybody_expects_it(
    reader: Any, store: Any, kept: Any, name: str, begins: str
) -> None:
    series(kept, range(72)).put(store)
    candles = reader.candles("BTC-USD", name, 1000, at_least=1)
    assert candles[0].datetime.isoformat() == begins.replace("Z", ":00+00:00")


def test_all_that_a_reader_gives_is_given_of_multiples(reader: Any, store: Any) -> None:
    one = series(Timeframe.M15, range(60))
    one.put(store)
    wanted = reader.candles("BTC-USD", "45m", 5)
    answers = reader.many([("BTC-USD", "45m", 5), ("BTC-USD", "15m", 5), ("BTC-USD", "7m", 5)])
    assert answers["BTC-USD", "45m"] == wanted and len(answers["BTC-USD", "15m"]) == 5
    assert isinstance(answers["BTC-USD", "7m"], UnknownSeries)
    assert reader.wait_ready(["BTC-USD"], "45m", 5)["BTC-USD"] == wanted
    assert reader.range("BTC-USD", "45m", wanted[0].time, wanted[-1].time) == tuple(wanted)[:-1]
    assert reader.latest("BTC-USD", "45m") == wanted[-1]
    rows = reader.fetch_ohlcv("BTC/USD", "45m", limit=5)
    assert rows == [list(row) for row in wanted]
    assert len(reader.fetch_ohlcv("BTC/USD", "45m")) == 20, "all that there are"
    frame = wanted.to_pandas()
    assert frame.attrs["timeframe"] == "45m" and frame["close"].tolist() == wanted.values("close")
    assert list(wanted.time) == [row[0] for row in wanted]


def test_a_multiple_is_followed_by_what_it_is_made_of(reader: Any, store: Any) -> None:
    series(Timeframe.M15, range(6)).put(store)
    following = reader.follow("BTC-USD", "45m", 2, patience=None)
    assert opens(next(following)) == [0, 45]
    series(Timeframe.M15, range(9)).put(store)
    # Its parts' channel is listened to by now, or the second read that comes with that finds it.
    store.publish(KEYS.updates("BTC-USD", Timeframe.M15), '{"kind":"closed","candle":[]}')
    assert opens(next(following)) == [45, 90]
    following.close()


def test_it_forms_while_its_last_part_does(reader: Any, store: Any) -> None:
    one = series(Timeframe.M15, range(11), known=T0 + 10 * 15 * M, settled=T0 + 150 * M, forming=T0 + 150 * M)
    one.put(store)
    candles = reader.candles("BTC-USD", "45m", 3, forming=True)
    assert opens(candles) == [0, 45, 90, 135] and candles.forming == T0 + 135 * M
    assert (candles[-1].open, candles[-1].close) == (109.5, 111.25), (
        "what is known of it, and what trades now"
    )
    assert opens(reader.candles("BTC-USD", "45m", 3)) == [0, 45, 90]


def test_it_is_settled_once_all_its_parts_are(reader: Any, store: Any) -> None:
    series(Timeframe.M15, range(12), settled=T0 + 75 * M).put(store)
    candles = reader.candles("BTC-USD", "45m", 4)
    assert candles.settled_through == T0 + 45 * M and candles.known_through == T0 + 180 * M
    assert opens(reader.candles("BTC-USD", "45m", 1, settled=True)) == [0]


def test_no_part_is_left_out_however_few_are_asked_for(reader: Any, store: Any) -> None:
    series(Timeframe.M15, range(61)).put(store)
    for count in range(1, 21):
        candles = reader.candles("BTC-USD", "45m", count, empty="carry")
        assert [c.open for c in candles] == [100.5 + 3 * n for n in range(20 - count, 20)]


def test_it_forms_only_of_parts_that_are_all_known(reader: Any, store: Any) -> None:
    one = series(Timeframe.M15, range(11), known=T0 + 150 * M, settled=T0 + 150 * M, forming=T0 + 150 * M)
    one.put(store)
    assert opens(reader.fetch_ohlcv("BTC/USD", "45m", params={"forming": True})) == [0, 45, 90, 135]
    late = {time: c for time, c in one.candles.items() if time >= T0 + 150 * M}
    replace(one, candles=late, first=T0 + 150 * M).put(store)
    with pytest.raises(OutOfSync):
        reader.fetch_ohlcv("BTC/USD", "45m", params={"forming": True})


# --- what is refused


def test_a_hole_in_a_part_is_told_with_what_is_known_of_the_parts(reader: Any, store: Any) -> None:
    series(Timeframe.M15, range(60), first=30).put(store)
    with pytest.raises(NotReady, match=r"45m: 10 of 20 candles") as told:
        reader.candles("BTC-USD", "45m", 20)
    assert "added up from 15m, of which [2025-07-21T07:30Z, 2025-07-21T15:00Z) is known" in str(told.value)
    assert len(reader.candles("BTC-USD", "45m", 20, at_least=10)) == 10
    with pytest.raises(NotReady, match="a hole"):
        reader.fetch_ohlcv("BTC/USD", "45m")
    series(Timeframe.M15, range(31, 60)).put(store)
    assert len(reader.fetch_ohlcv("BTC/USD", "45m")) == 9, "what begins in the middle of a bucket is no hole"


@pytest.mark.parametrize(
    "name", ["0m", "45x", "45", "m", "045m", "4.5m", "-5m", "45 m", "45mm", "999999d", "45M5m"]
)
def test_what_is_no_multiple_is_refused_with_what_there_is(reader: Any, name: str) -> None:
    with pytest.raises(UnknownTimeframe, match=r"1w, 1M, or a whole multiple such as 45m"):
        reader.candles("BTC-USD", name, 1)


def test_what_nothing_adds_up_to_is_unknown(reader: Any, store: Any) -> None:
    series(Timeframe.M5, range(60)).put(store)
    with pytest.raises(UnknownSeries, match="BTC-USD has 5m, and 7m is no whole multiple"):
        reader.candles("BTC-USD", "7m", 1)
    with pytest.raises(UnknownSeries, match="did you mean BTC-USD"):
        reader.candles("BTC/USD", "45m", 1)
    with pytest.raises(UnknownTimeframe):
        next(reader.closes(after="0", series=[("BTC-USD", "45m")]))


def test_days_with_auctions_are_not_made_of_hours(reader: Any, store: Any) -> None:
    store.hset(KEYS.feed, "sums_below", "1d")
    series(Timeframe.H1, range(100)).put(store)
    assert len(reader.candles("BTC-USD", "3h", 30)) == 30
    for name in ("1d", "2d", "24h", "1w"):
        with pytest.raises(UnknownSeries, match="from 1d on candles are no sums there"):
            reader.candles("BTC-USD", name, 1)
    series(Timeframe.D1, range(10)).put(store)
    assert len(reader.candles("BTC-USD", "2d", 4)) == 4


def test_days_of_a_venue_from_eight_stay_days_from_eight(reader: Any, store: Any) -> None:
    eight = EpochGrid(DAY_MS, 8 * 3_600_000)
    series(Timeframe.H1, range(99)).put(store)
    series(Timeframe.D1, range(20), grid=eight).put(store)
    assert {c.datetime.hour for c in reader.candles("BTC-USD", "2d", 9)} == {8}
    assert {c.datetime.hour for c in reader.candles("BTC-USD", "24h", 2)} == {0}, (
        "of hours, which a day is not"
    )
    with pytest.raises(NotReady, match="added up from 1h"):
        reader.candles("BTC-USD", "1w", 1)  # 99 hours are no week, and such days are no part of one
    hour, newest = DAY_MS // 24, reader.candles("BTC-USD", "1d", 1)[0].time
    assert reader.range("BTC-USD", "1d", newest - hour, newest + hour).time.tolist() == [newest]
    assert len(reader.range("BTC-USD", "1d", newest - hour, newest)) == 0
    store.srem(KEYS.series, "BTC-USD:1d")
    store.delete(KEYS.state("BTC-USD", Timeframe.D1))
    store.hset(KEYS.feed, "grids", '{"1d":"86400000 from 28800000"}')
    assert {c.datetime.hour for c in reader.candles("BTC-USD", "1d", 3)} == {8}
    assert {c.datetime.hour for c in reader.candles("BTC-USD", "2d", 1)} == {8}


def test_sessions_are_cut_into_multiples_and_never_joined(reader: Any, store: Any) -> None:
    day = [T0 + n * DAY_MS for n in range(12)]
    sessions = SessionGrid(
        tuple(d + 810 * M for d in day), tuple(d + 1200 * M for d in day), Timeframe.M30.ms
    )
    whole = SessionGrid(sessions.openings, sessions.closings)
    series(Timeframe.M30, range(4 * 13), grid=sessions).put(store)
    series(Timeframe.D1, range(4), grid=whole).put(store)
    times = opens(reader.candles("BTC-USD", "90m", 20))
    assert times[-5:] == [3 * 1440 + 810 + n * 90 for n in range(5)], (
        "the last is shorter: it ends with the session"
    )
    with pytest.raises(
        UnknownSeries, match="1d, 30m do not add up to it: sessions of an exchange are never joined"
    ):
        reader.candles("BTC-USD", "2d", 1)


def test_a_damaged_part_is_named(reader: Any, store: Any) -> None:
    series(Timeframe.M15, range(60)).put(store)
    key = KEYS.candles("BTC-USD", Timeframe.M15)
    newest = store.zrange(key, -1, -1)[0]
    store.zrem(key, newest)
    store.zadd(key, {b'[1,"x"]': candle(T0 + 59 * 15 * M).time})
    with pytest.raises(ReadError, match=r"a candle in .*15m cannot be read"):
        reader.candles("BTC-USD", "45m", 3)
    store.zremrangebyrank(key, -1, -1)
    with pytest.raises(NotReady, match="holds 59 of its 60"):
        reader.candles("BTC-USD", "45m", 3)


def test_the_wrong_kind_of_key_is_named(reader: Any, store: Any) -> None:
    series(Timeframe.M15, range(60)).put(store)
    store.set(KEYS.feed, "x")
    with pytest.raises(ReadError, match="feed holds a value of another type"):
        reader.candles("BTC-USD", "45m", 3)
    assert len(reader.candles("BTC-USD", "15m", 3)) == 3
