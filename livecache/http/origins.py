"""Web pages of other sites: which of them may read, and what their browsers ask before (CORS)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aiohttp import web

__all__ = ["SHARED", "Origins"]

SHARED = web.RequestKey("shared", Mapping[str, str])
"""The headers by which a browser hands an answer to the page of another site."""

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Authorization, If-None-Match, Last-Event-ID",
    "Access-Control-Max-Age": "600",
}


class Origins:
    """Those that are `allowed`, such as `https://charts.example.com`; `*` is all of them."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = frozenset(allowed)

    def admits(self, origin: str | None) -> bool:
        """Whether pages from there may read."""
        return origin is not None and (origin in self._allowed or "*" in self._allowed)

    def headers(self, request: web.BaseRequest) -> Mapping[str, str]:
        """What an answer to it says of that; nothing where nobody is allowed."""
        if not self._allowed:
            return {}
        origin = request.headers.get("Origin")
        if origin is None or not self.admits(origin):
            return {"Vary": "Origin"}
        return {
            "Vary": "Origin",
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": "*",
        }

    def preflight(self, request: web.BaseRequest) -> web.Response | None:
        """The answer to a browser that asks whether its page may read here; None if it may not."""
        asked = request.headers.get("Access-Control-Request-Method")
        if asked not in ("GET", "HEAD") or not self.admits(request.headers.get("Origin")):
            return None
        headers = {**_PREFLIGHT, **self.headers(request)}
        if request.headers.get("Access-Control-Request-Private-Network") == "true":
            headers["Access-Control-Allow-Private-Network"] = "true"
        return web.Response(status=204, headers=headers)
