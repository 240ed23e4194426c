"""`livecache simulator`: its options, and its end by a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..simulator import load_script, serve_forever
from ..simulator.replay import replay_forever
from .reading import moment_of

__all__ = ["csv_files", "run_simulator"]


def run_simulator(
    *,
    port: int,
    speed: float,
    seed: int,
    symbols: str | None,
    csv: Sequence[str],
    venue: str,
    rate: int | None,
    latency: float,
    start: str | None,
    hold: str | None,
    faults: Path | None,
    faults_seed: int | None,
    replay: Path | None,
) -> None:
    """Serve until a signal. Raises ConfigError for an option that makes no sense."""
    if symbols is not None and csv:
        raise ConfigError("--symbols and --csv exclude each other", "files bring their own symbols")
    if faults is not None and faults_seed is not None:
        raise ConfigError("--faults and --faults-seed exclude each other", "a script may hold a seed")
    # Whoever starts it from a script waits for these lines.
    announce = partial(print, flush=True)
    if replay is not None:
        if symbols or csv or rate or latency or start or hold or faults or faults_seed is not None:
            raise ConfigError("--replay brings its own market", "beside it only --speed and --port")
        _until_signal(replay_forever(replay, speed=speed, port=port, announce=announce))
        return
    serving = serve_forever(
        port=port,
        speed=speed,
        seed=seed,
        symbols=[name.strip() for name in (symbols or "").split(",") if name.strip()],
        csv=csv_files(csv),
        venue=venue,
        rate=rate,
        latency=latency,
        start_ms=None if start is None else moment_of("--start", start),
        hold_ms=None if hold is None else moment_of("--hold", hold),
        faults=faults_seed if faults is None else load_script(faults),
        announce=announce,
    )
    _until_signal(serving)


def _until_signal(serving: Coroutine[Any, Any, None]) -> None:
    async def until_signal() -> None:
        task = asyncio.create_task(serving, name="simulator")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
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
