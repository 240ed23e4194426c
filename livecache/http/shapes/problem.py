"""Why there is no such answer: problem details, as RFC 9457 has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from .fields import Stretch

__all__ = ["MEDIA_TYPE", "TITLES", "Problem", "ProblemKind"]

MEDIA_TYPE = "application/problem+json"

ProblemKind = Literal[
    "bad_request",
    "unknown_series",
    "too_many",
    "too_many_streams",
    "starting",
    "not_listed",
    "not_ready",
    "incomplete",
    "stale",
    "out_of_sync",
    "unreadable",
    "redis_unavailable",
    "not_now",
    "no_history",
    "unknown_job",
    "job_state",
    "key_reused",
    "unauthorized",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "not_acceptable",
    "too_long",
    "not_json",
    "timeout",
    "bug",
]

TITLES: Mapping[ProblemKind, str] = {
    "bad_request": "An argument makes no sense",
    "unknown_series": "Nobody fills this series",
    "too_many": "Asked too often",
    "too_many_streams": "Too many streams are open",
    "starting": "No service runs yet",
    "not_listed": "The venue does not know the symbol",
    "not_ready": "There are fewer candles than that",
    "incomplete": "Candles of that stretch are missing",
    "stale": "Nobody vouches for the candles",
    "out_of_sync": "The bucket in progress is not to be had",
    "unreadable": "What is stored cannot be read",
    "redis_unavailable": "Redis does not answer",
    "not_now": "Not now",
    "no_history": "No history is kept here",
    "unknown_job": "There is no such job",
    "job_state": "Not in this state of the job",
    "key_reused": "This key was for another order",
    "unauthorized": "A token is needed",
    "forbidden": "Not for you",
    "not_found": "There is nothing at this path",
    "method_not_allowed": "Not with this method",
    "not_acceptable": "It cannot be told in this format",
    "too_long": "The body is too long",
    "not_json": "The body is no JSON",
    "timeout": "It took too long",
    "bug": "A bug",
}
"""The same text for each problem of a kind."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no such answer, and what to do about it."""

    type: Annotated[str, Meta(pattern="^urn:livecache:problem:[a-z_]+$", description="`kind` as a URN")]
    title: Annotated[str, Meta(min_length=1, description="of the kind")]
    status: Annotated[int, Meta(ge=400, lt=600)]
    detail: Annotated[str, Meta(min_length=1, description="of this case")]
    kind: ProblemKind
    hint: Annotated[str, Meta(description="what to do about it; may be empty")]
    missing: Annotated[list[Stretch], Meta(description="what is not there")] | UnsetType = UNSET
    have: Annotated[int, Meta(ge=0, description="buckets that are there")] | UnsetType = UNSET
    want: Annotated[int, Meta(ge=0, description="buckets that were asked for")] | UnsetType = UNSET
    job: Annotated[int | None, Meta(description="what fills it, if anything does")] | UnsetType = UNSET
