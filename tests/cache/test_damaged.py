"""What stands in Redis costs a reader what it is, whatever it says: an error soon, and not all the memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from livecache import NotReady, ReadError

from .either import either
from .support import STEP, T0, state
from .test_reader import SET, STATE, put

_SPARE = 128 << 20  # bytes: a list of all buckets since 1970 is more


@contextmanager
def soon() -> Iterator[None]:
    """Within a little memory and a few seconds."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    begun = time.process_time()
    resource.setrlimit(resource.RLIMIT_AS, (used + _SPARE, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert time.process_time() - begun < 5


ABSURD = [0, 1, STEP, T0 * 1000, T0 * 10**6, 10**30, 2**63 // STEP * STEP, -STEP]


@pytest.mark.parametrize("at", [0, 5, 9], ids=["oldest", "amid", "newest"])
@pytest.mark.parametrize("says", ABSURD)
def test_a_candle_of_an_absurd_time_is_an_error(
    kind: str, clean_valkey: str, store: Any, says: int, at: int
) -> None:
    put(store, state(-10, 10, 10), range(-10, 10))
    store.zremrangebyscore(SET, T0 + at * STEP, T0 + at * STEP)
    store.zadd(SET, {f"[{says},1,1,1,1,1]": T0 + at * STEP})
    with either(kind, clean_valkey) as reader, soon():
        for empty in ("skip", "carry", "null"):
            with pytest.raises(ReadError, match=r"livecache:\{coinbase:BTC-USD\}:5m") as told:
                reader.candles("BTC-USD", "5m", 10, empty=empty)
            assert not isinstance(told.value, NotReady)
        with pytest.raises(ReadError, match=r"livecache:\{coinbase:BTC-USD\}:5m"):
            reader.range("BTC-USD", "5m", T0, T0 + 10 * STEP)
        with pytest.raises(ReadError, match=r"livecache:\{coinbase:BTC-USD\}:5m"):
            reader.fetch_ohlcv("BTC/USD", "5m")


@pytest.mark.parametrize("says", [9, 11, 10**9])
def test_a_bucket_in_progress_of_another_time_is_an_error(
    kind: str, clean_valkey: str, store: Any, says: int
) -> None:
    put(store, state(0, 10, 10, forming=10), range(10), count=11)
    store.zadd(SET, {f"[{T0 + says * STEP},1,1,1,1,1]": T0 + 10 * STEP})
    with either(kind, clean_valkey) as reader, soon():
        assert len(reader.candles("BTC-USD", "5m", 10)) == 10
        with pytest.raises(ReadError, match="something other than one candle a bucket"):
            reader.candles("BTC-USD", "5m", 10, forming=True)


def test_a_thin_market_costs_its_candles_and_not_its_buckets(
    kind: str, clean_valkey: str, store: Any
) -> None:
    ago = -5_000_000
    put(store, state(ago, 10, 10), [ago, 9])
    with either(kind, clean_valkey) as reader, soon():
        candles = reader.candles("BTC-USD", "5m", 2)
        assert [c.time for c in candles] == [T0 + ago * STEP, T0 + 9 * STEP]


@pytest.mark.parametrize(
    "grid",
    [
        "1 from 0",
        "299999 from 0",
        f"1 in {T0}-{T0 + 10 * STEP}",
        f"{STEP} in {T0 + 4 * STEP}-{T0 + 10 * STEP}",  # which knows nothing of the first ones
        f"{STEP} in {T0}-{T0 + 9 * STEP}",
        f"{STEP} in {T0}-{10**30}",
        "1 months",
        f"{10**30} from 0",
    ],
)
def test_a_grid_that_is_none_of_the_series_is_an_error(
    kind: str, clean_valkey: str, store: Any, grid: str
) -> None:
    put(store, state(0, 10, 10), range(10))
    store.hset(STATE, "grid", grid)
    with either(kind, clean_valkey) as reader, soon():
        for empty in ("skip", "carry", "null"):
            with pytest.raises(ReadError):
                reader.candles("BTC-USD", "5m", 10, empty=empty)
        with pytest.raises(ReadError):
            reader.range("BTC-USD", "5m", T0, T0 + 10 * STEP)
        assert reader.many(["BTC-USD"], "5m", 10).errors, "and it takes no other down"


@pytest.mark.parametrize("grid", ["1 from 0", "1 in 0-1800000000000"])
def test_a_grid_of_shorter_steps_is_told_as_damage(
    kind: str, clean_valkey: str, store: Any, grid: str
) -> None:
    put(store, state(0, 10, 10), range(10))
    store.hset(STATE, "grid", grid)
    with either(kind, clean_valkey) as reader:
        assert "grid is" in reader.state("BTC-USD", "5m").damage
