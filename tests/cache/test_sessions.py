"""What is kept of an exchange that is closed at night, as readers and `livecache check` find it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import fakeredis
import msgspec
import pytest

from livecache import NotReady, NotTraded, Reader, ReadError, Stale, UnknownSeries
from livecache.http.api.table import row
from livecache.keys.keyspace import AliveRecord, Keyspace, encode_alive, encode_state
from livecache.model.grid import DAY_MS
from livecache.model.policy import Policy
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Traits
from livecache.proof.evidence import PageFacts
from livecache.quality.check import Check, Rules
from livecache.quality.findings import Flaw
from livecache.quality.inspection import Inspector
from livecache.quality.report import Report
from livecache.read.standing import forming_in
from livecache.writer.adoption import LoadedSeries, judge

from ..core.test_calendar import ms, named
from ..core.test_other_grids import SYMBOL, Venue

KEYS = Keyspace()
H1, H4, D1, W1, MN1, M5 = (Timeframe(name) for name in ("1h", "4h", "1d", "1w", "1M", "5m"))
GRIDS = named("XNYS").grids()
ALL = (M5, H1, H4, D1, W1, MN1)


@pytest.fixture
def store() -> Iterator[Any]:
    with fakeredis.FakeRedis() as client:
        yield client


def filled(timeframes: tuple[Timeframe, ...], now: str, **policy: int) -> Venue:
    """New York, warmed up to that moment. Each candle's volume is how many five minutes there are in it."""
    venue = Venue(timeframes, ms(now), grids=GRIDS, unserved=(W1, MN1), policy=Policy(**policy))
    venue.fill(100)
    return venue


def put(venue: Venue, store: Any) -> Reader:
    """What a service would have written of it by now, and who reads that."""
    for timeframe, track in venue.symbol.tracks.items():
        if track.working:
            continue
        key, state, candles = KEYS.candles(SYMBOL, timeframe), venue.state(timeframe), [*track.members()]
        store.delete(key)
        store.zadd(key, {candle.member(): candle.time for candle in candles})
        flat = encode_state(state, origin="https://venue", fence=5, revision=1, updated_at=venue.now)
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        store.hset(f"{key}:state", mapping={**fields, "count": len(candles)})
        store.sadd(KEYS.series, f"{SYMBOL}:{timeframe.value}")
    store.set(KEYS.alive(SYMBOL), encode_alive(AliveRecord("one", venue.now, "up")))
    told = {"calendar": "XNYS", "calendar_through": named("XNYS").through}
    store.hset(KEYS.feed, mapping={**venue.timeline.traits.told(), **told})
    return Reader(client=store)


def checked(store: Any, timeframes: Sequence[Timeframe], **rules: Any) -> Report:
    check, inspector = Check(KEYS, Rules(**rules)), Inspector(store, KEYS)
    check.take_shared(inspector.shared())
    check.take_symbol(inspector.series([SeriesId("coinbase", SYMBOL, t) for t in timeframes]))
    return check.report(checked_at="")


NOWS = {
    "a Sunday": "2026-11-29T12:00",
    "the evening of a half day": "2026-11-27T22:00",
    "before Monday's open": "2026-11-30T14:00",
    "Monday at noon": "2026-11-30T17:30:15",
    "the Monday after clocks have changed": "2026-03-09T14:00:15",
    "the Thursday of an unscheduled closing": "2025-01-09T18:00",
}


@pytest.mark.parametrize("now", NOWS.values(), ids=NOWS)
def test_every_reader_gets_its_candles_whenever_it_asks(store: Any, now: str) -> None:
    venue = filled(ALL, now, candles=100)
    reader = put(venue, store)
    for timeframe in ALL:
        grid, candles = GRIDS[timeframe], reader.candles(SYMBOL, timeframe, 60)
        assert [c.time for c in candles] == [*grid.opens(candles[0].time, candles.known_through)]
        assert candles.known_through == grid.closed(venue.now - 10_000)
        assert [c.volume for c in candles] == [GRIDS[M5].count(t, grid.end(t)) for t in candles.time]
    report = checked(store, ALL)
    assert report.findings == [] and report.rollups_compared > 100


def test_where_days_have_auctions_check_expects_no_sums_of_hours(store: Any) -> None:
    venue = filled((H1, D1, W1), "2026-11-29T12:00", candles=100)
    track = venue.symbol.tracks[D1]
    for time, candle in track.settled.items():
        track.settled[time] = msgspec.structs.replace(candle, volume="1000")
    put(venue, store)
    assert {finding.kind for finding in checked(store, [H1, D1]).findings} == {Flaw.ROLLUP}
    store.hset(KEYS.feed, "sums_below", "1d")
    report = checked(store, [H1, D1])
    assert (report.findings, report.rollups_compared) == ([], 0)
    told = checked(store, [H1, D1, W1]).findings
    assert {finding.timeframe for finding in told} == {"1w"}, "of days it is one"


def test_a_hole_makes_nothing_older_unreadable(store: Any) -> None:
    venue = filled((H1,), "2026-05-20T15:00", candles=1000)
    venue.now = ms("2026-11-30T16:00:15")
    grid = GRIDS[H1]
    start = grid.far_back(venue.now, 70)
    rows = {t: venue.candle(H1, t) for t in grid.opens(start, venue.now)}
    page = PageFacts(start, grid.end(grid.floor(venue.now)), rows, venue.now)
    venue.timeline.apply_page(SYMBOL, H1, page, venue.now)
    reader = put(venue, store)
    assert len(reader.candles(SYMBOL, "1h", 60)) == 60
    with pytest.raises(NotReady, match=r"69 of 90 .* further back a hole"):
        reader.candles(SYMBOL, "1h", 90)
    report = checked(store, [H1])
    (gap,), (finding,) = report.gaps, report.findings
    assert finding.buckets == gap.buckets
    assert (gap.start, gap.end) == (ms("2026-05-20T14:30"), ms("2026-11-12T20:30"))
    assert gap.buckets == grid.count(gap.start, gap.end) == 859, "sessions, not days"
    key = KEYS.candles(SYMBOL, H1)
    fields = {name.decode(): value.decode() for name, value in store.hgetall(f"{key}:state").items()}
    loaded = LoadedSeries(fields, store.zrange(key, 0, -1, withscores=True))
    series = SeriesId("coinbase", SYMBOL, H1)
    adopted = judge(series, loaded, origin="https://venue", now=venue.now, grid=grid)
    assert not isinstance(adopted, str) and len(adopted.candles) == 1000, "a restart takes over all of it"


def test_what_was_traded_lately_is_so_all_weekend(store: Any) -> None:
    venue = filled((H1,), "2026-11-29T12:00", candles=100)
    reader = put(venue, store)
    assert reader.candles(SYMBOL, "1h", 60, newest_within=3600)[-1].time == ms("2026-11-27T17:30")
    venue.now = ms("2026-11-30T15:29")  # nothing has come since Monday's open
    store.set(KEYS.alive(SYMBOL), encode_alive(AliveRecord("one", venue.now, "up")))
    assert len(reader.candles(SYMBOL, "1h", 60, newest_within=3600)) == 60
    store.set(KEYS.alive(SYMBOL), encode_alive(AliveRecord("one", venue.now + 120_000, "up")))
    with pytest.raises(NotTraded, match="nothing was traded within 3600 s"):
        reader.candles(SYMBOL, "1h", 60, newest_within=3600)


def test_stale_is_what_lags_in_sessions(store: Any) -> None:
    venue = filled((D1, H1), "2026-11-29T12:00", candles=100)
    reader = put(venue, store)

    def at(now: str) -> None:
        store.set(KEYS.alive(SYMBOL), encode_alive(AliveRecord("one", ms(now), "up")))

    at("2026-11-30T15:39")
    assert len(reader.many([SYMBOL], "1h", 60)) == 1 and len(reader.candles(SYMBOL, "1h", 60)) == 60
    at("2026-11-30T15:41")
    with pytest.raises(Stale, match="overdue by 660 s"):
        reader.candles(SYMBOL, "1h", 60)
    assert len(reader.candles(SYMBOL, "1d", 60)) == 60, "Monday's session has not ended"


def test_beyond_the_end_of_its_calendar_nothing_is_called_missing(store: Any) -> None:
    venue = filled((D1, H1), "2026-11-25T22:00", candles=100)
    venue.now = ms("2026-11-28T12:00")  # nothing has come since
    put(venue, store)
    assert {(gap.timeframe, gap.buckets) for gap in checked(store, [D1, H1]).gaps} == {("1d", 1), ("1h", 4)}
    assert checked(store, [D1, H1]).advice == []
    sure = {"calendar": "XNYS", "calendar_through": ms("2026-11-26T05:00")}
    store.hset(KEYS.feed, mapping=sure)
    report = checked(store, [D1, H1])
    assert (report.gaps, report.findings) == ([], [])
    told = [each.message for each in report.advice]
    assert "1 bucket since 2026-11-27T14:30Z may be missing, or the exchange was closed" in told[0]
    assert told[2] == "the calendar XNYS is sure of sessions until 2026-11-26T05:00Z only"
    # What readers are told to be known and is gone is missing whatever the calendar says.
    state = f"{KEYS.candles(SYMBOL, H1)}:state"
    store.hset(state, mapping={"known_through": ms("2026-11-27T18:00"), "count": 104})
    assert [gap.claimed for gap in checked(store, [H1]).gaps] == [True]


def test_a_venue_tells_its_calendar() -> None:
    traits = Traits({}, calendar="XNYS", calendar_through=named("XNYS").through, grids=GRIDS)
    assert traits.told() == {"calendar": "XNYS", "calendar_through": str(ms("2029-01-01T05:00"))}


@pytest.mark.parametrize(("timeframe", "minutes"), [(M5, 16), (H1, 16), (H4, 16), (D1, 45), (W1, 45)])
def test_what_is_added_up_is_expected_no_sooner_than_its_parts(timeframe: Timeframe, minutes: int) -> None:
    shown = {t: n * 60_000 for t, n in ((M5, 16), (H1, 16), (D1, 45))}
    traits = Traits({}, shown_after_ms=shown, finals=GRIDS[D1], grids=GRIDS)
    friday = ms("2026-11-27T14:30")
    assert traits.grid(timeframe).due(friday) == GRIDS[timeframe].due(friday) + minutes * 60_000


@pytest.mark.parametrize("timeframe", [H1, D1])
def test_a_calendar_that_does_not_hold_its_times_harms_nobody_but_who_reads_that_series(
    store: Any, timeframe: Timeframe
) -> None:
    """Of the sessions that a state tells some are gone, or somebody has written others."""
    venue = filled((H1, D1), "2026-11-30T16:00:15", candles=100)
    reader, state = put(venue, store), f"{KEYS.candles(SYMBOL, timeframe)}:state"
    head, _, told = store.hget(state, "grid").decode().partition(" in ")
    sessions, dice = told.split(","), random.Random(17)
    for now in (venue.now, venue.now - 90 * DAY_MS, venue.now + 40 * DAY_MS):
        for _ in range(4):
            first, last = sorted(dice.sample(range(len(sessions)), 2))
            store.hset(state, "grid", f"{head} in {','.join(sessions[first:last])}")
            store.set(KEYS.alive(SYMBOL), encode_alive(AliveRecord("one", now, "up")))
            for ask in (
                lambda: reader.candles(SYMBOL, timeframe, 60, empty="carry"),
                lambda: reader.candles(SYMBOL, timeframe, 6, newest_within=3600, forming=True),
                lambda: reader.range(SYMBOL, timeframe, ms("2026-11-20"), ms("2026-11-28")),
                lambda: reader.range(SYMBOL, timeframe, ms("2020-11-20"), ms("2020-11-28")),
                lambda: reader.fetch_ohlcv(SYMBOL, timeframe.value, since=ms("2026-01-01")),
                lambda: reader.candles(SYMBOL, "2h", 6),
            ):
                with contextlib.suppress(ReadError):  # and nothing else
                    ask()
            views = reader.states()
            assert [view.series.timeframe for view in views] == [H1, D1]
            assert {row(view).timeframe for view in views} == {"1h", "1d"}
            assert all(forming_in(view) is None for view in views)
            assert len(checked(store, [H1, D1]).series) == 2


def test_multiples_are_cut_out_of_sessions(store: Any) -> None:
    reader = put(filled((M5, H1, D1), "2026-11-29T12:00", candles=200), store)
    times = [t - ms("2026-11-25T14:30") for t in reader.candles(SYMBOL, "2h", 6).time]
    assert times[:4] == [0, 2 * H1.ms, 4 * H1.ms, 6 * H1.ms], "of seven hours the last is alone"
    assert reader.candles(SYMBOL, "2h", 2).volume.tolist() == [24, 18], "a half day ends in the middle of one"
    assert reader.candles(SYMBOL, "45m", 5)[-1].time == ms("2026-11-27T17:30")
    for name in ("3d", "2w", "3M"):
        with pytest.raises(UnknownSeries, match="sessions of an exchange are never joined on read"):
            reader.candles(SYMBOL, name, 1)
