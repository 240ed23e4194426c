"""docs/monitoring/grafana-candles.json: what it asks is asked of a real server, as Grafana would ask it."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis

from livecache.history.sqlite.store import SqliteHistory
from livecache.keys.keyspace import AliveRecord, Keyspace, encode_alive

from ..history.support import HandClock, market, minute, number_of, put
from ..history.test_reader import redis_holds
from .api import served
from .support import Answer, ask

DASHBOARD = json.loads((Path(__file__).parents[2] / "docs/monitoring/grafana-candles.json").read_text())
VARIABLES = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
PANELS = {panel["type"]: panel for panel in DASHBOARD["panels"]}
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float, type(None)),
    "timestamp_epoch": (int,),
}


def filled_in(url: str, **values: str) -> str:
    """The URL with Grafana's variables replaced by these; no other may be in it."""

    def value(found: re.Match[str]) -> str:
        name, _, how = found[1].partition(":")
        return quote(values[name], safe="") if how == "percentencode" else values[name]

    return re.sub(r"\$\{([\w:]+)\}", value, url)


@pytest.fixture
def answers(tmp_path: Path, clean_valkey: str) -> Any:
    """What a server answers that keeps minutes 640 to 760 in Redis and those before in a history."""
    history = SqliteHistory.open(tmp_path / "history.db", HandClock())
    put(history, number_of(history), 0, 700)
    history.close()
    with redis.Redis.from_url(clean_valkey) as client:
        redis_holds(client, 640, 760)
        alive = encode_alive(AliveRecord("one", minute(760), "up"))
        client.set(Keyspace(venue="venue").alive("BTC-USD"), alive)
    with served(clean_valkey, venues=["venue"], history=tmp_path / "history.db") as server:

        def asked(query: dict[str, Any], **values: str) -> Answer:
            assert query["url_options"]["method"] == "GET" and query["source"] == "url"
            answer = ask(server.url, filled_in(query["url"], **values))
            assert answer.status == 200, answer
            return answer

        yield asked


def test_its_symbols_are_those_that_can_be_asked_for(answers: Any) -> None:
    query = VARIABLES["symbol"]["query"]["infinityQuery"]
    rows = answers(query).content
    (column,) = query["columns"]
    assert [row[column["selector"]] for row in rows] == ["venue:BTC-USD"]


def test_it_draws_the_candles_before_the_end_of_its_time_range(answers: Any) -> None:
    (query,) = PANELS["candlestick"]["targets"]
    choices = (VARIABLES[name]["query"].split(",") for name in ("bars", "adjust"))
    for bars, adjust, newest in itertools.product(*choices, (760, 500)):
        values = {"symbol": "venue:BTC-USD", "timeframe": "1m", "bars": bars, "adjust": adjust}
        answer = answers(query, **values, __to=str(minute(newest)))
        names, *rows = csv.reader(io.StringIO(answer.content))
        assert names == [column["selector"] for column in query["columns"]]
        expected = market(max(0, newest - int(bars)), newest)
        assert [(int(row[0]), *row[1:]) for row in rows] == [
            (row.time, *(number.rstrip("0").rstrip(".") for number in row.numbers)) for row in expected
        ]
    drawn = PANELS["candlestick"]["options"]["fields"]
    assert set(drawn.values()) <= {column["text"] for column in query["columns"]}


def test_every_timeframe_that_can_be_chosen_is_one(answers: Any) -> None:
    (query,) = PANELS["candlestick"]["targets"]
    for timeframe in VARIABLES["timeframe"]["query"].split(","):
        values = {"symbol": "venue:BTC-USD", "timeframe": timeframe, "bars": "100", "adjust": "splits"}
        assert answers(query, **values, __to=str(minute(900))).content.startswith("time,open")


def test_the_table_has_the_columns_that_are_told(answers: Any) -> None:
    (query,) = PANELS["table"]["targets"]
    rows = answers(query).content[query["root_selector"]]
    assert len(rows) == 1
    for column in query["columns"]:
        assert isinstance(rows[0][column["selector"]], TYPES[column["type"]]), column


def test_it_can_be_imported_anywhere() -> None:
    """It names no data source of one Grafana; no two panels have one number or one place."""
    assert "id" not in DASHBOARD and DASHBOARD["uid"] != "livecache"
    sources = re.findall(r'"uid": "([^"]*)"', json.dumps([DASHBOARD["panels"], DASHBOARD["templating"]]))
    assert set(sources) == {"${datasource}"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used <= {*VARIABLES, "__to"}, "and no variable that there is not"
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    ends = 0
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["y"] >= ends and place["x"] + place["w"] <= 24
        ends = place["y"] + place["h"]
