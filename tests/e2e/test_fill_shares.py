"""`livecache history fill` as people asked: a year of days of the S&P 500, killed twice, in real time."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from livecache.equities.calendar import calendar_named
from livecache.history.sqlite.store import SqliteHistory
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.simulator.yahoo.market import ShareMarket
from livecache.simulator.yahoo.shares import default_shares
from livecache.simulator.yahoo.truth import Truth

from .preloaded import COMMAND
from .support import ROOT, environment, exchange, until
from .test_fill_years import let_leases_end, there

D1 = Timeframe.D1
UNKNOWN = ["AAPPL", "ZZZZ", "NOPE", "QQQQQ", "XXXXX"]
_CONCURRENCY = 8


@dataclass
class Filled:
    """What a fill that was killed twice came to."""

    requests: int
    seconds: float


def killed_twice(folder: Path, usual: int, *, least_delay: float, refused_above: int) -> Filled:
    """A year of so many shares. More requests than that within a second are refused."""
    calendar, start = calendar_named("XNYS"), int(time.time() * 1000)
    assert calendar
    shares = default_shares(start, calendar.days)
    names = [share.symbol for share in shares[:usual]]
    (folder / "sp500.json").write_text(
        json.dumps({"name": "S&P 500", "last_updated": "2026-07-01", "symbols": [*names, "GONE", *UNKNOWN]})
    )
    with exchange(
        ShareMarket(calendar, shares), venue="yahoo", start_ms=start, requests_per_second=refused_above
    ) as served:
        (folder / "config.toml").write_text(
            f'[venues.yahoo]\nsymbols_file = "sp500.json"\nrest_url = "{served.rest_url}"\n'
            f"least_delay = {least_delay}\n"
        )
        command = [
            *(*COMMAND, "history", "fill", "--config", str(folder / "config.toml"), "--timeframe", "1d"),
            *("--days", "365", "--history-url", f"sqlite:///{folder}/history.db"),
            *("--report", str(folder / "report.json")),
        ]
        began_s = time.monotonic()
        for number in (1, 2, 3):
            with (folder / "log").open("a") as log:
                running = subprocess.Popen(command, cwd=ROOT, env=environment({}), stdout=log, stderr=log)
            if number < 3:
                until("a part is there", partial(there, folder, number * usual * 249 // 3), 400)
                running.send_signal(signal.SIGKILL)
                assert running.wait(60) == -signal.SIGKILL
                let_leases_end(folder)
        assert running.wait(900) == 1, "some symbols are not known"
        took_s = time.monotonic() - began_s
        truth: Truth = served.simulator.exchange.truth  # type: ignore[attr-defined]
        total = json.loads((folder / "report.json").read_text())["total"]
        assert sorted(total["failed_symbols"]) == sorted(["GONE", *UNKNOWN])
        assert {request.status for request in served.requests} <= {0, 200, 404}, "never refused"
        final = truth.final_through(start)
        with closing(SqliteHistory.open(folder / "history.db", read_only=True)) as store:
            for name in names:
                series = store.series(SeriesId("yahoo", name, D1))
                assert series
                answer = store.read(series.id, 0, final)
                first = answer.coverage.spans[0].start
                assert answer.rows.candles() == truth.settled(name, D1, first, final, start)
                assert len(answer.coverage.spans) == 1 and len(answer.rows) >= 248
        return Filled(len(served.requests), took_s)


@pytest.mark.takes(15)
def test_a_year_of_shares_survives_two_kills_and_is_right_to_the_row(tmp_path: Path) -> None:
    filled = killed_twice(tmp_path, 25, least_delay=0.05, refused_above=1_000)
    assert filled.requests <= 25 + 6 + 2 * _CONCURRENCY


@pytest.mark.long
@pytest.mark.takes(700)
def test_a_year_of_the_sp500_survives_two_kills_at_a_request_a_second(tmp_path: Path) -> None:
    filled = killed_twice(tmp_path, 503, least_delay=1.0, refused_above=3)
    print(filled)
    assert filled.requests <= 503 + 6 + 2 * _CONCURRENCY
