"""Roll-ups and minutes against independent arithmetic, on random and on real candles."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.ledger.trades import MinuteBuilder
from livecache.model.candle import ExactCandle, rejection
from livecache.model.rollup import roll_up
from livecache.model.timeframe import Timeframe
from tests.sizes import examples

DATA = Path(__file__).parents[3] / "shared" / "data"
CHAIN = tuple(map(Timeframe, ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "12h", "1d")))
MONDAY = 1_769_990_400_000  # 2026-02-02T00:00:00Z
Row = tuple[Decimal, Decimal, Decimal, Decimal, Decimal]


def independent(candles: Iterable[ExactCandle], timeframe: Timeframe) -> dict[int, Row]:
    """Straight from the smallest candles, in one step, in Decimal: open, high, low, close, volume."""
    rows: dict[int, Row] = {}
    with localcontext() as context:
        context.prec = 200
        for time, texts in ((candle.time, candle.numbers) for candle in candles):
            open_, high, low, close, volume = map(Decimal, texts)
            before = rows.get(time - time % timeframe.ms)
            if before is not None:
                open_, high, low = before[0], max(high, before[1]), min(low, before[2])
                volume += before[4]
            rows[time - time % timeframe.ms] = (open_, high, low, close, volume)
    return rows


def rolled(candles: Iterable[ExactCandle], timeframe: Timeframe) -> list[ExactCandle]:
    buckets: defaultdict[int, list[ExactCandle]] = defaultdict(list)
    for one in candles:
        buckets[timeframe.floor(one.time)].append(one)
    found = (roll_up(time, children) for time, children in sorted(buckets.items()))
    return [one for one in found if one is not None]


def check_chain(candles: list[ExactCandle], chain: Iterable[Timeframe]) -> int:
    """Roll up step by step, as the service does, and compare every step with the smallest candles."""
    children, compared = candles, 0
    for timeframe in chain:
        children = rolled(children, timeframe)
        expected = independent(candles, timeframe)
        assert {c.time: tuple(map(Decimal, c.numbers)) for c in children} == expected
        assert all(rejection(c, timeframe, None) is None for c in children), "would not be believed when read"
        compared += len(children)
    return compared


prices = st.integers(1, 10**13).map(lambda n: format(Decimal(n).scaleb(-8), "f"))


@st.composite
def markets(draw: st.DrawFn) -> list[ExactCandle]:
    """Up to two days of 1m candles with holes, prices and volumes of up to eight decimals."""
    candles = []
    for minute in sorted(draw(st.sets(st.integers(0, 2 * 1440), min_size=1, max_size=80))):
        low, one, other, high = sorted((draw(prices) for _ in range(4)), key=Decimal)
        candles.append(ExactCandle(MONDAY + minute * 60_000, one, high, low, other, draw(prices)))
    return candles


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(markets())
def test_each_step_of_the_chain_equals_one_step_from_the_minutes(candles: list[ExactCandle]) -> None:
    check_chain(candles, CHAIN[1:])


def _real(path: str) -> list[ExactCandle]:
    file = DATA / "coinbase" / path
    if not file.exists():
        pytest.skip(f"no data at {file}")
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    fields = ("open", "high", "low", "close", "volume")
    return sorted(
        ExactCandle(_time(row["timestamp"]), *(_plain(row[field]) for field in fields)) for row in rows
    )


def _time(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def _plain(text: str) -> str:
    return format(Decimal(text), "f")


@pytest.mark.parametrize("symbol", ["BTC-USD", "ETH-USD", "SOL-USD"])
def test_real_5m_candles_roll_up_exactly_through_every_timeframe(symbol: str) -> None:
    candles = _real(f"three_symbols_5m_2026-02/{symbol}_300s.csv")
    assert check_chain(candles, CHAIN[2:]) > 150


def test_five_months_of_real_5m_candles_roll_up_exactly() -> None:
    candles = _real("BTC-USD_5m_2025-07-01_2025-11-15.csv")
    assert check_chain(candles, CHAIN[2:]) > 20_000


@settings(max_examples=examples(100), deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), lost=st.floats(0, 0.1), repeated=st.floats(0, 0.3))
def test_a_minute_told_from_trades_is_all_that_traded_in_it(seed: int, lost: float, repeated: float) -> None:
    """A candle is told only where every trade of its minute so far was seen, each of them once."""
    rng = random.Random(seed)
    builder = MinuteBuilder()
    time = 1_770_000_000_000 + rng.randrange(60_000)
    happened: defaultdict[int, list[tuple[Decimal, Decimal]]] = defaultdict(list)
    told = 0
    sent: list[tuple[int, str, str, int]] = []
    for trade_id in range(1, 60):
        time += rng.choice((0, 1, 500, 10_000, 59_999, 60_000, 130_000))
        price, size = f"{rng.randint(1, 10**9) / 100:.2f}", f"{rng.randint(1, 10**9) / 10**8:.8f}"
        minute = time // 60_000 * 60_000
        happened[minute].append((Decimal(price), Decimal(size)))
        if rng.random() < lost:
            continue
        sent.append((trade_id, price, size, time))
        batch = [rng.choice(sent), sent[-1]] if rng.random() < repeated else [sent[-1]]
        for one in batch:
            candle = builder.add(*one)
            if candle is None:
                continue
            told += 1
            trades = happened[candle.time]
            assert candle.time == minute
            assert Decimal(candle.open) == trades[0][0] and Decimal(candle.close) == trades[-1][0]
            assert Decimal(candle.high) == max(p for p, _ in trades)
            assert Decimal(candle.low) == min(p for p, _ in trades)
            assert Decimal(candle.volume) == sum(s for _, s in trades)
    if not lost:
        assert told or len(happened) == 1, "with no trade lost, minutes are told"
