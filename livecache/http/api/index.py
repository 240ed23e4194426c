"""`GET /api/v1`: what there is, for whoever tries the root of it."""

from __future__ import annotations

import msgspec
from aiohttp import web

from ..conditional import given
from ..shapes import IndexAnswer, NoQuery
from ..source import parse
from .openapi import document

__all__ = ["PATH", "Index"]

PATH = "/api/v1"


class Index:
    """The handler."""

    def __init__(self) -> None:
        self._body = b""

    async def show(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer with the paths of the API, as its document has them."""
        parse(request, NoQuery)
        if not self._body:
            told = document()
            paths = {path: next(iter(methods.values()))["summary"] for path, methods in told["paths"].items()}
            self._body = msgspec.json.encode(IndexAnswer(version=told["info"]["version"], paths=paths))
        return given(request, self._body)
