"""`livecache history publish`: years of candles as Parquet files in a directory or a bucket."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from ...clock import SystemClock
from ...errors import ConfigError, HistoryError
from ..history.chosen import chosen, name_of, size_of
from ..history.opened import open_history
from .interrupted import goes_on

if TYPE_CHECKING:
    from ...history.publish.publishing import Round
    from ...history.publish.target import Target
    from ...history.store import SeriesInfo
    from ...keys.history_place import Place

__all__ = ["publish"]

_LENGTH = re.compile(r"(\d{1,6})\s*(s|m|h|d)?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def publish(
    place: Place,
    target: str,
    symbols: str | None,
    timeframes: str | None,
    *,
    every: str | None,
    everything: bool,
    as_json: bool,
    wait: Callable[[float], object] = time.sleep,
) -> int:
    """Bring what is published up to date, once or again and again. 1 if a series could not be published.

    What goes wrong at the first round ends it; later it is told, and tried again at the next.
    """
    from ...history.publish.target import target_named

    pause = None if every is None else _seconds(every)
    to, first = target_named(target, os.environ), True
    with goes_on("what is published stands, and the next run goes on"):
        while True:
            began = time.monotonic()
            try:
                done = _round(place, to, symbols, timeframes, everything=everything and first, sweep=first)
                _tell(done, to.name, as_json=as_json)
            except HistoryError as error:
                if pause is None or first:
                    raise
                print(error, file=sys.stderr)
            if pause is None:
                return 1 if done.failed else 0
            first = False
            wait(max(0.0, pause - (time.monotonic() - began)))


def _round(
    place: Place,
    target: Target,
    symbols: str | None,
    timeframes: str | None,
    *,
    everything: bool,
    sweep: bool,
) -> Round:
    with open_history(place) as store:
        from ...history.publish.publishing import Publisher

        # Not its name: that is nobody's business who reads what is published. One made anew is another.
        source = hashlib.sha256(repr((str(place), store.identity)).encode()).hexdigest()[:16]
        publisher = Publisher(store, target, lambda: int(SystemClock.wall() * 1000), source)
        series = chosen(store, symbols, timeframes)
        return publisher.publish(series, everything=everything, sweep=sweep, told=_progress)


def _progress(info: SeriesInfo, files: int) -> None:
    print(f"{name_of(info)}: {files} file{'s' * (files != 1)}", file=sys.stderr, flush=True)


def _tell(done: Round, name: str, *, as_json: bool) -> None:
    for series, why in done.failed.items():
        print(f"not published: {series}: {why}", file=sys.stderr)
    if as_json:
        print(json.dumps({"target": name, **asdict(done)}), flush=True)
        return
    print(
        f"{name}: {done.candles:,} candles in {done.files:,} files; {done.changed:,} of {done.series:,} "
        f"series changed, {done.written:,} files written ({size_of(done.bytes)}), {done.removed:,} removed",
        flush=True,
    )


def _seconds(text: str) -> int:
    found = _LENGTH.fullmatch(text.strip())
    if not found or not (seconds := int(found[1]) * _SECONDS[found[2] or "s"]):
        raise ConfigError(f"--every {text!r} is no length of time", 'such as "60s", "15m" or "1h"')
    return seconds
