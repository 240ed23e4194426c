"""Candles of any kind, drawn: every number that a venue may print, any buckets."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from hypothesis import strategies as st

from livecache.model.candle import ExactCandle

from .support import MINUTE

__all__ = ["WIDTH", "any_number", "candle", "candles", "numbers", "short_number"]

WIDTH = 1_440 * MINUTE  # of a block of minutes


def short_number(random: Random) -> str:
    """As nearly all are: few digits."""
    places = random.randint(0, 8)
    whole = random.randrange(10 ** random.randint(0, 6))
    return f"{whole}.{random.randrange(10**places):0{places}}" if places else str(whole)


def any_number(random: Random) -> str:
    """Whatever `NUMBER` allows."""
    kind = random.random()
    if kind < 0.3:
        return short_number(random)
    if kind < 0.4:
        return f"{random.randrange(1_000)}.{random.randrange(1_000)}e{random.randint(-9, 9)}"
    if kind < 0.42:
        return f"0.{'0' * random.randint(1, 36)}"
    if kind < 0.5:
        return f"0.{'0' * random.randint(0, 30)}{random.randrange(10**6)}"
    places = random.randint(1, 36)
    whole = random.randrange(10 ** random.randint(0, 28))
    return f"{whole}.{random.randrange(10**places):0{places}}" if kind < 0.8 else str(whole)


numbers = st.integers(0, 1 << 32).map(lambda seed: any_number(Random(seed)))


def candle(random: Random, time: int, number: Callable[[Random], str] = short_number) -> ExactCandle:
    """One candle, of numbers that need not make sense together."""
    return ExactCandle(time, *(number(random) for _ in range(5)))


def _made(seed: int, off_grid: bool, most: int) -> list[ExactCandle]:
    random = Random(seed)
    block, count = random.randrange(30_000) * WIDTH, random.randint(1, most)
    number = random.choice([short_number, any_number])
    match random.choice(["run", "gaps", "any ms"] if off_grid else ["run", "gaps"]):
        case "run":
            first = random.randint(0, 1_440 - most)
            opens = [block + n * MINUTE for n in range(first, first + count)]
        case "gaps":
            opens = [block + n * MINUTE for n in sorted(random.sample(range(1_440), count))]
        case _:
            opens = sorted({block + random.randrange(WIDTH) for _ in range(count)})
    return [candle(random, time, number) for time in opens]


def candles(*, off_grid: bool = False, most: int = 40) -> st.SearchStrategy[list[ExactCandle]]:
    """Candles within one block, oldest first."""
    return st.integers(0, 1 << 32).map(lambda seed: _made(seed, off_grid, most))
