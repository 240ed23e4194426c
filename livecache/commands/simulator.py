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
    years: int,
    listed: Sequence[str],
    halt: Sequence[str],
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
        own = symbols or csv or listed or halt
        if own or rate or latency or start or hold or faults or faults_seed is not None:
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
        years=years,
        listed={name: moment_of("--listed", when) for name, when in _pairs("--listed", listed, "DATE")},
        halts=[_span(each) for each in halt],
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
    return dict(_pairs("--csv", given, "PATH"))


_EXAMPLES = {"--csv": "BTC-USD=candles.csv", "--listed": "BTC-USD=2016-12-01"}


def _pairs(flag: str, given: Sequence[str], what: str) -> list[tuple[str, str]]:
    """What `SYMBOL=…` says, each symbol once. Raises ConfigError."""
    pairs: dict[str, str] = {}
    for item in given:
        symbol, _, told = item.partition("=")
        if not (symbol and told):
            raise ConfigError(f"{flag} {item!r} is not SYMBOL={what}", f"such as {flag} {_EXAMPLES[flag]}")
        if symbol in pairs:
            raise ConfigError(f"{flag} names {symbol!r} twice", f"one {what.lower()} a symbol")
        pairs[symbol] = told
    return list(pairs.items())


def _span(text: str) -> tuple[int, int]:
    begin, _, end = text.partition("/")
    if not (begin and end):
        raise ConfigError(
            f"--halt {text!r} is not FROM/TO", "such as --halt 2019-03-01T10:00/2019-03-01T14:00"
        )
    first, last = (moment_of("--halt", each) // 60_000 * 60_000 for each in (begin, end))
    if first >= last:
        raise ConfigError(f"--halt {text!r} ends before it begins", "FROM/TO, in UTC")
    return first, last
