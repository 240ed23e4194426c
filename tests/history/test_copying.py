"""The copy of the hot tier, over a real track and a real store: the seam has no hole, and tells no lie."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.engine.live import Live
from livecache.equities.action import Action
from livecache.errors import HistoryChanged
from livecache.history.answer.seam import Seam
from livecache.history.columns import Columns
from livecache.history.records.symbols import AboutSymbol
from livecache.history.service.copying import Copier, Held, difference
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Answer
from livecache.ledger.splitting import forget
from livecache.ledger.timeline import Timeline
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.grid import SessionGrid
from livecache.model.policy import Policy
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Served, Traits
from tests.sizes import examples

from .support import MINUTE, HandClock, minute, opened, same

T = TypeVar("T")
M1, D1 = Timeframe.M1, Timeframe.D1
HOUR = 3_600_000
OPENS = [1_700_000_000_000 + n * 24 * HOUR for n in range(30)]
TRAITS = Traits(served={M1: Served(300)})
KEPT = 20


async def inline(work: Callable[[], T]) -> T:
    return work()


def row(number: int, close: int) -> ExactCandle:
    return ExactCandle(minute(number), "100", "200", "50", str(close), "1.5")


class Service:
    """Settles a minute at a time, and may be killed: nothing but its track and the store stay."""

    def __init__(self, store: SqliteHistory) -> None:
        self.store = store
        timeline = Timeline("venue", ["BTC-USD"], [M1], Policy(KEPT, 1), TRAITS)
        self.track = timeline.symbols["BTC-USD"].tracks[M1]
        self.live = cast("Live", FakeLive(timeline))
        self.truth: dict[int, ExactCandle | None] = {}
        self.now = 0
        self.begin()

    def begin(self) -> None:
        self.copier = Copier(self.live, self.store, inline)

    def copy(self) -> None:
        asyncio.run(self.copier.copy())

    def settle(self, close: int | None) -> None:
        self.say(self.now, close)
        self.now += 1

    def say(self, number: int, close: int | None) -> None:
        """The venue says so of a bucket, for the first time or again."""
        bucket, candle = minute(number), None if close is None else row(number, close)
        if bucket in self.track.coverage:
            self.track.revise(bucket, candle, derived=False)
        else:
            self.track.settle(bucket, candle, derived=False)
        self.truth[bucket] = candle
        self.track.trim(bucket)

    def read(self) -> tuple[dict[int, ExactCandle], Coverage]:
        """What a reader gets of both tiers: Redis first."""
        series = self.store.series(self.track.series)
        stored = self.store.read(series.id, 0, minute(self.now)) if series else None
        hot = self.track.proven()
        rows = {r.time: r for r in stored.rows.candles() if r.time not in hot} if stored else {}
        rows |= self.track.settled
        return rows, hot | (stored.coverage if stored else Coverage())

    def check(self) -> None:
        rows, known = self.read()
        assert known.covers(minute(0), minute(self.now)), "a hole at the seam"
        assert same([rows[t] for t in sorted(rows)], [c for _, c in sorted(self.truth.items()) if c])


class FakeLive:
    """What a copier asks of the live service."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline

    def configured(self) -> object:
        return [track for symbol in self.timeline.symbols.values() for track in symbol.tracks.values()]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("settle"), st.one_of(st.none(), st.integers(50, 200))),
        st.tuples(st.just("revise"), st.integers(1, KEPT - 2), st.one_of(st.none(), st.integers(50, 200))),
        st.tuples(st.just("copy")),
        st.tuples(st.just("kill")),
    ),
    max_size=60,
)


@settings(max_examples=examples(150))
@given(steps)
def test_the_seam_has_no_hole_whatever_is_revised_or_killed(
    told: list[tuple[object, ...]],
) -> None:
    """A copy comes before a bucket leaves the hot tier; what was copied stays right though it is revised."""
    with TemporaryDirectory() as folder:
        service = Service(opened(Path(folder)))
        since = 0
        for step in told:
            match step:
                case ("settle", close):
                    service.settle(cast("int | None", close))
                    since += 1
                    if since == KEPT - 1:
                        service.copy()
                        since = 0
                case ("revise", int(back), close) if back <= service.now:
                    service.say(service.now - back, cast("int | None", close))
                case ("copy",):
                    service.copy()
                    since = 0
                case ("kill",):
                    service.begin()
            if service.now:
                service.check()
        service.store.close()


@pytest.fixture
def service(store: SqliteHistory) -> Service:
    return Service(store)


def stored(service: Service) -> tuple[list[ExactCandle], Coverage]:
    series = service.store.series(service.track.series)
    assert series
    answer = service.store.read(series.id, 0, minute(service.now))
    return answer.rows.candles(), answer.coverage


def test_what_is_taken_back_is_known_no_more_until_it_is_settled_again(service: Service) -> None:
    for close in (100, 101, None, 103):
        service.settle(close)
    service.copy()
    assert service.track.reopen(minute(2))
    service.copy()
    rows, known = stored(service)
    assert len(rows) == 3 and minute(2) not in known and minute(3) in known
    service.say(2, 102)
    service.copy()
    rows, known = stored(service)
    assert [r.close for r in rows] == ["100", "101", "102", "103"] and known.covers(minute(0), minute(4))


def test_what_only_one_witness_says_is_not_copied(service: Service) -> None:
    service.settle(100)
    service.track.settle(minute(1), row(1, 101), derived=False, likely=5)
    service.now = 2
    service.copy()
    rows, known = stored(service)
    assert [r.time for r in rows] == [minute(0)] and minute(1) not in known
    service.track.prove(minute(1))
    service.copy()
    assert [r.time for r in stored(service)[0]] == [minute(0), minute(1)]


def test_a_revision_is_kept_with_what_it_replaced(service: Service) -> None:
    for close in (100, 101):
        service.settle(close)
    service.copy()
    service.say(0, None)
    service.say(1, 150)
    service.copy()
    series = service.store.series(service.track.series)
    assert series and [r.close for r in stored(service)[0]] == ["150"]
    kept = service.store.revisions(series.id, 0, minute(9))
    assert {(r.time, r.old[3] if r.old else None, r.source) for r in kept} == {
        (minute(0), "100", "feed"),
        (minute(1), "101", "feed"),
    }


def test_nothing_is_written_where_nothing_has_changed(service: Service) -> None:
    for close in range(100, 100 + 2 * KEPT):
        service.settle(close)
        service.copy()
    series = service.store.series(service.track.series)
    assert series
    before = service.store.info(series.id).rev
    service.copy()
    service.begin()
    service.copy()
    assert service.store.info(series.id).rev == before and service.copier.copied == 0


def test_what_the_hot_tier_lets_go_of_is_no_loss() -> None:
    grid = M1.grid
    before = Held(Coverage([(0, 10 * MINUTE)]), {0: row(0, 100)})
    after = Held(Coverage([(5 * MINUTE, 11 * MINUTE)]), {})
    found = difference(before, after, grid)
    assert (found.rows, found.covered, found.lost) == ([], Coverage([(10 * MINUTE, 11 * MINUTE)]), Coverage())


def test_the_night_before_the_oldest_session_is_copied_with_it(tmp_path: Path) -> None:
    """Else it would be missing between what is copied and what pages bring, which end with a session."""
    days = SessionGrid(tuple(OPENS), tuple(t + 6 * HOUR for t in OPENS))
    traits = Traits({D1: Served(300)}, grids={D1: days}, finals=days, settle_delay_ms=0)
    with closing(opened(tmp_path)) as store:
        timeline = Timeline("venue", ["AAPL"], [D1], Policy(KEPT, 1), traits)
        track, live = timeline.symbols["AAPL"].tracks[D1], cast("Live", FakeLive(timeline))
        track.settle_run({t: ExactCandle(t, "1", "1", "1", "1", "1") for t in OPENS[:28]})
        track.trim(OPENS[27])
        assert track.proven() == Coverage([(OPENS[8], days.end(OPENS[27]))])
        copier = Copier(live, store, inline)
        asyncio.run(copier.copy())
        stored = store.series(track.series)
        assert stored and store.coverage(stored.id) == Coverage([(days.end(OPENS[7]), days.end(OPENS[27]))])
        assert copier.oldest == {track.series: days.end(OPENS[7])}


def test_what_a_split_has_rescaled_waits_until_the_store_has_heard_of_it(tmp_path: Path) -> None:
    """Else the file would hold new prices beside old ones, and nobody could tell which is which."""
    days, told = SessionGrid(tuple(OPENS), tuple(t + 6 * HOUR for t in OPENS)), list[int]()
    traits = Traits({D1: Served(300)}, grids={D1: days}, finals=days, settle_delay_ms=0)
    key = SeriesId("venue", "AAPL", D1)

    def rows(ratio: int, since: int = 0) -> dict[int, ExactCandle]:
        first, high, low, last = (f"{price / ratio:g}" for price in (100, 120, 80, 110))
        return {t: ExactCandle(t, first, high, low, last, str(1_000 * ratio)) for t in OPENS[since:20]}

    clock = HandClock(OPENS[20] - HOUR)
    with closing(SqliteHistory.open(tmp_path / "history.db", clock)) as store:
        timeline = Timeline("venue", ["AAPL"], [D1], Policy(KEPT, 1), traits)
        track, live = timeline.symbols["AAPL"].tracks[D1], cast("Live", FakeLive(timeline))
        copier = Copier(live, store, inline, lambda: told.append(1))
        track.settle_run(rows(1))
        asyncio.run(copier.copy())
        stored = store.series(key)
        assert stored
        forget(timeline.symbols["AAPL"], OPENS[20], OPENS[21])
        track.settle_run(rows(4, since=10))
        clock.now = OPENS[21]
        for _ in range(3):
            asyncio.run(copier.copy())
        assert copier.unheard == {"AAPL"} and len(told) == 1
        assert store.read(stored.id, 0, OPENS[20]).rows.candles() == [*rows(1).values()], "nothing is mixed"
        hot = Answer(Columns.of(rows(4, since=10).values()), track.proven(), 0, 0)
        with pytest.raises(HistoryChanged, match="split"):
            Seam(lambda *_: hot, lambda _, start, end: store.read(stored.id, start, end)).read(
                key, OPENS[0], OPENS[20]
            )
        split = AboutSymbol(OPENS[20] + 1, (Action(OPENS[20], "split", "4/1"),), None)
        store.commit(stored.id, Columns.of(()), Coverage(), told=split)
        asyncio.run(copier.copy())
        answer = store.read(stored.id, 0, OPENS[20])
        assert not copier.unheard and answer.rows.candles() == [*rows(4).values()]
        assert answer.converted and not answer.converted.clip(OPENS[10], OPENS[20]), "the copied are new"
