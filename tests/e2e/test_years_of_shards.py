"""Processes that share a venue's symbols keep its years together: all of them, each candle once."""

from __future__ import annotations

import signal
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from livecache.history.opening import open_history
from livecache.keys.history_place import Place
from livecache.model.coverage import Coverage
from livecache.model.timeframe import Timeframe, iso

from ..history.pg import Postgres
from ..http.support import metrics
from .support import NOON, until
from .test_http import url_of
from .test_shards import SERIES, SHARDS, Trio, trio
from .test_years_on_a_server import connections

DAY = 86_400_000
SINCE = NOON // DAY * DAY - 3 * DAY
WITHIN_S = 120.0


@pytest.fixture(params=["postgres", pytest.param("sqlite", marks=pytest.mark.long)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where years are kept: on a server, or in a file that all processes of a machine have."""
    if request.param == "sqlite":
        return Place(tmp_path / "history.db")
    server: Postgres = request.getfixturevalue("history")
    return server.place()


def known(place: Place) -> list[Coverage]:
    """What is known of each series."""
    if not place.exists():
        return [Coverage()]
    with closing(open_history(place)) as store:
        found = [store.series(key) for key in SERIES]
        return [store.coverage(each.id) if each else Coverage() for each in found]


def told(three: Trio) -> float:
    """How many candles the processes say that they have stored."""
    scrapes = [metrics(url_of(process)) for process in three.processes.values()]
    assert all(each.one("history_usable", "coinbase") == 1 for each in scrapes)
    assert all(each.one("history_failed_series", "coinbase") == 0 for each in scrapes)
    sources = ("copied", "filled")
    return sum(
        each.one("history_candles_total", source, "coinbase") for each in scrapes for source in sources
    )


def stored(place: Place) -> int:
    """How many candles there are of whatever series, the days that tell where anything is among them."""
    with closing(open_history(place)) as store:
        return sum(each.rows for each in store.all_series())


def agreed(three: Trio, place: Place) -> bool:
    """Whether what is stored is what the processes have stored, each candle by one of them."""
    before = stored(place)
    return told(three) == before == stored(place)


@pytest.mark.takes(60)
def test_shards_keep_years_together_each_candle_once_whatever_becomes_of_a_process(
    clean_valkey: str, place: Place, request: pytest.FixtureRequest
) -> None:
    server: Postgres | None = request.getfixturevalue("history") if place.url else None
    years = {"HISTORY_URL": place.url or f"sqlite:///{place.path}", "HISTORY_SINCE": iso(SINCE)[:10]}
    with trio(clean_valkey, HTTP_LISTEN="127.0.0.1:0", **years) as three:
        until(
            "years are there",
            lambda: all(each.covers(SINCE, NOON - DAY // 24) for each in known(place)),
            WITHIN_S,
            every_s=0.5,
        )
        old = (NOON - DAY) // 1_000
        pages = Counter(
            (request.path, request.granularity, request.start, request.end)
            for request in three.venue.candle_requests
            if request.end is not None and request.end < old
        )
        again = sum(pages.values()) - len(pages)
        assert len(pages) >= len(SERIES) and again < len(pages) / 10, "but where one had failed"
        until("what is told is what is stored", lambda: agreed(three, place), WITHIN_S, every_s=0.5)
        if server is not None:
            assert connections(server) <= SHARDS + len(three.processes)

        three.lose("two", signal.SIGKILL)
        paused = three.processes["three"]
        three.lose("three", signal.SIGSTOP)
        paused.send(signal.SIGCONT)
        three.processes["three"] = paused
        until("it has its part again", lambda: three.counts() == [6, 6], WITHIN_S)
        until("everything can be read", three.watcher.sees_all, WITHIN_S)
        now = three.venue.simulator.now
        upto = Timeframe.M15.floor(now())
        until("the newest of it is settled", lambda: now() > upto + 6 * 60_000)
        three.check()
        for process in three.processes.values():
            process.stop()
    assert all(each.covers(SINCE, upto) for each in known(place)), [each.spans for each in known(place)]
    with closing(open_history(place)) as store:
        for key in SERIES:
            series = store.series(key)
            assert series
            answer = store.read(series.id, SINCE, upto)
            assert len(answer.rows) == (upto - SINCE) // key.timeframe.ms
            faults = [three.truth.fault(key, row, final=True) for row in answer.rows.candles()]
            assert not any(faults), faults[:3]
            assert store.revisions(series.id, 0, upto) == [], "nobody has changed what another had stored"
        assert list(store.verify()) == []
    if server is not None:
        until("no connection is left", lambda: not connections(server))
