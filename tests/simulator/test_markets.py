"""Both markets: exact roll-ups at every zoom, and a bucket in progress that only ever grows."""

from __future__ import annotations

from decimal import Decimal
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.errors import ConfigError
from livecache.model.candle import rejection
from livecache.model.timeframe import Timeframe
from livecache.simulator import CsvMarket, Liquidity, Market, MarketClock, Product, SeededMarket
from livecache.simulator.coinbase.exchange import GRANULARITIES
from livecache.simulator.market.market import decimal_text, decimal_texts
from tests.sizes import examples

from .support import DATA, NOW, real_market, roll_up

SERVED = tuple(GRANULARITIES.values())
PAIRS = [(p, c) for p in SERVED for c in SERVED if p.ms > c.ms and p.ms % c.ms == 0]
FAR = 4_000_000_000_000

products = st.builds(
    Product,
    id=st.sampled_from(["AAA-USD", "BBB-USD"]),
    price=st.sampled_from([0.000013, 0.7, 95.0, 67_000.0]),
    price_decimals=st.integers(2, 8),
    base_decimals=st.integers(0, 8),
    liquidity=st.sampled_from(Liquidity),
)


def assert_parents_are_sums(
    market: Market, product: str, parent: Timeframe, child: Timeframe, open_ms: int, now_ms: int
) -> None:
    parents = market.candles(product, parent, open_ms, open_ms + 1, now_ms)
    children = market.candles(product, child, open_ms, open_ms + parent.ms, now_ms)
    assert bool(parents) == bool(children)
    if parents:
        assert parents[0].equals(roll_up(children, open_ms))


@settings(max_examples=examples(120), deadline=None)
@given(
    seed=st.integers(0, 2**32),
    product=products,
    pair=st.sampled_from(PAIRS),
    moment=st.integers(1_500_000_000_000, 1_900_000_000_000),
    ago=st.integers(0, 2 * Timeframe.D1.ms),
)
def test_a_seeded_parent_is_exactly_the_sum_of_its_children(
    seed: int, product: Product, pair: tuple[Timeframe, Timeframe], moment: int, ago: int
) -> None:
    """Whatever the seed, product, timeframes and time, in progress or closed."""
    parent, child = pair
    market = SeededMarket(seed, [product])
    assert_parents_are_sums(market, product.id, parent, child, parent.floor(moment), moment + ago)


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 2**32),
    product=products,
    timeframe=st.sampled_from(SERVED),
    moment=st.integers(1_500_000_000_000, 1_900_000_000_000),
    steps=st.lists(st.integers(1, 10_000), min_size=5, max_size=40),
)
def test_a_seeded_bucket_only_grows_and_ends_as_its_final_candle(
    seed: int, product: Product, timeframe: Timeframe, moment: int, steps: list[int]
) -> None:
    market = SeededMarket(seed, [product])
    assert_only_grows(market, product.id, timeframe, timeframe.floor(moment), steps)


def assert_only_grows(
    market: Market, product: str, timeframe: Timeframe, open_ms: int, steps: list[int]
) -> None:
    total, passed, seen = sum(steps), 0, []
    for step in [0, *steps]:
        passed += step
        now = open_ms + timeframe.ms * passed // total
        seen.extend(market.candles(product, timeframe, open_ms, open_ms + 1, now))
    assert all(rejection(c, timeframe, FAR) is None for c in seen)
    for a, b in pairwise(seen):
        assert a.open == b.open
        assert Decimal(a.high) <= Decimal(b.high)
        assert Decimal(a.low) >= Decimal(b.low)
        assert Decimal(a.volume) <= Decimal(b.volume)
    final = market.candles(product, timeframe, open_ms, open_ms + 1, FAR)
    assert seen[-1:] == final


@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 2**32), product=products, moment=st.integers(NOW, NOW + 10**10))
def test_trades_have_dense_ids_and_make_the_minute_candles(seed: int, product: Product, moment: int) -> None:
    market = SeededMarket(seed, [product])
    day = Timeframe.D1.floor(moment)
    span = (day, day + Timeframe.D1.ms) if product.liquidity is not Liquidity.LIQUID else (day, day + 900_000)
    trades = market.trades(product.id, *span)
    assert all(b.trade_id == a.trade_id + 1 and b.time_us >= a.time_us for a, b in pairwise(trades))
    for candle in market.candles(product.id, Timeframe.M1, *span, FAR):
        inside = [t for t in trades if candle.time <= t.time_us / 1000 < candle.time + Timeframe.M1.ms]
        prices = [Decimal(t.price) for t in inside]
        told = [Decimal(text) for text in candle.numbers[:4]]
        assert [prices[0], max(prices), min(prices), prices[-1]] == told
        assert sum(Decimal(t.size) for t in inside) == Decimal(candle.volume)


def test_trade_ids_stay_dense_from_day_to_day() -> None:
    market = SeededMarket(5, [Product("RAD-USD", 0.72, 2, 2, Liquidity.VERY_THIN)])
    trades = market.trades("RAD-USD", NOW - 20 * Timeframe.D1.ms, NOW)
    assert len(trades) > 60
    assert all(b.trade_id == a.trade_id + 1 for a, b in pairwise(trades))


def test_liquidity_decides_how_many_buckets_are_empty() -> None:
    kinds = [Product(f"{kind}-USD", 10, 4, 8, kind) for kind in Liquidity]
    market = SeededMarket(9, kinds)
    count, end = 20_000, Timeframe.M5.floor(NOW)
    start = end - count * Timeframe.M5.ms
    liquid, thin, very_thin = (
        len(market.candles(p.id, Timeframe.M5, start, end, NOW)) / count for p in kinds
    )
    assert liquid == 1.0
    assert 0.18 < thin < 0.22
    assert 0.017 < very_thin < 0.023


def test_the_same_question_has_the_same_answer_in_another_market_of_that_seed() -> None:
    questions = [(t, NOW - 3 * t.ms, NOW) for t in SERVED]
    asked, again, other = SeededMarket(1), SeededMarket(1), SeededMarket(2)
    forward = [asked.candles("BTC-USD", *q, NOW) for q in questions]
    backward = [again.candles("BTC-USD", *q, NOW) for q in reversed(questions)]
    assert forward == backward[::-1]
    assert forward != [other.candles("BTC-USD", *q, NOW) for q in questions]


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 2**32),
    product=products,
    timeframe=st.sampled_from(SERVED),
    start=st.integers(1_400_000_000_000, 1_900_000_000_000),
    lengths=st.lists(st.integers(1, 200), min_size=2, max_size=4),
)
def test_a_window_is_its_parts_one_after_the_other(
    seed: int, product: Product, timeframe: Timeframe, start: int, lengths: list[int]
) -> None:
    """Wherever in ten years it lies, and however it is cut."""
    market = SeededMarket(seed, [product])
    edges = [*accumulate((n * timeframe.ms for n in lengths), initial=timeframe.floor(start))]
    parts = [market.candles(product.id, timeframe, *span, FAR) for span in pairwise(edges)]
    whole = SeededMarket(seed, [product]).candles(product.id, timeframe, edges[0], edges[-1], FAR)
    assert [row for part in parts for row in part] == whole
    assert all(rejection(row, timeframe, FAR) is None for row in whole)
    if product.liquidity is Liquidity.LIQUID and market.listed(product.id) <= edges[0]:
        assert len(whole) == sum(lengths)


def test_the_years_that_are_cheap_and_those_since_meet_without_a_seam() -> None:
    """At the turn of 2026 candles of all sizes go on where the last ones ended."""
    market, turn = SeededMarket(1), 1_767_225_600_000
    for timeframe in SERVED:
        before, after = market.candles("BTC-USD", timeframe, turn - timeframe.ms, turn + 1, FAR)
        assert abs(float(after.open) / float(before.close) - 1) < 0.001
        months = market.candles("BTC-USD", timeframe, turn - 60 * timeframe.ms, turn + 60 * timeframe.ms, FAR)
        assert [row.time for row in months] == list(range(months[0].time, months[-1].time + 1, timeframe.ms))
        volumes = [sum(float(row.volume) for row in half) for half in (months[:60], months[60:])]
        assert 0.2 < volumes[0] / volumes[1] < 5


@given(units=st.lists(st.integers(0, 10**17), max_size=5), decimals=st.integers(0, 12))
def test_many_numbers_are_printed_as_one_by_one(units: list[int], decimals: int) -> None:
    assert decimal_texts(units, decimals) == [decimal_text(each, decimals) for each in units]


def test_a_product_has_no_history_before_it_was_listed() -> None:
    listed = Timeframe.D1.floor(NOW) - 34 * Timeframe.D1.ms
    market = SeededMarket(1, [Product("NEW-USD", 3, 2, listed_ms=listed)])
    days = market.candles("NEW-USD", Timeframe.D1, 0, NOW, NOW)
    assert [d.time for d in days] == list(range(listed, NOW, Timeframe.D1.ms))
    assert market.candles("NEW-USD", Timeframe.M1, listed - 1_000_000, listed, NOW) == []


def test_numbers_are_printed_as_the_venue_prints_them() -> None:
    """No trailing zeros, no bare point, no exponent, whatever the product's digits."""
    market = SeededMarket(1)
    for product in market.products():
        for candle in market.candles(product, Timeframe.H1, NOW - 50 * Timeframe.H1.ms, NOW, NOW):
            assert rejection(candle, Timeframe.H1, NOW) is None
            for text in candle.numbers:
                assert "e" not in text
                assert "." not in text or text[-1] not in "0."


def test_a_known_product_keeps_its_level_and_an_unknown_one_gets_one() -> None:
    assert Product.parse("BTC-USD").price == 67_000
    assert Product.parse("BTC-USD:thin").liquidity is Liquidity.THIN
    assert Product.parse("ANY-USD:very-thin").liquidity is Liquidity.VERY_THIN
    assert Product.parse("ANY-USD") == Product.parse("ANY-USD")
    with pytest.raises(ConfigError, match="one of liquid, thin, very-thin"):
        Product.parse("BTC-USD:thinn")
    with pytest.raises(ConfigError, match="not a product id"):
        Product.parse("BTC/USD")


# --- recorded markets


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_a_real_parent_is_exactly_the_sum_of_its_children(data: st.DataObject) -> None:
    market = real_market()
    begin, end = market.span
    product = data.draw(st.sampled_from(market.products()))
    parent, child = data.draw(st.sampled_from([p for p in PAIRS if p[1] is not Timeframe.M1]))
    moment = data.draw(st.integers(begin, end))
    now = data.draw(st.integers(moment, end + parent.ms))
    assert_parents_are_sums(market, product, parent, child, parent.floor(moment), now)


@settings(max_examples=examples(40), deadline=None)
@given(data=st.data(), steps=st.lists(st.integers(1, 10_000), min_size=5, max_size=40))
def test_a_real_bucket_only_grows_and_ends_as_its_row(data: st.DataObject, steps: list[int]) -> None:
    market = real_market()
    timeframe = data.draw(st.sampled_from([t for t in SERVED if t is not Timeframe.M1]))
    moment = data.draw(st.integers(*market.span))
    assert_only_grows(market, "ETH-USD", timeframe, timeframe.floor(moment), steps)


def test_real_rows_come_back_digit_by_digit() -> None:
    market = real_market()
    lines = (DATA / "coinbase/three_symbols_5m_2026-02/ETH-USD_300s.csv").read_text().splitlines()
    assert lines[0] == "timestamp,low,high,open,close,volume"
    rows = market.candles("ETH-USD", Timeframe.M5, 0, FAR, FAR)
    assert [f"{r.low},{r.high},{r.open},{r.close},{r.volume}" for r in rows] == [
        line.partition(",")[2] for line in lines[1:]
    ]


def test_the_outage_of_2025_10_25_is_a_hole_and_not_an_error() -> None:
    path = DATA / "coinbase/BTC-USD_5m_2025-07-01_2025-11-15.csv"
    if not path.exists():
        pytest.skip(f"no real candles at {path}")
    market = CsvMarket({"BTC-USD": path})
    start = 1_761_404_400_000  # 15:00 UTC
    rows = market.candles("BTC-USD", Timeframe.M5, start, start + Timeframe.H6.ms, FAR)
    assert [(r.time - start) // 60_000 for r in rows] == [0, 5, 10]
    hours = market.candles("BTC-USD", Timeframe.H1, start, start + Timeframe.H6.ms, FAR)
    assert [(r.time - start) // 3_600_000 for r in hours] == [0]


def test_a_file_may_give_unix_seconds_and_its_columns_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "close,timestamp,open,high,low,volume\n2.0,1500000300,1.5,2.50,1,3\n1,1500000000,1,1,1,1\n"
    )
    market = CsvMarket({"A-USD": path}, {"A-USDC": "A-USD"})
    rows = market.candles("A-USD", Timeframe.M5, 0, FAR, FAR)
    assert [r.member() for r in rows] == ["[1500000000000,1,1,1,1,1]", "[1500000300000,1.5,2.50,1,2.0,3]"]
    assert market.candles("A-USD", Timeframe.M1, 0, FAR, FAR) == []
    assert market.trades("A-USD", 0, FAR) == []
    assert market.aliases() == {"A-USDC": "A-USD"}
    assert market.increments("A-USD") == ("0.01", "1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'open'"),
        ("open,high,low,close,volume\n", "no column 'timestamp'"),
        ("timestamp,open,high,low,close\n", "no column 'volume'"),
        ("timestamp,open,high,low,close,volume\n", "no candle"),
        ("timestamp,open,high,low,close,volume\n1500000300,1,1,nan,1,1\n", "line 2: not a candle"),
        ("timestamp,open,high,low,close,volume\n1500000301,1,1,1,1,1\n", "line 2: its time"),
        ("timestamp,open,high,low,close,volume\n1500000300,1,1,1\n", "line 2: not a candle"),
        ("timestamp,open,high,low,close,volume\n" + 2 * "1500000300,1,1,1,1,1\n", "twice"),
    ],
)
def test_a_file_that_is_no_market_is_refused_by_name_and_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        CsvMarket({"A-USD": path})
    with pytest.raises(ConfigError, match="cannot read"):
        CsvMarket({"A-USD": tmp_path / "absent.csv"})


def test_a_market_that_is_held_creeps_from_then_on() -> None:
    """Not by more: a second in a quarter of an hour. If its clock stood still it would be taken for dead."""
    real_s = 100.0
    clock = MarketClock(1_000_000, 10.0, lambda: real_s, hold_ms=1_060_000)
    real_s += 5
    assert clock.now() == 1_050_000
    real_s += 1
    assert clock.now() == 1_060_000
    real_s += 1000
    assert clock.now() == 1_061_000
    assert MarketClock(1_000_000, hold_ms=0, monotonic=lambda: 0.0).now() == 1_000_000, (
        "from its beginning on"
    )
