"""The rules of evidence, a test a row of the table in docs/reliability.md."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from livecache.proof.evidence import APART_MS, DISPUTE_MS, ENDS_MS, Kin, Open, Verdict, Witnesses, verdict
from tests.core.driver import candle

T = 1_770_000_000_000
ROW, OTHER = candle(T, "5"), candle(T, "6")

# A page that lacks the row and shows nothing newer; before it something is known. No other witness speaks.
ABSENT = Witnesses(
    row=False, poorer=False, newer=False, aged=False, older=True, whole=True, behind=False, empty=False,
    silent=False, quiet=False, kin=Kin.SILENT, sleeps=False, halted=False, told=Open(None, T, T),
)  # fmt: skip
THERE = replace(ABSENT, row=True)


def told(pages: int, over_ms: int, *, fresh: int = 0, empty: bool = False) -> Open:
    return Open(None, T, T + over_ms, pages=pages, fresh=fresh, empty=empty)


def test_a_row_is_settled_by_a_page_that_shows_something_newer() -> None:
    assert verdict(replace(THERE, newer=True)) is Verdict.SETTLED
    assert verdict(THERE) is Verdict.OPEN


def test_a_row_beside_something_newer_is_settled_whatever_else_is_said() -> None:
    """Which is why nobody else is asked of the rows in the midst of a page."""
    flags = ("aged", "older", "whole", "behind", "empty", "silent", "sleeps", "halted")
    for said in product([False, True], repeat=len(flags)):
        for kin in Kin:
            others: dict[str, Any] = dict(zip(flags, said, strict=True))
            witnesses = replace(THERE, newer=True, kin=kin, **others)
            assert verdict(witnesses) is Verdict.SETTLED, witnesses


def test_a_row_of_a_bucket_that_ended_before_any_lag_is_settled() -> None:
    assert verdict(replace(THERE, aged=True)) is Verdict.SETTLED


def test_the_newest_row_is_likely_once_a_second_page_has_it_too() -> None:
    assert verdict(replace(THERE, told=told(2, APART_MS))) is Verdict.LIKELY


def test_the_newest_row_is_likely_where_the_product_is_known_to_sleep_so_long() -> None:
    assert verdict(replace(THERE, sleeps=True)) is Verdict.LIKELY


@pytest.mark.parametrize("row", [True, False])
def test_what_is_poorer_than_the_feed_is_never_taken_from_one_page(row: bool) -> None:
    """Whatever else speaks for it."""
    poorer = replace(ABSENT, row=row, poorer=True, newer=True, aged=True, sleeps=True, kin=Kin.CONFIRMS)
    assert verdict(poorer) is Verdict.OPEN
    assert verdict(replace(poorer, told=told(9, 9 * DISPUTE_MS))) is Verdict.OPEN, "none of them was fresh"


@pytest.mark.parametrize("row", [True, False])
def test_three_fresh_pages_over_five_minutes_overrule_the_feed(row: bool) -> None:
    def after(pages: int, over_ms: int) -> Verdict:
        return verdict(replace(ABSENT, row=row, poorer=True, told=told(pages, over_ms, fresh=pages)))

    assert after(3, DISPUTE_MS) is Verdict.OVERRULED
    assert after(2, DISPUTE_MS) is Verdict.OPEN
    assert after(3, DISPUTE_MS - 1) is Verdict.OPEN


def test_a_row_absent_between_rows_is_empty() -> None:
    assert verdict(replace(ABSENT, newer=True)) is Verdict.SETTLED


def test_a_row_absent_between_rows_is_open_while_another_timeframe_holds_it() -> None:
    denied = replace(ABSENT, newer=True, kin=Kin.DENIES)
    assert verdict(denied) is Verdict.OPEN
    assert verdict(replace(denied, told=told(3, DISPUTE_MS, fresh=3))) is Verdict.OVERRULED


def test_a_row_absent_before_all_that_is_known_is_open() -> None:
    assert verdict(replace(ABSENT, newer=True, older=False)) is Verdict.OPEN
    assert verdict(replace(ABSENT, newer=True, older=False, told=told(9, DISPUTE_MS))) is Verdict.OPEN


def test_a_row_absent_after_all_that_the_page_shows_is_open() -> None:
    assert verdict(ABSENT) is Verdict.OPEN


def test_a_row_absent_at_the_end_is_presumed_empty_by_another_witness() -> None:
    for one in (replace(ABSENT, silent=True), replace(ABSENT, halted=True)):
        assert verdict(one) is Verdict.PRESUMED


def test_a_row_absent_at_the_end_is_likely_empty_by_habit_or_once_a_second_page_agrees() -> None:
    """The second page only where the feed carries the product and has shown nothing newer."""
    assert verdict(replace(ABSENT, sleeps=True)) is Verdict.LIKELY
    assert verdict(replace(ABSENT, quiet=True, told=told(2, APART_MS))) is Verdict.LIKELY
    assert verdict(replace(ABSENT, quiet=True)) is Verdict.OPEN
    assert verdict(replace(ABSENT, told=told(9, DISPUTE_MS))) is Verdict.OPEN, (
        "pages may be cut short for long"
    )


def test_a_row_absent_at_the_end_is_empty_if_a_bigger_bucket_holds_no_more() -> None:
    assert verdict(replace(ABSENT, kin=Kin.CONFIRMS)) is Verdict.SETTLED


def test_a_wholly_empty_page_proves_nothing_by_itself() -> None:
    empty = replace(ABSENT, empty=True, told=told(1, 0, empty=True))
    for one in (empty, replace(empty, newer=True), replace(empty, aged=True)):
        assert verdict(one) is Verdict.OPEN


def test_wholly_empty_pages_prove_nothing_however_often_they_come() -> None:
    empty = replace(ABSENT, empty=True, told=told(99, 99 * DISPUTE_MS, empty=True))
    for one in (empty, replace(empty, newer=True), replace(empty, aged=True)):
        assert verdict(one) is Verdict.OPEN


def test_wholly_empty_pages_are_presumed_with_a_bigger_bucket_and_likely_with_a_quiet_feed() -> None:
    empty = replace(ABSENT, empty=True, told=told(1, 0, empty=True))
    assert verdict(replace(empty, kin=Kin.CONFIRMS)) is Verdict.PRESUMED
    quiet = replace(empty, quiet=True)
    assert verdict(replace(quiet, told=told(2, ENDS_MS, empty=True))) is Verdict.OPEN
    assert verdict(replace(quiet, told=told(3, ENDS_MS - 1, empty=True))) is Verdict.OPEN
    assert verdict(replace(quiet, told=told(3, ENDS_MS, empty=True))) is Verdict.LIKELY


def test_a_bigger_timeframe_that_was_asked_bears_out_a_second_empty_page_and_no_first_one() -> None:
    borne = replace(ABSENT, kin=Kin.BEARS_OUT)
    assert verdict(borne) is Verdict.SETTLED, "pages that have rows, but not on both sides"
    empty = replace(borne, empty=True, told=told(1, 0, empty=True))
    assert verdict(empty) is Verdict.OPEN
    assert verdict(replace(empty, told=told(2, APART_MS, empty=True))) is Verdict.PRESUMED


def test_absence_is_overruled_by_no_page_that_shows_one_side_of_it() -> None:
    """It may be cut short; but if it has rows on both sides, other timeframes are wrong."""
    denied = replace(ABSENT, kin=Kin.DENIES, told=told(9, 9 * DISPUTE_MS, fresh=9))
    for one in (denied, replace(denied, newer=True, older=False), replace(denied, newer=True, whole=False)):
        assert verdict(one) is Verdict.OPEN
    assert verdict(replace(denied, newer=True)) is Verdict.OVERRULED


def test_a_page_that_lacks_what_was_settled_says_nothing_of_absence() -> None:
    lacking = replace(ABSENT, whole=False, newer=True, silent=True, kin=Kin.CONFIRMS)
    assert verdict(lacking) is Verdict.OPEN
    assert verdict(replace(lacking, told=told(3, DISPUTE_MS))) is Verdict.PRESUMED


def test_a_venue_that_is_seen_to_lag_presumes_nothing() -> None:
    behind = replace(ABSENT, behind=True, sleeps=True, told=told(9, DISPUTE_MS))
    assert verdict(behind) is Verdict.OPEN
    assert verdict(replace(behind, row=True)) is Verdict.OPEN
    assert verdict(replace(behind, empty=True, newer=True)) is Verdict.OPEN
    assert verdict(replace(behind, silent=True)) is Verdict.PRESUMED, "but the feed may still speak"
    assert verdict(replace(behind, newer=True)) is Verdict.SETTLED, "and rows on both sides"


def test_pages_count_as_two_only_a_minute_apart_and_only_while_they_agree() -> None:
    said = Open(ROW, T, T)

    def hear(row: object, after_ms: int, *, fresh: bool = True) -> tuple[int, int]:
        said.hear(row, T + after_ms, fresh=fresh, empty=False, newer=False, whole=True)  # type: ignore[arg-type]
        return said.pages, said.fresh

    assert hear(ROW, APART_MS - 1) == (1, 0)
    assert hear(ROW, APART_MS) == (2, 1)
    assert hear(ROW, 2 * APART_MS, fresh=False) == (3, 1)
    assert hear(OTHER, 3 * APART_MS) == (1, 1)
    assert hear(None, 4 * APART_MS, fresh=False) == (1, 0)
