"""What the simulator's tests share: a host clock that stands still, and a client for the feed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from livecache.model.candle import ExactCandle
from livecache.simulator import CsvMarket, MarketClock, Simulator

__all__ = [
    "DATA",
    "MINUTE",
    "NOW",
    "Client",
    "StillClock",
    "candles_of",
    "connected",
    "real_market",
    "roll_up",
]

DATA = Path(__file__).parents[3] / "shared" / "data"
MINUTE = 60_000
NOW = 1_791_282_309_000  # in the middle of a minute of October 2026


class StillClock:
    """A host's clock that moves only when told to, or when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += max(0.0, seconds)

    def market(self, start_ms: int = NOW, speed: float = 1.0) -> MarketClock:
        """A market's clock that moves with this one."""
        return MarketClock(start_ms, speed, self.monotonic)


class Client:
    """A websocket client that keeps every frame it was sent."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.frames: list[dict[str, Any]] = []

    async def say(self, kind: str, channel: str, *products: str, **more: str) -> None:
        await self.ws.send_json({"type": kind, "channel": channel, "product_ids": products} | more)

    async def frames_until(self, enough: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Receive until a frame satisfies `enough`; the frames received now, that one last."""
        begin = len(self.frames)
        async with asyncio.timeout(120):
            async for message in self.ws:
                self.frames.append(json.loads(message.data))
                if enough(self.frames[-1]):
                    return self.frames[begin:]
        raise AssertionError(f"the feed ended with code {self.ws.close_code}")

    async def frames_until_ack(self) -> list[dict[str, Any]]:
        return await self.frames_until(lambda f: f.get("channel") == "subscriptions")

    async def frame_of(self, channel: str) -> dict[str, Any]:
        """The next frame of that channel."""
        return (await self.frames_until(lambda f: f.get("channel") == channel))[-1]

    async def close_code(self) -> int | None:
        """Receive until the server closes."""
        async with asyncio.timeout(120):
            async for message in self.ws:
                self.frames.append(json.loads(message.data))
        return self.ws.close_code


@asynccontextmanager
async def connected(simulator: Simulator) -> AsyncIterator[Client]:
    """A client connected to that simulator."""
    async with aiohttp.ClientSession() as http, http.ws_connect(simulator.ws_url) as ws:
        yield Client(ws)


def candles_of(frame: dict[str, Any]) -> list[dict[str, str]]:
    """The candles of a frame of the candles channel; none of any other's."""
    if frame.get("channel") != "candles":
        return []
    return [candle for event in frame["events"] for candle in event["candles"]]


def roll_up(children: list[ExactCandle], open_ms: int) -> ExactCandle:
    """The sum of some candles, oldest first: the independent few lines that markets are held against."""
    return ExactCandle(
        open_ms,
        children[0].open,
        max((c.high for c in children), key=Decimal),
        min((c.low for c in children), key=Decimal),
        children[-1].close,
        str(sum(Decimal(c.volume) for c in children)),
    )


@cache
def real_market() -> CsvMarket:
    """Three real products; skips the test where the data is absent."""
    folder = DATA / "coinbase" / "three_symbols_5m_2026-02"
    if not folder.is_dir():
        pytest.skip(f"no real candles at {folder}")
    return CsvMarket({path.name.removesuffix("_300s.csv"): path for path in sorted(folder.glob("*.csv"))})
