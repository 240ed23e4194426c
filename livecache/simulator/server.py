"""The simulated venue on a port of loopback: REST and websocket at one address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from ..clock import Clock, SystemClock
from ..errors import ConfigError, LivecacheError
from ..model.series import FIRST_VENUE
from ..quiet import logger
from .clock import MarketClock
from .face import Ask, Face, kind_of
from .market.charted import OutOfOrder
from .market.market import Market
from .market.products import DEFAULT_PRODUCTS, Product
from .market.recorded import CsvMarket
from .market.seeded import SeededMarket
from .options import ServerOptions
from .trouble.faults import Answer, Faults
from .trouble.random_faults import random_script
from .trouble.script import FaultScript
from .trouble.scripted import ScriptedFaults, check_words

__all__ = ["Simulator", "serve_forever"]

RANDOM_HOURS = 24
"""How long (market time) faults drawn at random go on."""

YEARS = 10
"""Of history, unless a product was listed later."""

_YEAR_MS = 31_557_600_000
_NAMED_MOST = 40


class Simulator:
    """A running exchange: `async with Simulator(market) as simulator: ...`

    It begins to listen on entering and has closed everything on leaving. `port` 0 picks a free one; a fixed
    one lets a test take the exchange down and up again. `venue` is whose words it speaks: see `face.KINDS`.
    Further keywords are that venue's options, and whatever else its face takes.
    """

    def __init__(
        self,
        market: Market,
        *,
        clock: MarketClock | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        venue: str = FIRST_VENUE,
        faults: Faults | None = None,
        host_clock: Clock | None = None,
        options: ServerOptions | None = None,
        keys: object = None,
        **changes: Any,
    ) -> None:
        faults = faults or Faults()
        self.clock = clock or MarketClock()
        self.market = market = faults.attach(market, self.clock)
        self._host = host
        self._port = port
        self._faults = faults
        self._kind = kind = kind_of(venue)
        self.exchange: Face = kind.build(
            market,
            self.clock,
            replace(options or kind.options(), **changes),
            faults=faults,
            keys=keys,
            host_clock=host_clock or SystemClock(),
        )
        self.options = self.exchange.options
        self._runner: web.AppRunner | None = None
        self._site: web.SockSite | None = None
        self._reserved: socket.socket | None = None  # holds the port while nobody listens
        self._feeding: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def rest_url(self) -> str:
        """What `rest_url` of the venue is set to."""
        return f"http://{self._host}:{self._port}"

    @property
    def ws_url(self) -> str:
        """What `ws_url` of the venue is set to."""
        return f"ws://{self._host}:{self._port}"

    def settings(self) -> tuple[str, dict[str, str]]:
        """What leads a service here: the venue's kind, and settings of it."""
        own = {**self._kind.settings, "rest_url": self.rest_url}
        return self._kind.venue, own | ({"ws_url": self.ws_url} if self._kind.feed else {})

    def now(self) -> int:
        """Market time in Unix ms."""
        return self.clock.now()

    async def close_feeds(self, code: int | None = 1001) -> int:
        """Close every websocket with that code, or cut it off (None). Returns how many there were."""
        return await self.exchange.close_all(code)

    async def pause_listening(self) -> None:
        """Cut every connection and refuse new ones until `resume_listening`. The port stays taken."""
        assert self._runner is not None
        if self._site is None:
            return
        site, self._site = self._site, None
        await site.stop()
        # A socket that is bound and does not listen: connections are refused, and nobody else gets the port.
        self._reserved = _bound(self._host, self._port)
        await self.exchange.close_all(None)
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            connection.force_close()

    async def resume_listening(self) -> None:
        """Accept connections again, at the same port."""
        assert self._runner is not None
        if self._reserved is not None:
            reserved, self._reserved = self._reserved, None
            self._site = web.SockSite(self._runner, reserved)
            await self._site.start()

    async def __aenter__(self) -> Self:
        try:
            listening = socket.create_server((self._host, self._port))
        except OSError as error:
            raise LivecacheError(
                f"cannot listen on {self._host}:{self._port}: {error.strerror}", "choose another port"
            ) from None
        self._port = listening.getsockname()[1]
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        self._site = web.SockSite(self._runner, listening)
        await self._site.start()
        self._feeding = asyncio.create_task(self._run(), name="simulator-feed")
        self._feeding.add_done_callback(_report)
        logger.bind(event="simulator_started", rest_url=self.rest_url, ws_url=self.ws_url).debug(
            "the simulated exchange listens on {}", self.rest_url
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        assert self._feeding is not None
        await self.exchange.close_all(1001)
        self._feeding.cancel()
        (outcome,) = await asyncio.gather(self._feeding, return_exceptions=True)
        await self._runner.cleanup()
        if self._reserved is not None:
            self._reserved.close()
        if isinstance(outcome, Exception) and error is None:
            raise outcome

    async def wait(self) -> None:
        """Return only by cancellation, or raise what went wrong in the feed."""
        assert self._feeding is not None
        await asyncio.shield(self._feeding)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.exchange.run(), name="simulator-feed-clockwork")
            tasks.create_task(self._faults.play(self), name="simulator-faults")

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.exchange.serve(request)
        if request.path == "/" and self.exchange.greeting:
            return web.Response(text=self.exchange.greeting)
        answer = await self.exchange.handle(
            Ask(
                method=request.method,
                path=request.path,
                query={name: request.query.getall(name) for name in request.query},
                url=request.path_qs,
                authorization=request.headers.get("Authorization"),
                cookie=request.headers.get("Cookie"),
            )
        )
        if answer is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)  # into the void
        if answer.cut_after is not None:
            return await _cut_short(request, answer, answer.cut_after)
        return web.Response(
            status=answer.status, body=answer.body, content_type=answer.content_type, headers=answer.headers
        )


async def _cut_short(request: web.Request, answer: Answer, after: int) -> web.StreamResponse:
    """Send the headers and so many bytes of the body that they announce, and hang up."""
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_type = answer.content_type
    response.content_length = len(answer.body)
    with suppress(ConnectionError):
        await response.prepare(request)
        await response.write(answer.body[:after])
        await asyncio.sleep(answer.stalls_s)
    if request.transport is not None:
        # Not aborted: a reset would overtake what has been sent.
        request.transport.close()
    return response


def _bound(host: str, port: int) -> socket.socket:
    """A socket at that address that does not listen."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setblocking(False)
    bound.bind((host, port))
    return bound


def _report(feeding: asyncio.Task[None]) -> None:
    """Say at once that the feed has died of a bug; leaving the simulator raises it."""
    if not feeding.cancelled() and (error := feeding.exception()):
        logger.bind(event="simulator_feed_failed").opt(exception=error).error("the simulated feed has failed")


def _faults(
    given: FaultScript | int | None, venue: str, clock: MarketClock, products: Sequence[str]
) -> Faults | None:
    """What is to go wrong, in that venue's words."""
    kind = kind_of(venue)
    if given is None:
        return None
    if isinstance(given, FaultScript):
        if kind.faults:
            check_words(given, venue)
        return ScriptedFaults(given, refusing=kind.refusing)
    if kind.faults:
        return kind.faults(given, clock.start_ms + RANDOM_HOURS * 3_600_000)
    return ScriptedFaults(random_script(given, RANDOM_HOURS, products))


def _listed(products: Sequence[Product], usual: int, listed: Mapping[str, int]) -> list[Product]:
    """The same, listed when they were, or as usual, Unix ms."""
    names = [product.id for product in products]
    for name in listed:
        if name not in names:
            raise ConfigError(f"--listed names {name!r}, which is not traded", f"one of {', '.join(names)}")
    return [each._replace(listed_ms=listed.get(each.id, each.listed_ms or usual)) for each in products]


async def serve_forever(
    *,
    port: int = 0,
    speed: float = 1.0,
    seed: int = 1,
    symbols: Sequence[str] = (),
    csv: Mapping[str, str] | None = None,
    rate: int | None = None,
    latency: float = 0.0,
    venue: str = FIRST_VENUE,
    start_ms: int | None = None,
    hold_ms: int | None = None,
    years: int = YEARS,
    listed: Mapping[str, int] | None = None,
    halts: Sequence[tuple[int, int]] = (),
    faults: FaultScript | int | None = None,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until cancelled: `livecache simulator`. `announce` is given each line to show, once it listens.

    `symbols` are product ids, thin ones as `ANY-USD:thin` or `:very-thin`; none means the default ones. With
    `csv` (product to path) those files are the market, and it begins a day before they end unless `start_ms`
    (Unix ms) is given. From `hold_ms` on time creeps. `rate` in requests a real second, `latency` in seconds.
    `venue` is whose words it speaks. Products have so many `years` of history, or were `listed` then, and
    in `halts` nothing was traded, all Unix ms.
    `faults` is what goes wrong, or the seed that draws it. Raises `ConfigError`, also for faults that the
    venue's face cannot play, and `LivecacheError` for a port that is taken.
    """
    if not speed > 0:
        raise ConfigError(f"the speed must be above 0, not {speed}", "1 is real time, 60 a minute a second")
    if rate is not None and rate < 1:
        raise ConfigError(f"the rate must be at least 1, not {rate}", "leave it out for the venue's own")
    if latency < 0:
        raise ConfigError(f"the latency must not be negative: {latency}", "give it in seconds: 0.08")
    market: Market
    if csv:
        market = recorded = CsvMarket({product: Path(path) for product, path in csv.items()})
        begin, end = recorded.span
        if start_ms is None:
            start_ms = max((begin + end) // 2, end - 86_400_000)
        clock = MarketClock(start_ms, speed, hold_ms=hold_ms)
    else:
        clock = MarketClock(start_ms, speed, hold_ms=hold_ms)
        since_ms = clock.start_ms - years * _YEAR_MS
        if make := kind_of(venue).market:
            market = make(seed, symbols, clock.start_ms, since_ms, listed or {})
        else:
            products = [Product.parse(s) for s in symbols] or DEFAULT_PRODUCTS
            market = SeededMarket(seed, _listed(products, since_ms, listed or {}))
    if halts:
        market = OutOfOrder(market, halts)
    changes: dict[str, Any] = {} if rate is None else {"requests_per_second": rate}
    async with Simulator(
        market,
        clock=clock,
        venue=venue,
        port=port,
        latency_s=latency,
        **changes,
        faults=_faults(faults, venue, clock, market.products()),
    ) as simulator:
        announce(f"REST       {simulator.rest_url}")
        kind, settings = simulator.settings()
        if "ws_url" in settings:
            announce(f"websocket  {simulator.ws_url}")
        names = [*simulator.exchange.symbols]
        more = f" and {len(names) - _NAMED_MOST} more" if len(names) > _NAMED_MOST else ""
        announce(f"at speed {speed:g}: {', '.join(names[:_NAMED_MOST])}{more}")
        announce("To use it, in config.toml:")
        announce(f"[venues.{kind}]")
        for name, value in settings.items():
            announce(f'{name} = "{value}"')
        await simulator.wait()
