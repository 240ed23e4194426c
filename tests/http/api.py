"""What tests of the candles API share: the server over a store that a test has filled, a stream's client."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import redis.asyncio

from livecache.clock import SystemClock
from livecache.config.schema import Config, HistoryConfig
from livecache.engine.engine import Engine
from livecache.engine.fleet import Place
from livecache.history.service.standing import Standing
from livecache.http.api.routes import Api
from livecache.http.guard import Guard
from livecache.http.listen import bind, url_of
from livecache.http.origins import Origins
from livecache.http.route import Requests
from livecache.http.routes import routes
from livecache.http.server import Server
from livecache.http.watch.instance import Instance
from livecache.keys.history_place import Place as HistoryPlace
from livecache.keys.keyspace import Keyspace
from livecache.model.traits import Traits
from livecache.redis_url import address_of
from livecache.venues.coinbase.traits import TRAITS
from livecache.wire.connecting import client_for

__all__ = ["NOW", "Event", "Served", "StreamClient", "listening", "served"]

NOW = 1_771_588_815_000  # 2026-02-20T12:00:15Z

UNHURRIED_PER_S = 100_000.0
WITHIN_S = 20.0  # a stream tells something


class Served:
    """A server in a thread of its own. `leave` and `replace`: its service ends, or starts over."""

    def __init__(
        self,
        redis_url: str,
        *,
        venues: Sequence[str] = ("coinbase",),
        per_s: float = UNHURRIED_PER_S,
        token: str | None = None,
        read_token: str | None = None,
        traits: Traits = TRAITS,
        history: Path | None = None,
        config: Config | None = None,
        now: int = NOW,
    ) -> None:
        self._traits, self._now = traits, now
        self._redis_url = redis_url
        self._venues = venues
        self._per_s = per_s
        self._token, self._read_token = token, read_token
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._clock = SystemClock()
        config = config or Config(history=HistoryConfig(fill_pages=0))  # no worker is here
        self._instance = Instance(config, self._clock, "config.toml")
        self._instance.history_place = HistoryPlace(history) if history else None
        self.failure: BaseException | None = None
        self.url = ""
        self.thread = threading.Thread(target=self._run, name="server under test")

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self.failure = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._store = store = client_for(redis.asyncio, self._redis_url)
        self._enter()
        sockets = bind("127.0.0.1", 0)
        self.url = url_of(sockets)
        api = Api(self._instance, self._clock, self._per_s)
        stats, origins = Requests(), Origins(self._instance.config.http.origins)
        guard = Guard(self._token, loopback=True, read=self._read_token, origins=origins)
        table = routes(self._instance, stats, self._clock, api, guard)
        server = Server(table, guard, stats, self._clock, origins)
        self._ready.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(api.run())
                tasks.create_task(server.run(sockets))
        finally:
            await store.aclose()

    def _enter(self) -> None:
        self._instance.redis = address_of(self._redis_url)
        self._instance.places = {venue: Place(cast(Engine, self._engine(venue))) for venue in self._venues}

    def _engine(self, venue: str) -> object:
        return SimpleNamespace(
            store=self._store,
            keys=Keyspace(venue=venue),
            name="here-1-0aff1e",
            venue=SimpleNamespace(name=venue, origin=f"https://api.{venue}.com", traits=self._traits),
            writer=SimpleNamespace(writing=True, pulse=SimpleNamespace(stirred_at_s=self._clock.monotonic())),
            clock=self._clock,
            live=SimpleNamespace(
                now=lambda: self._now,
                warm_s=None,
                timeline=SimpleNamespace(traits=self._traits, policy=SimpleNamespace(settle_delay_ms=10_000)),
            ),
        )

    def leave(self, venue: str = "coinbase", trouble: str = "") -> None:
        """Its engine ends."""
        self._instance.places[venue].engine = None
        self._instance.places[venue].trouble = trouble

    def keep(self, history: Mapping[str, Standing]) -> None:
        """Years are kept, and it stands so with them."""
        self._instance.history = history

    def replace(self) -> None:
        """Another engine takes its place."""

        async def replaced() -> None:
            self._enter()

        self._do(replaced())

    def _do(self, work: Any) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def start(self) -> None:
        self.thread.start()
        assert self._ready.wait(20)

    def stop(self) -> None:
        if self._loop is not None and self._task is not None:
            with contextlib.suppress(RuntimeError):  # It has ended by itself.
                self._loop.call_soon_threadsafe(self._task.cancel)
        self.thread.join(20)
        assert not self.thread.is_alive(), "the server does not end"
        assert self.failure is None, self.failure


@contextmanager
def served(redis_url: str, **how: Any) -> Iterator[Served]:
    """A running server; `how` is what `Served` takes."""
    server = Served(redis_url, **how)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Event(NamedTuple):
    """One event of a stream, its data decoded."""

    name: str
    data: Any
    id: str


class StreamClient:
    """Reads a stream, event by event, as the specification of server-sent events says."""

    def __init__(self, url: str, query: str, **headers: str) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=WITHIN_S)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request("GET", f"/api/v1/stream?{query}", headers=named)
        self._response = self._connection.getresponse()
        self.status = self._response.status
        self.headers = dict(self._response.headers)
        self.last_id = ""

    def event(self, *names: str) -> Event:
        """The next event; the next of these names, if any are given. EOFError at the end of the stream."""
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            event = self._next()
            if not names or event.name in names:
                return event
        raise AssertionError(f"not within {WITHIN_S:g} s: {names}")

    def _next(self) -> Event:
        fields: dict[str, str] = {}
        while True:
            line = self._response.readline().decode()
            if not line:
                raise EOFError
            line = line.rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                self.last_id = fields.get("id", self.last_id)
                return Event(fields["event"], json.loads(fields["data"]), fields.get("id", ""))

    def close(self) -> None:
        self._response.close()
        self._connection.close()


@contextmanager
def listening(
    url: str, *series: str, after: str = "", jobs: bool = False, **headers: str
) -> Iterator[StreamClient]:
    """A client of a stream of these series."""
    more = [*([f"after={after}"] if after else []), *(["jobs=true"] if jobs else [])]
    query = "&".join([*(f"series={one}" for one in series), *more])
    client = StreamClient(url, query, **headers)
    try:
        yield client
    finally:
        client.close()
