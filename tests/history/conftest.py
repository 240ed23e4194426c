"""A store, in a folder of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from livecache.__main__ import main
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import HistoryDatabase

from .engines import Engine, InFile, OnServer
from .pg import Postgres
from .support import HandClock, number_of, opened

Check = Callable[..., Any]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store(tmp_path: Path, clock: HandClock) -> Iterator[SqliteHistory]:
    held = opened(tmp_path, clock)
    yield held
    held.close()


@pytest.fixture
def series(store: HistoryDatabase) -> int:
    return number_of(store)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Each engine of a store, and nothing in it."""
    if request.param == "sqlite":
        return InFile(tmp_path)
    made = OnServer(request.getfixturevalue("postgres"))
    made.empty()
    return made


@pytest.fixture
def packed(postgres: Postgres) -> Engine:
    """A database that keeps candles packed, and nothing in it."""
    made = OnServer(postgres, "packed")
    made.empty()
    return made


@pytest.fixture
def each_store(engine: Engine, clock: HandClock) -> Iterator[HistoryDatabase]:
    """A store, by each engine."""
    held = engine.open(clock)
    yield held
    held.close()


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """`livecache check --history --json` on the file of the test; its report, with the exit code in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("LIVECACHE_HISTORY_URL", "LIVECACHE_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)

    def ran(*arguments: str) -> Any:
        code = main(["check", "--history", "--history-url", "sqlite:///history.db", "--json", *arguments])
        report = json.loads(capsys.readouterr().out)
        assert report["clean"] is (code == 0) and code in (0, 7)
        return report

    return ran
