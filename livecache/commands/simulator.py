"""`livecache simulator`: its options, and its end by a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from ..errors import ConfigError
from ..simulator import serve_forever

__all__ = ["csv_files", "run_simulator", "start_time"]


def run_simulator(
    *,
    port: int,
    speed: float,
    seed: int,
    symbols: str | None,
    csv: Sequence[str],
    rate: int,
    latency: float,
    start: str | None,
) -> None:
    """Serve until SIGINT or SIGTERM. Raises ConfigError for an option that makes no sense."""
    if symbols is not None and csv:
        raise ConfigError("--symbols and --csv exclude each other", "files bring their own symbols")
    serving = serve_forever(
        port=port,
        speed=speed,
        seed=seed,
        symbols=[name.strip() for name in (symbols or "").split(",") if name.strip()],
        csv=csv_files(csv),
        rate=rate,
        latency=latency,
        start_ms=None if start is None else start_time(start),
        # Whoever starts it from a script waits for these lines.
        announce=partial(print, flush=True),
    )

    async def until_signal() -> None:
        task = asyncio.create_task(serving, name="simulator")
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(until_signal())


def csv_files(given: Sequence[str]) -> dict[str, str]:
    """What `--csv SYMBOL=PATH` says, by symbol. Raises ConfigError."""
    files: dict[str, str] = {}
    for item in given:
        symbol, separator, path = item.partition("=")
        if not (symbol and separator and path):
            raise ConfigError(f"--csv {item!r} is not SYMBOL=PATH", "such as --csv BTC-USD=candles.csv")
        if symbol in files:
            raise ConfigError(f"--csv names {symbol!r} twice", "one file a symbol")
        files[symbol] = path
    return files


def start_time(text: str) -> int:
    """An ISO 8601 time, UTC where it names no zone, as Unix ms. Raises ConfigError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--start {text!r} is not a time", "such as 2025-10-25T14:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
