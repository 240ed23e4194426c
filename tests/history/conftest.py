"""A store, in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from livecache.history.sqlite.store import SqliteHistory

from .support import HandClock, number_of, opened


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store(tmp_path: Path, clock: HandClock) -> Iterator[SqliteHistory]:
    held = opened(tmp_path, clock)
    yield held
    held.close()


@pytest.fixture
def series(store: SqliteHistory) -> int:
    return number_of(store)
