"""`/api/v1/markets`: a row a symbol, with what its price was a day ago and how it went since."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from livecache.http.api.markets import DAY_MS, MARKETS_AGAIN_S, POINTS, chosen, course
from livecache.http.shapes.series import SeriesRow

from .api import Served
from .filling import FROM_EIGHT, NOW, announce, fill
from .support import ask

HOUR, QUARTER = 3_600_000, 900_000


def markets(server: Served) -> dict[str, Any]:
    answer = ask(server.url, "/api/v1/markets")
    assert answer.status == 200, answer
    return {row["symbol"]: row for row in answer.content["markets"]}


def row(timeframe: str, reaches_ms: int, *, known: bool = True) -> SeriesRow:
    return SeriesRow(
        venue="coinbase",
        symbol="BTC-USD",
        timeframe=timeframe,  # type: ignore[arg-type]
        state="ready",
        reason="",
        feed="up",
        candles=100,
        contiguous_from=NOW - reaches_ms if known else 0,
        settled_through=NOW if known else 0,
        known_through=NOW if known else 0,
        closed_through=NOW,
        lag_ms=0,
        last=1.0,
        last_time=NOW,
    )


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        ([row("5m", 100 * 300_000), row("15m", 100 * QUARTER), row("1h", 100 * HOUR)], "15m"),
        ([row("1h", 100 * HOUR), row("15m", 90 * QUARTER)], "1h"),  # 15m ends an hour too soon
        ([row("1d", 100 * DAY_MS), row("5m", 100 * 300_000)], "5m"),  # a day's close may be two days old
        ([row("1m", 1_500 * 60_000), row("1h", 100 * HOUR)], "1h"),  # 1,441 candles of each would be too many
        ([row("4h", 100 * 4 * HOUR), row("1d", 100 * DAY_MS)], "1d"),
        ([row("5m", 0, known=False), row("1d", DAY_MS)], "1d"),
    ],
)
def test_the_course_is_read_from_the_finest_series_that_reaches_back_a_day(
    rows: list[SeriesRow], name: str
) -> None:
    found = chosen(rows, NOW)
    assert found is not None and found.timeframe == name


def test_a_symbol_of_which_nothing_is_known_has_no_course() -> None:
    assert chosen([row("5m", 0, known=False)], NOW) is None


def test_a_course_tells_of_each_moment_the_last_close_before_it() -> None:
    """Against a plain search, for courses of any holes and lengths."""
    for seed in range(200):
        dice = random.Random(seed)
        moments = sorted(dice.sample(range(2_000), dice.randint(1, 60)))
        ends = [(moment, dice.uniform(1, 9)) for moment in moments]
        since, until = dice.randint(moments[0], 2_000), 2_400
        told = course(ends, since, until, POINTS)
        wanted = [
            [close for end, close in ends if end <= since + (until - since) * n // (POINTS - 1)][-1]
            for n in range(POINTS)
        ]
        assert told == wanted, seed


def test_each_market_tells_its_price_that_of_a_day_ago_and_its_course(store: Any, server: Served) -> None:
    announce(store, ["SOL-USD", "BTC-USD", "GONE-USD"], ["15m", "1h"])
    rising = [100.0 + n for n in range(100)]  # ends at 12:00, and a day before that 96 quarters ago
    fill(store, "BTC-USD", "15m", rising, forming=250.0)
    fill(store, "BTC-USD", "1h", [1.0] * 100)
    fill(store, "SOL-USD", "15m", [20.0] * 10)
    fill(store, "SOL-USD", "1h", [20.0] * 10)
    fill(store, "GONE-USD", "15m", [], reason="failing: unknown symbol")
    seen = markets(server)
    assert list(seen) == ["SOL-USD", "BTC-USD", "GONE-USD"], "in the configured order"
    btc, sol, gone = seen["BTC-USD"], seen["SOL-USD"], seen["GONE-USD"]
    assert (btc["last"], btc["day_ago"], btc["since"]) == (250.0, 103.0, NOW - DAY_MS)
    assert (len(btc["closes"]), btc["closes"][0], btc["closes"][-1]) == (POINTS, 103.0, 199.0)
    assert btc["closes"] == sorted(btc["closes"])
    assert (sol["last"], sol["day_ago"]) == (20.0, None), "ten hours are no day"
    assert NOW - 10 * HOUR < sol["since"] < NOW - 8 * HOUR and set(sol["closes"]) == {20.0}
    assert gone == {
        "venue": "coinbase",
        "symbol": "GONE-USD",
        "last": None,
        "last_time": None,
        "day_ago": None,
        "since": 0,
        "closes": [],
    }


def test_a_thin_market_carries_its_last_price_over_what_was_not_traded(store: Any, server: Served) -> None:
    announce(store, ["THIN-USD"], ["1h"])
    fill(store, "THIN-USD", "1h", [7.0, *[None] * 60, 9.0, *[None] * 5])
    (thin,) = markets(server).values()
    assert (thin["day_ago"], thin["closes"][0], thin["closes"][-1]) == (7.0, 7.0, 9.0)


def test_the_course_of_days_changes_when_a_day_of_that_venue_ends(store: Any, server: Served) -> None:
    announce(store, ["BTC-USD", "ETH-USD"], ["1d"])
    fill(store, "BTC-USD", "1d", [5.0, 6.0, 7.0], grid=FROM_EIGHT)  # the last ended 4 hours ago
    fill(store, "ETH-USD", "1d", [5.0, 6.0, 7.0])  # and here 12 hours ago
    seen = markets(server)
    assert {symbol: row["closes"].index(7.0) for symbol, row in seen.items()} == {
        "BTC-USD": 27,
        "ETH-USD": 16,
    }


def test_of_what_nobody_vouches_for_there_is_no_course(store: Any, server: Served) -> None:
    announce(store, ["BTC-USD"], ["1h"])
    fill(store, "BTC-USD", "1h", [5.0] * 60, feed=None)
    (btc,) = markets(server).values()
    assert (btc["last"], btc["day_ago"], btc["closes"]) == (5.0, None, [])


def test_redis_is_looked_at_once_for_all_who_ask_and_for_many_symbols_in_few_trips(
    store: Any, server: Served
) -> None:
    symbols = [f"COIN{n}-USD" for n in range(60)]
    announce(store, symbols, ["1h"])
    for symbol in symbols:
        fill(store, symbol, "1h", [5.0] * 30)
    assert len(markets(server)) == 60
    store.config_resetstat()
    began = time.monotonic()
    for _ in range(20):
        markets(server)
    looks = (time.monotonic() - began) // MARKETS_AGAIN_S  # none, unless the machine is busy
    told = store.info("commandstats")
    reads = sum(told.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha_ro", "eval_ro"))
    assert reads <= looks * 2 * len(symbols)
