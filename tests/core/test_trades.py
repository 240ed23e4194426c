"""A minute is known only if no trade of it can be missing."""

from livecache.ledger.trades import MinuteBuilder
from livecache.model.candle import ExactCandle

M = 60_000
T = 1_770_000_000_000 // M * M


def test_a_minute_is_known_from_a_trade_before_its_open_and_dense_ids() -> None:
    builder = MinuteBuilder()
    assert builder.add(10, "5", "1", T - 1) is None, "whether trades came before is not known"
    assert builder.add(11, "6", "0.5", T + 10) == ExactCandle(T, "6", "6", "6", "6", "0.5")
    assert builder.add(12, "4", "0.25", T + 20) == ExactCandle(T, "6", "6", "4", "4", "0.75")
    assert builder.add(13, "7", "1", T + M) == ExactCandle(T + M, "7", "7", "7", "7", "1")


def test_a_missing_trade_makes_its_minute_unknown_and_the_next_known_again() -> None:
    builder = MinuteBuilder()
    builder.add(10, "5", "1", T - 1)
    assert builder.add(12, "6", "1", T + 10) is None
    assert builder.add(13, "6", "1", T + 20) is None
    assert builder.add(14, "6", "1", T + M) == ExactCandle(T + M, "6", "6", "6", "6", "1")


def test_trades_repeated_after_a_reconnection_count_once() -> None:
    builder = MinuteBuilder()
    for trade_id in (10, 11, 10, 11):
        builder.add(trade_id, "5", "1", T - 20 + trade_id)
    assert builder.add(12, "6", "2", T + 10) == ExactCandle(T, "6", "6", "6", "6", "2")
