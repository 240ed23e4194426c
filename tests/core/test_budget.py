"""Budgets: a value that makes no sense is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from livecache.model.budget import Budget, Pool, Rolling, Spacing, Window


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
