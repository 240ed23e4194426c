"""The Python of README.md and docs/ shows what is so: sessions and scripts are run over a filled store.

But for what README.md says to paste beside a demo, which test_readme.py does.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
from pathlib import Path
from typing import Any

import pytest

from .test_docstrings import reader  # noqa: F401  a fixture

ROOT = Path(__file__).parent.parent
SESSIONS = {"README.md": 5, "docs/python.md": 13, "docs/coming-from-ccxt.md": 5}
"""Pages with sessions, and the least number of their lines."""
PRINTED = {
    "docs/python.md": [
        "60 candles, the last close 76324.18, feed up\n",
        "coinbase:BTC-USD:5m 1771588800000 76324.18\n",
    ],
    "docs/simulator.md": ["1771588500000 60 candles\n"],
}
"""What the scripts of a page print."""
BESIDE_A_DEMO = {"README.md"}
BESIDE_A_SERVICE = {"docs/api-guide.md"}
"""What tests/e2e/test_api_guide.py runs."""


def fences(page: str, language: str) -> list[str]:
    """What is in a page's fenced blocks of that language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("page", SESSIONS)
def test_the_sessions_of_a_page_print_what_it_says(page: str) -> None:
    for package in ("numpy", "pandas", "polars"):
        pytest.importorskip(package)  # which show
    sessions = "".join(fences(page, "pycon"))
    session = doctest.DocTestParser().get_doctest(sessions, {}, page, page, 0)
    assert len(session.examples) >= SESSIONS[page]
    mistakes: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(session, out=mistakes.append)
    assert mistakes == [], "".join(mistakes)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("page", PRINTED)
def test_the_scripts_of_a_page_print_what_it_says(page: str) -> None:
    printed = []
    for script in fences(page, "python"):
        told = io.StringIO()
        names: dict[str, Any] = {"__name__": "__main__"}
        with contextlib.redirect_stdout(told):
            exec(compile(script, page, "exec"), names)
        printed.append(told.getvalue())
    assert printed == PRINTED[page]


def test_no_python_of_the_pages_goes_unseen() -> None:
    pages = [
        "README.md",
        *(f"docs/{path.relative_to(ROOT / 'docs')}" for path in (ROOT / "docs").rglob("*.md")),
    ]
    assert {page for page in pages if fences(page, "pycon")} == set(SESSIONS)
    assert {page for page in pages if fences(page, "python")} == set(
        PRINTED
    ) | BESIDE_A_DEMO | BESIDE_A_SERVICE


def test_the_page_on_the_simulator_tells_what_its_script_prints() -> None:
    assert (
        f"It prints `{PRINTED['docs/simulator.md'][0].strip()}`" in (ROOT / "docs/simulator.md").read_text()
    )
