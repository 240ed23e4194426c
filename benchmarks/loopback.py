"""A simulated exchange for the benchmarks to measure against, in processes of its own.

REST and the feed are two processes of the same market, as at the venue two machines: else the REST side would
stand still for 0.2 s while the feed answers a subscription, and what was sent evenly would arrive bunched.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from loguru import logger

from livecache import Timeframe
from livecache.model.candle import ExactCandle
from livecache.simulator import (
    DEFAULT_PRODUCTS,
    KeyRing,
    MarketClock,
    Product,
    RequestRecord,
    SeededMarket,
    Simulator,
    throwaway_key,
)
from livecache.simulator.market.market import Increments, Market, MarketOverlay, MarketTrade

__all__ = ["Address", "Exchange", "Opening", "exchange", "symbols"]

_ANSWER_S_MAX = 300.0
_LIQUID = 25  # of the default products, which come first
_BLOCK = 64  # candles that are remembered together


def symbols(count: int) -> list[str]:
    """That many liquid products: real names first."""
    real = [product.id for product in DEFAULT_PRODUCTS[:_LIQUID]]
    return [*real, *(f"COIN{number:03d}-USD" for number in range(1, count - len(real) + 1))][:count]


@dataclass(frozen=True)
class Opening:
    """How an exchange begins: `start_ms` is the market's time in Unix ms, `port` 0 takes a free one.

    `symbols` are the market's, whatever the venue calls them. Rates are Coinbase's; other venues have their
    own limits.
    """

    symbols: Sequence[str]
    start_ms: int
    latency_s: float
    public_per_s: int = 10
    private_per_s: int = 30
    port: int = 0
    venue: str = "coinbase"
    speed: float = 1.0
    remembers: Sequence[Timeframe] = ()  # of which a thousand candles of each product are made beforehand
    alike: bool = False  # each product is traded as one of a few, which costs the exchange much less


class Address(NamedTuple):
    """Where the exchange is, and the key that its private endpoints accept."""

    rest_url: str
    ws_url: str
    key_name: str
    key_secret: str

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.rest_url.rpartition(":")[2])


class Exchange:
    """The exchange as this process sees it."""

    def __init__(self, address: Address, rest: Connection) -> None:
        self.address = address
        self._rest = rest

    def now(self) -> int:
        """The market's time, Unix ms."""
        now: int = self._ask()[0]
        return now

    def requests_since(self, started_s: float) -> list[RequestRecord]:
        """What was asked since then, by the monotonic clock, which the processes of a machine share."""
        return [request for request in self._ask()[1] if request.at >= started_s]

    def _ask(self) -> Any:
        self._rest.send("now and all requests")
        return _hear(self._rest)


@contextmanager
def exchange(opening: Opening) -> Iterator[Exchange]:
    """A running exchange."""
    key = throwaway_key("ed25519")
    assert isinstance(key.public, Ed25519PublicKey)
    side = _Side(
        replace(opening, port=0, remembers=()), time.monotonic(), key.name, key.public.public_bytes_raw()
    )
    with ExitStack() as stack:
        rest = stack.enter_context(_process(replace(side, opening=opening)))
        feed = stack.enter_context(_process(side))
        address = Address(_hear(rest)[0], _hear(feed)[1], key.name, key.secret)
        yield Exchange(address, rest)


@dataclass(frozen=True)
class _Side:
    """What one of the processes is told. The market begins at `opened_s` by the monotonic clock."""

    opening: Opening
    opened_s: float
    key_name: str
    public_key: bytes


@contextmanager
def _process(side: _Side) -> Iterator[Connection]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, side), daemon=True)
    process.start()
    theirs.close()
    with ours:
        yield ours
    process.join(5)


def _hear(pipe: Connection) -> Any:
    if not pipe.poll(_ANSWER_S_MAX):
        raise TimeoutError("the exchange does not answer")
    return pipe.recv()


def _serve(pipe: Connection, side: _Side) -> None:
    """Run one side of the exchange until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent says when.
    logger.remove()
    asyncio.run(_run(pipe, side))


async def _run(pipe: Connection, side: _Side) -> None:
    opening, keys = side.opening, KeyRing()
    keys.register(side.key_name, Ed25519PublicKey.from_public_bytes(side.public_key))
    products = [Product.parse(symbol) for symbol in opening.symbols]
    coinbase = opening.venue == "coinbase"
    alike = opening.alike or not coinbase
    seeded = SeededMarket(products=products[:_LIQUID] if alike else products)
    market: Market = _Alike(seeded, opening.symbols) if alike else seeded
    late_ms = int((time.monotonic() - side.opened_s) * 1000 * opening.speed)
    rates: dict[str, Any] = {"requests_per_second": opening.public_per_s}
    rates["private_requests_per_second"] = opening.private_per_s
    simulator = Simulator(
        market,
        clock=MarketClock(opening.start_ms + late_ms, opening.speed),
        port=opening.port,
        venue=opening.venue,
        keys=keys,
        latency_s=opening.latency_s,
        **(rates if coinbase else {}),
    )
    day = Timeframe.D1.floor(opening.start_ms)
    market.candles(opening.symbols[0], Timeframe.M5, day - Timeframe.D1.ms, day, day)  # The first is slow.
    for symbol, timeframe in product(opening.symbols[:_LIQUID], opening.remembers):
        market.candles(symbol, timeframe, day - 1_100 * timeframe.ms, opening.start_ms, opening.start_ms)
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def answer() -> None:
        try:
            pipe.recv()
            pipe.send((simulator.now(), list(simulator.exchange.requests)))
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            over.set()

    async with simulator:
        gc.freeze()
        pipe.send((simulator.rest_url, simulator.ws_url))
        loop.add_reader(pipe.fileno(), answer)
        await over.wait()


class _Alike(MarketOverlay):
    """Any number of products, each traded as one of a few. What is over is remembered, as a venue's database
    does: else the exchange would be slower than what is measured against it.
    """

    def __init__(self, market: Market, products: Sequence[str]) -> None:
        super().__init__(market)
        few = market.products()
        self._like = {product: few[i % len(few)] for i, product in enumerate(products)}
        self._block = lru_cache(maxsize=50_000)(self._make_block)

    def products(self) -> list[str]:
        return list(self._like)

    def increments(self, product: str) -> Increments:
        return super().increments(self._like[product])

    def listed(self, product: str) -> int:
        return super().listed(self._like[product])

    def candles(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> list[ExactCandle]:
        like, length_ms = self._like[product], _BLOCK * timeframe.ms
        rows: list[ExactCandle] = []
        for begin in range(start_ms - start_ms % length_ms, min(end_ms, now_ms), length_ms):
            if begin + length_ms <= now_ms:
                block = self._block(like, timeframe, begin)
                rows += [row for row in block if start_ms <= row.time < end_ms]
            else:
                rows += super().candles(like, timeframe, max(start_ms, begin), end_ms, now_ms)
        return rows

    def trades(self, product: str, from_ms: int, to_ms: int) -> list[MarketTrade]:
        return super().trades(self._like[product], from_ms, to_ms)

    def _make_block(self, like: str, timeframe: Timeframe, begin: int) -> list[ExactCandle]:
        end = begin + _BLOCK * timeframe.ms
        return super().candles(like, timeframe, begin, end, end)
