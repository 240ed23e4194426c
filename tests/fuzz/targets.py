"""What is fuzzed: each target takes any bytes, and fails only if what it calls breaks its promise.

The promise is the same everywhere: an outcome that may be believed or a typed, counted refusal, both bounded.
Never another exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from livecache.errors import ReadError
from livecache.keys.keyspace import (
    AliveRecord,
    Damaged,
    LeaseRecord,
    decode_alive,
    decode_coverage,
    decode_lease,
    decode_member,
    decode_state,
    encode_coverage,
)
from livecache.model.candle import ExactCandle, rejection
from livecache.model.clock import IMPLAUSIBLE_MS
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.read.answer import Request, decide
from livecache.venues.binance import pages as binance
from livecache.venues.binance.dialect import BinanceDialect
from livecache.venues.binance.markets import MARKETS
from livecache.venues.coinbase.messages import FrameDecoder
from livecache.venues.coinbase.pages import decode_page, decode_products, decode_time, refusal
from livecache.venues.deribit import answers as deribit
from livecache.venues.deribit.dialect import DeribitDialect
from livecache.venues.feed.dialect import Dialect
from livecache.venues.net.http import Answer
from livecache.venues.rows import DecodedPage
from livecache.venues.text import excerpt, one_line
from livecache.venues.venue import (
    FeedCandles,
    FeedFailure,
    FetchFailure,
    Heard,
    PageRequest,
    Rejected,
    Subscribed,
    Trades,
)

from . import charts

__all__ = ["TARGETS", "Target", "own_seeds"]

PAYLOADS = Path(__file__).parents[1] / "venues" / "payloads"
CAPTURES = Path(__file__).parents[3] / "shared" / "data" / "ws_captures"

NOW = 1_784_086_872_000  # within the bucket that the payloads show
M5 = Timeframe.M5
ASKED = {"BTC-USD": ("BTC-USD", "BTC-USDC"), "ETH-USD": ("ETH-USD",)}
MOST_TEXT = 300
"""Characters of any text that may end up in a log: `text.py` allows 200, and messages put a few before."""


@dataclass(frozen=True)
class Target:
    """One thing to fuzz. `check` raises AssertionError, or whatever it lets escape, if a promise breaks."""

    name: str
    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]  # well-formed inputs, written for these tests
    captures: tuple[str, ...] = ()  # files of captured ones, which may be absent: one input a file or a line


def own_seeds(target: Target) -> tuple[bytes, ...]:
    """The target's seeds, and those captured ones that are here."""
    found = list(target.seeds)
    for pattern in target.captures:
        for path in sorted(CAPTURES.glob(pattern)):
            data = path.read_bytes()
            found += data.splitlines() if path.suffix == ".jsonl" else [data]
    return tuple(seed for seed in found if 0 < len(seed) < 50_000)


# --- the feed


_DECODER = FrameDecoder(ASKED, lambda: NOW)


def check_frame(data: bytes) -> None:
    """Every message gives events, at least one, and only candles and trades that can be believed."""
    frame = _DECODER.decode(data)
    assert frame.events, "a message that leaves no trace"
    assert len(frame.events) <= len(data) + 1
    told = 0
    for event in frame.events:
        match event:
            case Rejected(reason=reason, payload=payload):
                _is_fit_for_a_log(reason, payload)
            case FeedFailure(message=message):
                _is_fit_for_a_log(message)
            case FeedCandles(stamp=stamp, candles=candles):
                told += len(candles)
                for product, timeframe, candle, last in candles:
                    assert product in ("BTC-USD", "BTC-USDC", "ETH-USD")
                    assert timeframe is M5
                    assert not last
                    assert rejection(candle, M5, max(stamp, NOW)) is None
            case Trades(trades=trades):
                told += len(trades)
                ids = [trade.trade_id for trade in trades]
                assert ids == sorted(ids) and ids[0] > 0
                assert all(float(trade.price) > 0 and float(trade.size) >= 0 for trade in trades)
            case Subscribed(products=products):
                told += len(products)
                assert set(products) <= {"BTC-USD", "BTC-USDC", "ETH-USD"}
            case Heard():
                pass
            case _:
                raise AssertionError(f"an event of no known kind: {event}")
    assert told <= 2 * len(data), "more than was said"


_OTHERS: tuple[Dialect, ...] = (
    BinanceDialect("wss://x", MARKETS["spot"], lambda: NOW),
    DeribitDialect("wss://x", lambda: NOW),
)
for _dialect in _OTHERS:
    _dialect.carry({"BTC": ("BTC",)})


def check_other_frames(data: bytes) -> None:
    """The same of other venues' messages, but that one may say nothing."""
    for dialect in _OTHERS:
        for event in dialect.decode(data).events:
            match event:
                case Rejected(reason=reason, payload=payload):
                    _is_fit_for_a_log(reason, payload)
                case FeedFailure(message=message):
                    _is_fit_for_a_log(message)
                case FeedCandles(candles=candles):
                    for product, timeframe, candle, _ in candles:
                        assert (product, timeframe) == ("BTC", Timeframe.M1)
                        assert rejection(candle, timeframe, NOW + IMPLAUSIBLE_MS) is None


# --- REST


_REQUEST = PageRequest("BTC-USD", M5, NOW // M5.ms * M5.ms - 300 * M5.ms, NOW // M5.ms * M5.ms + M5.ms)


def check_page(data: bytes) -> None:
    """Rows within the request, in order, one a bucket, each of which can be believed; or one failure."""
    _is_a_page(decode_page(_REQUEST, data, NOW), data)


def check_other_pages(data: bytes) -> None:
    """The same of other venues' answers, whichever they are."""
    answer = Answer(200, data, {})
    _is_a_page(binance.decode_page(_REQUEST, M5.grid, data, NOW), data)
    _is_a_page(deribit.decode_page(_REQUEST, M5.grid, answer, NOW), data)
    failures: list[object] = [binance.refusal(answer._replace(status=s), NOW) for s in (400, 418, 429)]
    failures += [deribit.refused(answer._replace(status=400)), binance.decode_time(data)]
    failures += [binance.decode_list(data), deribit.decode_products(answer), deribit.decode_time(answer)]
    for one in failures:
        if isinstance(one, FetchFailure):
            _is_fit_for_a_log(one.message)
            assert 0 <= (one.retry_after_s or 0.0) < 1e12


def check_charts(data: bytes) -> None:
    """The same of Yahoo's charts, whose rows are placed by a calendar."""
    _is_fit_for_a_log(*charts.texts_of(data))


def _is_a_page(decoded: DecodedPage | FetchFailure, data: bytes) -> None:
    if isinstance(decoded, FetchFailure):
        _is_fit_for_a_log(decoded.message)
        return
    times = [row.time for row in decoded.page.rows]
    assert times == sorted(set(times))
    assert all(_REQUEST.start <= time < _REQUEST.end for time in (*times, *decoded.page.rejected))
    assert all(rejection(row, M5, NOW) is None for row in decoded.page.rows)
    assert not set(times) & decoded.page.rejected
    # A row that does not even tell its time leaves all in doubt that lie between its neighbours.
    assert decoded.page.spoiled == len(decoded.rejected) <= len(data)
    assert decoded.rejected or not decoded.page.rejected
    for reason in decoded.page.reasons.values():
        _is_fit_for_a_log(reason)
    for rejected in decoded.rejected:
        _is_fit_for_a_log(rejected.reason, rejected.payload)


def check_answers(data: bytes) -> None:
    """Products, the time, and refusals of every status."""
    products = decode_products(data)
    if isinstance(products, FetchFailure):
        _is_fit_for_a_log(products.message)
    else:
        assert all(product.carried for product in products.values())
        for product in products.values():
            _is_fit_for_a_log(product.halted)
    time = decode_time(data)
    if isinstance(time, FetchFailure):
        _is_fit_for_a_log(time.message)
    else:
        assert 0 <= time < 1 << 50
    for status in (400, 401, 403, 404, 429, 500):
        _is_fit_for_a_log(refusal(status, data, signed=False).message)


def check_text(data: bytes) -> None:
    """Foreign text never brings a token, a line break or a flood into the log, wherever the token stands."""
    _is_fit_for_a_log(excerpt(data), one_line(data.decode("utf-8", "replace")))
    token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzZWNyZXQifQ.c2lnbmF0dXJl"
    at = len(data) // 2
    _is_fit_for_a_log(excerpt(data[:at] + token.encode() + data[at:]))


# --- what Redis holds


def check_member(data: bytes) -> None:
    """A member is a candle that prints as it was read, or Damaged."""
    candle = _or_damaged(decode_member, data, M5)
    if candle is not None:
        assert rejection(candle, M5, None) is None
        assert decode_member(candle.member(), M5) == candle
        assert len(candle.member()) < 300


_STATE = {
    "schema": "1",
    "ready": "1",
    "reason": "",
    "count": "2",
    "contiguous_from": f"{NOW}",
    "settled_through": f"{NOW}",
    "known_through": f"{NOW}",
    "closed_through": f"{NOW}",
    "coverage": f"[[0,{NOW}]]",
    "history_from": "0",
    "forming": "0",
    "origin": "https://api.coinbase.com",
    "fence": "5",
    "revision": "7",
    "updated_at": f"{NOW}",
}


def check_state(data: bytes) -> None:
    """Whatever stands in any of a state's fields: a record, or Damaged."""
    text = data.decode("utf-8", "replace")
    for name in _STATE:
        record = _or_damaged(decode_state, {**_STATE, name: text})
        assert record is None or 0 <= record.count < 10**16
    coverage = _or_damaged(decode_coverage, text)
    if coverage is not None:
        assert decode_coverage(encode_coverage(coverage)) == coverage
        assert len(coverage.spans) <= len(data)


def check_presence(data: bytes) -> None:
    """Alive keys and leases: what livecache writes, or Damaged."""
    alive = _or_damaged(decode_alive, data)
    assert alive is None or (isinstance(alive, AliveRecord) and 0 <= alive.time < 1 << 62)
    lease = _or_damaged(decode_lease, data)
    assert lease is None or (isinstance(lease, LeaseRecord) and 0 <= lease.token < 1 << 62)


_BTC = SeriesId("coinbase", "BTC-USD", M5)
_REQUESTS = (
    Request(_BTC, 3, 0, settled=False, forming=False, empty="carry", max_lag=600_000),
    Request(_BTC, 3, 0, settled=False, forming=True, empty="skip", max_lag=600_000),
)
_EDGE = NOW // M5.ms * M5.ms
_FIELDS: tuple[bytes, ...] = (
    *(b"1", b"1", b"", b"%d" % (_EDGE - M5.ms), b"%d" % _EDGE, b"%d" % _EDGE, b"%d" % _EDGE, b"%d" % _EDGE),
)
_ALIVE = b'{"instance":"a","time":%d,"feed":"up"}' % NOW


def check_read(data: bytes) -> None:
    """A reader gets candles or a `ReadError`, whatever stands in the set, the state and the alive key."""
    good = b"[%d,1,2,1,2,5]" % (_EDGE - M5.ms)
    replies: list[list[Any]] = [
        [list(_FIELDS), _ALIVE, 1, [data], []],
        [list(_FIELDS), _ALIVE, 1, [good], [data]],
        [list(_FIELDS), data, 1, [good], []],
        *([[*_FIELDS[:i], data, *_FIELDS[i + 1 :]], _ALIVE, 1, [good], []] for i in range(len(_FIELDS))),
    ]
    for reply in replies:
        for request in _REQUESTS:
            try:
                candles = decide(request, reply, "key")
            except ReadError:
                continue
            assert len(candles) <= request.count + 1
            assert all(candle.time % M5.ms == 0 for candle in candles)


# --- inside


_T = TypeVar("_T")


def _or_damaged(decode: Callable[..., _T], *arguments: object) -> _T | None:
    try:
        return decode(*arguments)
    except Damaged as damage:
        complaint = str(damage)
    assert len(complaint) <= MOST_TEXT, "a complaint as long as what it complains of"
    return None


def _is_fit_for_a_log(*texts: str) -> None:
    for text in texts:
        assert len(text) <= MOST_TEXT, f"{len(text)} characters"
        assert text.isprintable() or not set(text) & set("\n\r\x00\x1b\x85\u2028\u2029"), repr(text)
        assert "eyJhbGciOiJ" not in text, "a token in the log"
        text.encode()  # A lone surrogate would only fail where the log is written.


def _payloads(*names: str) -> tuple[bytes, ...]:
    return tuple(
        path.read_bytes().strip() for name in names for path in sorted(PAYLOADS.glob(f"{name}.json"))
    )


def _members(candles: Iterable[ExactCandle]) -> tuple[bytes, ...]:
    return tuple(candle.member().encode() for candle in candles)


_CANDLES = (
    ExactCandle(_EDGE, "64520.01", "64589.41", "64500.11", "64580.55", "12.34567891"),
    ExactCandle(_EDGE - M5.ms, "1", "1", "1", "1", "0"),
)
_COVERAGE = (b"[]", b"[[0,300000]]", b"[[300000,600000],[900000,1200000]]")
_ALIVES: Sequence[bytes] = (_ALIVE, msgspec.json.encode(LeaseRecord("host-1", 1_784_086_872_000)))

_STEPS = range(_EDGE - 2 * M5.ms, _EDGE + M5.ms, M5.ms)
_ROWS = [[t, "2.0", "3.0", "1.0", "2.5", "7", t + M5.ms - 1, "1", 3, "1", "1", "0"] for t in _STEPS]
_COLUMNS = {name: [2.5, 2.5, 2.5] for name in ("open", "high", "low", "close", "volume")}
_KLINE = {"t": NOW // 60_000 * 60_000, "i": "1m", **dict.fromkeys("ohlcv", "2.5"), "x": True}
_CHARTED = {"tick": NOW // 60_000 * 60_000, **dict.fromkeys(_COLUMNS, 2.5)}
_OTHER_PAGES: tuple[object, ...] = (
    _ROWS,
    {"usOut": 7, "result": {"status": "ok", "ticks": [*_STEPS], **_COLUMNS}},
    {"error": {"code": 10028, "message": "too_many_requests", "data": {"wait": 3, "param": "resolution"}}},
    {"code": -1003, "msg": f"IP banned until {NOW}."},
    {"symbols": [{"symbol": "BTC", "status": "BREAK"}], "rateLimits": [{"rateLimitType": "ORDERS"}]},
    {"result": [{"instrument_name": "BTC", "is_active": True, "creation_timestamp": NOW}]},
)
_OTHER_FRAMES: tuple[object, ...] = (
    {"stream": "btc@kline_1m", "data": {"e": "kline", "E": NOW, "s": "BTC", "k": _KLINE}},
    {"method": "subscription", "params": {"channel": "chart.trades.BTC.1", "data": _CHARTED}},
    {"id": 1, "result": ["chart.trades.BTC.1"], "usOut": NOW * 1000},
    {"id": 1, "error": {"code": 10028, "message": "too_many_requests", "data": {"wait": 3}}},
)

TARGETS: tuple[Target, ...] = (
    Target(
        "frame",
        check_frame,
        _payloads("ack*", "candles*", "error", "heartbeats*", "market_trades", "unknown_channel"),
        ("transcribed/*.jsonl", "nautilus_fixtures/ws_*.json", "jkorf_fixtures/*.txt"),
    ),
    Target("page", check_page, _payloads("rest_candles"), ("transcribed/rest_*.json", "*/http_candles.json")),
    Target("answers", check_answers, _payloads("rest_*"), ("nautilus_fixtures/http_product*.json",)),
    Target(
        "text", check_text, (*_payloads("rest_generic", "error"), b"<html><title>502 Bad Gateway</title>")
    ),
    Target("member", check_member, _members(_CANDLES)),
    Target("state", check_state, (*_COVERAGE, b"1784086872000", b"0", b"https://api.coinbase.com")),
    Target("presence", check_presence, tuple(_ALIVES)),
    Target("read", check_read, (*_members(_CANDLES), *_ALIVES, b"1784086500000", b"0", b"1")),
    Target("other-pages", check_other_pages, tuple(map(msgspec.json.encode, _OTHER_PAGES))),
    Target("charts", check_charts, charts.SEEDS),
    Target("other-frames", check_other_frames, tuple(map(msgspec.json.encode, _OTHER_FRAMES))),
)
