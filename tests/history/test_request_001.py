"""The properties of request 001, each by its name: what a fill of many symbols keeps to, whatever comes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livecache.commands.history.report import total_of
from livecache.history.store import JobState
from livecache.venues.venue import FailureKind, FetchFailure, PageRequest

from .bourse import DAY, NOW, SESSIONS, Bourse, Filling

SYMBOLS = [f"S{number}" for number in range(6)]
HOPELESS = [FailureKind.UNKNOWN_SYMBOL, FailureKind.UNAUTHORIZED]
PASSING = [FailureKind.SERVER, FailureKind.TIMEOUT, FailureKind.NETWORK, FailureKind.MALFORMED]

few = settings(max_examples=5, deadline=None)
"""Each fills a file or several."""


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> pytest.TempPathFactory:
    """One for each example."""
    return tmp_path_factory


pytestmark = pytest.mark.usefixtures("logs_end")


@few
@given(st.dictionaries(st.sampled_from(SYMBOLS), st.sampled_from(HOPELESS + PASSING), max_size=2))
def test_P2_errors_are_isolated_to_their_symbols(
    folders: pytest.TempPathFactory, failing: dict[str, FailureKind]
) -> None:
    def answer(request: PageRequest, before: int) -> FetchFailure | None:
        kind = failing.get(request.symbol)
        return None if kind is None else FetchFailure(kind, f"{request.symbol} fails")

    filling = Filling(folders.mktemp("fill"), Bourse(answer), SYMBOLS)
    span = filling.sure
    lines = filling.run()
    for symbol, line in lines.items():
        if symbol in failing:
            assert line.state == JobState.FAILED and f"{symbol} fails" in line.error
            assert filling.held(symbol)[0] == []
        else:
            assert (line.state, line.error) == (JobState.SUCCEEDED, "")
            assert filling.is_whole(symbol, span)
    total = total_of(list(lines.values()))
    assert total["failed_symbols"] == sorted(failing)


def test_for_an_unknown_symbol_a_near_one_is_told(tmp_path: Path) -> None:
    def answer(request: PageRequest, before: int) -> FetchFailure | None:
        unknown = request.symbol in ("AAPPL", "XQZW")
        return FetchFailure(FailureKind.UNKNOWN_SYMBOL, "404") if unknown else None

    filling = Filling(tmp_path, Bourse(answer), ["AAPPL", "AAPL", "XQZW", "BRK-B"])
    lines = filling.run()
    assert lines["AAPPL"].error == "404; did you mean AAPL?"
    assert lines["XQZW"].error == "404"
    assert lines["AAPL"].error == lines["BRK-B"].error == ""


@few
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5), st.integers(1, 90)), max_size=4))
def test_P7_no_candle_is_there_twice(
    folders: pytest.TempPathFactory, runs: list[tuple[bool, float, int]]
) -> None:
    """However often it is killed, forced, and asked for other stretches."""
    filling = Filling(folders.mktemp("fill"), Bourse(), SYMBOLS[:4])
    for force, until_s, days in runs:
        filling.days = days
        filling.run(force=force, until_s=until_s)
    filling.days = 60
    span = filling.sure
    filling.run()
    for symbol in filling.symbols:
        rows, _ = filling.held(symbol)
        assert len({row.time for row in rows}) == len(rows)
        first = min([span.start, *(NOW - days * DAY for _, _, days in runs)])
        truth = {row.time: row for row in filling.bourse.rows(symbol, first, span.end)}
        assert all(row.equals(truth[row.time]) for row in rows)
        assert {row.time for row in rows} >= set(SESSIONS.opens(*span))


@few
@given(st.lists(st.floats(0, 5), min_size=1, max_size=4), st.booleans())
def test_P22_what_was_left_unfinished_is_found_and_done_first(
    folders: pytest.TempPathFactory, kills: list[float], sooner: bool
) -> None:
    filling = Filling(folders.mktemp("fill"), Bourse(), SYMBOLS[2:])
    span = filling.sure
    for until_s in kills:
        filling.run(until_s=until_s)
    left = {job.id for job in filling.jobs() if job.state is not JobState.SUCCEEDED}
    filling.now += 0 if sooner else 600_000
    asked = len(filling.bourse.asked)
    filling.symbols = SYMBOLS
    lines = filling.run()
    assert all(filling.is_whole(symbol, span) for symbol in SYMBOLS)
    assert all(line.completeness == 100 for line in lines.values())
    done = {job.id for job in filling.jobs() if job.state is JobState.SUCCEEDED}
    assert done >= left, "the jobs of the earlier runs are over"
    again = [request.symbol for request in filling.bourse.asked[asked:]]
    assert len(set(again)) == len(again), "a symbol once at most"
    assert again[-2:] == SYMBOLS[:2], "what is new comes last"


@few
@example({"S0"}, 3, False)
@given(st.sets(st.sampled_from(SYMBOLS)), st.integers(1, 60), st.booleans())
def test_P23_what_is_there_is_skipped_unless_it_is_forced(
    folders: pytest.TempPathFactory, there: set[str], days: int, force: bool
) -> None:
    filling = Filling(folders.mktemp("fill"), Bourse(), sorted(there), days=days)
    filling.run()
    known = {symbol: {row.time for row in filling.held(symbol)[0]} for symbol in there}
    sure = set(SESSIONS.opens(NOW - days * DAY, filling.final))
    asked = len(filling.bourse.asked)
    filling.symbols, filling.days = SYMBOLS, 60
    lines = filling.run(force=force)
    new = {request.symbol: request for request in filling.bourse.asked[asked:]}
    if force:
        assert set(new) == set(SYMBOLS)
    for symbol in there:
        assert known[symbol] >= sure, "Friday alone is not final, and may not have been asked for"
        held = {row.time for row in filling.held(symbol)[0]}
        assert lines[symbol].inserted == len(held - known[symbol])
        if not force and (request := new.get(symbol)):
            asks = set(SESSIONS.opens(request.start, request.end))
            assert not known[symbol] & asks, "it is not asked for again"
    assert set(new) >= set(SYMBOLS) - there
    filling.run()
    assert len(filling.bourse.asked) == asked + len(new), "a run of what is whole asks for nothing"


@few
@given(
    st.dictionaries(st.sampled_from(SYMBOLS), st.sampled_from(HOPELESS)),
    st.sets(st.sampled_from(SYMBOLS)),
)
def test_P17_the_summary_counts_right(
    folders: pytest.TempPathFactory, failing: dict[str, FailureKind], there: set[str]
) -> None:
    def answer(request: PageRequest, before: int) -> FetchFailure | None:
        kind = failing.get(request.symbol)
        return None if kind is None else FetchFailure(kind, "no")

    filling = Filling(folders.mktemp("fill"), Bourse(answer), sorted(there - set(failing)))
    filling.run()
    asked = len(filling.bourse.asked)
    filling.symbols = SYMBOLS
    total = total_of(list(filling.run().values()))
    states = Counter(filling.states().values())
    assert total["series"] == len(SYMBOLS)
    assert total["failed"] == states[JobState.FAILED] == len(failing)
    assert total["successful"] == len(SYMBOLS) - len(failing)
    assert total["failed_symbols"] == sorted(failing)
    assert total["requests"] == len(filling.bourse.asked) - asked
    stored = sum(len(filling.held(symbol)[0]) for symbol in SYMBOLS)
    before = sum(len(filling.held(symbol)[0]) for symbol in there - set(failing))
    assert total["inserted"] == stored - before
