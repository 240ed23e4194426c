"""A market of real candles: 5m rows from CSV files, played again."""

from __future__ import annotations

import csv
import hashlib
import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import msgspec

from ...errors import ConfigError
from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe
from .market import Increments, MarketTrade, decimal_text

__all__ = ["CsvMarket"]

_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,18})?", re.ASCII)
_TIME_NAMES = ("timestamp", "time", "start")


@dataclass(frozen=True, slots=True)
class _Recording:
    """One product's rows, oldest first: the file's own digits, and beside them integers to reckon with."""

    times: list[int]
    rows: list[ExactCandle]
    price_decimals: int
    volume_decimals: int
    opens: list[int]
    highs: list[int]
    lows: list[int]
    closes: list[int]
    volumes: list[int]


class CsvMarket:
    """Real 5m candles from one CSV file a product; see `Market` for the questions it answers.

    Columns go by the header's names, in any order: timestamp (`YYYY-MM-DD HH:MM:SS` in UTC, or Unix
    seconds), open, high, low, close, volume. Candles keep the file's digits; larger timeframes are exact
    roll-ups. There are no trades and no 1m candles. The bucket in progress grows from its open to exactly
    its row.
    """

    def __init__(self, files: Mapping[str, Path | str], aliases: Mapping[str, str] | None = None) -> None:
        """Read the files. `ConfigError` names the file and line that cannot be read."""
        self._recordings = {product: _read(Path(path)) for product, path in files.items()}
        self._aliases = dict(aliases or {})
        self._rolled = lru_cache(maxsize=16_384)(self._roll)

    @property
    def span(self) -> tuple[int, int]:
        """From the first row's open to the last row's end, over all files, in Unix ms."""
        starts = [r.times[0] for r in self._recordings.values()]
        ends = [r.times[-1] + Timeframe.M5.ms for r in self._recordings.values()]
        return min(starts), max(ends)

    def products(self) -> list[str]:
        return list(self._recordings)

    def aliases(self) -> Mapping[str, str]:
        return dict(self._aliases)

    def increments(self, product: str) -> Increments:
        r = self._recordings[product]
        return Increments(decimal_text(1, r.price_decimals), decimal_text(1, r.volume_decimals))

    def listed(self, product: str) -> int:
        return self._recordings[product].times[0]

    def candles(
        self, product: str, timeframe: Timeframe, start_ms: int, end_ms: int, now_ms: int
    ) -> list[ExactCandle]:
        if timeframe is Timeframe.M1:
            return []
        r = self._recordings[product]
        # Nothing lies before the first row or after the last, however wide the question.
        first = timeframe.ceil(max(start_ms, timeframe.floor(r.times[0])))
        last = min(end_ms, now_ms, r.times[-1] + 1)
        rows: list[ExactCandle] = []
        for open_ms in range(first, last, timeframe.ms):
            if open_ms + timeframe.ms <= now_ms:
                row = self._rolled(product, timeframe, open_ms)
            else:
                row = self._forming(product, timeframe, open_ms, now_ms)
            if row is not None:
                rows.append(row)
        return rows

    def trades(self, product: str, from_ms: int, to_ms: int) -> list[MarketTrade]:
        return []

    def _roll(self, product: str, timeframe: Timeframe, open_ms: int) -> ExactCandle | None:
        r = self._recordings[product]
        i = bisect_left(r.times, open_ms)
        j = bisect_left(r.times, open_ms + timeframe.ms)
        if timeframe is Timeframe.M5:
            return r.rows[i] if i < j else None
        return _merge(r, open_ms, i, j, None)

    def _forming(self, product: str, timeframe: Timeframe, open_ms: int, now_ms: int) -> ExactCandle | None:
        r = self._recordings[product]
        i = bisect_left(r.times, open_ms)
        newest = Timeframe.M5.floor(now_ms)
        j = bisect_left(r.times, newest)
        growing = None
        if j < len(r.times) and r.times[j] == newest:
            growing = _grown(r, j, (now_ms - newest) / Timeframe.M5.ms)
        return _merge(r, open_ms, i, j, growing)


def _merge(r: _Recording, open_ms: int, i: int, j: int, growing: ExactCandle | None) -> ExactCandle | None:
    """Rows `i` to `j` and after them perhaps one that still grows, as one candle in their own digits."""
    if i == j:
        return growing and msgspec.structs.replace(growing, time=open_ms)
    high, low = max(r.highs[i:j]), min(r.lows[i:j])
    volume = decimal_text(sum(r.volumes[i:j]), r.volume_decimals)
    high_text = r.rows[r.highs.index(high, i, j)].high
    low_text = r.rows[r.lows.index(low, i, j)].low
    close = r.rows[j - 1].close
    if growing is not None:
        high_text = max(high_text, growing.high, key=Decimal)
        low_text = min(low_text, growing.low, key=Decimal)
        # Decimal's default context would round at 28 digits; a sum of volumes never comes near.
        volume = _plain(Decimal(volume) + Decimal(growing.volume))
        close = growing.close
    return ExactCandle(open_ms, r.rows[i].open, high_text, low_text, close, volume)


def _grown(r: _Recording, i: int, elapsed: float) -> ExactCandle | None:
    """Row `i` as it looked when `elapsed` (0 to 1) of its bucket had passed; None before its first trade.

    The price runs from the open to one extreme, to the other, to the close; the volume grows evenly.
    """
    volume = int(r.volumes[i] * elapsed)
    if volume == 0:
        return None
    row = r.rows[i]
    up_first, jitter = hashlib.blake2b(f"{row}".encode(), digest_size=2).digest()
    extremes = [r.highs[i], r.lows[i]] if up_first % 2 else [r.lows[i], r.highs[i]]
    first, second = 0.2 + jitter / 1024, 0.6 + jitter / 1024
    path = [(0.0, r.opens[i]), (first, extremes[0]), (second, extremes[1]), (1.0, r.closes[i])]
    seen = [r.opens[i]]
    for (t0, p0), (t1, p1) in pairwise(path):
        if elapsed < t1:
            seen.append(p0 + int((p1 - p0) * (elapsed - t0) / (t1 - t0)))
            break
        seen.append(p1)
    high, low, d = max(seen), min(seen), r.price_decimals
    return ExactCandle(
        row.time,
        row.open,
        row.high if high == r.highs[i] else decimal_text(high, d),
        row.low if low == r.lows[i] else decimal_text(low, d),
        decimal_text(seen[-1], d),
        decimal_text(volume, r.volume_decimals),
    )


def _read(path: Path) -> _Recording:
    try:
        with path.open(newline="") as file:
            lines = csv.DictReader(file)
            names = {name.strip().lower(): name for name in lines.fieldnames or ()}
            time_name = next((names[n] for n in _TIME_NAMES if n in names), None)
            missing = [c for c in _COLUMNS[1:] if c not in names]
            if time_name is None or missing:
                raise ConfigError(f"{path} has no column {(missing or ['timestamp'])[0]!r}", _HINT)
            rows = [_row(path, lines.line_num, line, names, time_name) for line in lines]
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "give a readable CSV file") from None
    if not rows:
        raise ConfigError(f"{path} holds no candle", _HINT)
    rows.sort()
    for a, b in pairwise(rows):
        if a.time == b.time:
            raise ConfigError(f"{path} holds the bucket {a.time} twice", "remove one of the two rows")
    price_decimals = max(_decimals(text) for row in rows for text in row.numbers[:4])
    volume_decimals = max(_decimals(row.volume) for row in rows)

    def units(text: str, decimals: int) -> int:
        whole, _, fraction = text.partition(".")
        return int(whole + fraction.ljust(decimals, "0"))

    return _Recording(
        times=[row.time for row in rows],
        rows=rows,
        price_decimals=price_decimals,
        volume_decimals=volume_decimals,
        opens=[units(row.open, price_decimals) for row in rows],
        highs=[units(row.high, price_decimals) for row in rows],
        lows=[units(row.low, price_decimals) for row in rows],
        closes=[units(row.close, price_decimals) for row in rows],
        volumes=[units(row.volume, volume_decimals) for row in rows],
    )


_HINT = f"a header names the columns {', '.join(_COLUMNS)}; each row is a 5m candle"


def _row(path: Path, number: int, line: dict[str, str], names: dict[str, str], time_name: str) -> ExactCandle:
    try:
        time = _time_ms(line[time_name].strip())
        digits = [line[names[c]].strip() for c in _COLUMNS[1:]]
        if not all(_NUMBER.fullmatch(d) for d in digits):
            raise ValueError("not a plain number")
    except (ValueError, AttributeError):
        raise ConfigError(f"{path}, line {number}: not a candle", _HINT) from None
    if time % Timeframe.M5.ms:
        raise ConfigError(f"{path}, line {number}: its time is no multiple of 5 minutes", _HINT)
    return ExactCandle(time, *digits)


def _time_ms(text: str) -> int:
    if text.isdigit():
        return int(text) * 1000
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * 1000


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
