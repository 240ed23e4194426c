"""Real answers of two exchanges, served through the whole service to a reader, in virtual time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.read.candles import Candles
from livecache.venues.binance.settings import BinanceSettings
from livecache.venues.binance.venue import BinanceVenue
from livecache.venues.by_ccxt.venue import CcxtVenue
from tests.conformance.polled import KrakenFace, settings_for
from tests.oracle import Row, rolled_up
from tests.simulation.service import Running, service
from tests.simulation.virtual import VirtualClock, run_virtually
from tests.venues.loopback import rest_server

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "venues"
M1, H1, D1 = Timeframe.M1, Timeframe.H1, Timeframe.D1
FRAMES = tuple(map(Timeframe, ("1h", "2h", "4h", "6h", "8h", "12h", "1d")))
FIELDS = ("open", "high", "low", "close", "volume")

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the real answers are not here")


def klines(timeframe: Timeframe) -> dict[int, list[str]]:
    """Binance's own, from USD-M: two days of January 2020, by their opens."""
    with (DATA / f"um_BTCUSDT-{timeframe.value}_2020-01-01_02.csv").open() as file:
        return {int(row["open_time"]): [row[field] for field in FIELDS] for row in csv.DictReader(file)}


def told(candles: Candles) -> list[list[float]]:
    return [list(candle) for candle in candles]


def floats(rows: dict[int, Row]) -> list[list[float]]:
    return [[time, *map(float, row)] for time, row in sorted(rows.items())]


def exact(rows: dict[int, list[str]]) -> dict[int, Row]:
    return {time: tuple(map(Decimal, row)) for time, row in rows.items()}


def known_to(running: Running, timeframe: Timeframe) -> int:
    record = running.reader.state("BTCUSDT", timeframe).record
    return record.state.known_through if record else 0


class Binance:
    """What USD-M answers if it has those rows, of so many timeframes.

    Its minutes, which the feed would carry, are not in the data: all of an hour is in its first one.
    """

    def __init__(self, clock: VirtualClock, serves: Sequence[Timeframe]) -> None:
        self._rows = {timeframe.value: klines(timeframe) for timeframe in serves}
        minutes = self._rows["1m"] = {}
        for hour, row in klines(H1).items():
            flat = [row[3]] * 4 + ["0"]
            minutes |= {hour + n * M1.ms: flat if n else row for n in range(60)}
        self._clock = clock

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        match request.path.rpartition("/")[2]:
            case "time":
                return web.json_response({"serverTime": int(self._clock.wall() * 1000)})
            case "exchangeInfo":
                one = {"symbol": "BTCUSDT", "status": "TRADING", "contractType": "PERPETUAL"}
                return web.json_response({"symbols": [{**one, "onboardDate": min(self._rows["1h"])}]})
            case "klines" if rows := self._rows.get(request.query["interval"]):
                span = range(int(request.query["startTime"]), int(request.query["endTime"]) + 1)
                wires = [[t, *row, t, "0", 1, "0", "0", "0"] for t, row in rows.items() if t in span]
                return web.json_response(wires)
            case "klines":
                return web.json_response({"code": -1120, "msg": "Invalid interval."}, status=400)
        return web.Response(status=404)


@pytest.mark.parametrize("serves", [(H1,), (H1, D1)], ids=["1h alone", "its days too"])
def test_hours_of_binance_add_up_to_its_own_days(clean_valkey: str, serves: Sequence[Timeframe]) -> None:
    hours, days = exact(klines(H1)), exact(klines(D1))

    async def main() -> None:
        end = max(days) + D1.ms
        clock = VirtualClock(end / 1000 + 30)
        async with rest_server(Binance(clock, serves), cancelling=False) as (url, _):
            settings = BinanceSettings(market="usdm", rest_url=url, ws_url=url.replace("http", "ws"))
            now: Callable[[], int] = lambda: int(clock.wall() * 1000)  # noqa: E731
            venue: Any = BinanceVenue(settings, name="binance", now=now, clock=clock, jitter=lambda: 0.5)
            venue.clock = clock
            policy = Policy(candles=48, min_candles=2)
            async with service(venue, clean_valkey, ["BTCUSDT"], FRAMES, policy=policy) as running:
                await running.until(lambda: all(known_to(running, t) == end for t in FRAMES), within_s=60.0)
                for timeframe in FRAMES:
                    count = len(hours) * H1.ms // timeframe.ms
                    candles = running.reader.candles("BTCUSDT", timeframe, count)
                    assert told(candles) == floats(rolled_up(hours, timeframe.ms)), timeframe
                assert told(candles) == floats(days), "as the venue has them itself"
                assert told(running.reader.candles("BTCUSDT", "16h", 3)) == floats(
                    rolled_up(hours, 16 * H1.ms)
                )
                counters = running.live.timeline.counters
                assert counters.rollup_mismatches == counters.revisions == 0

    run_virtually(main())


def test_krakens_minutes_are_read_as_it_told_them(clean_valkey: str) -> None:
    answer = json.loads((DATA / "http_ohlc_XBTUSDT_1m.json").read_text())
    rows = {row[0] * 1000: [*row[1:5], row[6]] for row in answer["result"]["XBTUSDT"]}
    in_progress = max(rows)
    closed = {time: row for time, row in rows.items() if time < in_progress}
    traded = exact({time: row for time, row in closed.items() if Decimal(row[4])})
    assert len(traded) > 500

    async def main() -> None:
        clock = VirtualClock(in_progress / 1000 + 20)
        face = KrakenFace(in_progress + 20_000, 1.0, clock)

        async def serve(request: web.Request) -> web.StreamResponse:
            if request.path.endswith("OHLC") and request.query["interval"] == "1":
                return web.json_response(answer)
            return web.json_response(face.answer(request.path, request.query))

        async with rest_server(serve, cancelling=False) as (url, _):
            venue: Any = CcxtVenue(
                settings_for((url,)), name="kraken", now=face.now, clock=clock, jitter=lambda: 0.5
            )
            venue.clock = clock
            policy = Policy(candles=len(traded), min_candles=100)
            frames = (M1,)
            async with service(
                venue, clean_valkey, ["BTC/USDT"], frames, policy=policy, rate=50.0
            ) as running:
                await running.until(lambda: bool(running.live.warm_s), within_s=35.0)
                whole = running.reader.candles("BTC/USDT", "1m", len(traded) - 1)
                assert told(whole) == floats(traded)[1:]
                filled = running.reader.candles("BTC/USDT", "1m", 700, empty="carry")
                assert [candle.time for candle in filled] == sorted(closed)[-700:]
                fives = running.reader.candles("BTC/USDT", "5m", 100)
                theirs = {row[0]: row for row in floats(rolled_up(traded, Timeframe.M5.ms))}
                assert told(fives) == [theirs[candle.time] for candle in fives]

    run_virtually(main())
