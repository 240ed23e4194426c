"""The pages on the Python readers show what is so: their sessions and scripts are run over a filled store."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
from pathlib import Path
from typing import Any

import pytest

from .test_docstrings import reader  # noqa: F401  a fixture

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ["python.md", "coming-from-ccxt.md"]


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("name", PAGES)
def test_the_sessions_of_a_page_print_what_it_says(name: str) -> None:
    for package in ("numpy", "pandas", "polars"):
        pytest.importorskip(package)  # which show
    page = (DOCS / name).read_text(encoding="utf-8")
    sessions = "".join(re.findall(r"^```pycon\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    session = doctest.DocTestParser().get_doctest(sessions, {}, name, name, 0)
    assert len(session.examples) > 4
    mistakes: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(session, out=mistakes.append)
    assert mistakes == [], "".join(mistakes)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("name", PAGES)
def test_the_scripts_of_a_page_run(name: str) -> None:
    page = (DOCS / name).read_text(encoding="utf-8")
    for script in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        told = io.StringIO()
        names: dict[str, Any] = {"__name__": "__main__"}
        with contextlib.redirect_stdout(told):
            exec(compile(script, name, "exec"), names)
        assert told.getvalue() == "coinbase:BTC-USD:5m 1771588800000 76324.18\n"
