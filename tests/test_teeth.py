"""The deliberate breakages still fit the code; `python -m tests.teeth` shows that they are caught."""

from __future__ import annotations

from pathlib import Path

import pytest

from .teeth.breakages import BREAKAGES, Breakage

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda b: b.name)
def test_a_breakage_still_finds_the_one_place_that_it_breaks(breakage: Breakage) -> None:
    assert [edit.found(ROOT) for edit in breakage.edits] == [1] * len(breakage.edits)
