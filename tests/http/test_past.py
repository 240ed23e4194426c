"""`/api/v1/candles` where it goes into years: pages of buckets, what is missing of them, where they end."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from livecache import Reader
from livecache.equities.written import grid_text
from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.http.past.formats import json_of
from livecache.http.shapes.candles import CandlesAnswer
from livecache.keys.keyspace import AliveRecord, Keyspace, encode_alive
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.grid import read_grid
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Served as ServedBy
from livecache.model.traits import Traits

from ..cache.test_sessions import D1, GRIDS, H1, filled
from ..cache.test_sessions import put as put_warm
from ..core.test_calendar import ms
from ..core.test_other_grids import SYMBOL
from ..history.support import HandClock, covered, market, minute, number_of, put
from ..history.test_reader import redis_holds
from .api import Served, served
from .support import Answer, ask
from .test_candles import raw

pyarrow = pytest.importorskip("pyarrow")

TRAITS = Traits(served={Timeframe.M1: ServedBy(page=300), Timeframe.D1: ServedBy(page=300, reach=500)})


SOON = minute(760) + 15_000
"""When what Redis has settled reaches to minute 760."""


@pytest.fixture
def history(tmp_path: Path) -> Iterator[SqliteHistory]:
    store = SqliteHistory.open(tmp_path / "history.db", HandClock())
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def server(history: SqliteHistory, clean_valkey: str) -> Iterator[Served]:
    with served(clean_valkey, venues=["venue"], history=history.path, traits=TRAITS, now=SOON) as running:
        yield running


def candles(server: Served, query: str, timeframe: str = "1m") -> Answer:
    return ask(server.url, f"/api/v1/candles?symbol=BTC-USD&timeframe={timeframe}{query}")


def rows(answer: Answer) -> list[list[float]]:
    assert answer.status == 200, answer
    return [list(row) for row in answer.content["candles"]]


def as_rows(expected: list[ExactCandle]) -> list[list[float]]:
    return [[row.time, *(float(each) for each in row.numbers)] for row in expected]


def holds(url: str, start: int, settled: int) -> None:
    with redis.Redis.from_url(url) as client:
        redis_holds(client, start, settled)
        alive = encode_alive(AliveRecord("one", minute(settled), "up"))
        client.set(Keyspace(venue="venue").alive("BTC-USD"), alive)


def test_pages_go_back_to_the_listing_each_candle_once(
    history: SqliteHistory, server: Served, clean_valkey: str
) -> None:
    series = number_of(history)
    put(history, series, 0, 700)
    history.list_since(series, minute(0))
    holds(clean_valkey, 640, 760)
    found: list[list[float]] = []
    before: int | None = minute(900)
    pages = 0
    while before is not None:
        answer = candles(server, f"&before={before}&limit=170")
        found = rows(answer) + found
        told = answer.content
        assert told["missing"] == [] and told["coverage"] == [[told["from"], told["to"]]]
        assert (told["next_before"] is None) == told["exhausted"] == (told["ends"] == "listing")
        assert told["to"] == (before if pages else minute(760)) and told["listed"] == minute(0)
        before = told["next_before"]
        pages += 1
    assert pages == 5 and told["from"] == minute(0)
    assert found == as_rows(market(0, 760))
    answer = candles(server, f"&before={minute(0)}")
    assert rows(answer) == [] and answer.content["ends"] == "listing" and answer.content["exhausted"]


def test_a_span_may_lie_before_what_redis_keeps(
    history: SqliteHistory, server: Served, clean_valkey: str
) -> None:
    put(history, number_of(history), 0, 700)
    holds(clean_valkey, 640, 760)
    answer = candles(server, f"&from={minute(100)}&to={minute(700)}")
    assert rows(answer) == as_rows(market(100, 700))
    assert answer.content["next_before"] == minute(100) and not answer.content["exhausted"]
    assert rows(candles(server, f"&from={minute(300)}")) == as_rows(market(300, 760))
    for query in (f"&from={minute(100)}&to={minute(700)}&limit=599", f"&from={minute(100)}&limit=10"):
        refused = candles(server, query)
        assert refused.status == 400 and "buckets" in str(refused.content), query


def test_what_is_missing_is_told_and_refused_unless_a_part_will_do(
    history: SqliteHistory, server: Served
) -> None:
    series = number_of(history)
    put(history, series, 0, 300)
    put(history, series, 350, 700)
    hole = [[minute(300), minute(350)]]
    refused = candles(server, f"&before={minute(600)}&limit=400")
    assert (refused.status, refused.content["kind"]) == (503, "incomplete")
    assert refused.content["missing"] == hole and refused.headers["Retry-After"]
    assert (refused.content["have"], refused.content["want"]) == (350, 400)
    answer = candles(server, f"&before={minute(600)}&limit=400&partial=true")
    assert answer.content["missing"] == hole
    assert answer.content["coverage"] == [[minute(200), minute(300)], [minute(350), minute(600)]]
    assert rows(answer) == as_rows([*market(200, 300), *market(350, 600)])
    assert candles(server, f"&before={minute(600)}&limit=250").status == 200


def test_without_a_history_it_says_where_older_candles_are_kept(clean_valkey: str) -> None:
    with served(clean_valkey, venues=["venue"], traits=TRAITS, now=SOON) as server:
        holds(clean_valkey, 640, 760)
        assert rows(candles(server, "&before=2100-01-01&limit=120")) == as_rows(market(640, 760))
        for query in (f"&before={minute(700)}&limit=100", f"&from={minute(600)}&to={minute(700)}"):
            refused = candles(server, query)
            assert (refused.status, refused.content["kind"]) == (503, "not_ready"), query
            assert "history.url" in refused.content["hint"]
            answer = candles(server, f"{query}&partial=true")
            assert rows(answer) == as_rows(market(640, 700)), query
            assert answer.content["missing"] == [[minute(600), minute(640)]]


def test_a_venue_that_tells_of_nothing_older_ends_there(history: SqliteHistory, server: Served) -> None:
    day = 86_400_000
    last = minute(0) // day * day
    series = number_of(history, SeriesId("venue", "BTC-USD", Timeframe.D1))
    stored = [ExactCandle(last - n * day, "1", "2", "1", "2", "3") for n in range(100, 0, -1)]
    history.commit(series, Columns.of(stored), Coverage([(last - 100 * day, last)]))
    oldest = TRAITS.oldest(Timeframe.D1, last)
    answer = candles(server, f"&before={last - 400 * day}&limit=300&partial=true", "1d")
    assert answer.content["from"] == oldest and answer.content["ends"] == "reach"
    assert answer.content["exhausted"] and answer.content["next_before"] is None


def test_the_newest_go_on_into_years_where_redis_has_too_few(
    history: SqliteHistory, server: Served, clean_valkey: str
) -> None:
    put(history, number_of(history), 0, 700)
    with redis.Redis.from_url(clean_valkey) as client:
        redis_holds(client, 640, 760)
        alive = encode_alive(AliveRecord("one", minute(760), "up"))
        client.set(Keyspace(venue="venue").alive("BTC-USD"), alive)
    with Reader(clean_valkey, history=f"sqlite:///{history.path}") as reader:
        for count in (60, 200, 600):
            expected = reader.candles("BTC-USD", "1m", count)
            for form in ("json", "csv"):
                status, body, _ = fetched(server, f"&limit={count}&format={form}")
                assert status == 200, body
                if form == "json":
                    told = msgspec.json.decode(body, type=CandlesAnswer)
                    assert told.candles == [*expected] and told.known_through == expected.known_through
                    assert isinstance(told.contiguous_from, int)
                    assert told.contiguous_from <= expected[0].time and told.ready
                else:
                    assert [int(line.partition(b",")[0]) for line in body.splitlines()[1:]] == [
                        each.time for each in expected
                    ]
    kept = candles(server, f"&from={minute(650)}").content
    assert kept["contiguous_from"] == minute(640) and kept["candles"] == as_rows(market(650, 760))
    assert len(rows(candles(server, "&limit=2000&at_least=300"))) == len(market(0, 760))
    refused = candles(server, "&limit=2000")
    assert (refused.status, refused.content["kind"]) == (503, "not_ready")


def test_bigger_candles_are_added_up(history: SqliteHistory, server: Served, tmp_path: Path) -> None:
    put(history, number_of(history), 0, 900)
    answer = candles(server, f"&before={minute(900)}&limit=20", "45m")
    with Reader(history=f"sqlite:///{history.path}") as reader:
        expected = reader.history("BTC-USD", "45m", minute(0), minute(900))
    assert rows(answer) == as_rows(expected.exact()) and answer.content["derived_from"] == "1m"


def test_a_symbol_of_which_nothing_is_stored_yet_is_all_missing(server: Served, clean_valkey: str) -> None:
    holds(clean_valkey, 640, 760)
    answer = candles(server, f"&before={minute(640)}&limit=100&partial=true")
    assert rows(answer) == [] and answer.content["missing"] == [[minute(540), minute(640)]]
    assert answer.content["next_before"] == minute(540) and answer.content["revision"] == 0
    refused = ask(server.url, f"/api/v1/candles?symbol=NO-SUCH&timeframe=1m&before={minute(640)}")
    assert (refused.status, refused.content["kind"]) == (404, "unknown_series")


def fetched(server: Served, query: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    return raw(server, f"/api/v1/candles?symbol=BTC-USD&timeframe=1m{query}", **headers)


def test_csv_and_arrow_have_the_same_candles(
    history: SqliteHistory, server: Served, clean_valkey: str
) -> None:
    put(history, number_of(history), 0, 300)
    put(history, number_of(history), 350, 700)
    holds(clean_valkey, 640, 760)
    for query in (f"&before={minute(600)}&limit=400&partial=true", "&limit=20"):
        _, body, _ = fetched(server, query)
        text = body.decode()
        told = json.loads(text)
        expected = json.loads(text, parse_float=str, parse_int=str)["candles"]
        _, body, headers = fetched(server, f"{query}&format=csv")
        assert headers["Content-Type"] == "text/csv"
        names, *lines = body.decode().splitlines()
        assert names == "time,open,high,low,close,volume"
        assert [line.split(",") for line in lines] == expected and len(lines) > 10
        assert fetched(server, query, Accept="text/csv")[1] == body
        status, body, also = fetched(server, query, Accept="application/vnd.apache.arrow.stream")
        assert status == 200
        table = pyarrow.ipc.open_stream(body).read_all()
        assert str(table.schema.field("time").type) == "timestamp[ms, tz=UTC]"
        columns = [table["time"].cast("int64").to_pylist(), *(c.to_pylist() for c in table.columns[1:])]
        assert [list(row) for row in zip(*columns, strict=True)] == told["candles"]
        head = json.loads(table.schema.metadata[b"livecache"])
        assert head == {name: value for name, value in told.items() if name not in ("candles", "forming")}
        for name, value in head.items():
            shown = also[f"Livecache-{name.replace('_', '-').title()}"]
            assert shown == headers[f"Livecache-{name.replace('_', '-').title()}"]
            if isinstance(value, int | str):
                assert shown == (str(value).lower() if isinstance(value, bool) else str(value))
            elif isinstance(value, list):
                assert shown == ", ".join(f"{start}-{end}" for start, end in value)
            else:
                assert value is None and shown == ""


@given(
    st.lists(
        st.tuples(
            st.decimals(min_value=0, max_value=10**22, places=6, allow_nan=False),
            st.integers(0, 10**16).map(lambda n: Decimal(n).scaleb(-12)),
            st.sampled_from(["0.00001", "7", "0.1", "1234567.25", "0.000000000000000123", "10.0"]).map(
                Decimal
            ),
        ),
        max_size=20,
    )
)
def test_json_has_every_digit_of_any_number(numbers: list[tuple[Decimal, ...]]) -> None:
    candles = [
        ExactCandle(minute(n), f"{one:f}", f"{two:f}", f"{two:f}", f"{one:f}", f"{three:f}")
        for n, (one, two, three) in enumerate(numbers)
    ]
    body = json_of(Columns.of(candles)).decode()
    assert "e" not in body and ".0," not in body and ".0]" not in body
    found = json.loads(body, parse_float=Decimal, parse_int=Decimal)
    assert found == [[each.time, *map(Decimal, each.numbers)] for each in candles]


def test_without_pyarrow_it_says_what_to_install(
    history: SqliteHistory, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(history, number_of(history), 0, 300)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused = candles(server, f"&before={minute(300)}&limit=300&format=arrow")
    assert (refused.status, refused.content["kind"]) == (406, "not_acceptable")
    assert "pip install 'livecache[pyarrow]'" in refused.content["hint"]


# --- what a client has already


def test_who_has_it_gets_no_body_until_something_of_it_changes(
    history: SqliteHistory, server: Served, clean_valkey: str
) -> None:
    series = number_of(history)
    put(history, series, 0, 700)
    holds(clean_valkey, 640, 760)
    old, new = f"&before={minute(600)}&limit=300", f"&before={minute(700)}&limit=300"
    tags = {}
    for query in (old, new):
        status, _, headers = fetched(server, query)
        assert status == 200
        tags[query] = headers["ETag"]
        assert headers["Cache-Control"] == ("private, max-age=300" if query == old else "no-cache")
        for form in ("", "&format=csv", "&format=arrow"):
            _, _, headers = fetched(server, query + form)
            status, body, again = fetched(server, query + form, If_None_Match=headers["ETag"])
            assert (status, body, again["ETag"]) == (304, b"", headers["ETag"])
            tags[query + form] = headers["ETag"]
    assert len({*tags.values()}) == 6

    def changed() -> list[bool]:
        now = {query: fetched(server, query, If_None_Match=tag) for query, tag in tags.items()}
        told = [status == 200 for status, _, _ in now.values()]
        tags.update({query: headers["ETag"] for query, (_, _, headers) in now.items()})
        assert told[0] == told[1] == told[2] and told[3] == told[4] == told[5]
        return told[::3]

    put(history, series, 0, 50)
    assert changed() == [False, False], "the same page again changes nothing"
    put(history, series, 620, 621, of=2)
    assert changed() == [True, True], "blocks are revised whole"
    holds(clean_valkey, 640, 780)
    assert changed() == [False, True]
    history.uncover(series, covered(400, 410))
    assert [fetched(server, query, If_None_Match=tag)[0] for query, tag in tags.items()] == [503] * 6


def test_what_was_looked_at_a_moment_ago_is_looked_at_again_once_the_file_is_written(
    history: SqliteHistory, server: Served
) -> None:
    put(history, number_of(history), 0, 3_000)
    query = f"&before={minute(1_000)}&limit=100"
    for of in (2, 3):
        os.utime(history.path, (1_700_000_000 + of, 1_700_000_000 + of))
        _, _, headers = fetched(server, query)
        for _ in range(3):
            assert fetched(server, query, If_None_Match=headers["ETag"])[:2] == (304, b"")
            assert fetched(server, query, If_None_Match='"another"')[0] == 200
        put(history, number_of(history), 950, 951, of=of)
        status, _, now = fetched(server, query, If_None_Match=headers["ETag"])
        assert status == 200 and now["ETag"] != headers["ETag"]


def test_what_is_missing_is_no_news_but_asked_for_again(history: SqliteHistory, server: Served) -> None:
    put(history, number_of(history), 0, 300)
    query = f"&from={minute(100)}&to={minute(400)}&partial=true"
    _, body, headers = fetched(server, query)
    assert headers["Cache-Control"] == "no-cache"
    assert fetched(server, query, If_None_Match=headers["ETag"])[:2] == (304, b"")
    put(history, number_of(history), 300, 400)
    status, whole, _ = fetched(server, query, If_None_Match=headers["ETag"])
    assert status == 200 and len(whole) > len(body)


def test_who_takes_gzip_gets_it(history: SqliteHistory, server: Served) -> None:
    put(history, number_of(history), 0, 3_000)
    for form in ("json", "csv", "arrow"):
        query = f"&before={minute(3_000)}&limit=3000&format={form}"
        _, plain, _ = fetched(server, query)
        _, packed, headers = fetched(server, query, Accept_Encoding="gzip")
        assert headers["Content-Encoding"] == "gzip" and headers["Vary"] == "Accept, Accept-Encoding"
        assert gzip.decompress(packed) == plain and len(packed) < len(plain)


@pytest.mark.parametrize(
    "query", ["&forming=true", "&settled=true", "&at_least=3", "&from=0", "&to=5", "&timeout=9", "&adjust=x"]
)
def test_what_makes_no_sense_before_a_time_is_refused(server: Served, clean_valkey: str, query: str) -> None:
    holds(clean_valkey, 640, 760)
    refused = candles(server, f"&before={minute(640)}{query}")
    assert (refused.status, refused.content["kind"]) == (400, "bad_request"), refused


def test_nights_are_no_buckets_and_no_gaps(tmp_path: Path, store: Any, clean_valkey: str) -> None:
    venue = filled((H1, D1), "2026-11-29T12:00", candles=70)
    put_warm(venue, store)
    with closing(SqliteHistory.open(tmp_path / "history.db", HandClock())) as history:
        for timeframe in (H1, D1):
            grid, key = GRIDS[timeframe], SeriesId("coinbase", SYMBOL, timeframe)
            made = history.series(key, create=True, grid_text=grid_text(timeframe, grid, "XNYS"))
            opens = grid.opens(ms("2026-05-01"), ms("2026-11-24"))
            rows_of = Columns.of(venue.candle(timeframe, t) for t in opens)
            assert made
            history.commit(made.id, rows_of, Coverage([(grid.end_before(opens[0]), grid.end(opens[-1]))]))
    with served(clean_valkey, history=tmp_path / "history.db") as server:
        for name, pages in (("1h", 30), ("1d", 5), ("1M", 2)):
            grid = GRIDS[Timeframe(name)]
            query = f"/api/v1/candles?symbol={SYMBOL}&timeframe={name}&limit=37"
            before, found = ms("2026-11-28"), list[int]()
            for _ in range(pages):
                answer = ask(server.url, f"{query}&before={before}&partial=true")
                told = answer.content
                assert "candles" in told, told
                assert answer.headers["Cache-Control"] == "no-cache", "a split may change any of it"
                found = [row[0] for row in told["candles"]] + found
                within = grid.opens(told["from"], told["to"])
                assert (
                    len(within) == 37 and [*read_grid(told["grid"]).opens(told["from"], told["to"])] == within
                )
                before = told["next_before"]
            known = [t for t in grid.opens(told["from"], ms("2026-11-28")) if t >= ms("2026-05-01")]
            assert found == [t for t in known if grid.end(t) <= ms("2026-11-28")], name
