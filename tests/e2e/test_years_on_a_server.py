"""Years in a PostgreSQL, as a service reads, orders and copies them; and the server goes away under it."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from livecache.history.opening import open_history
from livecache.history.store import HistoryDatabase
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import iso

from ..history.pg import Postgres
from ..http.support import Answer, ask
from .support import livecache, until
from .test_fill_on_read import DAY, H1, Place, at, candles, config, service
from .test_http import url_of
from .test_jobs import BACKFILL, posted
from .test_workers import let_leases_end

CONNECTIONS_MOST = 1 + 5
"""Of a service with one venue: as docs/history.md tells."""


def connections(server: Postgres) -> int:
    """How many livecache has."""
    with psycopg.connect(server.url("postgres")) as db:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'livecache'"
        (count,) = db.execute(sql).fetchone() or (0,)
    return int(count)


def equal(answer: Answer, place: Place) -> bool:
    """Whether all that was asked for is there, and is what was traded."""
    assert answer.status == 200, answer
    told = answer.content
    rows = [[float(n) for n in row] for row in told["candles"]]
    assert rows == place.truth(told["from"], told["to"])
    return bool(rows) and told["missing"] == []


def copied(store: HistoryDatabase, place: Place, now: int) -> bool:
    """Whether what only the live service has, of before the days that are filled, is stored as traded."""
    series = store.series(SeriesId("coinbase", place.symbol, H1))
    if series is None:
        return False
    found = store.read(series.id, now - 90 * H1.ms, now - 50 * H1.ms)
    rows = [[row.time, *map(float, row.numbers)] for row in found.rows.candles()]
    whole = found.coverage.covers(now - 90 * H1.ms, now - 50 * H1.ms)
    assert not whole or rows == place.truth(now - 90 * H1.ms, now - 50 * H1.ms)
    return whole


def succeeded(url: str, number: int) -> bool:
    """Whether that job is over."""
    answer = ask(url, f"/api/v1/jobs/{number}")
    assert answer.status in (200, 503), answer
    assert answer.status == 503 or answer.content["state"] not in ("failed", "cancelled"), answer
    return answer.status == 200 and answer.content["state"] == "succeeded"


@pytest.mark.takes(15)
@pytest.mark.parametrize("restarts", [1, pytest.param(20, marks=pytest.mark.long)])
def test_years_on_a_server_are_read_ordered_and_copied_and_all_goes_on_once_it_is_back(
    history: Postgres, tmp_path: Path, restarts: int
) -> None:
    now = H1.floor(int(time.time() * 1000))
    with (
        at("coinbase", now - 1_000 * DAY, latency_s=0.05) as place,
        service(config(tmp_path, [place]), env={"LIVECACHE_HISTORY_URL": history.url()}) as running,
    ):
        url = url_of(running)
        running.event("warm")

        def order(end: int) -> Any:
            wanted = {"symbols": [place.symbol], "timeframe": "1h", "from": end - 60 * DAY, "to": end}
            return posted(url, BACKFILL, wanted)

        def warm() -> Answer:
            return candles(url, place, "&limit=50")

        with closing(open_history(history.place())) as store:
            until("what is settled is copied", lambda: copied(store, place, now))
        before = now - 400 * DAY
        assert equal(candles(url, place, f"&before={before}&limit=400&timeout=8"), place), "filled on read"
        ordered = order(now - 300 * DAY)
        assert ordered.status == 202, ordered
        until("the order is done", lambda: all(succeeded(url, n) for n in ordered.content["jobs"]))
        assert equal(candles(url, place, f"&before={now - 300 * DAY}&limit=1400&fill=false"), place)
        bars = f"symbol=coinbase:{place.symbol}&resolution=60&to={before // 1000}&countback=300&from=0"
        told = ask(url, f"/udf/history?{bars}").content
        times = [row[0] // 1000 for row in place.truth(before - 300 * H1.ms, before)]
        assert told["s"] == "ok" and told["t"][-len(times) :] == times
        for n in range(100):
            assert candles(url, place, f"&before={before - n * H1.ms}&limit=24").status == 200
        assert 0 < connections(history) <= CONNECTIONS_MOST

        for n in range(1, restarts + 1):
            more = order(now - 300 * DAY + n * 3 * DAY)
            assert more.status == 202, more
            history.stop()
            for _ in range(3):
                assert warm().status == 200, "what is warm does not depend on it"
                refused = candles(url, place, f"&before={before - 500 * H1.ms * n}&limit=300")
                assert refused.status == 503 and refused.content["hint"], refused
                assert history.url("history") in refused.content["detail"], refused
                assert order(now - 200 * DAY).status == 503
            history.start()
            if n < restarts or n == 1:
                let_leases_end(history)
            wanted = f"&before={before - 500 * H1.ms * n}&limit=300&timeout=8"
            until(
                "years go on by themselves",
                lambda w=wanted: (a := candles(url, place, w)).status == 200 and equal(a, place),  # type: ignore[misc]
                120.0,
                every_s=0.5,
            )
            until(
                "what was ordered before goes on",
                lambda m=more: all(succeeded(url, n) for n in m.content["jobs"]),  # type: ignore[misc]
                120.0,
                every_s=0.5,
            )
            assert equal(candles(url, place, f"&before={now - 300 * DAY}&limit=1400&fill=false"), place)
            assert connections(history) <= CONNECTIONS_MOST
        with closing(open_history(history.place())) as store:
            assert list(store.verify()) == []
        assert running.events("http_failed") == [] and running.errors == []
        running.stop()
    until("no connection is left", lambda: not connections(history))


@pytest.mark.takes(10)
def test_a_fill_waits_for_a_server_that_restarts_and_ends_plainly_where_it_stays_away(
    history: Postgres,
) -> None:
    now = H1.floor(int(time.time() * 1000))
    start, end = (now - 500 * DAY) // DAY * DAY, (now - 100 * DAY) // DAY * DAY
    since, upto = (iso(time)[:10] for time in (start, end))
    wanted = ("--symbols", "BTC-USD", "--timeframe", "1h", "--since", since, "--until", upto)
    with at("coinbase", latency_s=0.2) as place:
        env = place.served.settings("embedded", VENUES_COINBASE_REQUESTS_PER_SECOND=4)
        env["LIVECACHE_HISTORY_URL"] = history.url()

        def stored() -> int:
            with closing(open_history(history.place())) as store:
                return sum(each.rows for each in store.all_series() if each.key.timeframe is H1)

        with livecache("history", "fill", *wanted, env=env) as filling:
            until("a part is there", lambda: stored() > 1_000, every_s=0.2)
            history.stop()
            filling.event("history_away")
            history.start()
            had = stored()
            until("it goes on by itself", lambda: stored() > had + 1_000, every_s=0.2)
            history.stop()
            assert filling.ended(120.0) == 8
            said = "\n".join(filling.errors + filling.output)
            assert str(history.place()) in said and "up" in said and "Traceback" not in said, said
            assert not any("Traceback" in str(record) for record in filling.records)
        history.start()
        let_leases_end(history)
        had, asked = stored(), len(place.served.requests)
        with livecache("history", "fill", *wanted, env=env) as filling:
            assert filling.ended(120.0) == 0, filling.story()
        pages = -(-((end - start) // H1.ms - had) // 300)
        assert len(place.served.requests) - asked <= pages + 4 + 8, "what is stored is not asked for again"
        with closing(open_history(history.place())) as store:
            series = store.series(SeriesId("coinbase", "BTC-USD", H1))
            assert series
            answer = store.read(series.id, start, end)
            assert answer.coverage == Coverage([(start, end)]) and list(store.verify()) == []
            rows = [[row.time, *map(float, row.numbers)] for row in answer.rows.candles()]
            assert rows == place.truth(start, end)
