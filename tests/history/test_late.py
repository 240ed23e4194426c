"""Who does not use deep history pays nothing for it: neither numpy nor SQLite is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADED = [
    *("livecache", "livecache.app", "livecache.__main__"),
    *("livecache.history.store", "livecache.reader.reader", "livecache.reader.async_reader"),
]
HEAVY = {
    "numpy",
    "sqlite3",
    "livecache.history.columns",
    "livecache.history.sqlite.store",
    "livecache.reader.years",
}


@pytest.mark.parametrize("loaded", LOADED)
def test_neither_numpy_nor_sqlite_is_loaded_before_history_is_used(loaded: str) -> None:
    script = f"import sys, {loaded}; print(sorted({HEAVY!r} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
