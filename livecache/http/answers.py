"""Answers in JSON, and what becomes of errors: `error` and `hint`, as the command line tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from ..config import redact
from ..errors import ConfigError, LivecacheError, RepairNotNow, RepairRefused, UnknownSeries

__all__ = ["answer", "decode", "of_error", "refusal"]

# The first match counts: what a client got wrong, what there is not, and what cannot be had now.
_STATUS: tuple[tuple[type[LivecacheError], int], ...] = (
    (ConfigError, 400),
    (UnknownSeries, 404),
    (RepairNotNow, 503),
    (RepairRefused, 400),
    (LivecacheError, 503),
)


def answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`content` as JSON."""
    body = msgspec.json.encode(content)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def refusal(
    status: int, error: str, hint: str = "", headers: Mapping[str, str] | None = None
) -> web.Response:
    """An answer that says no, and why."""
    return answer({"error": redact(error), "hint": redact(hint)}, status, headers)


def of_error(error: LivecacheError) -> web.Response:
    """The answer for an error: 400, 404 or 503 by its type."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    return refusal(status, error.message, error.hint)


async def decode(request: web.BaseRequest, kind: type[Any]) -> Any:
    """The JSON body of a request as a `msgspec.Struct`. Raises ConfigError for what is none."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"the body cannot be used: {error}") from None
