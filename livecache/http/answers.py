"""Answers in JSON, and what becomes of errors: problem details, with the hint of the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from ..config.render import redact
from ..errors import (
    ConfigError,
    HistoryChanged,
    Incomplete,
    LivecacheError,
    NotListed,
    NotReady,
    OutOfSync,
    RedisUnavailable,
    ReloadRefused,
    RepairNotNow,
    RepairRefused,
    Stale,
    UnknownSeries,
)
from ..plainly import plainly
from .shapes.problem import MEDIA_TYPE, TITLES, Problem, ProblemKind

__all__ = ["NotServed", "answer", "decode", "of_error", "refusal"]


class NotServed(LivecacheError):
    """A refusal with a kind and a status of its own. `more` are what a `Problem` has beside."""

    def __init__(
        self,
        kind: ProblemKind,
        status: int,
        message: str,
        hint: str,
        *,
        again_s: int | None = 1,
        **more: Any,
    ) -> None:
        super().__init__(message, hint)
        self.kind: ProblemKind = kind
        self.status = status
        self.again_s = again_s  # after which it may be asked again
        self.more = more


# The first match counts: what a client got wrong, what there is not, and what cannot be had now.
_OF_ERRORS: tuple[tuple[type[LivecacheError], int, ProblemKind], ...] = (
    (ConfigError, 400, "bad_request"),
    (UnknownSeries, 404, "unknown_series"),
    (NotListed, 404, "not_listed"),
    (NotReady, 503, "not_ready"),
    (Stale, 503, "stale"),
    (OutOfSync, 503, "out_of_sync"),
    (RedisUnavailable, 503, "redis_unavailable"),
    (HistoryChanged, 503, "not_now"),
    (RepairNotNow, 503, "not_now"),
    (RepairRefused, 400, "bad_request"),
    (ReloadRefused, 400, "bad_request"),
    (LivecacheError, 503, "unreadable"),
)


# Of what the server itself refuses.
_OF_STATUS: Mapping[int, ProblemKind] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_long",
    415: "not_json",
    500: "bug",
    503: "timeout",
}


def answer(
    content: object,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    media_type: str = "application/json",
) -> web.Response:
    """`content` as JSON."""
    body = msgspec.json.encode(content)
    return web.Response(body=body, status=status, headers=headers, content_type=media_type)


def refusal(
    status: int,
    detail: str,
    hint: str = "",
    headers: Mapping[str, str] | None = None,
    *,
    kind: ProblemKind | None = None,
    **more: Any,
) -> web.Response:
    """An answer that says no, and why. Its `kind` goes with the status, unless told otherwise."""
    kind = kind or _OF_STATUS.get(status, "bad_request")
    problem = Problem(
        type=f"urn:livecache:problem:{kind}",
        title=TITLES[kind],
        status=status,
        detail=redact(detail),
        kind=kind,
        hint=redact(hint),
        **more,
    )
    return answer(problem, status, headers, media_type=MEDIA_TYPE)


def of_error(error: LivecacheError) -> web.Response:
    """The answer for an error: 400, 404 or 503 by its type, or as it says itself."""
    if isinstance(error, NotServed):
        again = {} if error.again_s is None else {"Retry-After": str(error.again_s)}
        return refusal(error.status, error.message, error.hint, again, kind=error.kind, **error.more)
    if isinstance(error, Incomplete):
        told = {"missing": list(error.missing), "have": error.have, "want": error.want, "job": error.job}
        again = {"Retry-After": str(math.ceil(error.again_s))}
        return refusal(503, error.message, error.hint, again, kind="incomplete", **told)
    status, kind = next((status, kind) for of, status, kind in _OF_ERRORS if isinstance(error, of))
    return refusal(status, error.message, error.hint, kind=kind)


async def decode(request: web.BaseRequest, kind: type[Any]) -> Any:
    """The JSON body of a request as a `msgspec.Struct`. Raises ConfigError for what is none."""
    # A page in somebody's browser can send other types without asking, and this one it cannot.
    if request.content_type != "application/json":
        raise NotServed("not_json", 415, "the body is to be application/json", "say so", again_s=None)
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem, name = plainly(str(error))
        raise ConfigError(f"the body cannot be used: {f'{name}: ' if name else ''}{problem}") from None
