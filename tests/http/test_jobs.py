"""Work on years, ordered and told over HTTP: by the file, so that it outlives whoever took the order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import JobState, Outcome
from livecache.http.shapes.jobs import JobRow, JobsAnswer, OrderAnswer
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage, Span
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from .api import NOW, Served, listening, served
from .support import Answer, ask

BACKFILL, UPDATE = "/api/v1/candles/backfill", "/api/v1/candles/update-latest"
M5, H1 = Timeframe.M5, Timeframe.H1
STEP = M5.ms
END = NOW // STEP * STEP
DAY = 86_400_000
WISH = {"symbols": ["BTC-USD"], "timeframe": "5m", "from": END - 240 * STEP, "to": END}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def server(clean_valkey: str, path: Path) -> Iterator[Served]:
    with served(clean_valkey, history=path) as running:
        yield running


@pytest.fixture
def store(path: Path) -> Iterator[SqliteHistory]:
    opened = SqliteHistory.open(path)
    yield opened
    opened.close()


def posted(server: Served, path: str, body: object, **headers: str) -> Answer:
    named: dict[str, Any] = {"Content-Type": "application/json", **headers}
    return ask(server.url, path, method="POST", body=json.dumps(body).encode(), **named)


def ordered(server: Served, body: object = WISH, path: str = BACKFILL, **headers: str) -> OrderAnswer:
    answer = posted(server, path, body, **headers)
    assert answer.status == 202, answer
    return msgspec.convert(answer.content, OrderAnswer)


def job(server: Served, number: int) -> JobRow:
    return msgspec.convert(ask(server.url, f"/api/v1/jobs/{number}").content, JobRow)


def jobs(server: Served, query: str = "") -> JobsAnswer:
    answer = ask(server.url, f"/api/v1/jobs{query}")
    assert answer.status == 200, answer
    return msgspec.convert(answer.content, JobsAnswer)


def fill(store: SqliteHistory, series: int, span: Span, **how: Any) -> None:
    """What a page brings, of all that span."""
    rows = [ExactCandle(time, "1", "2", "1", "2", "3") for time in range(span.start, span.end, STEP)]
    store.commit(series, Columns.of(rows), Coverage([span]), **how)


def test_an_order_is_jobs_that_tell_how_far_they_are(server: Served, store: SqliteHistory) -> None:
    order = ordered(server)
    assert order.status == "accepted" and order.job_id == order.jobs[0]
    row = job(server, order.jobs[0])
    wanted = 240
    assert (row.state, row.venue, row.symbol, row.timeframe) == ("pending", "coinbase", "BTC-USD", "5m")
    assert (row.from_, row.to, row.covered, row.wanted) == (END - 240 * STEP, END, 0, wanted)
    claimed = store.claim("somebody")
    assert claimed and claimed.id == row.id
    row = job(server, row.id)
    assert (row.worker, row.eta_s) == ("somebody", None)
    fill(store, claimed.want.series, Span(END - 48 * STEP, END), lease=claimed.lease)
    row = job(server, row.id)
    assert (row.state, row.covered) == ("running", 48) and row.progress == pytest.approx(0.2)
    assert (row.pages, row.rows.inserted) == (1, 48)
    assert row.eta_s is not None and row.eta_s >= 0, "by what has become less since it was looked at before"
    fill(store, claimed.want.series, Span(END - 240 * STEP, END - 48 * STEP), lease=claimed.lease)
    store.settle(claimed.lease, Outcome.SUCCEEDED)
    row = job(server, row.id)
    assert (row.state, row.progress, row.eta_s) == ("succeeded", 1.0, None) and row.finished
    done = ordered(server)
    assert (done.status, done.job_id, done.jobs) == ("complete", None, [])
    assert ordered(server, WISH | {"force": True}).status == "accepted"


def test_a_job_is_cancelled_and_tried_again(server: Served, store: SqliteHistory) -> None:
    (number,) = ordered(server).jobs
    claimed = store.claim("somebody")
    assert claimed
    cancelled = ask(server.url, f"/api/v1/jobs/{number}", method="DELETE")
    assert (cancelled.status, cancelled.content["state"]) == (200, "cancelled")
    with pytest.raises(Exception, match="job"):
        fill(store, claimed.want.series, Span(END - 48 * STEP, END), lease=claimed.lease)
    again = ask(server.url, f"/api/v1/jobs/{number}", method="DELETE")
    assert (again.status, again.content["kind"]) == (409, "job_state")
    retried = posted(server, f"/api/v1/jobs/{number}/retry", {})
    assert (retried.status, retried.content["state"]) == (202, "pending")
    assert posted(server, f"/api/v1/jobs/{number}/retry", {}).status == 409
    for unknown in ("99", "x", "9" * 40, "%F0%9F%98%80", "-1"):
        for method in ("GET", "DELETE"):
            answer = ask(server.url, f"/api/v1/jobs/{unknown}", method=method)
            assert (answer.status, answer.content["kind"]) == (404, "unknown_job")


def test_a_failure_is_told_with_its_attempts_and_when_the_next_one_begins(
    server: Served, store: SqliteHistory
) -> None:
    ordered(server)
    claimed = store.claim("somebody")
    assert claimed
    store.settle(claimed.lease, Outcome.RETRY, "HTTP 502 of redis://u:s3cret@h/0", wait_s=60)
    row = job(server, claimed.id)
    assert (row.state, row.attempts) == ("waiting", 1) and row.retry_at and row.retry_at > row.created
    assert "HTTP 502" in row.error and "s3cret" not in row.error


def test_jobs_are_listed_by_state_symbol_venue_and_order(server: Served, store: SqliteHistory) -> None:
    first = ordered(server)
    second = ordered(server, WISH | {"symbols": ["ETH-USD", "coinbase:LTC-USD"], "timeframes": None})
    store.cancel(first.jobs[0])
    assert [row.id for row in jobs(server).jobs] == [*second.jobs[::-1], *first.jobs]
    assert jobs(server).counts == {"pending": 2, "cancelled": 1}
    assert [row.id for row in jobs(server, "?state=cancelled").jobs] == first.jobs
    assert len(jobs(server, "?state=cancelled&state=pending").jobs) == 3
    assert {row.symbol for row in jobs(server, f"?order={second.order}").jobs} == {"ETH-USD", "LTC-USD"}
    for query in ("?symbol=ETH-USD", "?symbol=coinbase:ETH-USD", "?symbol=ETH-USD&venue=coinbase"):
        assert [row.symbol for row in jobs(server, query).jobs] == ["ETH-USD"]
    assert jobs(server, "?venue=elsewhere").jobs == []
    assert len(jobs(server, "?limit=1").jobs) == 1
    for wrong in ("?state=asleep", "?order=null", "?order=0", "?limit=1001", "?jobs=1"):
        assert ask(server.url, f"/api/v1/jobs{wrong}").status == 400


def test_a_key_stands_for_one_order(server: Served) -> None:
    key = {"Idempotency-Key": "ten at night"}
    first = ordered(server, **key)
    ask(server.url, f"/api/v1/jobs/{first.jobs[0]}", method="DELETE")
    assert ordered(server, **key) == first, "the order of then, whatever became of it"
    assert len(jobs(server).jobs) == 1
    reused = posted(server, BACKFILL, WISH | {"force": True}, **key)
    assert (reused.status, reused.content["kind"]) == (422, "key_reused")
    assert posted(server, UPDATE, {}, **key).status == 422
    assert ordered(server, **{"Idempotency-Key": "eleven"}).order != first.order
    for wrong in ("", "x" * 201, "a\xe9"):
        assert posted(server, BACKFILL, WISH, **{"Idempotency-Key": wrong}).status == 400


def test_the_newest_is_read_again_and_what_has_come_since(server: Served, store: SqliteHistory) -> None:
    known = store.series(SeriesId("coinbase", "BTC-USD", M5), create=True)
    assert known
    fill(store, known.id, Span(END - 9 * DAY, END - DAY))
    (number,) = ordered(server, {"symbols": ["BTC-USD"], "timeframe": "5m"}, UPDATE).jobs
    row = job(server, number)
    assert (row.from_, row.to, row.force) == (END - DAY - 12 * STEP, END, True)
    everything = ordered(server, {}, UPDATE)
    told = {(row.symbol, row.timeframe) for row in jobs(server, f"?order={everything.order}").jobs}
    kept = {"5m", "15m", "1h", "4h", "1d"}
    assert told == {(s, t) for s in ("BTC-USD", "ETH-USD") for t in kept}, "all that are kept"


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"symbols": []}, 400, "symbols"),
        ({"symbols": ["A"] * 1_001}, 400, "symbols"),
        ({"symbols": ["BTC{USD"]}, 400, "not the name"),
        ({"symbols": ["X" * 129]}, 400, "symbols"),
        ({"timeframe": "7x"}, 400, "unknown timeframe"),
        ({"timeframe": "1h", "timeframes": ["1d"]}, 400, "timeframe is there beside timeframes"),
        ({"timeframe": "3m"}, 400, "has no candles of 3m"),
        ({"from": "yesterday"}, 400, "from"),
        ({"from": -1}, 400, "from"),
        ({"from": END, "to": END - 1}, 400, "nothing lies between"),
        ({"from": END + DAY, "to": END + 2 * DAY}, 400, "nothing lies between"),
        ({"until": END}, 400, "unknown field"),
    ],
)
def test_an_order_that_makes_no_sense_says_what_is_wrong_with_it(
    server: Served, change: dict[str, Any], status: int, told: str
) -> None:
    answer = posted(server, BACKFILL, WISH | change)
    assert answer.status == status and told in answer.content["detail"], answer
    assert jobs(server).jobs == []


def test_more_than_can_be_done_is_not_taken(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livecache.http.ordering.orders.SERIES_AN_ORDER_MOST", 3)
    monkeypatch.setattr("livecache.http.ordering.orders.JOBS_WAITING_MOST", 3)
    too_much = WISH | {"symbols": ["A-USD", "B-USD"], "timeframe": None, "timeframes": ["5m", "1h"]}
    assert "4 series" in posted(server, BACKFILL, too_much).content["detail"]
    ordered(server, WISH | {"symbols": ["A-USD", "B-USD"]})
    full = posted(server, BACKFILL, WISH | {"symbols": ["C-USD", "D-USD"]})
    assert (full.status, full.content["kind"], full.headers["Retry-After"]) == (503, "not_now", "60")
    assert jobs(server).counts == {"pending": 2}


def test_without_a_history_that_is_what_is_told(clean_valkey: str) -> None:
    with served(clean_valkey) as server:
        answers = [
            posted(server, BACKFILL, WISH),
            posted(server, UPDATE, {}),
            ask(server.url, "/api/v1/jobs"),
            ask(server.url, "/api/v1/jobs/1", method="DELETE"),
            ask(server.url, "/api/v1/stream?jobs=true"),
        ]
    assert [(one.status, one.content["kind"]) for one in answers] == [(409, "no_history")] * 5
    assert all("history.url" in one.content["hint"] for one in answers)


def test_a_file_that_cannot_be_used_is_told_and_found_again(server: Served, path: Path) -> None:
    path.write_text("no history at all, and longer than what a header of SQLite takes " * 10)
    answers = [ask(server.url, "/api/v1/jobs"), posted(server, BACKFILL, WISH)]
    assert [(one.status, one.content["kind"]) for one in answers] == [(503, "unreadable")] * 2
    path.unlink()
    assert jobs(server).jobs == [] and len(ordered(server).jobs) == 1


def test_a_file_that_takes_the_place_of_another_is_the_one_that_tells(server: Served, path: Path) -> None:
    (number,) = ordered(server).jobs
    assert [one.id for one in jobs(server).jobs] == [number]
    other = path.with_name("other.db")
    SqliteHistory.open(other).close()
    other.rename(path)
    assert jobs(server).jobs == []
    assert ask(server.url, f"/api/v1/jobs/{number}").status == 404
    path.unlink()
    assert jobs(server).jobs == [] and len(ordered(server).jobs) == 1


def test_a_stream_tells_of_jobs_from_first_to_last(server: Served, store: SqliteHistory) -> None:
    (number,) = ordered(server).jobs
    with listening(f"{server.url}", jobs=True) as stream:
        first = stream.event("job")
        assert (first.data["id"], first.data["state"], first.data["covered"]) == (number, "pending", 0)
        claimed = store.claim("somebody")
        assert claimed
        fill(store, claimed.want.series, Span(END - 48 * STEP, END), lease=claimed.lease)
        while (row := stream.event("job").data)["covered"] == 0:
            pass
        assert (row["state"], row["covered"]) == ("running", 48)
        store.cancel(number)
        while (row := stream.event("job").data)["state"] == "running":
            pass
        assert row["state"] == JobState.CANCELLED
        (other,) = ordered(server, WISH | {"symbols": ["ETH-USD"]}).jobs
        assert stream.event("job").data["id"] == other, "and no more of what is over"


def test_a_service_that_follows_and_one_beside_it_know_the_same_jobs(
    clean_valkey: str, path: Path, store: SqliteHistory
) -> None:
    with served(clean_valkey, history=path) as first, served(clean_valkey, history=path) as second:
        order = ordered(first, **{"Idempotency-Key": "once"})
        assert ordered(second, **{"Idempotency-Key": "once"}) == order
        ask(second.url, f"/api/v1/jobs/{order.jobs[0]}", method="DELETE")
        assert job(first, order.jobs[0]).state == "cancelled"
    with served(clean_valkey, history=path) as third:
        assert job(third, order.jobs[0]).state == "cancelled"
        assert posted(third, f"/api/v1/jobs/{order.jobs[0]}/retry", {}).status == 202
    claimed = store.claim("somebody")
    assert claimed and claimed.id == order.jobs[0]
