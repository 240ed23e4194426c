"""After a split what was read before is read again, once; until then it is converted, and never mixed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.equities.scale import Scale, rescale, stale, unscale
from livecache.history.columns import Columns
from livecache.history.ordering import series_of
from livecache.history.scaling import alike, in_shares, times
from livecache.history.service.orders import wanted
from livecache.history.service.service import Wishes
from livecache.history.store import JobState, Want
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from ..simulation.virtual import run_virtually
from ..sizes import examples
from .drawing import candles
from .engines import Engine
from .exchange import CLOSE, D1, H1, OPEN, SESSIONS, Desk, session

EVENING = CLOSE - OPEN + 46 * 60_000
RATIOS = [Fraction(4), Fraction(3, 2), Fraction(1, 8), Fraction(2)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    held = Desk(tmp_path / "history.db", page=40)
    yield held
    held.store.close()


@pytest.fixture
def each_desk(tmp_path: Path, engine: Engine) -> Iterator[Desk]:
    """By each engine of a store."""
    held = Desk(tmp_path / "history.db", page=40, engine=engine)
    yield held
    held.store.close()


def agrees(desk: Desk, start: int, end: int, timeframe: Timeframe = D1) -> bool:
    """Whether what is settled is what the exchange tells today, but for digits that conversion costs."""
    answer = desk.store.read(desk.series(timeframe).id, start, end)
    truth = Columns.of(
        row
        for row in desk.exchange.rows(timeframe, start, end, desk.exchange.now)
        if row.time in answer.coverage
    )
    same = answer.rows.time.tolist() == truth.time.tolist()
    return same and bool(alike(answer.rows, truth, Fraction(64)).all())


def exactly(desk: Desk, start: int, end: int, timeframe: Timeframe = D1) -> bool:
    rows, _, _ = desk.held(start, end, timeframe)
    truth = desk.exchange.rows(timeframe, start, end, desk.exchange.now)
    return len(rows) == len(truth) and all(a.equals(b) for a, b in zip(rows, truth, strict=True))


@pytest.mark.parametrize("ratio", RATIOS, ids=str)
def test_a_split_is_one_action_and_one_reading_and_no_revision(desk: Desk, ratio: Fraction) -> None:
    desk.at(session(150) + EVENING)
    run_virtually(desk.fill(session(10), timeframes=(D1, H1)))
    desk.exchange.splits[session(151)] = ratio
    desk.at(session(151) + EVENING)
    run_virtually(desk.fill(session(10), timeframes=(D1, H1)))
    assert desk.store.actions("bourse", "AAPL") == [
        (session(151), "split", f"{ratio.numerator}/{ratio.denominator}")
    ]
    for timeframe in (D1, H1):
        assert exactly(desk, session(10), session(152), timeframe)
        (stats,) = desk.store.stats(desk.series(timeframe).id)
        assert stats.revisions == 0
        line = next(line for line in desk.lines if line.timeframe == timeframe.value)
        assert line.rescaled == stats.rows - (1 if timeframe is D1 else 7), "but for what was not final"
        assert (line.revised, line.completeness) == (0, 100)
    again = [job for job in desk.store.jobs() if job.want.again]
    assert len(again) == 2 and {job.state for job in again} == {JobState.SUCCEEDED}
    assert run_virtually(desk.fill(session(10), timeframes=(D1, H1))) == 0


@pytest.mark.parametrize("ratio", RATIOS, ids=str)
def test_until_all_is_read_again_the_rest_is_converted_and_told(desk: Desk, ratio: Fraction) -> None:
    desk.at(session(150) + EVENING)
    run_virtually(desk.fill(session(10)))
    desk.exchange.splits[session(151)] = ratio
    desk.at(session(151) + EVENING)
    run_virtually(desk.fill(session(10), until_s=0.1))
    answer = desk.store.read(desk.series().id, session(10), session(152), provisional=True)
    assert answer.converted and not answer.converted.without(answer.coverage)
    assert agrees(desk, session(10), session(152))
    run_virtually(desk.fill(session(10)))
    assert exactly(desk, session(10), session(152))
    assert not desk.store.read(desk.series().id, session(10), session(152)).converted


def test_old_splits_of_a_first_fill_make_nothing_stale_in_whatever_order(desk: Desk) -> None:
    desk.exchange.splits = {session(50): Fraction(4), session(120): Fraction(1, 8)}
    desk.oldest_first = True
    desk.at(session(200) + EVENING)
    asked = run_virtually(desk.fill(session(10)))
    assert asked == 5 and exactly(desk, session(10), session(201))
    assert not [job for job in desk.store.jobs() if job.want.again]


def test_what_was_asked_for_after_a_split_is_not_older_than_it(desk: Desk) -> None:
    """Also where nobody knew of it then."""
    desk.at(session(150) + EVENING)
    run_virtually(desk.fill(session(140)))
    desk.exchange.splits[session(151)] = Fraction(4)
    desk.at(session(151) + EVENING)
    run_virtually(desk.fill(session(60), until=session(100)))
    run_virtually(desk.fill(session(140), until_s=0.06))
    answer = desk.store.read(desk.series().id, session(10), session(151))
    assert answer.converted.clip(session(10), session(101)) == Coverage() and answer.converted
    assert agrees(desk, session(10), session(152))
    run_virtually(desk.fill(session(60)))
    assert exactly(desk, session(60), session(152))


@pytest.mark.parametrize("all_copied", [False, True])
def test_where_all_is_copied_a_page_a_session_hears_of_a_split(desk: Desk, all_copied: bool) -> None:
    """As beside a live service, which settles each day before anybody asks for it."""
    exchange, store = desk.exchange, desk.store

    def copy(timeframe: Timeframe, first: int, last: int) -> None:
        rows = exchange.rows(timeframe, session(first), session(last), exchange.now)
        covered = Coverage([(SESSIONS.end_before(session(first)), SESSIONS.end_before(session(last)))])
        store.commit(desk.series(timeframe).id, Columns.of(rows), covered, replace=covered, source="feed")

    def asked() -> list[Want]:
        now = exchange.now
        settled = exchange.traits.final_by(now, exchange.traits.settle_delay_ms)
        wishes = Wishes(["AAPL"], [H1, D1], lambda _: session(10))
        oldest = {SeriesId("bourse", "AAPL", each): session(140) for each in (D1, H1)}
        return wanted(
            store, "bourse", exchange.traits, wishes, now=now, settled=settled, oldest=oldest, host_now=now
        )

    desk.at(session(150) + 17 * 60_000)
    for timeframe in (D1, H1) if all_copied else ():
        series_of(store, SeriesId("bourse", "AAPL", timeframe), exchange.traits)
        copy(timeframe, 10, 150)
    if not all_copied:
        run_virtually(desk.fill(session(10), timeframes=(D1, H1)))
        assert asked() == []
    exchange.splits[session(151)] = Fraction(4)
    desk.at(session(151) + 17 * 60_000)
    for timeframe in (D1, H1):  # the live service has heard of it
        copy(timeframe, 140, 151)
    (want,) = asked()
    assert (want.series, want.end) == (desk.series().id, session(150) + CLOSE - OPEN)
    store.submit([want])
    run_virtually(desk.fill(session(140), until=session(141), timeframes=(D1, H1), until_s=0.1))
    for timeframe in (D1, H1):
        assert agrees(desk, session(10), session(151), timeframe), "before all is read again, too"
        was = store.read(
            desk.series(timeframe).id, session(10), session(150), as_of=session(150) + 18 * 60_000
        )
        now = store.read(desk.series(timeframe).id, session(10), session(150))
        assert alike(was.rows, now.rows, Fraction(64)).all()
    run_virtually(desk.fill(session(140), until=session(141), timeframes=(D1, H1), until_s=99))
    assert exactly(desk, session(10), session(151)) and exactly(desk, session(10), session(151), H1)
    assert asked() == []


def test_a_dividend_is_told_in_the_shares_of_today(each_desk: Desk) -> None:
    each_desk.exchange.dividends = {session(20): Fraction(8)}
    each_desk.at(session(150) + EVENING)
    run_virtually(each_desk.fill(session(10)))
    each_desk.exchange.splits[session(151)] = Fraction(4)
    each_desk.at(session(151) + EVENING)
    run_virtually(each_desk.fill(session(140), until_s=0.1))
    assert each_desk.store.actions("bourse", "AAPL")[0] == (session(20), "dividend", "2")
    run_virtually(each_desk.fill(session(10)))
    assert each_desk.store.actions("bourse", "AAPL")[0] == (session(20), "dividend", "2")


def test_an_action_that_is_told_no_more_is_gone_and_its_split_undone(each_desk: Desk) -> None:
    each_desk.exchange.splits = {session(100): Fraction(4)}
    each_desk.at(session(99) + EVENING)
    run_virtually(each_desk.fill(session(10)))
    each_desk.at(session(101) + EVENING)
    run_virtually(each_desk.fill(session(10)))
    assert exactly(each_desk, session(10), session(102))
    each_desk.exchange.splits.clear()  # it was a mistake
    each_desk.at(session(102) + EVENING)
    run_virtually(each_desk.fill(session(90), force=True))
    assert each_desk.store.actions("bourse", "AAPL") == []
    assert exactly(each_desk, session(10), session(103))
    assert each_desk.store.stats(each_desk.series().id)[0].revisions == 0


def test_an_answer_that_lacks_a_split_does_not_undo_it(desk: Desk) -> None:
    desk.exchange.splits = {session(100): Fraction(4)}
    desk.at(session(110) + EVENING)
    run_virtually(desk.fill(session(10)))
    desk.exchange.forgetful = True
    desk.at(session(111) + EVENING)
    run_virtually(desk.fill(session(90), force=True, until_s=0.1))
    assert exactly(desk, session(10), session(111))
    assert [action.kind for action in desk.store.actions("bourse", "AAPL")] == ["split"]
    assert not [job for job in desk.store.jobs() if job.state is JobState.PENDING]


def test_a_ratio_that_is_corrected_by_hours_has_the_days_read_again_once(each_desk: Desk) -> None:
    each_desk.exchange.splits[session(100)] = Fraction(4)
    each_desk.at(session(110) + EVENING)
    run_virtually(each_desk.fill(session(10), timeframes=(D1, H1)))
    each_desk.exchange.splits[session(100)] = Fraction(5)
    each_desk.at(session(111) + EVENING)
    run_virtually(each_desk.fill(session(95), until=session(103), timeframes=(H1,), force=True, until_s=99))
    assert exactly(each_desk, session(10), session(110))
    assert not [job for job in each_desk.store.jobs() if job.state is not JobState.SUCCEEDED]


@pytest.mark.parametrize("corrected", ["before the split", "while it is read again", "since"])
def test_what_was_stored_at_a_time_is_told_in_the_shares_of_today(desk: Desk, corrected: str) -> None:
    """Of a split no backtest sees half."""
    quoted, wrong = desk.exchange.row, {session(120)}

    def with_errors(
        timeframe: Timeframe, time: int, now: int, *, adjusted: bool = True
    ) -> ExactCandle | None:
        row = quoted(timeframe, time, now, adjusted=adjusted)
        return ExactCandle(time, *row.numbers[:4], str(2 * int(row.volume))) if row and time in wrong else row

    def corrects(when: str) -> None:
        if when == corrected:
            wrong.clear()

    desk.exchange.row = with_errors  # type: ignore[method-assign]
    desk.at(session(150) + EVENING)
    run_virtually(desk.fill(session(100)))
    then = session(150) + EVENING + 60_000
    corrects("before the split")
    desk.at(session(151) + EVENING)
    run_virtually(desk.fill(session(100), force=True))
    desk.exchange.splits[session(152)] = Fraction(4)
    corrects("while it is read again")
    desk.at(session(152) + EVENING)
    run_virtually(desk.fill(session(100)))
    corrects("since")
    desk.at(session(153) + EVENING)
    run_virtually(desk.fill(session(100), force=True))
    rows = desk.store.read(desk.series().id, session(100), session(150), as_of=then).rows.candles()
    wrong.add(session(120))
    truth = desk.exchange.rows(D1, session(100), session(150), desk.exchange.now)
    assert [row.numbers for row in rows] == [row.numbers for row in truth]


def test_what_was_asked_for_before_a_split_and_came_after_it_is_of_before(each_desk: Desk) -> None:
    each_desk.exchange.splits[session(151)] = Fraction(4)
    each_desk.exchange.latency_s = 0.5
    each_desk.at(session(151) - 300)
    run_virtually(each_desk.fill(session(100), until=session(140)))
    each_desk.at(session(151) + 20 * 60_000)
    run_virtually(each_desk.fill(session(145), until_s=0.6))
    assert agrees(each_desk, session(100), session(151))


def test_what_was_forced_since_a_split_that_nobody_had_told_of_is_converted_no_more(desk: Desk) -> None:
    desk.at(session(150) + EVENING)
    run_virtually(desk.fill(session(100)))
    desk.exchange.splits[session(151)] = Fraction(4)
    desk.at(session(151) + EVENING)
    run_virtually(desk.fill(session(100), until=session(140), force=True))
    run_virtually(desk.fill(session(145), until_s=0.1))
    assert agrees(desk, session(100), session(151))
    assert desk.store.read(desk.series().id, session(100), session(151)).converted


@pytest.mark.parametrize("seed", range(6))
def test_whatever_splits_and_kills_come_what_is_read_is_never_mixed(tmp_path: Path, seed: int) -> None:
    _a_life(tmp_path, seed, days=8)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(300))
def test_whatever_splits_and_kills_come_what_is_read_is_never_mixed_long(tmp_path: Path, seed: int) -> None:
    _a_life(tmp_path, seed, days=30)


def _a_life(folder: Path, seed: int, *, days: int) -> None:
    random = Random(seed)
    desk = Desk(folder / "history.db", page=random.choice([7, 40]))
    timeframes = random.choice([(D1,), (D1, H1)])
    desk.exchange.splits = {session(random.randrange(60)): random.choice(RATIOS) for _ in range(2)}
    for day in range(60, 60 + days):
        if random.random() < 0.3:
            desk.exchange.splits[session(day)] = random.choice(RATIOS)
        if random.random() < 0.2:
            continue
        desk.at(session(day) + random.choice([17 * 60_000, EVENING]))
        start = session(random.choice([10, day - 3]))

        stopped_s, force = random.choice([None, None, 0.06, 0.3]), random.random() < 0.1
        run_virtually(desk.fill(start, timeframes=timeframes, until_s=stopped_s, force=force))
        for timeframe in timeframes:  # also where it was stopped
            assert _one_epoch(desk, timeframe), (seed, day)
    desk.at(session(60 + days) + EVENING)
    run_virtually(desk.fill(session(10), timeframes=timeframes))
    for timeframe in timeframes:
        assert exactly(desk, session(10), session(61 + days), timeframe), seed
        assert desk.store.stats(desk.series(timeframe).id)[0].revisions == 0
    desk.store.close()


def _one_epoch(desk: Desk, timeframe: Timeframe) -> bool:
    """All that is known is in the shares of one day: of today, or of when the newest known split came."""
    held = {time for time, kind, _ in desk.store.actions("bourse", "AAPL") if kind == "split"}
    every = dict(desk.exchange.splits)
    later = {time for time in every if time > max(held, default=0)}
    # Of splits that no page has told of yet nothing is known; what was read since knows of them all.
    for unknown in (set[int](), later):
        desk.exchange.splits = {t: r for t, r in every.items() if t not in unknown}
        if agrees(desk, session(10), session(100), timeframe):
            break
    else:
        desk.exchange.splits = every
        return False
    desk.exchange.splits = every
    return True


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=4).map(
    lambda drawn: Coverage((start, start + length) for start, length in drawn)
)


@given(st.lists(st.tuples(spans, st.sampled_from(RATIOS), st.booleans()), max_size=8))
@settings(max_examples=examples(150), deadline=None)
def test_scales_are_what_each_moment_alone_says(steps: list[tuple[Coverage, Fraction, bool]]) -> None:
    scales: list[Scale] = []
    model: dict[int, Fraction] = {}
    for where, ratio, read in steps:
        if read:
            scales = unscale(scales, where)
            model = {time: each for time, each in model.items() if time not in where}
        else:
            scales = rescale(scales, where, ratio)
            model |= {time: model.get(time, Fraction(1)) * ratio for time in range(100) if time in where}
        assert {t: each.ratio for each in scales for t in range(each.start, each.end)} == model
        assert stale(scales) == Coverage((time, time + 1) for time in model)
        ends = [(each.start, each.end) for each in scales]
        assert ends == sorted(ends) and all(a[1] <= b[0] for a, b in pairwise(ends))


@given(candles(), st.sampled_from(RATIOS))
@settings(max_examples=examples(60), deadline=None)
def test_a_split_that_is_undone_leaves_what_was(rows: list, ratio: Fraction) -> None:  # type: ignore[type-arg]
    columns = Columns.of(rows)
    there = in_shares(columns, ratio)
    for before, after in zip(columns.numbers[:4], there.numbers[:4], strict=True):
        back = times(after, ratio)
        assert not before.differ(back).any() or ratio == Fraction(3, 2)
        assert all(
            abs(Fraction(a) - Fraction(b)) <= Fraction(1, 10**11)
            for a, b in zip(before.texts(), back.texts(), strict=True)
        )
