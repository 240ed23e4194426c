"""docs/reliability.md names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_each_row_is_shown_by_a_test_that_exists() -> None:
    page = (ROOT / "docs/reliability.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and "| shown by |" not in line]
    assert len(rows) > 40
    there = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    for row in rows:
        named = re.findall(r"`(test_\w+|python -m tests\.\w+)`", row.rsplit("|", 2)[1])
        assert named, f"no test is named: {row}"
        assert {name for name in named if name.startswith("test_")} <= there, row
