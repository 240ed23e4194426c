"""Binance's feed: its frames as documented, and a connection to the simulated venue by its rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

import pytest

from livecache.clock import SystemClock
from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.simulator import Faults, MarketClock, SeededMarket, Simulator
from livecache.simulator.binance.options import MARKETS as SIMULATED
from livecache.venues.binance.dialect import BEHIND_MS, BinanceDialect
from livecache.venues.binance.markets import MARKETS
from livecache.venues.feed.feed import SocketFeed
from livecache.venues.feed.session import Session
from livecache.venues.venue import Broken, Event, FeedCandles, FeedFailure, Heard, Rejected

from .loopback import InstantClock, ServerConnection, feed_server
from .test_binance_pages import DOCUMENTED

M1 = Timeframe.M1
START = 1_784_109_900_000
AT = 1_767_225_600_000


def frames() -> dict[str, Any]:
    file = DOCUMENTED / "binance_spot.json"
    if not file.is_file():
        pytest.skip(f"no documented frames at {file}")
    told: dict[str, Any] = json.loads(file.read_text())["cases"]["ws"]
    return told


def spoken(market: str = "spot") -> BinanceDialect:
    dialect = BinanceDialect("wss://venue.example", MARKETS[market], lambda: AT + 90_000)
    dialect.carry({"BTCUSDT": ("BTCUSDT",), "ETHUSDT": ("ETHUSDT",)})
    return dialect


def event_of(dialect: BinanceDialect, message: object) -> Event:
    (event,) = dialect.decode(json.dumps(message).encode()).events
    return event


def test_a_documented_frame_is_a_candle_of_its_minute_and_its_flag_says_when_it_is_the_last() -> None:
    told, dialect = frames(), spoken()
    first, last = event_of(dialect, told["update"]), event_of(dialect, told["closed"])
    assert isinstance(first, FeedCandles) and isinstance(last, FeedCandles)
    assert [c[3] for c in first.candles + last.candles] == [False, True]
    symbol, timeframe, candle, _ = last.candles[0]
    assert (symbol, timeframe, last.stamp, last.snapshot) == ("BTCUSDT", M1, 1_767_225_660_011, False)
    assert candle == ExactCandle(
        *(AT, "87420.01000000", "87455.00000000", "87410.00000000", "87450.99000000", "12.30451000")
    )


def test_an_empty_minute_is_told_as_a_flat_candle() -> None:
    flat = event_of(spoken(), frames()["closed, empty minute (no trade ids)"])
    assert isinstance(flat, FeedCandles) and flat.candles[0][2].flat and flat.candles[0][3]


@pytest.mark.parametrize("form", ["shutdown, raw", "shutdown, combined"])
def test_a_server_that_shuts_down_says_so_first(form: str) -> None:
    frame = spoken().decode(json.dumps(frames()[form]).encode())
    assert frame.leaving and isinstance(frame.events[0], Heard)


def test_an_acknowledgement_is_of_what_was_asked_for_and_vouches_for_nothing() -> None:
    dialect = spoken()
    (asked,) = map(json.loads, dialect.subscribe("kline", ("BTCUSDT", "ETHUSDT")))
    assert asked["params"] == ["btcusdt@kline_1m", "ethusdt@kline_1m"]
    frame = dialect.decode(json.dumps({"result": None, "id": asked["id"]}).encode())
    assert frame.acknowledged == (("kline", ("BTCUSDT", "ETHUSDT")),)
    assert frame.events == (Heard(AT + 90_000 - BEHIND_MS, reckoned=True),)
    again = dialect.decode(json.dumps({"result": None, "id": asked["id"]}).encode())
    assert again.acknowledged == () and again.events == ()


def test_an_answer_vouches_only_until_before_it_was_asked_for() -> None:
    """It bears no stamp, and what was sent before it may have been long on its way."""
    now = [AT]
    dialect = BinanceDialect("wss://venue.example", MARKETS["spot"], lambda: now[0])
    (asked,) = map(json.loads, dialect.keep_alive())
    now[0] += 60_000
    assert event_of(dialect, {"result": [], "id": asked["id"]}) == Heard(AT - BEHIND_MS, reckoned=True)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT"])
def test_the_last_frame_of_one_symbol_does_not_vouch_for_the_minute_of_another(symbol: str) -> None:
    last = {"e": "kline", "E": AT + M1.ms + 11, "s": symbol}
    last["k"] = {"t": AT, "i": "1m", "o": "1", "h": "1", "l": "1", "c": "1", "v": "5", "x": True}
    event = event_of(spoken(), {"stream": f"{symbol.lower()}@kline_1m", "data": last})
    vouched = event.through if isinstance(event, FeedCandles) else getattr(event, "stamp", 0)
    assert 0 < vouched <= AT + M1.ms - 2_000


def test_a_long_list_is_asked_for_in_several_messages_each_of_which_is_answered() -> None:
    dialect = spoken()
    ids = tuple(f"COIN{n}USDT" for n in range(1024))
    asked = [json.loads(text) for text in dialect.subscribe("kline", ids)]
    assert sum(len(each["params"]) for each in asked) == 1024 and len({each["id"] for each in asked}) == len(
        asked
    )
    answers = [dialect.decode(json.dumps({"result": None, "id": each["id"]}).encode()) for each in asked]
    assert [i for answer in answers for _, part in answer.acknowledged for i in part] == [*ids]


@pytest.mark.parametrize("nested", [True, False])
def test_a_refusal_of_one_stream_names_it_in_either_form(nested: bool) -> None:
    dialect = spoken()
    (asked,) = map(json.loads, dialect.subscribe("kline", ("BTCUSDT",)))
    error = {"code": 2, "msg": "Invalid request"}
    told = {"error": error} if nested else error
    frame = dialect.decode(json.dumps(told | {"id": asked["id"]}).encode())
    assert frame.events == (FeedFailure("Invalid request: BTCUSDT"),) and frame.acknowledged == ()


@pytest.mark.parametrize("change", [{"o": "none"}, {"t": AT + 7}, {"t": AT + 86_400_000}, {"h": "1"}])
def test_a_candle_that_cannot_be_believed_is_rejected(change: dict[str, Any]) -> None:
    told = frames()["update"]
    told["data"]["k"] |= change
    assert isinstance(event_of(spoken(), told), Rejected)


@pytest.mark.parametrize("at", [AT + 86_400_000, AT * 1_000, -AT, AT * 10**30])
def test_a_candle_of_a_time_that_cannot_be_is_rejected_whatever_its_stamp(at: int) -> None:
    k = {"t": at, "i": "1m", "o": "1", "h": "1", "l": "1", "c": "1", "v": "5", "x": True}
    told = {"e": "kline", "E": at + M1.ms, "s": "BTCUSDT", "k": k}
    assert isinstance(event_of(spoken(), {"stream": "btcusdt@kline_1m", "data": told}), Rejected)


def test_what_is_not_carried_or_no_minute_is_mere_life() -> None:
    other, bigger = frames()["update"], frames()["update"]
    other["data"]["s"] = "DOGEUSDT"
    bigger["data"]["k"]["i"] = "5m"
    assert isinstance(event_of(spoken(), other), Heard) and isinstance(event_of(spoken(), bigger), Heard)


# --- over a connection


Until = Callable[[Callable[[list[Event]], object]], Awaitable[list[Event]]]


def connected(
    check: Callable[
        [Simulator, Callable[[Callable[[list[Event]], object]], Awaitable[list[Event]]]], Awaitable[None]
    ],
    *symbols: str,
    market: str = "spot",
    path: str | None = None,
    message_s: float = 3.0,
    speed: float = 60.0,
    **options: Any,
) -> None:
    """Follow these symbols at the simulated venue, and check what becomes of it."""

    async def main() -> None:
        venue = {"spot": "binance"}.get(market, f"binance-{market}")
        clock = MarketClock(START, speed)
        async with (
            asyncio.timeout(50),
            Simulator(SeededMarket(3), clock=clock, venue=venue, **options) as simulator,
        ):
            own = MARKETS[market]._replace(stream=path or MARKETS[market].stream)
            dialect = BinanceDialect(simulator.ws_url, own, clock.now, asks_every_s=message_s)
            feed = SocketFeed(
                dialect,
                symbols,
                {},
                trades=False,
                clock=SystemClock(),
                jitter=lambda: 0.5,
                silence_timeout_s=20.0,
            )
            told: list[Event] = []
            async with aclosing(cast("Any", feed.events())) as events:

                async def until(happened: Callable[[list[Event]], object]) -> list[Event]:
                    while not happened(told):
                        told.append(await anext(events))
                    return told

                await check(simulator, until)

    asyncio.run(main())


def candles(told: list[Event]) -> list[Any]:
    return [candle for event in told if isinstance(event, FeedCandles) for candle in event.candles]


@pytest.mark.parametrize("market", ["spot", "usdm", "us"])
def test_pings_are_answered_so_that_the_connection_goes_on(market: str) -> None:
    async def check(simulator: Simulator, until: Until) -> None:
        told = await until(lambda told: len(candles(told)) > 60)
        assert not any(isinstance(event, Broken) for event in told)
        assert simulator.exchange.counts.connections == 1

    connected(check, "BTCUSDT", market=market, ping_s=0.2, pong_s=0.15)


def test_the_next_connection_is_there_before_the_announced_end_of_this_one() -> None:
    async def check(simulator: Simulator, until: Until) -> None:
        await until(candles)
        told = await until(
            lambda told: simulator.exchange.counts.connections >= 2 and len(candles(told)) > 100
        )
        assert not any(isinstance(event, Broken) for event in told)

    connected(check, "BTCUSDT", "ETHUSDT", life_s=4.0, notice_s=3.0)


def test_where_every_connection_is_said_to_end_soon_the_next_one_is_not_opened_at_once() -> None:
    """It takes 300 connections in five minutes from an address."""
    connections = 0

    async def script(connection: ServerConnection, number: int) -> None:
        nonlocal connections
        connections = number
        k = {"t": AT, "i": "1m", "o": "1", "h": "1", "l": "1", "c": "1", "v": "5", "x": False}
        for n in range(1_000):
            if n > 5 and number < connections:
                break  # The next one is there.
            told = {"e": "kline", "E": AT + 1_000 * n, "s": "BTCUSDT", "k": k}
            await connection.send(json.dumps({"stream": "btcusdt@kline_1m", "data": told}))
            await connection.send(json.dumps({"e": "serverShutdown", "E": AT + 1_000 * n}))
            await connection.arrived()
        async for _ in connection:
            pass

    async def main() -> None:
        async with asyncio.timeout(50), feed_server(script) as url:
            feed = SocketFeed(
                BinanceDialect(url, MARKETS["spot"], lambda: AT + 90_000),
                ("BTCUSDT",),
                {},
                trades=False,
                clock=InstantClock(),
                jitter=lambda: 0.5,
                silence_timeout_s=20.0,
            )
            async with aclosing(cast("Any", feed.events())) as events:
                for _ in range(200):
                    await anext(events)

    asyncio.run(main())
    assert connections == 2


def test_a_thousand_symbols_are_subscribed_to_within_the_frames_of_a_second() -> None:
    async def check(simulator: Simulator, until: Until) -> None:
        told = await until(lambda told: candles(told))
        assert [event for event in told if isinstance(event, Broken)] == []
        assert simulator.exchange.counts.connections == 1

    connected(check, "BTCUSDT", *(f"COIN{n}USDT" for n in range(999)))


class Now:
    def __init__(self) -> None:
        self.s = 0.0


def test_silence_behind_an_acknowledgement_is_a_dead_channel() -> None:
    """At the former path of USD-M everything is acknowledged, and no candle comes."""
    dialect = spoken("usdm")
    session = Session(dialect, lambda: 0.5, None)
    session.carry(("BTCUSDT",), {}, trades=False)
    told: list[Event] = []
    for attempt, patience_s in enumerate((90, 180)):
        began = 1_000.0 * attempt
        line = session.opened(began)
        for second in range(0, 400, 3):
            asked = [json.loads(text) for text in session.to_send(line, began + second)]
            for each in asked:
                session.received(line, json.dumps({"result": None, "id": each["id"]}).encode())
                told += session.followed(line, began + second)
            if line.over:
                break
        assert line.over is not None and line.over.mute and line.over.lost_connection
        assert "is ws_url the right one?" in line.over.reason
        assert patience_s <= second <= patience_s + 10, "each time it waits twice as long"
        session.ended(line, "", began + second)
    assert not any(isinstance(event, FeedCandles) for event in told)


def test_the_former_path_acknowledges_and_says_nothing() -> None:
    async def check(simulator: Simulator, until: Until) -> None:
        told = await until(lambda told: sum(isinstance(event, Heard) for event in told) >= 8)
        assert not candles(told) and simulator.exchange.counts.connections == 1

    connected(check, "BTCUSDT", market="usdm", path=SIMULATED["usdm"].mute[0], message_s=0.3)


class Losing(Faults):
    """Every closing frame is lost."""

    def frame(self, frame: Any) -> Any:
        return () if '"x":true' in frame.text else (frame.text,)


def test_a_bucket_whose_closing_frame_is_lost_is_followed_by_the_next_one() -> None:
    async def check(simulator: Simulator, until: Until) -> None:
        told = await until(lambda told: len({c[2].time for c in candles(told)}) >= 3)
        assert not any(c[3] for c in candles(told))

    connected(check, "BTCUSDT", faults=Losing(), speed=240.0)
