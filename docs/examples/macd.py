"""An indicator service: the MACD of several series, computed anew whenever one of their candles changes.

    python docs/examples/macd.py BTC-USD ETH-USD --timeframes 5m,1h

prints a line of JSON for each: soon after a bucket has closed, again once it is settled, and again if the
exchange revises it. Where there is no answer to compute from, a line says why. It needs livecache only, and
a service that keeps enough: `cache.indicators = ["macd(12,26,9)"]` in its configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence

from livecache import AsyncReader, Candles, LivecacheError

COUNT = 155  # candles: `livecache warmup "macd(12,26,9)"` tells why
FAST, SLOW, SIGNAL = 12, 26, 9  # candles

WARM_UP_S = 120.0
PATIENCE_S = 5.0  # a signal that is older than that is worse than none


def averages(values: Iterable[float], span: int) -> Iterator[float]:
    """The exponential moving average at each of the values."""
    average: float | None = None
    for value in values:
        average = value if average is None else average + (value - average) * 2 / (span + 1)
        yield average


def macd(closes: Sequence[float]) -> tuple[float, float]:
    """The MACD and its signal line at the last close."""
    differences = [
        fast - slow for fast, slow in zip(averages(closes, FAST), averages(closes, SLOW), strict=True)
    ]
    *_, signal = averages(differences, SIGNAL)
    return differences[-1], signal


def line(candles: Candles) -> dict[str, object]:
    """What is printed of an answer."""
    value, signal = macd(candles.values("close"))
    return {
        "time": candles[-1].time,
        "macd": value,
        "signal": signal,
        "histogram": value - signal,
        "settled": candles.settled_through == candles.known_through,
        "feed": candles.feed,
    }


async def serve(reader: AsyncReader, series: Sequence[tuple[str, str]]) -> None:
    """Print a line whenever something has changed in one of the series."""
    while True:
        try:
            # However many they are, they share two connections, and one that has trouble ends nothing.
            async for name, answer in reader.follow_many(series, count=COUNT, patience=PATIENCE_S):
                # Whoever acts on the MACD must know that there is none now.
                say(name, trouble(answer) if isinstance(answer, LivecacheError) else line(answer))
        except LivecacheError as error:  # Redis is away: then it waits again
            for one in series:
                say(one, trouble(error))


def trouble(error: LivecacheError) -> dict[str, object]:
    """What is printed where there is no answer."""
    return {"error": type(error).__name__, "why": str(error)}


def say(series: tuple[str, ...], what: dict[str, object]) -> None:
    """Print it as a line, of that series."""
    symbol, timeframe = series[-2:]
    print(json.dumps({"symbol": symbol, "timeframe": timeframe, **what}), flush=True)


async def main() -> None:
    """Wait until everything can be read, then serve."""
    parser = argparse.ArgumentParser(description="The MACD of several series, as lines of JSON.")
    parser.add_argument("symbols", nargs="+")
    parser.add_argument("--timeframes", default="5m,15m,1h")
    parser.add_argument("--redis-url", help="else LIVECACHE_REDIS_URL, else the embedded server")
    parser.add_argument("--prefix", default="livecache")
    given = parser.parse_args()
    series = [(symbol, timeframe) for symbol in given.symbols for timeframe in given.timeframes.split(",")]
    async with AsyncReader(given.redis_url, prefix=given.prefix) as reader:
        await reader.wait_ready(series, count=COUNT, timeout=WARM_UP_S)
        await serve(reader, series)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except LivecacheError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
