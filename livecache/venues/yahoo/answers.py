"""What an answer of Yahoo's means: a chart, or one of many ways to have none, which no status tells. Pure."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from ..net.http import Answer, refusal
from ..rows import UNDECODABLE, malformed
from ..text import complaint, one_line
from ..venue import FailureKind, FetchFailure

__all__ = ["Limit", "chart_of", "failure_of", "limit_in"]

_LOOKED_AT = 16 * 1024  # bytes of a body that is no chart
_TOO_MANY = b"too many requests"
_BAN_FROM_S = 300.0  # No pause is longer: who is to wait longer is banned.
_SHUT_OUT = (403, 999)

_NO_NUMBER = re.compile(rb"(?<=[:,\[\s])-?(?:NaN|Infinity)(?=[,\]}\s])")
_REACH = re.compile(r"within the last (\d{1,5}) days")
_SPAN = re.compile(r"Only (\d{1,5}) days worth")
_NOTHING = re.compile(r"Data doesn.t exist for startDate")
_INTERVAL = re.compile(r"interval\S* is not supported|Invalid input - interval", re.IGNORECASE)


class Limit(NamedTuple):
    """What a refusal says of its own accord, in days; 0: nothing."""

    span: int = 0  # of one request
    reach: int = 0  # back from now


def chart_of(answer: Answer) -> dict[str, Any] | FetchFailure:
    """The one result of an answer 200; an empty one where Yahoo says that it has nothing of that time."""
    try:
        told = msgspec.json.decode(answer.body)
    except UNDECODABLE as error:
        if answer.body.lstrip()[:1] != b"{":
            return _no_json(answer)
        try:  # NaN is no JSON. It costs its row, as null does, and not the page.
            told = msgspec.json.decode(_NO_NUMBER.sub(b"null", answer.body))
        except UNDECODABLE:
            return malformed(error, answer.body)
    match told:
        case {"chart": {"result": [dict() as result, *_]}}:
            return result
        case {"chart": {"error": dict()}} | {"finance": {"error": dict()}}:
            return failure_of(answer)
    return malformed(ValueError("no chart in it"), answer.body)


def failure_of(answer: Answer) -> dict[str, Any] | FetchFailure:
    """What an answer other than 200 means, or one with an error in it."""
    status, wait_s = answer.status, answer.retry_after_s
    code, said = _error(answer.body)
    if code is None:
        return _no_json(answer)
    if _NOTHING.search(said):
        return {}
    kind = FailureKind.BAD_REQUEST if status == 200 else FailureKind.of_status(status)
    if _TOO_MANY.decode() in f"{code} {said}".lower():
        kind = FailureKind.REFUSED
    elif status in (401, 403) or code == "Unauthorized":
        kind = FailureKind.BANNED if status == 403 else FailureKind.REFUSED
    elif code == "Not Found" or status == 404:
        kind = FailureKind.UNKNOWN_SYMBOL
    elif _INTERVAL.search(said):
        kind = FailureKind.UNSUPPORTED_TIMEFRAME
    sent = ", and none was sent" if "crumb" in said.lower() else ""
    return _waiting(kind, f"HTTP {status}: {one_line(f'{code}: {said}')}{sent}", status, wait_s)


def limit_in(failure: FetchFailure) -> Limit:
    """What it says of how much is to be had."""
    span, reach = _SPAN.search(failure.message), _REACH.search(failure.message)
    return Limit(int(span[1]) if span else 0, int(reach[1]) if reach else 0)


def _no_json(answer: Answer) -> FetchFailure:
    """A page for people: of the edge, of maintenance, or one that asks for consent to cookies."""
    status, wait_s = answer.status, answer.retry_after_s
    body = answer.body[:_LOOKED_AT].lower()
    leads = answer.headers.get("Location", "")
    if _TOO_MANY in body or status in (401, 429):
        kind, said = FailureKind.REFUSED, complaint(answer.body)
    elif "consent" in leads or "guce." in leads or b"consent" in body:
        # It goes on asking, whatever is asked for: as good as a refusal.
        kind, said = FailureKind.REFUSED, "a page that asks for consent to cookies, and no chart"
    elif status in _SHUT_OUT:
        kind, said = FailureKind.BANNED, complaint(answer.body)
    elif b"will be right back" in body:
        kind, said = FailureKind.SERVER, "Will be right back"
    elif status == 200 and not body.lstrip().startswith(b"<"):
        return malformed(ValueError("no JSON"), answer.body)
    elif status == 200 or 300 <= status < 400:
        kind, said = FailureKind.SERVER, f"no chart but {complaint(answer.body) or leads or 'nothing'}"
    else:
        return refusal(answer)
    return _waiting(kind, one_line(f"HTTP {status}: {said}"), status, wait_s)


def _waiting(kind: FailureKind, message: str, status: int, wait_s: float | None) -> FetchFailure:
    if kind is FailureKind.REFUSED and (wait_s or 0.0) > _BAN_FROM_S:
        kind = FailureKind.BANNED
    return FetchFailure(kind, message, status, wait_s)


def _error(body: bytes) -> tuple[str | None, str]:
    """Code and description of an error; None where there is none."""
    try:
        told = msgspec.json.decode(body)
    except UNDECODABLE:
        return None, ""
    match told:
        case {"chart": {"error": {**error}}} | {"finance": {"error": {**error}}}:
            return str(error.get("code", "")), str(error.get("description", ""))
    return None, ""
