"""Deribit's feed: what is sent, and what its frames say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.venues.deribit.dialect import BEHIND_MS, CHANNEL, HEARTBEATS, DeribitDialect
from livecache.venues.feed.dialect import Frame
from livecache.venues.venue import FeedCandles, FeedFailure, Heard, Rejected, Subscribed

M1 = Timeframe.M1
TICK = 1_767_225_600_000
NOW = TICK + 30_000
ALIVE = Heard(NOW - BEHIND_MS)
BTC, ETH = "BTC-PERPETUAL", "ETH-PERPETUAL"
DOCUMENTED = Path(__file__).parents[3] / "shared" / "data" / "venues" / "deribit.json"


def dialect(*symbols: str, now: int | None = NOW) -> DeribitDialect:
    spoken = DeribitDialect("wss://www.deribit.com/", lambda: now)
    spoken.carry({symbol: (symbol,) for symbol in symbols or (BTC, ETH)})
    return spoken


def sent(texts: Any) -> dict[str, Any]:
    (text,) = texts
    told: dict[str, Any] = json.loads(text)
    return told


def answer(to: dict[str, Any], result: object, stamp: int = NOW) -> bytes:
    told = {
        "jsonrpc": "2.0",
        "id": to["id"],
        "result": result,
        "usIn": stamp * 1000 - 5,
        "usOut": stamp * 1000,
    }
    return json.dumps(told).encode()


def candle(numbers: str = "10.0 12.0 9.0 11.0 1.5", tick: int = TICK, channel: str = BTC) -> bytes:
    parts = zip(("open", "high", "low", "close", "volume"), numbers.split(), strict=True)
    data = ",".join(f'"{name}":{number}' for name, number in parts)
    return (
        f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"chart.trades.{channel}.1",'
        f'"data":{{"tick":{tick},{data},"cost":83970.0}}}}}}'
    ).encode()


def heard(spoken: DeribitDialect, stamp: int = NOW) -> Frame:
    """Something was answered at `stamp`."""
    return spoken.decode(answer(sent(spoken.keep_alive()), {"version": "1.2.26"}, stamp))


def test_the_bare_host_is_enough() -> None:
    assert dialect().url == "wss://www.deribit.com/ws/api/v2"


def test_a_candle_comes_in_its_own_digits_and_says_nothing_of_being_the_last() -> None:
    spoken = dialect()
    heard(spoken)
    frame = spoken.decode(candle("87490.0 87500.0 87465.0 87474.0 3.6680847969999992"))
    row = ExactCandle(TICK, "87490.0", "87500.0", "87465.0", "87474.0", "3.6680847969999992")
    assert frame == Frame(
        CHANNEL, None, (FeedCandles(NOW, False, ((BTC, M1, row, False),), NOW - BEHIND_MS),)
    )


def test_a_frame_is_stamped_no_later_than_the_venue_has_said() -> None:
    """It bears no stamp. What it tells may have been on its way for long: our own clock proves nothing."""
    spoken = dialect(now=NOW + 600_000)
    (event,) = spoken.decode(candle()).events
    assert isinstance(event, FeedCandles) and event.stamp == TICK, "it opened by then"
    heard(spoken, TICK + 20_000)
    (event,) = spoken.decode(candle()).events
    assert isinstance(event, FeedCandles) and event.stamp == TICK + 20_000
    (event,) = spoken.decode(candle(tick=TICK + M1.ms)).events
    assert isinstance(event, FeedCandles) and event.stamp == TICK + M1.ms
    (event,) = spoken.decode(candle(tick=TICK)).events
    assert isinstance(event, FeedCandles) and event.stamp == TICK + 20_000, "a tick that comes after the next"


def test_a_bucket_that_has_begun_by_the_venues_word_is_none_of_the_future() -> None:
    """What we believe of its clock lags by the way that its words take."""
    spoken = dialect(now=TICK + M1.ms - 80)
    (event,) = spoken.decode(candle(tick=TICK + M1.ms)).events
    assert isinstance(event, FeedCandles) and event.stamp == TICK + M1.ms


def test_what_one_instrument_tells_vouches_for_no_other_until_an_answer_is_long_enough_ago() -> None:
    """Frames of one minute come one after the other, and an answer overtakes them."""
    spoken = dialect()
    assert heard(spoken).events == (ALIVE,)
    (event,) = spoken.decode(candle(tick=TICK + M1.ms)).events
    assert isinstance(event, FeedCandles) and (event.stamp, event.through) == (TICK + M1.ms, NOW - BEHIND_MS)


def test_an_answer_tells_the_time_and_an_absurd_one_marks_nothing_else() -> None:
    spoken = dialect()
    assert heard(spoken).events == (ALIVE,)
    assert heard(spoken, NOW - 5_000).events == (ALIVE,), "it never goes back"
    assert heard(spoken, NOW + 3_600_000).events == (Heard(NOW + 3_600_000 - BEHIND_MS),), (
        "for whoever judges it"
    )
    (event,) = spoken.decode(candle()).events
    assert isinstance(event, FeedCandles) and event.stamp == NOW


def test_whoever_asks_whether_we_are_there_is_answered_at_once() -> None:
    spoken = dialect()
    told = spoken.decode(b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}')
    assert told.channel == HEARTBEATS and sent(told.replies)["method"] == "public/test"
    told = spoken.decode(b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}')
    assert told.channel == HEARTBEATS and told.replies == ()


def test_heartbeats_are_asked_for_first_and_no_more_often_than_the_venue_allows() -> None:
    first, second = (json.loads(text) for text in dialect().opening())
    assert first["method"] == "public/set_heartbeat" and first["params"]["interval"] >= 10
    assert (second["method"], second["params"]) == ("public/subscribe", {"channels": ["platform_state"]})


def state(told: str) -> bytes:
    return f'{{"method":"subscription","params":{{"channel":"platform_state","data":{told}}}}}'.encode()


def test_where_an_index_is_locked_nothing_is_expected_of_its_instruments_until_it_or_they_go_on() -> None:
    linear, spot = "BTC_USDC-25DEC26", "BTC_USDC"
    spoken = dialect(BTC, ETH, linear, spot)
    frame = spoken.decode(state('{"price_index":"btc_usd","locked":true}'))
    assert frame.still == frozenset({BTC})
    assert frame.events == (FeedFailure("the venue says: btc_usd is locked", passing=True),)
    assert spoken.decode(state('{"price_index":"btc_usd","locked":true}')).still is None, "as before"
    assert spoken.decode(state('{"price_index":"btc_usdc","locked":true}')).still == frozenset(
        {BTC, linear, spot}
    )
    assert spoken.decode(state('{"price_index":"sol_usdc","locked":true}')).still is None
    spoken.opening()
    assert spoken.decode(candle("10.0 10.0 10.0 10.0 0")).still is None, (
        "a minute without trades ends no lock"
    )
    assert spoken.decode(candle()).still == frozenset({linear, spot}), "a trade does, told to whomever"
    assert spoken.decode(state('{"price_index":"btc_usdc","locked":false}')).still == frozenset()
    for other in ('{"maintenance":true}', "7", "null", '{"price_index":"btc_usd"}', '{"locked":true}'):
        frame = spoken.decode(state(other))
        assert (frame.channel, frame.still) == ("platform_state", None), other


def test_what_the_venue_takes_is_acknowledged_and_what_it_leaves_out_is_named() -> None:
    spoken = dialect()
    asked = sent(spoken.subscribe(CHANNEL, (BTC, ETH)))
    assert asked["params"]["channels"] == [f"chart.trades.{BTC}.1", f"chart.trades.{ETH}.1"]
    frame = spoken.decode(answer(asked, [f"chart.trades.{BTC}.1"]))
    assert frame.acknowledged == ((CHANNEL, (BTC,)),)
    assert frame.events == (
        FeedFailure(f"the venue does not subscribe to {ETH}"),
        Subscribed((BTC,), NOW),
    )


@pytest.mark.parametrize(
    ("code", "passing"),
    [*dict.fromkeys((11051, 10040, 10041, 10047, 11094, 10028, 10066), True).items(), (11050, False)],
)
def test_maintenance_is_no_refusal_of_an_instrument(code: int, passing: bool) -> None:
    spoken = dialect()
    asked = sent(spoken.subscribe(CHANNEL, (BTC, ETH)))
    told = {"id": asked["id"], "error": {"code": code, "message": "told"}}
    (event,) = spoken.decode(json.dumps(told).encode()).events
    assert event == FeedFailure(f"the venue says: told ({code})", passing=passing)


def test_an_answer_to_something_else_acknowledges_nothing() -> None:
    spoken = dialect()
    spoken.subscribe(CHANNEL, (BTC,))
    ended = sent(spoken.unsubscribe(CHANNEL, (BTC,)))
    frame = spoken.decode(answer(ended, [f"chart.trades.{BTC}.1"]))
    assert frame.acknowledged == () and frame.events == (ALIVE,)


def test_a_refusal_is_told_in_words_that_name_no_instrument() -> None:
    spoken = dialect()
    asked = sent(spoken.subscribe(CHANNEL, (BTC,)))
    told = {"id": asked["id"], "error": {"code": 10028, "message": "too_many_requests"}}
    (event,) = spoken.decode(json.dumps(told).encode()).events
    assert event == FeedFailure("the venue says: too many requests (10028)", passing=True)


@pytest.mark.parametrize("number", ["null", '"NaN"', "-1.0", "[]", "1e99", "0"])
def test_a_candle_that_cannot_be_believed_is_rejected_and_the_connection_lives(number: str) -> None:
    spoken = dialect()
    heard(spoken)
    frame = spoken.decode(candle(f"10.0 12.0 9.0 {number} 1.5"))
    alive, rejected = frame.events
    assert alive == ALIVE and isinstance(rejected, Rejected) and rejected.kind == "candle"


@pytest.mark.parametrize("tick", [TICK + 1, TICK + 2 * M1.ms, 0])
def test_so_is_one_off_the_grid_or_of_the_future(tick: int) -> None:
    spoken = dialect()
    heard(spoken)
    assert any(isinstance(event, Rejected) for event in spoken.decode(candle(tick=tick)).events)


def test_what_is_still_told_of_an_instrument_that_is_gone_is_no_fault() -> None:
    spoken = dialect()
    heard(spoken)
    spoken.carry({ETH: (ETH,)})
    assert spoken.decode(candle()).events == (ALIVE,)
    (_, rejected) = spoken.decode(candle(channel="SOL-PERPETUAL")).events
    assert isinstance(rejected, Rejected)


def test_the_documented_frames_are_understood() -> None:
    if not DOCUMENTED.is_file():
        pytest.skip(f"no documented frames at {DOCUMENTED}")
    cases = json.loads(DOCUMENTED.read_text())["cases"]["ws"]
    spoken = dialect(now=1_767_225_690_000)
    told = {}
    for name, case in cases.items():
        for frame in case if isinstance(case, list) else [case]:
            if "method" not in frame or frame["method"] in ("subscription", "heartbeat"):
                told[name] = spoken.decode(json.dumps(frame).encode())
    assert not any(isinstance(e, Rejected) for frame in told.values() for e in frame.events)
    (candles,) = told["candle"].events
    assert isinstance(candles, FeedCandles) and candles.candles[0][2].volume == "0.95978896"
    (flat,) = told["candle without trades (filling sample)"].events
    assert isinstance(flat, FeedCandles) and flat.candles[0][2].flat
    (failure,) = told["no credits: error, then the connection is closed"].events
    assert failure == FeedFailure("the venue says: too many requests (10028)", passing=True)


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("jsonrpc", "method", "params", "id", "result", "error", "usOut")


@given(st.dictionaries(st.sampled_from(FIELDS), values), st.binary(max_size=60))
def test_no_frame_raises(message: dict[str, Any], noise: bytes) -> None:
    spoken = dialect()
    spoken.subscribe(CHANNEL, (BTC,))
    text = json.dumps(message).encode()
    for data in (text, text.replace(b'"method": ', b'"method": "subscription", "x": '), noise):
        assert isinstance(spoken.decode(data), Frame)
