"""Properties of request 001 about what is told: of progress, of failures, of rows that cannot be believed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.history.store import JobState
from livecache.venues.venue import FailureKind, FetchFailure, Page, PageRequest

from .bourse import SESSIONS, Bourse, Filling

SYMBOLS = [f"S{number}" for number in range(6)]
KINDS = [FailureKind.UNKNOWN_SYMBOL, FailureKind.UNAUTHORIZED, FailureKind.SERVER]

few = settings(max_examples=4, deadline=None)


pytestmark = pytest.mark.usefixtures("logs_end")


def failing_as(failing: dict[str, FailureKind]) -> Bourse:
    def answer(request: PageRequest, before: int) -> FetchFailure | None:
        kind = failing.get(request.symbol)
        return None if kind is None else FetchFailure(kind, f"no {request.symbol}")

    return Bourse(answer)


some = st.dictionaries(st.sampled_from(SYMBOLS), st.sampled_from(KINDS), max_size=3)


@few
@given(some)
def test_P16_each_failure_is_in_the_log_with_its_symbol_its_task_and_why(
    tmp_path_factory: pytest.TempPathFactory, failing: dict[str, FailureKind]
) -> None:
    filling = Filling(tmp_path_factory.mktemp("log"), failing_as(failing), SYMBOLS)
    filling.run()
    told = {line["symbol"]: line for line in filling.console if line["level"] == "ERROR"}
    assert set(told) == set(failing)
    store = filling.store()
    for job in filling.jobs():
        symbol = store.info(job.want.series).key.symbol
        if line := told.get(symbol):
            assert line["job"] == job.id and job.state is JobState.FAILED
            assert (line["event"], line["timeframe"]) == ("history_failed", "1d")
            assert (
                symbol in line["message"] and f"no {symbol}" in line["message"] == f"{symbol} 1d: {job.error}"
            )
    store.close()


@few
@given(some)
def test_P18_both_logs_have_each_message_in_order_with_what_it_is_about(
    tmp_path_factory: pytest.TempPathFactory, failing: dict[str, FailureKind]
) -> None:
    filling = Filling(tmp_path_factory.mktemp("both"), failing_as(failing), SYMBOLS)
    filling.run()
    entries, store = filling.logged(), filling.store()
    of_console = [(e["level"], e["event"], e["message"], e.get("job")) for e in filling.console]
    assert [(e.level, e.event, e.message, e.job) for e in entries] == of_console
    for entry, line in zip(entries, filling.console, strict=True):
        if "symbol" in line:
            assert entry.series and store.info(entry.series).key.symbol == line["symbol"]
    store.close()


@settings(max_examples=4, deadline=None)
@given(st.integers(1, 45), st.sets(st.integers(0, 44), max_size=3))
def test_P15_at_every_tenth_symbol_at_least_it_is_told_how_far_it_is(
    tmp_path_factory: pytest.TempPathFactory, count: int, unknown: set[int]
) -> None:
    names = [f"S{number}" for number in range(count)]
    failing = {f"S{number}": FailureKind.UNKNOWN_SYMBOL for number in unknown}
    filling = Filling(tmp_path_factory.mktemp("progress"), failing_as(failing), names, days=5)
    filling.run()
    ended, told = 0, [0]
    for line in filling.console:
        ended += line["event"] in ("history_filled", "history_failed")
        if line["event"] == "history_progress" and "are over" in line["message"]:
            told.append(ended)
            assert f"{ended} of {count}" in line["message"]
    assert ended == count
    assert all(late - early <= 10 for early, late in pairwise([*told, count]))


@settings(max_examples=3, deadline=None)
@given(st.sets(st.integers(0, 30), min_size=1, max_size=4))
def test_P20_rows_that_cannot_be_believed_are_left_out_and_logged_with_the_reason(
    tmp_path_factory: pytest.TempPathFactory, bad: set[int]
) -> None:
    filling = Filling(tmp_path_factory.mktemp("rows"), Bourse(), ["GOOD", "BAD"])
    opens = list(SESSIONS.opens(*filling.sure))
    spoilt = {opens[number]: f"its high {number} is below its close" for number in bad}

    def answer(request: PageRequest, before: int) -> Page | None:
        if request.symbol != "BAD":
            return None
        rows = filling.bourse.rows(request.symbol, request.start, request.end)
        hit = {time: why for time, why in spoilt.items() if request.start <= time < request.end}
        kept = tuple(row for row in rows if row.time not in hit)
        return Page(request, kept, frozenset(hit), hit, spoiled=len(hit))

    filling.bourse.answer = answer
    span = filling.sure
    lines = filling.run()
    rows, coverage = filling.held("BAD")
    assert {row.time for row in rows}.isdisjoint(spoilt)
    assert all(not coverage.covers(time, SESSIONS.end(time)) for time in spoilt), "and not known"
    final = {time for time in opens if SESSIONS.end(time) <= filling.final}
    assert {row.time for row in rows if row.time >= opens[0]} == final - set(spoilt)
    assert lines["BAD"].rejected >= len(spoilt)
    for why in spoilt.values():
        assert any(why in line["message"] and line["symbol"] == "BAD" for line in filling.console), why
    assert filling.is_whole("GOOD", span)
