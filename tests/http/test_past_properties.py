"""Whatever is asked of years: pages together are what a reader gives, and no question is a bug."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from random import Random
from urllib.parse import quote, urlsplit

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache import Reader
from livecache.equities.action import Action
from livecache.equities.adjust import Adjust
from livecache.history.sqlite.store import SqliteHistory
from livecache.model.timeframe import TIME_MAX

from ..history.support import MINUTE, START, HandClock, minute, number_of, put
from ..history.test_reader import redis_holds
from ..sizes import examples
from .api import served
from .support import ask
from .test_past import TRAITS

KNOWN = 2_000
TIMEFRAMES = ("1m", "5m", "45m", "1h", "1d", "1M")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, valkey_url: str) -> Iterator[tuple[str, Reader]]:
    """A server over stretches with holes, the newest of which Redis keeps, and a reader of both."""
    path, random = tmp_path_factory.mktemp("past") / "history.db", Random(11)
    with closing(SqliteHistory.open(path, HandClock())) as store:
        series, at = number_of(store), 0
        while at < KNOWN - 100:
            upto = min(KNOWN - 40, at + random.randint(1, 300))
            put(store, series, at, upto)
            at = upto + random.choice((0, 1, 7, 60))
        split_at = minute(1_000) // 86_400_000 * 86_400_000
        with store.writing() as db:
            db.execute(
                "INSERT INTO actions (venue, symbol, time, kind, value, asked) VALUES (?, ?, ?, ?, ?, ?)",
                ("venue", "BTC-USD", *Action(split_at, "split", "4/1"), split_at),
            )
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
        redis_holds(client, KNOWN - 150, KNOWN)
    with (
        served(valkey_url, venues=["venue"], history=path, traits=TRAITS) as server,
        Reader(valkey_url, history=f"sqlite:///{path}") as reader,
    ):
        yield server.url, reader


@settings(max_examples=25, deadline=None)
@given(
    before=st.integers(-50, KNOWN * 60 + 100).map(lambda second: START + second * 1_000 + 1),
    limit=st.sampled_from((1, 7, 100, 333, 5_000)),
    timeframe=st.sampled_from(TIMEFRAMES),
    adjust=st.sampled_from(("splits", "none", "all")),
)
def test_pages_together_are_what_a_reader_gives(
    asked: tuple[str, Reader], before: int, limit: int, timeframe: str, adjust: Adjust
) -> None:
    url, reader = asked
    path = f"/api/v1/candles?symbol=BTC-USD&timeframe={timeframe}&limit={limit}&adjust={adjust}&partial=true"
    at: int | None = before
    found: list[list[float]] = []
    missing: list[list[int]] = []
    ends = 0
    for _ in range(6):
        told = ask(url, f"{path}&before={at}").content
        ends = ends or told["to"]
        found, missing = told["candles"] + found, told["missing"] + missing
        at = told["next_before"]
        if at is None or at <= START:
            break
    assert ends <= before
    expected = reader.history(
        "BTC-USD", timeframe, told["from"], max(ends, told["from"] + 1), gaps="allow", adjust=adjust
    )
    rows = [list(row) for row in expected.to_numpy().tolist()] if ends > told["from"] else []
    assert found == rows
    assert sum(end - start for start, end in missing) == sum(
        end - start for start, end in expected.missing.clip(told["from"], ends)
    )


texts = st.one_of(
    st.text(max_size=12),
    st.integers(-5, TIME_MAX + 5).map(str),
    st.integers(START - 9 * MINUTE, START + KNOWN * MINUTE).map(str),
    st.sampled_from(("0", "1", "true", "false", "1e9", "nan", "-1", "2025-07-21", "9999-12-31", "", "null")),
)


@settings(max_examples=examples(60), deadline=None)
@given(
    query=st.dictionaries(
        st.sampled_from(("from", "to", "before", "limit", "partial", "fill", "timeout", "adjust", "settled")),
        texts,
        max_size=4,
    ),
    timeframe=st.sampled_from((*TIMEFRAMES, "1w", "7M", "999999w")),
    form=st.sampled_from(("json", "csv", "arrow")),
)
def test_whatever_is_asked_it_is_an_answer_or_says_why_not(
    asked: tuple[str, Reader], query: dict[str, str], timeframe: str, form: str
) -> None:
    told = "".join(f"&{name}={quote(text)}" for name, text in query.items())
    path = f"/api/v1/candles?symbol=BTC-USD&timeframe={timeframe}&format={form}&timeout=0{told}"
    status, body = fetched(asked[0], path)
    assert status in (200, 400, 503), body
    if status != 200:
        assert json.loads(body)["kind"] in ("bad_request", "not_ready", "incomplete", "stale"), body


def fetched(url: str, path: str) -> tuple[int, bytes]:
    """Status and body, of whatever kind."""
    address = urlsplit(url)
    with closing(HTTPConnection(address.hostname or "", address.port, timeout=60)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
