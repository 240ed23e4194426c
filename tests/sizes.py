"""A proof in two sizes: what every run tries of it, and the whole, which `make long` runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import hypothesis
import pytest

__all__ = ["WHOLE", "examples", "some"]

WHOLE = "whole"
"""The profile of hypothesis under which all examples are tried."""


def some(values: Iterable[Any], *tried: Any) -> list[Any]:
    """The parameters `values`, of which all but those `tried` have the mark `long`."""
    whole = [*values]
    missing = [each for each in tried if each not in whole]
    assert not missing, f"none of the parameters: {missing}"
    return [each if each in tried else _long(each) for each in whole]


def _long(each: Any) -> Any:
    parts = each if isinstance(each, tuple) else (each,)
    return pytest.param(*parts, marks=pytest.mark.long)


def examples(whole: int, *, least: int = 10) -> int:
    """How many of so many examples are tried: a quarter of them, and at least so many, but under `WHOLE`."""
    if hypothesis.settings.get_current_profile_name() == WHOLE:
        return whole
    return min(whole, max(least, whole // 4))
