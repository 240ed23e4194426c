"""`/openapi.json`: OpenAPI 3.1 of the API, of the structs that parse and encode; `/api/v1`: its paths."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import msgspec
from aiohttp import web

from ..conditional import given
from ..past.formats import MEDIA_TYPES
from ..shapes.candles import CandlesAnswer, CandlesQuery
from ..shapes.events import ClosedEvent, FormingEvent, LostEvent, StateEvent, StreamQuery
from ..shapes.fields import NoQuery
from ..shapes.jobs import BackfillRequest, JobRow, JobsAnswer, JobsQuery, OrderAnswer, UpdateRequest
from ..shapes.problem import MEDIA_TYPE, Problem
from ..shapes.series import MarketsAnswer, SeriesAnswer
from ..shapes.service import AliveAnswer, IndexAnswer, ReadyAnswer, ServiceAnswer, StartedAnswer
from ..shapes.udf import (
    UdfBars,
    UdfConfig,
    UdfError,
    UdfFound,
    UdfHistoryQuery,
    UdfNoData,
    UdfSearchQuery,
    UdfSymbol,
    UdfSymbolQuery,
)
from ..source import parse
from ..watch import reload, repair

__all__ = ["INDEX", "PATH", "OpenApi", "document"]

INDEX, PATH = "/api/v1", "/openapi.json"

_REF = "#/components/schemas/{name}"

_TEXT = {"type": "string"}

_SHAPES: tuple[type[msgspec.Struct], ...] = (
    CandlesQuery,
    StreamQuery,
    CandlesAnswer,
    SeriesAnswer,
    MarketsAnswer,
    ServiceAnswer,
    Problem,
    StateEvent,
    FormingEvent,
    ClosedEvent,
    LostEvent,
    IndexAnswer,
    AliveAnswer,
    StartedAnswer,
    ReadyAnswer,
    JobsQuery,
    BackfillRequest,
    UpdateRequest,
    OrderAnswer,
    JobRow,
    JobsAnswer,
    repair.RepairsQuery,
    repair.RepairRequest,
    repair.RepairAnswer,
    repair.RepairsLeft,
    reload.ReloadRequest,
    reload.ReloadAnswer,
    UdfConfig,
    UdfSymbolQuery,
    UdfSymbol,
    UdfSearchQuery,
    UdfFound,
    UdfHistoryQuery,
    UdfBars,
    UdfNoData,
    UdfError,
)

_REFUSALS = {
    "400": "an argument makes no sense: `bad_request`",
    "401": "it needs the token",
    "403": "not for you: a token that only reads, beyond loopback without one, or a web page of another site",
    "404": "nobody fills this series: `unknown_series`",
    "429": "the API is asked too often: `too_many`",
    "503": "what a reader would raise, or Redis or the service is not there",
}

_TAGS = {
    "Candles": "/api/v1/candles /api/v1/stream",
    "Jobs": "/api/v1/jobs",
    "Markets": "/api/v1/series /api/v1/markets",
    "Charting libraries": "/udf/",
    "The service": "/",
}
"""What its paths begin with. The first that fits counts."""

_NO_FORMAT = {"406": "that format needs a package which is not installed: `not_acceptable`"}

_NOT_YET = "not so; the reasons say why"

_EVENTS = """Events: `state` (StateEvent), `forming` (FormingEvent), `closed`, `settled` and `revised` (of
ClosedEvent), `lost` (LostEvent), `job` (JobRow)."""

_NO_HISTORY = {"409": "no history is kept here: `no_history`"}

_NO_JOB = {"404": "there is no such job: `unknown_job`"}

_JOB_STATE = {"409": "not in this state of the job, `job_state`; or no history is kept: `no_history`"}

_JOB_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "an order with a key that was given before is the one of then",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}


class OpenApi:
    """The handlers."""

    async def show(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer with the document."""
        return given(request, self._bodies[0])

    async def show_index(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer with the paths of the API, as the document has them."""
        parse(request, NoQuery)
        return given(request, self._bodies[1])

    @cached_property
    def _bodies(self) -> tuple[bytes, bytes]:
        told = document()
        paths = {path: next(iter(methods.values()))["summary"] for path, methods in told["paths"].items()}
        index = IndexAnswer(version=told["info"]["version"], paths=paths)
        return msgspec.json.encode(told), msgspec.json.encode(index)


def document() -> dict[str, Any]:
    """The document, as JSON has it."""
    _, schemas = msgspec.json.schema_components(_SHAPES, ref_template=_REF)
    queries = ("CandlesQuery", "StreamQuery", "RepairsQuery", "JobsQuery")
    candles, stream, repairs, jobs = (schemas.pop(name) for name in queries)
    symbol, search, bars = (
        _parameters(schemas.pop(f"Udf{name}Query")) for name in ("Symbol", "Search", "History")
    )
    resume = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "the id of the last event that was dealt with",
        "schema": {"type": "string", "pattern": "^[0-9]{1,20}(-[0-9]{1,20})?$"},
    }
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "livecache",
            "version": version("livecache"),
            "summary": "Candles, and who vouches for them how far.",
            "description": "Times are Unix ms of the venue's clock. See docs/api.md.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": {
            "/api/v1": _get("index", "What there is", [], _json("IndexAnswer"), but=("404", "503")),
            "/api/v1/candles": _get(
                "candles", "Closed candles of one series", _parameters(candles), _candles(), more=_NO_FORMAT
            ),
            "/api/v1/series": _get(
                "series", "How every series stands", [], _json("SeriesAnswer"), but=("404",)
            ),
            "/api/v1/markets": _get(
                "markets",
                "The last price and a day's course of each symbol",
                [],
                _json("MarketsAnswer"),
                but=("404",),
            ),
            "/api/v1/service": _get(
                "service", "Who answers here", [], _json("ServiceAnswer"), but=("304", "404")
            ),
            "/api/v1/stream": _get(
                "stream",
                "What happens to some series, as server-sent events",
                [*_parameters(stream), resume],
                {"description": _EVENTS, "content": {"text/event-stream": {"schema": _TEXT}}},
                but=("304",),
                more=_NO_HISTORY,
            ),
            "/api/v1/candles/backfill": _order(
                "backfill", "Have what is missing of some years fetched", "BackfillRequest"
            ),
            "/api/v1/candles/update-latest": _order(
                "updateLatest", "Have the newest candles fetched, and those before once more", "UpdateRequest"
            ),
            "/api/v1/jobs": _get(
                "jobs",
                "What is being filled, and what became of it",
                _parameters(jobs),
                _json("JobsAnswer"),
                but=("304", "404"),
                more=_NO_HISTORY,
            ),
            "/api/v1/jobs/{id}": _get(
                "job", "One job", [_JOB_ID], _json("JobRow"), but=("304",), more=_NO_HISTORY | _NO_JOB
            )
            | _change("delete", "cancelJob", "End a job; what it has stored stays", "200"),
            "/api/v1/jobs/{id}/retry": _change(
                "post", "retryJob", "Have a job tried again that failed or was cancelled", "202"
            ),
            "/api/v1/repair": _get(
                "repairs",
                "How much of what is to be read again is left",
                _parameters(repairs),
                _json("RepairsLeft"),
                but=("304", "429"),
            )
            | _post(
                "repair",
                "Have a span of a series read again",
                _json("RepairRequest"),
                {"202": _json("RepairAnswer", "it will be")},
            ),
            "/api/v1/reload": _post(
                "reload",
                "Have the configuration read again",
                _json("ReloadRequest"),
                {"200": _json("ReloadAnswer", "it was; what could not be taken over is named")},
            ),
            "/udf/config": _udf("udfConfig", "What this feed offers a chart", [], _ref("UdfConfig")),
            "/udf/symbols": _udf(
                "udfSymbol", "What a chart has to know of a symbol", symbol, _ref("UdfSymbol")
            ),
            "/udf/search": _udf(
                "udfSearch",
                "Symbols by a part of their name",
                search,
                {"type": "array", "items": _ref("UdfFound")},
            ),
            "/udf/history": _udf(
                "udfHistory",
                "Bars before a time, without a gap",
                bars,
                {"oneOf": [_ref("UdfBars"), _ref("UdfNoData")]},
            ),
            "/udf/time": _udf("udfTime", "The time, in seconds", [], {"type": "integer"}),
            "/healthz": _probe("alive", "Whether it lives", "AliveAnswer"),
            "/startupz": _probe("started", "Whether all was ready once", "StartedAnswer"),
            "/readyz": _probe("ready", "Whether readers find everything ready now", "ReadyAnswer"),
            "/metrics": _open(
                "metrics",
                "What Prometheus reads",
                {"200": {"description": "all of them", "content": {"text/plain": {"schema": _TEXT}}}},
            ),
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "opens everything"},
                "readToken": {"type": "http", "scheme": "bearer", "description": "opens every GET"},
            },
        },
        "security": [{}, {"token": []}, {"readToken": []}],
        "tags": [{"name": tag} for tag in _TAGS],
    }
    for path, methods in described["paths"].items():
        tag = next(tag for tag, begins in _TAGS.items() if path.startswith(tuple(begins.split())))
        for method, operation in methods.items():
            operation["tags"] = [tag]
            if method != "get":
                operation["security"] = [{}, {"token": []}]
    return described


def _get(
    name: str,
    summary: str,
    parameters: list[dict[str, Any]],
    answer: dict[str, Any],
    *,
    but: tuple[str, ...] = (),
    more: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    refusals = {status: _problem(why) for status, why in {**_REFUSALS, **more}.items()}
    unchanged = {"304": {"description": "as the client has it: `If-None-Match` names its ETag"}}
    responses = {"200": answer} | unchanged | refusals
    told = {status: what for status, what in responses.items() if status not in but}
    return {"get": {"operationId": name, "summary": summary, "parameters": parameters, "responses": told}}


def _candles() -> dict[str, Any]:
    """Candles in every format."""
    told = _json("CandlesAnswer")
    others = {kind: {"schema": _TEXT} for kind in MEDIA_TYPES.values() if kind not in told["content"]}
    return told | {"content": told["content"] | others}


def _udf(name: str, summary: str, parameters: list[dict[str, Any]], schema: dict[str, Any]) -> dict[str, Any]:
    """What a chart asks: a refusal says `s` and `errmsg` beside what a problem does."""
    told = _get(name, summary, parameters, {"description": "as asked", "content": _content(schema)})
    problem = {"content": _content(_ref("UdfError"), MEDIA_TYPE)}
    responses = {
        status: what | problem if status >= "400" else what
        for status, what in told["get"]["responses"].items()
    }
    return {"get": told["get"] | {"responses": responses}}


def _post(name: str, summary: str, body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    refusals = {status: _problem(why) for status, why in _REFUSALS.items() if status != "429"}
    refusals |= {
        "413": _problem("the body is too long: `too_long`"),
        "415": _problem("the body is no JSON: `not_json`"),
    }
    told = {"required": True, "content": body["content"]}
    what = {"operationId": name, "summary": summary, "requestBody": told, "responses": answer | refusals}
    return {"post": what}


def _order(name: str, summary: str, body: str) -> dict[str, Any]:
    told = _post(name, summary, _json(body), {"202": _json("OrderAnswer", "it is; these are its jobs")})
    more = _NO_HISTORY | {"422": "the key was for another order: `key_reused`", "429": _REFUSALS["429"]}
    told["post"]["responses"] |= {status: _problem(why) for status, why in more.items()}
    told["post"]["parameters"] = [_KEY]
    return told


def _change(method: str, name: str, summary: str, status: str) -> dict[str, Any]:
    """Of one job."""
    refusals = {status: _problem(why) for status, why in (_REFUSALS | _NO_JOB | _JOB_STATE).items()}
    what = {"operationId": name, "summary": summary, "parameters": [_JOB_ID]}
    return {method: what | {"responses": {status: _json("JobRow", "as it is now")} | refusals}}


def _probe(name: str, summary: str, answer: str) -> dict[str, Any]:
    return _open(name, summary, {"200": _json(answer, "it is so"), "503": _json(answer, _NOT_YET)})


def _open(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    """What whoever can connect is told."""
    return {"get": {"operationId": name, "summary": summary, "security": [], "responses": responses}}


def _parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of a query."""
    return [
        _parameter(name, field, required=name in schema["required"])
        for name, field in schema["properties"].items()
    ]


def _parameter(name: str, field: dict[str, Any], *, required: bool) -> dict[str, Any]:
    told = {key: value for key, value in field.items() if key != "description"}
    if told.get("default", ...) is None:  # Absent, in a query.
        del told["default"]
        (told,) = (one for one in told["anyOf"] if one != {"type": "null"})
    parameter = {"name": name, "in": "query", "required": required, "schema": told}
    return parameter | ({"description": field["description"]} if "description" in field else {})


def _json(name: str, description: str = "as asked", media_type: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": _content(_ref(name), media_type)}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": _REF.format(name=name)}


def _content(schema: dict[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    return {media_type: {"schema": schema}}


def _problem(why: str) -> dict[str, Any]:
    return _json("Problem", why, MEDIA_TYPE)
