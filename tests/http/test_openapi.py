"""`/openapi.json` is what the server does, and docs/api.md is what it says."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from livecache.clock import SystemClock
from livecache.config.schema import Config
from livecache.history.columns import Columns
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Outcome, Want
from livecache.http.api.openapi import document
from livecache.http.route import Requests
from livecache.http.routes import routes
from livecache.http.shapes.candles import CandlesAnswer
from livecache.http.shapes.jobs import BackfillRequest, JobsAnswer, OrderAnswer
from livecache.http.shapes.problem import Problem, ProblemKind
from livecache.http.shapes.series import MarketsAnswer, SeriesAnswer
from livecache.http.shapes.service import AliveAnswer, IndexAnswer, ReadyAnswer, ServiceAnswer
from livecache.http.watch.instance import Instance
from livecache.http.watch.repair import RepairAnswer, RepairRequest
from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage, Span
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe

from ..cache.support import ETH, STEP, T0, state
from ..cache.test_reader import KEYS, put
from .api import Served, served
from .schemathesis import checked
from .support import ask

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "api.md").read_text(encoding="utf-8")
UDF = (DOCS / "udf.md").read_text(encoding="utf-8")
PROBES = (DOCS / "http.md").read_text(encoding="utf-8")


def years(path: Path) -> None:
    """A history of months before what Redis keeps, with a job for the rest and one that has failed."""
    store = SqliteHistory.open(path)
    series = store.series(SeriesId("coinbase", "BTC-USD", Timeframe.M5), create=True)
    assert series
    begin, end = T0 - 20_000 * STEP, T0
    rows = [ExactCandle(time, "1", "2", "1", "2", "3") for time in range(begin, end, STEP)]
    store.commit(series.id, Columns.of(rows), Coverage([Span(begin, end)]))
    wants = [Want(series.id, begin - n * 1_000 * STEP, begin - (n - 1) * 1_000 * STEP) for n in (1, 2)]
    store.submit(wants)
    job = store.claim("somebody")
    assert job
    store.settle(job.lease, Outcome.FAILED, "HTTP 400: no")
    store.close()


@pytest.fixture
def server(clean_valkey: str, tmp_path: Path) -> Iterator[Served]:
    years(tmp_path / "history.db")
    with redis.Redis.from_url(clean_valkey) as store:
        put(store, state(0, 99, 100, forming=100), range(101))
        put(store, state(0, 5, 5, ready=False, reason="warming up: 5 of 60"), range(5), series=ETH)
        for symbol in ("BTC-USD", "ETH-USD"):
            store.persist(KEYS.alive(symbol))
    with served(clean_valkey, history=tmp_path / "history.db") as running:
        yield running


def names_in(page: str) -> set[str]:
    """The words that the page sets as code."""
    return {word for code in re.findall(r"`([^`\n]+)`", page) for word in re.findall(r"[\w-]+", code)}


def test_the_document_is_served_and_refers_to_nothing_that_is_missing(server: Served) -> None:
    answer = ask(server.url, "/openapi.json")
    assert (answer.status, answer.content) == (200, document())
    references = re.findall(r'"#/components/schemas/(\w+)"', msgspec.json.encode(document()).decode())
    assert set(references) <= set(document()["components"]["schemas"])


def test_the_page_tells_every_path_parameter_and_field() -> None:
    told = names_in(PAGE)
    told_of = document()
    for path, methods in told_of["paths"].items():
        if path.startswith("/udf/"):
            assert re.search(rf"^\| `{path}[?`]", UDF, re.MULTILINE), path
            for parameter in methods["get"]["parameters"]:
                assert parameter["name"] in names_in(UDF), parameter["name"]
            continue
        if not path.startswith("/api/"):
            assert f"| `{path}` |" in PROBES, path
            continue
        assert f"## {path}\n" in PAGE, path
        for method in methods.values():
            for parameter in method.get("parameters", ()):
                assert parameter["name"] in told, parameter["name"]
            for status in method["responses"]:
                assert re.search(rf"\b{status}\b", PAGE), status
    told |= names_in(PROBES) | names_in(UDF)
    for name, schema in told_of["components"]["schemas"].items():
        for field in schema.get("properties", {}):
            assert field in told, f"{name}.{field}"
    for kind in (*typing.get_args(ProblemKind), "state", "forming", "closed", "settled", "revised"):
        assert kind in told, kind


def test_the_examples_on_the_page_are_such_answers() -> None:
    examples = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    kinds: tuple[Any, ...] = (
        CandlesAnswer,
        SeriesAnswer,
        MarketsAnswer,
        ServiceAnswer,
        BackfillRequest,
        OrderAnswer,
        JobsAnswer,
        RepairRequest,
        RepairAnswer,
        Problem,
    )
    assert len(examples) == len(kinds)
    for example, kind in zip(examples, kinds, strict=True):
        told = msgspec.json.decode(example, type=kind)
        assert msgspec.to_builtins(told) == msgspec.json.decode(example), "with every field, and no other"


def test_the_root_of_the_api_tells_what_there_is(server: Served) -> None:
    told = msgspec.convert(ask(server.url, "/api/v1").content, IndexAnswer)
    assert told.version == document()["info"]["version"]
    assert set(told.paths) == set(document()["paths"])
    for path in told.paths:
        if path != "/api/v1/stream":
            assert ask(server.url, path.replace("{id}", "1")).status != 404, path


def test_the_document_has_every_path_and_method_that_is_served() -> None:
    clock = SystemClock()
    served_at = {
        (route.method, route.path)
        for route in routes(Instance(Config(), clock), Requests(), clock)
        if route.path != "/openapi.json"
        and not route.path.startswith("/page/")
        and route.path not in ("/", "/docs")
    }
    told = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    assert told == served_at
    names = [what["operationId"] for methods in document()["paths"].values() for what in methods.values()]
    assert len(names) == len(set(names))


def test_the_document_says_who_may_order_work_and_sorts_every_operation() -> None:
    told, clock = document(), SystemClock()
    names = {tag["name"] for tag in told["tags"]}
    for route in routes(Instance(Config(), clock), Requests(), clock):
        if route.path in told["paths"]:
            operation = told["paths"][route.path][route.method.lower()]
            assert len(operation["tags"]) == 1 and names.issuperset(operation["tags"])
            opens = {scheme for one in operation.get("security", told["security"]) for scheme in one}
            assert opens == (set() if route.public else {"token"} if route.orders else {"token", "readToken"})


def test_the_probes_answer_as_the_document_says(server: Served) -> None:
    for path, kind in (("/healthz", AliveAnswer), ("/readyz", ReadyAnswer)):
        msgspec.convert(ask(server.url, path).content, kind)
    of = document()["paths"]
    assert all(of[path]["get"]["security"] == [] for path in ("/healthz", "/startupz", "/readyz", "/metrics"))


def test_every_refusal_says_of_which_kind_it_is(server: Served) -> None:
    """Also those that the server makes before anybody is asked."""
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/no/such/thing", {}),
        ("/api/v1/series", {"method": "DELETE"}),
        ("/api/v1/repair", {"method": "POST", "body": b"{}"}),
        ("/api/v1/candles", {"Origin": "http://evil.example"}),
        ("/api/v1/candles?symbol=BTC-USD", {}),
    ]
    told = [msgspec.convert(ask(server.url, path, **how).content, Problem).kind for path, how in asked]
    assert told == ["not_found", "method_not_allowed", "not_json", "forbidden", "bad_request"]


@pytest.mark.parametrize("examples", [8, pytest.param(60, marks=pytest.mark.long)])
def test_schemathesis_finds_nothing_that_the_document_does_not_say(
    server: Served, tmp_path: Path, examples: int
) -> None:
    # Repairs and metrics want more of a service than this one has: tests/e2e/test_jobs.py has one.
    checked(server.url, tmp_path, left_out="api/v1/(stream|repair)|metrics", examples=examples)
