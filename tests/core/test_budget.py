"""Budgets: a value that makes no sense is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from livecache.model.budget import Budget, Pool, Rolling, Spacing, Window, usage_of


@pytest.mark.parametrize(
    "make",
    [
        lambda: Pool("odd", 0, 1.0),
        lambda: Pool("odd", 1, 0.0),
        lambda: Window("odd", 1, "used", share=0.0),
        lambda: Window("odd", 1, "used", share=1.1),
        lambda: Window("odd", 1, "used", length_s=0),
        lambda: Rolling("odd", -1, 1.0),
        lambda: Rolling("odd", 1, float("nan")),
        lambda: Spacing("odd", 0.0),
        lambda: Spacing("odd", float("nan")),
        lambda: Spacing("odd", 1.0, jitter_s=-1.0),
    ],
)
def test_a_budget_that_allows_nothing_or_anything_is_refused_by_name(make: Callable[[], Budget]) -> None:
    with pytest.raises(ValueError, match="the budget 'odd'"):
        make()


@pytest.mark.parametrize(
    ("said", "used"),
    [
        ("4750", {"weight": 4750}),
        (" 7 ", {"weight": 7}),
        ("0", {"weight": 0}),
        *[(odd, {}) for odd in ("", "-1", "1.5", "many", "\u0663", "nan")],
        ("9" * 4000, {"weight": 999_999_999}),
    ],
)
def test_what_the_headers_of_an_answer_say_is_used_of_a_window(said: str, used: dict[str, int]) -> None:
    budgets = (Window("weight", 6000, "X-Used"), Window("orders", 10, "X-Orders"), Spacing("gap", 1.0))
    assert usage_of(budgets, {"X-Used": said}) == used
