"""Every command on years of candles, over a history in PostgreSQL as over a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from livecache.__main__ import main
from livecache.history.store import HistoryDatabase, Want
from livecache.reader.reader import Reader

from .engines import Engine, InFile, OnServer
from .support import market, minute, number_of, put

Told = Callable[..., Any]


@pytest.fixture
def url(engine: Engine, each_store: HistoryDatabase) -> str:
    """Where a history is with a day of minutes, a gap, a revision, and a job that nobody does."""
    series = number_of(each_store)
    put(each_store, series, 0, 1_440)
    put(each_store, series, 10, 20, of=2)
    put(each_store, series, 1_500, 1_600)
    each_store.submit([Want(series, minute(1_440), minute(1_500))])
    if isinstance(engine, OnServer):
        return engine.server.url()
    assert isinstance(engine, InFile)
    return f"sqlite:///{engine.folder}/history.db"


@pytest.fixture
def told(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Told:
    """What a command prints as JSON, if it ends by that code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIVECACHE_REDIS_URL", "redis://127.0.0.1:1")

    def told(*arguments: str, code: int = 0, text: bool = False) -> Any:
        capsys.readouterr()
        assert main([*arguments, "--history-url", url, *([] if text else ["--json"])]) == code, arguments
        said = capsys.readouterr().out
        return said if text else json.loads(said)

    return told


def test_each_command_works_wherever_the_history_is(told: Told, url: str, tmp_path: Path) -> None:
    count = len(market(0, 1_440)) + len(market(1_500, 1_600))
    (stats,) = told("history", "stats")["series"]
    assert abs(stats["candles"] - count) <= 10 and stats["revisions"]
    assert told("history", "gaps", code=1)["total"] == {"gaps": 1, "buckets": 60}
    assert told("history", "assets")["assets"] == []
    assert told("history", "log")["entries"] == []
    assert told("history", "verify")["damaged"] == []
    (job,) = told("history", "jobs")["jobs"]
    number = str(job["id"])
    assert told("history", "jobs", "show", number)["state"] == "pending"
    told("history", "jobs", "cancel", number)
    told("history", "jobs", "retry", number)
    found = told("history", "sql", "SELECT symbol, count(*), min(time) FROM ohlcv GROUP BY symbol")
    assert found["rows"][0]["symbol"] == "BTC-USD"
    assert told("explain", "venue:BTC-USD", "1m", "2024-10-04T00:15Z")
    assert told("check", "--history", code=7)["series"]
    exported = told(
        *("export", "--history", "--symbols", "BTC-USD", "--format", "csv", "--output", "out.csv"),
        text=True,
    )
    assert exported == "" and len((tmp_path / "out.csv").read_text().splitlines()) == stats["candles"] + 1
    (line,) = told("import", "out.csv", "--venue", "other", "--symbol", "BTC-USD", "--timeframe", "1m")[
        "files"
    ]
    assert line["inserted"] == stats["candles"] and not line["error"]
    with Reader(history=url) as reader:
        history = reader.history("venue:BTC-USD", "1h", minute(0), minute(1_440))
        assert len(history) == 24 and str(history.derived_from) == "1m"
    dropped = told("history", "drop", "--before", "2024-10-04T12:00Z", "--yes", "--symbols", "venue:BTC-USD")
    assert sum(dropped["candles"].values()) > 0
    assert told("history", "vacuum")["bytes"] > 0
