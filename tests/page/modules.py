"""The page's own functions, called in a browser without a service: what they are given comes back as JSON."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from livecache.clock import SystemClock
from livecache.http.guard import Guard
from livecache.http.listen import bind, url_of
from livecache.http.page import PageFiles
from livecache.http.route import Requests
from livecache.http.server import Server

from .chromium import Tab

__all__ = ["call", "page_alone"]


@contextmanager
def page_alone() -> Iterator[str]:
    """The address of a server that has the files of the page, and nothing else."""
    sockets = bind("127.0.0.1", 0)
    server = Server(PageFiles().routes, Guard(None, loopback=True), Requests(), SystemClock())
    loop = asyncio.new_event_loop()
    task = loop.create_task(server.run(sockets))
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([task])))
    thread.start()
    try:
        yield url_of(sockets)
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(30)
        loop.close()


def call(tab: Tab, module: str, name: str, *arguments: Any) -> Any:
    """What a function of a module of the page gives; a Map is an object."""
    given = ", ".join(map(json.dumps, arguments))
    plain = "(value) => value instanceof Map ? Object.fromEntries(value) : value"
    return tab.run(f"import('/page/{module}.js').then((has) => ({plain})(has.{name}({given})))")
