"""Prices as they are stored, as they were traded, and without dividends; the answer says which."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache import AsyncReader, Incomplete, Reader
from livecache.commands.files.exporting import Wish, export_history
from livecache.equities.action import Action
from livecache.equities.adjust import Adjust, as_traded, dividend_factors, newest_split
from livecache.equities.scale import Scale, ratio_of
from livecache.errors import HistoryChanged, HistoryError
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Answer
from livecache.keys.history_place import Place

from ..simulation.virtual import run_virtually
from ..sizes import examples
from .exchange import CLOSE, D1, H1, OPEN, SESSIONS, WEEKS, Desk, session

EVENING = CLOSE - OPEN + 46 * 60_000
SPLITS = {session(40): Fraction(4), session(90): Fraction(1, 8), session(120): Fraction(3, 2)}
DIVIDENDS = {session(n): Fraction(16 + n, 4) for n in (20, 55, 90, 110, 140)}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    held = Desk(tmp_path / "history.db")
    held.exchange.splits, held.exchange.dividends = dict(SPLITS), dict(DIVIDENDS)
    held.at(session(150) + EVENING)
    run_virtually(held.fill(session(10), timeframes=(D1, H1)))
    yield held
    held.store.close()


@pytest.fixture
def reader(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    for name in ("LIVECACHE_REDIS_URL", "LIVECACHE_REDIS_DATA_DIR", "LIVECACHE_HISTORY_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with Reader(history=f"sqlite:///{desk.path}") as opened:
        yield opened


def adjusted_closes(desk: Desk) -> dict[int, float]:
    """As the venue tells them beside its quotes."""
    exchange, now = desk.exchange, desk.exchange.now
    rows = exchange.rows(D1, session(10), session(151), now)
    closes, factor = dict[int, float](), 1.0
    dividends = {a.time: float(a.value) for a in exchange.actions(0, now, now) if a.kind == "dividend"}
    for row, before in zip(reversed(rows), [*reversed(rows[:-1]), None], strict=True):
        closes[row.time] = float(row.close) * factor
        if row.time in dividends and before:
            factor *= 1 - dividends[row.time] / float(before.close)
    return closes


def test_splits_is_as_it_is_stored_and_the_answer_says_so(desk: Desk, reader: Reader) -> None:
    answer = reader.history("AAPL", "1d", session(10), session(151))
    truth = desk.exchange.rows(D1, session(10), session(151), desk.exchange.now)
    assert [row.close for row in answer.exact()] == [row.close for row in truth]
    assert answer.adjust == "splits" and answer.split == (session(120), "split", "3/2")
    assert "adjusted" not in repr(answer)


@pytest.mark.parametrize("timeframe", [D1, H1])
def test_none_is_as_it_was_traded_that_day(desk: Desk, reader: Reader, timeframe: object) -> None:
    answer = reader.history("AAPL", timeframe, session(10), session(151), adjust="none")  # type: ignore[arg-type]
    truth = [
        desk.exchange.row(timeframe, time, desk.exchange.now, adjusted=False)  # type: ignore[arg-type]
        for time in answer.time.tolist()
    ]
    for got, row in zip(answer.exact(), truth, strict=True):
        assert row is not None
        assert [float(each) for each in got.numbers[:4]] == pytest.approx(
            [*map(float, row.numbers[:4])], rel=1e-9
        )
        assert abs(int(got.volume) - int(row.volume)) <= 8, "the venue's own are rounded to whole shares"
        if got.time >= session(120):
            assert got.numbers == row.numbers
    assert answer.adjust == "none" and "adjusted for none" in repr(answer)


def test_all_is_the_venues_own_adjusted_close(desk: Desk, reader: Reader) -> None:
    told = adjusted_closes(desk)
    for start in (10, 54, 100, 145):  # also where all dividends lie behind what is read, or some
        answer = reader.history("AAPL", "1d", session(start), session(151), adjust="all")
        expected = [told[time] for time in answer.time.tolist()]
        assert answer.close.tolist() == pytest.approx(expected, rel=1e-9)
    short = reader.history("AAPL", "1d", session(10), session(30), adjust="all")
    assert short.close.tolist() == pytest.approx([told[time] for time in short.time.tolist()], rel=1e-9)
    plain = reader.history("AAPL", "1d", session(10), session(30))
    assert short.volume.tolist() == plain.volume.tolist()
    frame = short.to_pandas()
    assert frame.attrs["adjust"] == "all" and frame.attrs["split"] == (session(120), "split", "3/2")


def test_bigger_candles_are_made_of_adjusted_days(desk: Desk, reader: Reader) -> None:
    told = adjusted_closes(desk)
    weeks = reader.history("AAPL", "1w", WEEKS.floor(session(20)), WEEKS.floor(session(140)), adjust="all")
    lasts = {week: SESSIONS.floor(WEEKS.end(week) - 1) for week in weeks.time.tolist()}
    assert weeks.close.tolist() == pytest.approx([told[lasts[week]] for week in lasts], rel=1e-9)


def test_a_close_that_is_not_known_is_named(desk: Desk, reader: Reader) -> None:
    days = desk.series().id
    desk.store.uncover(days, desk.store.coverage(days).clip(session(50), session(60)))
    with pytest.raises(Incomplete, match="the close before the dividend of") as error:
        reader.history("AAPL", "1d", session(20), session(30), adjust="all")
    assert "history fill --symbols AAPL" in error.value.hint
    assert len(reader.history("AAPL", "1d", session(60), session(70), adjust="all")) == 10


def test_a_dividend_that_is_no_less_than_the_price_makes_none_of_it(desk: Desk, reader: Reader) -> None:
    desk.exchange.dividends[session(145)] = Fraction(500_000)  # in pence
    run_virtually(desk.fill(session(10), force=True))
    with pytest.raises(HistoryError, match="is no less than the close before it, 40") as error:
        reader.history("AAPL", "1d", session(100), adjust="all")
    assert "adjust='splits' does without" in error.value.hint
    assert len(reader.history("AAPL", "1d", session(145), session(151), adjust="all")) == 6


@pytest.mark.parametrize("adjust", ["splits", "none", "all"])
def test_parts_of_one_read_are_not_adjusted_for_different_splits(
    desk: Desk, reader: Reader, adjust: Adjust
) -> None:
    desk.exchange.splits[session(151)] = Fraction(2)
    parts = reader.history_batches("AAPL", "1d", session(10), session(151), rows=50, adjust=adjust)
    next(parts)
    desk.at(session(151) + EVENING)
    run_virtually(desk.fill(session(140), until_s=0.1))
    with pytest.raises(HistoryChanged):
        next(parts)


def test_no_export_holds_prices_of_before_a_split_and_of_after_it(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may store a page between any two reads."""
    parts = type(desk.store).batches

    def slowly(store: SqliteHistory, *asked: int) -> Iterator[Answer]:
        for part in parts(store, *asked):
            yield part
            run_virtually(desk.fill(session(140), until_s=0.1))

    monkeypatch.setattr(type(desk.store), "batches", slowly)
    desk.exchange.splits[session(151)] = Fraction(2)
    desk.at(session(151) + EVENING)
    out = tmp_path / "out.csv"
    with pytest.raises(HistoryChanged, match="AAPL 1d: a split or a dividend was told of"):
        export_history(Place(desk.path), Wish("AAPL", "1d", None, None, "csv", "splits", out))
    assert not out.exists()
    monkeypatch.setattr(type(desk.store), "batches", parts)
    assert export_history(Place(desk.path), Wish("AAPL", "1d", None, None, "csv", "splits", out)) == 0


def test_what_is_asked_for_is_one_of_three(reader: Reader) -> None:
    with pytest.raises(ValueError, match="adjust is 'splits' or 'none' or 'all', not 'split'"):
        reader.history("AAPL", "1d", session(20), adjust="split")  # type: ignore[arg-type]


@pytest.mark.parametrize("adjust", ["splits", "none", "all"])
def test_an_export_is_adjusted_as_a_reader_is(
    desk: Desk, reader: Reader, tmp_path: Path, adjust: Literal["splits", "none", "all"]
) -> None:
    output = tmp_path / "out.csv"
    assert export_history(Place(desk.path), Wish("AAPL", "1d", None, None, "csv", adjust, output)) == 0
    with output.open() as file:
        rows = [(row["close"], row["volume"]) for row in csv.DictReader(file)]
    answer = reader.history("AAPL", "1d", session(10), session(150), adjust=adjust, settled=True)
    assert rows == [(row.close, row.volume) for row in answer.exact()]


def test_without_waiting_and_in_parts_it_is_the_same(desk: Desk, reader: Reader) -> None:
    whole = reader.history("AAPL", "1d", session(10), session(151), adjust="all").close.tolist()
    parts = reader.history_batches("AAPL", "1d", session(10), session(151), rows=17, adjust="all")
    assert [close for part in parts for close in part.close.tolist()] == whole

    async def awaited() -> list[float]:
        async with AsyncReader(history=f"sqlite:///{desk.path}") as waits:
            answer = await waits.history("AAPL", "1d", session(10), session(151), adjust="all")
            closes: list[float] = answer.close.tolist()
            return closes

    assert asyncio.run(awaited()) == whole


times = st.integers(1, 50)
ratios = st.builds(Fraction, st.integers(1, 9), st.integers(1, 9))
splits = st.dictionaries(times, ratios, max_size=5).map(
    lambda drawn: [Action(time, "split", str(ratio)) for time, ratio in drawn.items()]
)


@given(splits)
@settings(max_examples=examples(200), deadline=None)
def test_splits_are_undone_once_each_and_only_before_they_came(drawn: list[Action]) -> None:
    scales = as_traded(drawn)

    def at(time: int) -> Fraction:
        (found,) = [each.ratio for each in scales if each.start <= time < each.end] or [Fraction(1)]
        return found

    for time in range(-1, 52):
        expected = Fraction(1)
        for each in drawn:
            if time < each.time:
                expected *= ratio_of(each)
        assert at(time) * expected == 1
    assert [each for each in scales if each.ratio == 1] == list[Scale]()
    newest = newest_split(drawn)
    assert (newest.time if newest else None) == max((each.time for each in drawn), default=None)


@given(st.dictionaries(times, st.integers(1, 5), max_size=5), st.sets(times, max_size=2))
@settings(max_examples=examples(200), deadline=None)
def test_dividends_leave_what_is_after_the_last_of_them(drawn: dict[int, int], unknown: set[int]) -> None:
    def close(time: int) -> float | None:
        return None if time in unknown else 100.0 + time

    actions = [Action(time, "dividend", str(amount)) for time, amount in drawn.items()]
    factors, since = dividend_factors(actions, close)
    assert since == max((time for time in drawn if time in unknown), default=0)
    assert [each.before for each in factors] == sorted(time for time in drawn if time > since or not since)
    expected = 1.0
    for each in reversed(factors):
        expected *= 1 - drawn[each.before] / (100.0 + each.before)
        assert each.factor == pytest.approx(expected, rel=1e-12)
