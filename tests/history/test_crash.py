"""kill -9 at any instant: what was acknowledged is there, whole, and nothing is there by half."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from random import Random

import pytest

from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Want
from livecache.model.candle import ExactCandle

from .support import covered, market, minute, number_of, opened, same

ROWS = 60
"""Of a page: small, so that a kill falls into a commit as often as can be."""

WORKER = f"""
import sys
from pathlib import Path
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Outcome
from tests.history.support import put

now = int(sys.argv[2])
store = SqliteHistory.open(Path(sys.argv[1]) / "history.db", lambda: now)
job = store.claim("worker")
print("claimed", job.token, flush=True)
while missing := store.missing(job.id):
    end = (missing.spans[-1].end - {minute(0)}) // 60_000
    print("asked", end, flush=True)
    put(store, job.want.series, end - {ROWS}, end, job.lease)
    print("stored", end, flush=True)
print(store.settle(job.lease, Outcome.SUCCEEDED), flush=True)
"""


def run(folder: Path, now: int, *, asks: int = 0, after_s: float = 0.0) -> list[list[str]]:
    """What a worker says until it is killed, so long after it has asked so often; 0: until it ends."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), str(now)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout
    said, timer = list[list[str]](), threading.Timer(after_s, worker.kill)
    for line in worker.stdout:
        said.append(line.split())
        asks -= said[-1][:1] == ["asked"]
        if asks == 0 and said[-1][0] == "asked":
            timer.start()
    worker.wait(timeout=120)
    worker.stdout.close()
    return said


def check(store: SqliteHistory, series: int, truth: list[ExactCandle], stored: set[int]) -> None:
    """All that was acknowledged is there, in whole pages, and nothing else."""
    coverage = store.coverage(series)
    (span,) = coverage.spans or [None]
    if span is None:
        assert not stored
        return
    first = (span.start - minute(0)) // 60_000
    assert (span.end - minute(0)) // 60_000 % ROWS == 0 == first % ROWS
    assert not stored or first <= min(stored) - ROWS
    assert same(
        store.read(series, 0, 1 << 60).rows.candles(), [row for row in truth if row.time >= span.start]
    )
    assert list(store.verify()) == []


def kill_and_kill_again(folder: Path, kills: int, pages: int, seed: int) -> int:
    """How many journals of a commit were met that was cut off."""
    random, hot, asked, stored = Random(seed), 0, 0, set[int]()
    truth = market(0, pages * ROWS)
    store = opened(folder)
    series = number_of(store)
    (number,) = store.submit([Want(series, minute(0), minute(pages * ROWS))]).jobs
    now = store.now()
    store.close()
    for kill in range(kills):
        now += 60_000  # the lease of the one that was killed has run out
        said = run(folder, now, asks=random.randint(1, 20), after_s=random.uniform(0, 0.006))
        assert said[0] == ["claimed", str(kill + 1)]
        asked += sum(words[0] == "asked" for words in said if words)
        stored |= {int(words[1]) for words in said if words[:1] == ["stored"] and len(words) > 1}
        journal = folder / "history.db-journal"
        hot += journal.exists() and journal.stat().st_size > 0
        reader = SqliteHistory.open(folder / "history.db", read_only=True)
        check(reader, series, truth, stored)
        assert reader.missing(number), "there has to be work for every kill"
        reader.close()
    last = run(folder, now + 60_000)
    assert last[-1] == ["succeeded"]
    asked += sum(words[0] == "asked" for words in last)
    assert pages <= asked <= pages + kills, "a kill costs the page under way, and no more"
    store = opened(folder)
    assert store.coverage(series) == covered(0, pages * ROWS)
    check(store, series, truth, stored)
    job = store.job(number)
    assert job and job.pages == pages and job.inserted == len(truth)
    store.close()
    return hot


def test_a_worker_that_is_killed_loses_nothing_and_asks_for_little_twice(tmp_path: Path) -> None:
    kill_and_kill_again(tmp_path, kills=3, pages=150, seed=1)


@pytest.mark.long
def test_a_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    assert kill_and_kill_again(tmp_path, kills=100, pages=4_000, seed=2), "some within a commit"
