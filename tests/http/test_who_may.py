"""Who may ask for what: every route there is, by every kind of caller."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from livecache.clock import SystemClock
from livecache.config.schema import Config
from livecache.http.guard import Guard
from livecache.http.listen import bind, url_of
from livecache.http.route import Requests, Route
from livecache.http.routes import routes
from livecache.http.server import Server
from livecache.http.watch.instance import Instance

from .support import ask

FULL, READ = "0123456789abcdef-full", "0123456789abcdef-read"

EVERYBODY = {"/healthz", "/startupz", "/readyz", "/metrics", "/", "/docs"}
"""There is nothing to guard there, and in the files of the page."""


def table() -> list[Route]:
    clock = SystemClock()
    return list(routes(Instance(Config(), clock), Requests(), clock))


def expected(route: Route, given: str | None, full: str | None, read: str | None, *, loopback: bool) -> int:
    """200 for who is let in."""
    if route.public:
        return 200
    if full is None and read is None:
        return 200 if loopback else 403
    if given is not None and given == full:
        return 200
    if given is not None and given == read:
        return 403 if route.orders else 200
    return 401


def test_what_changes_anything_is_an_order_and_what_is_open_is_meant_to_be() -> None:
    for route in table():
        assert route.orders == (route.method not in ("GET", "HEAD")), route
        if route.public:
            assert not route.orders and (route.path in EVERYBODY or route.path.startswith("/page/")), route


@pytest.mark.parametrize("loopback", [True, False])
def test_each_route_lets_in_whom_it_may_and_nobody_else(loopback: bool) -> None:
    async def main() -> None:
        for full, read in itertools.product((None, FULL), (None, READ)):
            sockets = bind("127.0.0.1", 0)
            instance, requests, clock = Instance(Config(), SystemClock()), Requests(), SystemClock()
            served = routes(instance, requests, clock)
            guard = Guard(full, read=read, loopback=loopback)
            running = asyncio.create_task(Server(served, guard, requests, clock).run(sockets))
            url = url_of(sockets)
            for route, given in itertools.product(served, (None, "wrong-wrong-wrong-wrong", READ, FULL)):
                if route.path.startswith("/page/"):
                    continue  # all of one kind, and many
                headers: dict[str, Any] = {} if given is None else {"Authorization": f"Bearer {given}"}
                path = route.path.replace("{id}", "1")
                answer = await asyncio.to_thread(ask, url, path, method=route.method, **headers)
                told = answer.status if answer.status in (401, 403) else 200
                assert told == expected(route, given, full, read, loopback=loopback), (route, given, answer)
            running.cancel()
            await asyncio.wait([running])

    asyncio.run(main())
