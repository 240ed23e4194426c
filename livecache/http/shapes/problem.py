"""Why there is no such answer."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = [
    "ErrorAnswer",
    "ErrorKind",
]

ErrorKind = Literal[
    "bad_request",
    "unknown_series",
    "too_many",
    "too_many_streams",
    "starting",
    "not_listed",
    "not_ready",
    "stale",
    "out_of_sync",
    "unreadable",
    "redis_unavailable",
    "not_now",
    "unauthorized",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "too_long",
    "not_json",
    "timeout",
    "bug",
]


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no such answer, and what to do about it."""

    error: Annotated[str, Meta(min_length=1)]
    hint: str
    kind: ErrorKind
