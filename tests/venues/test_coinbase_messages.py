"""Frames of Coinbase's feed, from payloads in the venue's own shapes and from arbitrary bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.model.candle import ExactCandle, rejection
from livecache.model.timeframe import Timeframe
from livecache.venues.coinbase.messages import FrameDecoder, subscription, unsubscription
from livecache.venues.feed.dialect import Frame
from livecache.venues.venue import FeedCandles, FeedFailure, Heard, Rejected, Subscribed, Trade, Trades
from tests.sizes import examples

from .loopback import CAPTURES, PAYLOADS, payload

ASKED = {"BTC-USD": ("BTC-USD",), "ETH-USD": ("ETH-USD",)}
M5 = Timeframe.M5
BTC = ExactCandle(1784086800000, "64520.01", "64589.41", "64500.11", "64580.55", "12.34567891")


def decoder(now: Callable[[], int | None] = lambda: None, **more: tuple[str, ...]) -> FrameDecoder:
    return FrameDecoder({**ASKED, **{name.replace("_", "-"): asked for name, asked in more.items()}}, now)


def altered(name: str, change: Callable[[Any], None]) -> bytes:
    """A payload after `change` to its decoded form."""
    frame = msgspec.json.decode(payload(name))
    change(frame)
    return msgspec.json.encode(frame)


@pytest.mark.parametrize("name", ["candles_update", "candles_update_client_id"])
def test_an_update_is_read_with_and_without_a_client_id(name: str) -> None:
    frame = decoder().decode(payload(name))
    assert frame == Frame("candles", 7, (FeedCandles(1784086872584, False, (("BTC-USD", M5, BTC, False),)),))


def test_candles_of_several_products_and_kinds_come_in_one_frame() -> None:
    frame = decoder().decode(payload("candles_mixed"))
    snapshot, update = frame.events
    assert isinstance(snapshot, FeedCandles)
    assert isinstance(update, FeedCandles)
    assert snapshot.snapshot
    assert [(product, candle.time) for product, _, candle, _ in snapshot.candles] == [
        ("ETH-USD", 1784086500000),
        ("BTC-USD", 1784086800000),
        ("BTC-USD", 1784085600000),
    ]
    assert not update.snapshot
    assert [product for product, *_ in update.candles] == ["ETH-USD"]


def test_a_usd_candle_is_told_for_every_alias_that_was_asked_for() -> None:
    frame = decoder(BTC_USD=("BTC-USD", "BTC-USDC")).decode(payload("candles_update"))
    assert frame.events == (
        FeedCandles(1784086872584, False, (("BTC-USD", M5, BTC, False), ("BTC-USDC", M5, BTC, False))),
    )


def test_a_candle_that_cannot_be_believed_does_not_take_the_others_with_it() -> None:
    def spoil(frame: Any) -> None:
        candles = frame["events"][0]["candles"]
        candles[0]["high"] = "1"  # below the low
        candles[2]["product_id"] = "DOGE-USD"  # never asked for

    first, second, *rejected = decoder().decode(altered("candles_mixed", spoil)).events
    assert isinstance(first, FeedCandles)
    assert isinstance(second, FeedCandles)
    assert [candle.time for _, _, candle, _ in first.candles] == [1784086800000]
    assert [type(event) for event in rejected] == [Rejected, Rejected]


@pytest.mark.parametrize("start", [None, "now", 1.5, "9" * 5000, "-300"])
def test_a_candle_of_the_wrong_shape_does_not_take_the_others_with_it(start: object) -> None:
    def spoil(frame: Any) -> None:
        frame["events"][0]["candles"][0]["start"] = start

    events = decoder().decode(altered("candles_mixed", spoil)).events
    assert [len(event.candles) for event in events if isinstance(event, FeedCandles)] == [2, 1]
    (rejected,) = (event for event in events if isinstance(event, Rejected))
    assert "unreadable candle" in rejected.reason
    assert len(rejected.payload) <= 200


def test_a_candle_in_the_future_is_rejected_but_the_frames_own_stamp_counts_as_now() -> None:
    def just_opened(frame: Any) -> None:
        frame["timestamp"] = "2026-07-15T03:40:10Z"

    late_clock = decoder(lambda: 1784086790000).decode(altered("candles_update", just_opened))
    assert isinstance(late_clock.events[0], FeedCandles)

    def postpone(frame: Any) -> None:
        frame["events"][0]["candles"][0]["start"] = "1784087100"

    heard, rejected = decoder(lambda: 1784086000000).decode(altered("candles_update", postpone)).events
    assert heard == Heard(1784086872584)
    assert isinstance(rejected, Rejected)
    assert "future" in rejected.reason


def test_an_absurd_stamp_does_not_let_an_absurd_candle_pass() -> None:
    """A frame of the year 2100 with a candle of the year 2100 agrees with itself, and with nobody else."""

    def in_2100(frame: Any) -> None:
        frame["timestamp"] = "2100-01-01T00:00:01Z"
        frame["events"][0]["candles"][0]["start"] = "4102444800"

    heard, rejected = decoder(lambda: 1784086872584).decode(altered("candles_update", in_2100)).events
    assert isinstance(heard, Heard)
    assert isinstance(rejected, Rejected)
    assert "future" in rejected.reason


def test_what_a_frame_claimed_before_the_time_was_known_lets_no_later_candle_pass() -> None:
    def in_2100(frame: Any) -> None:
        frame["timestamp"] = "2100-01-01T00:00:01Z"
        frame["events"][0]["candles"][0]["start"] = "4102444800"

    def in_2099(frame: Any) -> None:
        frame["events"][0]["candles"][0]["start"] = "4070908800"

    times: list[int | None] = [None]
    feed = decoder(lambda: times[0])
    assert isinstance(feed.decode(altered("candles_update", in_2100)).events[0], FeedCandles)
    times[0] = 1784086872584
    _, rejected = feed.decode(altered("candles_update", in_2099)).events
    assert isinstance(rejected, Rejected)
    assert "future" in rejected.reason


def test_a_product_is_subscribed_to_anew_by_ending_its_subscription_first() -> None:
    assert msgspec.json.decode(unsubscription("candles", ["BTC-USD"], "token")) == {
        "type": "unsubscribe",
        "channel": "candles",
        "product_ids": ["BTC-USD"],
        "jwt": "token",
    }


def test_trades_are_told_in_ascending_id() -> None:
    frame = decoder().decode(payload("market_trades"))
    (trades,) = frame.events
    assert isinstance(trades, Trades)
    assert [trade.trade_id for trade in trades.trades] == [1001, 1002, 1003]
    assert trades.trades[0] == Trade("BTC-USD", 1001, "64589.39", "0.5", 1784086871300)


@pytest.mark.parametrize(
    ("field", "value"),
    [("price", "-1"), ("price", "0"), ("size", "many"), ("trade_id", "x"), ("time", "soon"), ("size", None)],
)
def test_a_trade_that_cannot_be_believed_does_not_take_the_others_with_it(field: str, value: object) -> None:
    def spoil(frame: Any) -> None:
        frame["events"][0]["trades"][0][field] = value

    trades, rejected = decoder().decode(altered("market_trades", spoil)).events
    assert isinstance(trades, Trades)
    assert [trade.trade_id for trade in trades.trades] == [1001, 1002]
    assert isinstance(rejected, Rejected)


@pytest.mark.parametrize("name", ["heartbeats", "heartbeats_text_counter"])
def test_a_heartbeat_is_heard_by_its_envelope_whatever_its_counter_is(name: str) -> None:
    assert decoder().decode(payload(name)) == Frame("heartbeats", 10, (Heard(1784233733163),))


def test_an_ack_names_the_products_of_the_data_channel_that_were_asked_for() -> None:
    assert decoder(BTC_USD=("BTC-USD", "BTC-USDC")).decode(payload("ack")) == Frame(
        "subscriptions",
        2,
        (Subscribed(("BTC-USD", "BTC-USDC"), 1784086872600),),
        (("candles", ("BTC-USD",)), ("heartbeats", ())),
    )


def test_an_empty_ack_is_merely_heard() -> None:
    assert decoder().decode(payload("ack_empty")).events == (Heard(1784086872600),)


def test_an_error_frame_is_a_failure_without_its_secrets() -> None:
    assert decoder().decode(payload("error")).events == (
        FeedFailure("the venue says: authentication failure"),
    )
    echo = b'{"type":"error","message":"bad jwt eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln\\nretry"}'
    (failure,) = decoder().decode(echo).events
    assert failure == FeedFailure("the venue says: bad jwt <token> retry")


def test_an_unknown_channel_is_heard_and_counted_in_the_sequence() -> None:
    assert decoder().decode(payload("unknown_channel")) == Frame("l2_data", 192, (Heard(1784086811627),))


@pytest.mark.parametrize(
    "stamp", ["9999-12-31T23:59:59.999999999Z", "0001-01-01T00:00:00Z", "2026-07-15T03:40:11", "", 5, None]
)
def test_an_absurd_stamp_never_raises(stamp: object) -> None:
    def spoil(frame: Any) -> None:
        frame["timestamp"] = stamp

    for name in ("candles_update", "market_trades", "heartbeats", "ack", "unknown_channel"):
        assert decoder().decode(altered(name, spoil)).sequence is not None


def test_subscriptions_name_one_channel_and_bear_a_token_if_there_is_one() -> None:
    assert msgspec.json.decode(subscription("heartbeats")) == {"type": "subscribe", "channel": "heartbeats"}
    assert msgspec.json.decode(subscription("candles", ("BTC-USD",), "a.b.c")) == {
        "type": "subscribe",
        "channel": "candles",
        "product_ids": ["BTC-USD"],
        "jwt": "a.b.c",
    }


# --- anything at all

WORDS = ["channel", "candles", "market_trades", "heartbeats", "subscriptions", "type", "error", "events"]
WORDS += ["timestamp", "sequence_num", "trades", "start", "product_id", "BTC-USD", "message", "trade_id"]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=20,
)
WS_PAYLOADS = [path.read_bytes() for path in sorted(PAYLOADS.glob("*.json")) if "rest_" not in path.name]


@st.composite
def damaged(draw: st.DrawFn, payloads: list[bytes]) -> bytes:
    """A payload with a stretch of it replaced."""
    whole = draw(st.sampled_from(payloads))
    at = draw(st.integers(0, len(whole)))
    length = draw(st.integers(0, 20))
    middle = draw(
        st.binary(max_size=8) | st.sampled_from([b'"', b"[", b"]", b"{", b"}", b"null", b"1e9", b"-"])
    )
    return whole[:at] + middle + whole[at + length :]


@settings(max_examples=examples(400), deadline=None)
@given(data=st.one_of(st.binary(max_size=300), json_values.map(msgspec.json.encode), damaged(WS_PAYLOADS)))
def test_any_bytes_give_events_and_only_candles_to_be_believed(data: bytes) -> None:
    frame = decoder(lambda: 1784086872000).decode(data)
    assert frame.events
    for event in frame.events:
        if isinstance(event, Rejected):
            assert len(event.payload) <= 200
            assert len(event.reason) <= 200
        if isinstance(event, FeedCandles):
            for product, timeframe, candle, last in event.candles:
                assert timeframe is M5
                assert not last
                assert product in ASKED
                assert rejection(candle, M5, max(event.stamp, 1784086872000)) is None


@pytest.mark.parametrize(
    "odd", [None, 5, "x", [], [[]], {"type": None, "candles": None}, {"candles": 5}, {"type": 5}], ids=repr
)
def test_an_odd_event_takes_none_of_its_neighbours_along(odd: object) -> None:
    frame = decoder().decode(altered("candles_update", lambda f: f["events"].insert(0, odd)))
    assert FeedCandles(1784086872584, False, (("BTC-USD", M5, BTC, False),)) in frame.events


def test_an_event_without_a_type_has_its_candles_read() -> None:
    frame = decoder().decode(altered("candles_update", lambda f: f["events"][0].update(type=None)))
    assert frame.events == (FeedCandles(1784086872584, False, (("BTC-USD", M5, BTC, False),)),)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"message": "BTC-USD is bad"}, "BTC-USD is bad"),
        (
            {"message": "Failed to subscribe", "reason": "BTC-USD is bad"},
            "Failed to subscribe: BTC-USD is bad",
        ),
        ({"error": "BTC-USD is bad", "channel": None}, "BTC-USD is bad"),
        ({"message": ["BTC-USD", "ETH-USD"]}, '["BTC-USD","ETH-USD"]'),
        ({"message": {"why": "BTC-USD"}}, '{"why":"BTC-USD"}'),
        ({"message": "bad", "product_ids": ["BTC-USD"]}, 'bad: ["BTC-USD"]'),
        ({"message": 5}, "5"),
        ({"message": None}, "no reason given"),
        ({}, "no reason given"),
    ],
)
def test_an_error_is_heard_whichever_of_its_fields_says_it_and_however(
    fields: dict[str, object], told: str
) -> None:
    frame = decoder().decode(msgspec.json.encode({"type": "error", **fields}))
    assert frame.events == (FeedFailure(f"the venue says: {told}"),)


def test_absurd_nesting_is_rejected() -> None:
    for data in (b"[" * 100_000, b'{"events":' * 100_000, b'{"channel":"candles","events":' + b"[" * 100_000):
        (rejected,) = decoder().decode(data).events
        assert isinstance(rejected, Rejected)


# --- captures, where they are


def test_captured_frames_are_understood() -> None:
    """Frames captured in 2026: consecutive in sequence, none rejected."""
    capture = CAPTURES / "transcribed" / "at_frames_verbatim_excerpt.jsonl"
    if not capture.exists():
        pytest.skip(f"no captures at {CAPTURES}")
    every = FrameDecoder({product: (product,) for product in ("BTC-USD", "ETH-USD", "SOL-USD")}, lambda: None)
    frames = [every.decode(line) for line in capture.read_bytes().splitlines() if line.startswith(b"{")]
    assert len(frames) >= 10
    kinds = {type(event) for frame in frames for event in frame.events}
    assert Trades in kinds
    assert Heard in kinds


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ws_candles", FeedCandles),
        ("ws_heartbeats", Heard),
        ("ws_subscriptions", Heard),
        ("ws_market_trades", Trades),
    ],
)
def test_older_fixtures_with_a_client_id_are_understood(name: str, kind: type) -> None:
    fixture = CAPTURES / "nautilus_fixtures" / f"{name}.json"
    if not fixture.exists():
        pytest.skip(f"no captures at {CAPTURES}")
    assert [type(event) for event in decoder().decode(fixture.read_bytes()).events] == [kind]
