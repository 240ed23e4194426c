"""The simulator read by an independent witness: Coinbase's own SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import requests
from coinbase.rest import RESTClient
from requests.adapters import HTTPAdapter

from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator import KeyRing, MarketClock, SeededMarket, Simulator, serve_forever, throwaway_key
from livecache.simulator.coinbase.exchange import GRANULARITIES

from .support import DATA, NOW, connected

TIME = "/api/v3/brokerage/time"


class Loopback(HTTPAdapter):
    """Takes what the SDK sends to https://api.coinbase.com to a plain port of loopback instead."""

    def __init__(self, rest_url: str) -> None:
        super().__init__()
        self._rest_url = rest_url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        assert parts.netloc == "api.coinbase.com"
        request.url = f"{self._rest_url}{parts.path}?{parts.query}".rstrip("?")
        return super().send(request, *args, **kwargs)


def witness(rest_url: str, **key: str) -> RESTClient:
    client = RESTClient(timeout=5, **key)
    client.session.mount("https://", Loopback(rest_url))
    return client


def run_with_witness(ask: Callable[[RESTClient, Simulator], None], **options: Any) -> None:
    """Start a simulator and let the blocking SDK ask it from a thread."""
    key = throwaway_key("ec")

    async def scenario() -> None:
        clock = MarketClock(NOW, 1)
        async with Simulator(SeededMarket(6), clock=clock, keys=KeyRing(key), **options) as sim:
            client = witness(sim.rest_url, api_key=key.name, api_secret=key.secret)
            try:
                await asyncio.to_thread(ask, client, sim)
            finally:
                client.session.close()

    asyncio.run(scenario())


def test_the_sdk_reads_time_products_and_trades() -> None:
    def ask(client: RESTClient, sim: Simulator) -> None:
        assert NOW <= int(client.get_unix_time()["epoch_millis"] or 0) < NOW + 60_000
        products = client.get_public_products(product_type="SPOT")["products"]
        assert products is not None
        alias = next(p for p in products if p["product_id"] == "BTC-USDC")
        assert alias["alias"] == "BTC-USD"
        assert client.get_public_product("ETH-USD")["price_increment"] == "0.01"
        trades = client.get_public_market_trades("SOL-USD", limit=10)["trades"]
        assert trades is not None
        assert len(trades) == 10

    run_with_witness(ask)


@pytest.mark.parametrize("public", [True, False])
def test_the_sdk_reads_candles_of_every_granularity(public: bool) -> None:
    """Signed and unsigned, and they are what the market says."""

    def ask(client: RESTClient, sim: Simulator) -> None:
        for name, timeframe in GRANULARITIES.items():
            get = client.get_public_candles if public else client.get_candles
            end = timeframe.floor(NOW) - timeframe.ms
            start = end - 330 * timeframe.ms
            page = get("BTC-USD", str(start // 1000), str(end // 1000 - 1), name)
            rows = [
                ExactCandle(int(c["start"]) * 1000, c["open"], c["high"], c["low"], c["close"], c["volume"])
                for c in reversed(page["candles"])
            ]
            assert rows == sim.market.candles("BTC-USD", timeframe, start, end, NOW)
            assert len(rows) == 330

    run_with_witness(ask)


def test_the_sdk_meets_the_venues_errors() -> None:
    def ask(client: RESTClient, sim: Simulator) -> None:
        with pytest.raises(requests.HTTPError, match="should be less than 350"):
            client.get_public_candles("BTC-USD", "0", str(351 * 300), "FIVE_MINUTE")
        with pytest.raises(requests.HTTPError, match="Product NOPE-USD not supported"):
            client.get_public_product("NOPE-USD")
        statuses = [client.session.get("https://api.coinbase.com" + url).status_code for url in 11 * [TIME]]
        assert statuses[-1] == 429
        stranger = throwaway_key()
        unknown = witness(sim.rest_url, api_key=stranger.name, api_secret=stranger.secret)
        with pytest.raises(requests.HTTPError, match=r"401 .*Unauthorized"), unknown.session:
            unknown.get_candles("BTC-USD", "0", "300", "FIVE_MINUTE")

    run_with_witness(ask)


def test_the_shapes_have_the_same_keys_as_the_venues_captures() -> None:
    """Compared with a body and frames that were captured from the venue itself."""
    folder = DATA / "ws_captures" / "transcribed"
    if not folder.is_dir():
        pytest.skip(f"no captures at {folder}")
    (capture,) = folder.glob("rest_candles_*.json")
    real_row = json.loads(capture.read_text())["candles"][0]
    lines = (folder / "at_frames_verbatim_excerpt.jsonl").read_text().splitlines()
    frames = [json.loads(line) for line in lines if line]

    def keys(value: Any) -> Any:
        """A value's shape: the keys in order, of a list its first element, and the types."""
        if isinstance(value, dict):
            return {name: keys(inner) for name, inner in value.items()}
        return [keys(value[0])] if isinstance(value, list) and value else type(value).__name__

    async def scenario() -> None:
        async with Simulator(SeededMarket(6), clock=MarketClock(NOW, 60)) as sim, connected(sim) as client:
            for channel in ("market_trades", "heartbeats"):
                await client.say("subscribe", channel, "BTC-USD")
                mine = await client.frame_of(channel)
                real = next(f for f in frames if f.get("channel") == channel)
                assert list(mine) == list(real)
                assert keys(mine) == keys(real)
            response = await asyncio.to_thread(
                requests.get,
                f"{sim.rest_url}/api/v3/brokerage/market/products/BTC-USD/candles",
                {"start": str(NOW // 1000 - 600), "end": str(NOW // 1000), "granularity": "ONE_MINUTE"},
                timeout=5,
            )
            row = response.json()["candles"][0]
            assert (list(row), keys(row)) == (list(real_row), keys(real_row))
            response.close()

    asyncio.run(scenario())


def test_serving_for_ever_announces_what_to_configure() -> None:
    async def scenario() -> list[str]:
        lines: list[str] = []
        done = asyncio.Event()

        def announce(line: str) -> None:
            lines.append(line)
            if line.startswith("ws_url = "):
                done.set()

        serving = asyncio.create_task(
            serve_forever(symbols=["BTC-USD", "ANY-USD:thin"], speed=60, announce=announce), name="serve"
        )
        async with asyncio.timeout(30):
            await done.wait()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        return lines

    lines = asyncio.run(scenario())
    assert any("BTC-USD, ANY-USD" in line for line in lines)
    assert [line.partition(" = ")[0] for line in lines[-3:]] == ["[venues.coinbase]", "rest_url", "ws_url"]


@pytest.mark.parametrize("venue", ["coinbase", "binance", "deribit", "yahoo"])
def test_each_venue_is_served_until_somebody_ends_it(venue: str) -> None:
    async def scenario() -> bool:
        lines: list[str] = []
        serving = asyncio.create_task(serve_forever(venue=venue, announce=lines.append), name="serve")
        url = ""
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while not url and not serving.done():
                await asyncio.sleep(0)
                url = next((line.split()[-1] for line in lines if line.startswith("REST")), "")
            for _ in range(3):
                async with session.get(f"{url}/"):
                    pass
        ended = serving.done()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return ended

    assert not asyncio.run(scenario())


def test_the_default_page_of_a_day_timeframe_is_long() -> None:
    """The seeded market has years of days: nothing is stored, so nothing runs out."""
    days = SeededMarket(1).candles("BTC-USD", Timeframe.D1, NOW - 900 * Timeframe.D1.ms, NOW, NOW)
    assert len(days) == 900
