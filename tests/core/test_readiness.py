"""Readiness names the one thing that is wrong."""

from dataclasses import replace

import pytest

from livecache.model.coverage import Span
from livecache.proof.readiness import Facts, reason_not_ready

NOW = 1_770_000_000_000
M5 = 300_000
GOOD = Facts(
    have=60, elsewhere=0, need=60, known_from=NOW - 60 * M5, known_through=NOW, due=NOW + M5, now=NOW,
    hole=None, why="", given_up=False, history_from=0, failure="", was_ready=False,
)  # fmt: skip


AGO = NOW - 9 * M5
BEFORE = Span(NOW - 61 * M5, NOW - 60 * M5)


def reason(facts: Facts) -> str:
    return reason_not_ready(facts, settling_ms=20_000, max_lag_ms=600_000)


def test_enough_contiguous_fresh_candles_are_ready() -> None:
    assert reason(GOOD) == ""


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(GOOD, known_through=0, have=0), "nothing fetched"),
        (replace(GOOD, have=59), "59 of 60"),
        (replace(GOOD, have=34, history_from=NOW - 60 * M5), "has only 34 of 60, searched back to 2026-02"),
        (replace(GOOD, have=34, elsewhere=9, hole=BEFORE, history_from=NOW - 60 * M5), "has only 34 of 60"),
        (replace(GOOD, have=34, elsewhere=9, hole=BEFORE, history_from=NOW - 99 * M5), "hole"),
        (replace(GOOD, have=40, elsewhere=59, hole=BEFORE), "hole: nothing is known from 2026-02-01T21:35"),
        (replace(GOOD, have=40, elsewhere=59, hole=BEFORE, why="unusable: no price"), ": unusable: no price"),
        (replace(GOOD, have=29, elsewhere=70, hole=BEFORE, given_up=True), "has only 29 of 60 after a hole"),
        (replace(GOOD, known_through=NOW - 24 * 12 * M5, due=NOW - 287 * M5), "nothing is known since"),
        (replace(GOOD, known_through=AGO, due=AGO + M5, hole=Span(AGO, AGO + M5)), "hole"),
        (replace(GOOD, have=5, failure="server error, tried 5 times"), "failing: server error"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(facts: Facts, words: str) -> None:
    assert words in reason(facts)


def test_a_series_becomes_ready_only_once_its_gap_is_covered_and_stays_ready_for_a_while() -> None:
    one_missing = replace(GOOD, known_through=NOW - M5, due=NOW, now=NOW + 20_001)
    assert "nothing is known since" in reason(one_missing)
    assert reason(replace(one_missing, was_ready=True)) == ""
    assert reason(replace(one_missing, now=NOW + 20_000)) == "", "it closed less than a settling interval ago"
    assert reason(replace(one_missing, was_ready=True, now=NOW + 600_001))


def test_a_failing_series_that_still_serves_fresh_data_is_ready() -> None:
    assert reason(replace(GOOD, failure="server error")) == ""
