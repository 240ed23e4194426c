"""What a chart reads of a problem: it looks at the body alone, whatever the status is."""

from __future__ import annotations

import msgspec
from aiohttp import web

from ..shapes.problem import MEDIA_TYPE, Problem
from ..shapes.udf import UdfError

__all__ = ["as_error"]


def as_error(response: web.StreamResponse) -> web.StreamResponse:
    """A problem, with the `s` and `errmsg` that UDF wants beside; anything else as it is."""
    if not isinstance(response, web.Response) or response.content_type != MEDIA_TYPE:
        return response
    assert isinstance(response.body, bytes)
    problem = msgspec.json.decode(response.body, type=Problem)
    told = msgspec.structs.asdict(problem)
    errmsg = f"{problem.detail} ({problem.hint})" if problem.hint else problem.detail
    response.body = msgspec.json.encode(UdfError(**told, errmsg=errmsg))
    return response
