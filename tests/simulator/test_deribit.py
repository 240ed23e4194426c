"""The simulated Deribit is as the venue is documented, and was seen to be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from livecache.model.timeframe import Timeframe
from livecache.simulator import MarketClock, Product, SeededMarket, Simulator
from livecache.simulator.deribit.feed import PATH

NOW = 1_784_131_140_000  # 2026-07-15 15:59 UTC
M1, H1, D1 = Timeframe.M1, Timeframe.H1, Timeframe.D1
BTC = "BTC-PERPETUAL"
MARKET = SeededMarket(3, [Product.parse("BTC-USD"), Product.parse("BAND-USD"), Product.parse("ETH-EUR")])


class Client:
    def __init__(self, http: aiohttp.ClientSession, simulator: Simulator) -> None:
        self._http, self.simulator = http, simulator
        self.frames: list[dict[str, Any]] = []

    async def get(self, method: str, **asked: object) -> tuple[int, dict[str, Any]]:
        url = f"{self.simulator.rest_url}/api/v2/public/{method}"
        async with self._http.get(url, params={k: str(v) for k, v in asked.items()}) as answer:
            return answer.status, await answer.json()

    async def chart(self, start: int, end: int, resolution: str = "1", name: str = BTC) -> dict[str, Any]:
        asked = {"instrument_name": name, "start_timestamp": start, "end_timestamp": end}
        status, told = await self.get("get_tradingview_chart_data", **asked, resolution=resolution)
        assert status == 200, told
        result: dict[str, Any] = told["result"]
        assert len({len(result[c]) for c in ("ticks", "open", "high", "low", "close", "volume", "cost")}) == 1
        return result

    async def feed(self) -> aiohttp.ClientWebSocketResponse:
        return await self._http.ws_connect(self.simulator.ws_url + PATH)


def asking(check: Callable[[Client], Awaitable[None]], speed: float = 0.001, **options: Any) -> None:
    async def main() -> None:
        clock = MarketClock(NOW, speed)
        async with (
            asyncio.timeout(60),
            Simulator(MARKET, clock=clock, venue="deribit", **options) as simulator,
            aiohttp.ClientSession() as http,
        ):
            await check(Client(http, simulator))

    asyncio.run(main())


def test_the_start_is_exclusive_and_the_end_inclusive() -> None:
    async def check(client: Client) -> None:
        start = NOW - 10 * M1.ms
        assert (await client.chart(start, start + 2 * M1.ms))["ticks"] == [start + M1.ms, start + 2 * M1.ms]
        assert (await client.chart(start - 1, start + M1.ms - 1))["ticks"] == [start]

    asking(check)


def test_of_a_request_that_is_too_long_the_newest_rows_come_and_nothing_tells() -> None:
    async def check(client: Client) -> None:
        told = await client.chart(NOW - 100 * M1.ms - 1, NOW - 1)
        assert (len(told["ticks"]), told["status"]) == (51, "ok")
        assert told["ticks"][-1] == NOW - M1.ms

    asking(check, rows_most=51)


def test_what_was_not_traded_has_a_flat_row_at_the_last_price() -> None:
    async def check(client: Client) -> None:
        told = await client.chart(NOW - 600 * M1.ms - 1, NOW - 1, name="BAND-PERPETUAL")
        assert len(told["ticks"]) == 600
        flat = [i for i, volume in enumerate(told["volume"]) if volume == 0]
        assert 300 < len(flat) < 600
        for i in flat[1:]:
            prices = {told[name][i] for name in ("open", "high", "low", "close")}
            assert prices == {told["close"][i - 1]} or i == 0

    asking(check)


def test_a_day_opens_at_eight_and_is_what_its_hours_are() -> None:
    async def check(client: Client) -> None:
        day = D1.floor(NOW) - 3 * D1.ms + 8 * H1.ms
        told = await client.chart(day - 1, day + D1.ms - 1, "1D")
        hours = await client.chart(day - 1, day + D1.ms - 1, "60")
        assert told["ticks"] == [day] and len(hours["ticks"]) == 24
        assert told["high"] == [max(hours["high"])] and told["open"] == hours["open"][:1]
        assert sum(map(Decimal, map(str, hours["volume"]))) == pytest.approx(Decimal(str(told["volume"][0])))

    asking(check)


@pytest.mark.parametrize(("resolution", "hours", "opens"), [("360", 6, {2, 8, 14, 20}), ("720", 12, {8, 20})])
def test_six_and_twelve_hours_open_as_days_do_and_are_what_their_hours_are(
    resolution: str, hours: int, opens: set[int]
) -> None:
    async def check(client: Client) -> None:
        told = await client.chart(NOW - 4 * D1.ms, NOW - D1.ms, resolution)
        assert {tick % D1.ms // H1.ms for tick in told["ticks"]} == opens
        first = told["ticks"][0]
        parts = await client.chart(first - 1, first + hours * H1.ms - 1, "60")
        assert (told["open"][0], told["close"][0]) == (parts["open"][0], parts["close"][-1])
        assert (told["high"][0], told["low"][0]) == (max(parts["high"]), min(parts["low"]))

    asking(check)


def test_whoever_wants_to_know_it_is_told_when_the_platform_is_locked_and_when_no_longer() -> None:
    async def check(client: Client) -> None:
        socket = await client.feed()
        asked = {"channels": ["platform_state", "platform_mood"]}
        await socket.send_json({"id": 7, "method": "public/subscribe", "params": asked})
        assert (await socket.receive_json())["result"] == ["platform_state"]
        told = [(await socket.receive_json())["params"] for _ in range(6)]
        assert {one["channel"] for one in told} == {"platform_state"}
        indices = ["band_usd", "btc_usd", "eth_eur"]
        assert [tuple(one["data"].values()) for one in told] == [
            (index, locked) for locked in (True, False) for index in indices
        ]
        locked = await client.chart(NOW + M1.ms - 1, NOW + 3 * M1.ms - 1)
        assert set(locked["volume"]) == {0}

    asking(check, speed=240.0, locks=((NOW + M1.ms, NOW + 3 * M1.ms),))


def test_nothing_is_there_of_before_the_listing() -> None:
    async def check(client: Client) -> None:
        _, told = await client.get("get_instruments", currency="any")
        listed = {one["instrument_name"]: one for one in told["result"]}
        assert list(listed) == [BTC, "BAND-PERPETUAL", "ETH_EUR"]
        created = listed[BTC]["creation_timestamp"]
        assert created == NOW - 90_000
        assert (await client.chart(NOW - D1.ms, created - M1.ms))["status"] == "no_data"
        assert (await client.chart(NOW - D1.ms, NOW - 1))["ticks"] == [NOW - 2 * M1.ms, NOW - M1.ms]

    asking(check, created_ms=NOW - 90_000)


def test_credits_are_a_pool_that_refills_and_is_shared_with_the_feed() -> None:
    async def check(client: Client) -> None:
        answers = [await client.get("get_time") for _ in range(4)]
        assert [status for status, _ in answers[:3]] == [200, 200, 200]
        status, told = answers[3]
        assert (status, told["error"]["code"], told["error"]["data"]) == (429, 10028, {"wait": 1})
        socket = await client.feed()
        await socket.send_json({"id": 1, "method": "public/test", "params": {}})
        assert (await socket.receive_json())["error"]["code"] == 10028
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)

    asking(check, burst=3, requests_per_second=0.001)


def test_who_does_not_answer_whether_it_is_there_is_hung_up_on() -> None:
    async def check(client: Client) -> None:
        socket = await client.feed()
        await socket.send_json({"id": 1, "method": "public/set_heartbeat", "params": {"interval": 30}})
        assert (await socket.receive_json())["result"] == "ok"
        for _ in range(2):
            assert (await socket.receive_json())["params"] == {"type": "test_request"}
            await socket.send_json({"id": 2, "method": "public/test", "params": {}})
            assert "version" in (await socket.receive_json())["result"]
        assert (await socket.receive_json())["params"] == {"type": "test_request"}
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)

    asking(check, test_after_s=0.05, test_patience_s=0.3)


def test_a_channel_that_there_is_not_is_left_out_and_minutes_come_of_the_other() -> None:
    async def check(client: Client) -> None:
        socket = await client.feed()
        channels = [f"chart.trades.{BTC}.1", "chart.trades.NO-SUCH.1", f"chart.trades.{BTC}.7"]
        await socket.send_json({"id": 7, "method": "public/subscribe", "params": {"channels": channels}})
        told = await socket.receive_json()
        assert (told["id"], told["result"]) == (7, channels[:1])
        assert abs(told["usOut"] / 1000 - client.simulator.now()) < 60_000
        ticks: dict[int, float] = {}
        while len(ticks) < 3:
            told = json.loads((await socket.receive()).data)
            data = told["params"]["data"]
            assert told["params"]["channel"] == channels[0]
            assert data["volume"] >= ticks.get(data["tick"], 0.0), "cumulative"
            ticks[data["tick"]] = data["volume"]

    asking(check, speed=240.0)
