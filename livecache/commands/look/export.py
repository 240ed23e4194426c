"""`livecache export`: candles as CSV or JSON, with what vouches for them, to stdout or into a file."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from ...config.schema import Config
from ...errors import ConfigError, LivecacheError, ReadError, Stale, UnknownSeries
from ...model.series import SeriesId
from ...model.timeframe import Multiple, Timeframe
from ...reader.reader import Reader
from ..reading import choose_series, connect, keyspace_of, open_reader, shown, utc
from .stored import Bucket, BucketKind, StoredSeries, read_series

__all__ = ["COLUMNS", "Wish", "export", "replacing"]

COLUMNS = ("symbol", "timeframe", "time", "utc", "open", "high", "low", "close", "volume", "kind", "origin")
"""The head of the CSV, behind `venue` where there are several. `time` is the bucket's open in Unix ms, `utc`
the same in ISO 8601."""

_EVERYTHING = 1_000_000  # buckets: more than any series spans


@dataclass(frozen=True, slots=True)
class Wish:
    """Which candles to export."""

    symbols: Sequence[str] | None  # as they are filled; None: all
    timeframes: Sequence[Timeframe] | None
    count: int | None  # the newest candles of each series; None: all
    settled: bool  # only those
    forming: bool  # the bucket in progress too, where the feed vouches for it
    empty: bool  # also a row for each bucket in which nothing was traded; CSV only
    stale: bool  # also series that nobody vouches for now


def export(config: Config, wish: Wish, *, output: Path | None, as_json: bool) -> int:
    """Write the candles; 1 if a series could not be exported, else 0. What was done is said on stderr.

    A file is there whole or not at all. Raises UnknownSeries for names that nobody fills, ConfigError for a
    file that cannot be written, RedisUnavailable.
    """
    with open_reader(config) as reader:
        there = reader.series()
        chosen = choose_series(there, wish.symbols, wish.timeframes, multiples=True)
        if not chosen:
            raise UnknownSeries("nobody fills anything yet", "start `livecache run`")
        refused = _refused(reader, chosen, wish)
    exported = [series for series in chosen if series not in refused]
    for series, why in refused.items():
        print(f"not exported: {shown(series, there)} {series.timeframe}: {why}", file=sys.stderr)
    if exported:
        rows = 0
        with replacing(output) if output else nullcontext(sys.stdout) as out:
            stored = _read(config, exported)
            several = len({series.venue for series in there}) > 1
            rows = _write_json(stored, wish, out) if as_json else _write_csv(stored, wish, out, several)
        where = f" to {output}" if output else ""
        print(f"exported {rows} candles of {len(exported)} series{where}", file=sys.stderr)
    return 1 if refused else 0


def _refused(reader: Reader, chosen: Sequence[SeriesId], wish: Wish) -> dict[SeriesId, str]:
    """The series that a reader would be refused, each with why."""
    answers = reader.many(chosen, count=1, settled=wish.settled)
    return {
        series: answer.message
        for series, answer in answers.items()
        if isinstance(answer, ReadError)
        and not (wish.stale and isinstance(answer, Stale) and not isinstance(series.timeframe, Multiple))
    }


def _read(config: Config, chosen: Sequence[SeriesId]) -> Iterator[StoredSeries]:
    with connect(config) as client:
        for series in chosen:
            yield read_series(client, keyspace_of(config, series.venue), series, _EVERYTHING)


def _rows(stored: StoredSeries, wish: Wish) -> list[Bucket]:
    """What is exported of a series: what a reader would get, from where on nothing is missing."""
    if stored.view.record is None:
        return []
    state = stored.view.record.state
    kinds = {BucketKind.SETTLED, BucketKind.EMPTY}
    if not wish.settled:
        kinds.add(BucketKind.PROVISIONAL)
    if wish.forming and stored.view.alive and stored.view.alive.feed == "up":
        kinds.add(BucketKind.FORMING)
    rows = [
        bucket
        for bucket in stored.buckets
        if bucket.time >= state.contiguous_from and bucket.kind in kinds and (bucket.candle or wish.empty)
    ]
    return rows[-wish.count :] if wish.count else rows


def _write_csv(stored: Iterator[StoredSeries], wish: Wish, out: TextIO, several: bool) -> int:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*(["venue"] if several else []), *COLUMNS))
    candles = 0
    for one in stored:
        (venue, symbol, timeframe), record = one.view.series, one.view.record
        first = [venue] if several else []
        for time, kind, candle in _rows(one, wish):
            numbers = candle.numbers if candle else ("",) * 5
            moment = f"{utc(time).replace(' ', 'T')}Z"
            origin = record.origin if record else ""
            writer.writerow((*first, symbol, timeframe.value, time, moment, *numbers, kind.value, origin))
            candles += candle is not None
    return candles


def _write_json(stored: Iterator[StoredSeries], wish: Wish, out: TextIO) -> int:
    """One object; candles as they lie in Redis, to the digit: they are not decoded and printed anew."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    out.write(f'{{"exported_at": "{now}", "series": [')
    candles = 0
    for number, one in enumerate(stored):
        members = [bucket.candle.member() for bucket in _rows(one, wish) if bucket.candle]
        candles += len(members)
        head = json.dumps(_provenance(one))[:-1]
        out.write(f'{"," if number else ""}\n{head}, "candles": [\n{("," + chr(10)).join(members)}\n]}}')
    out.write("\n]}\n")
    return candles


def _provenance(stored: StoredSeries) -> dict[str, object]:
    venue, symbol, timeframe = stored.view.series
    record, alive = stored.view.record, stored.view.alive
    told: dict[str, object] = {"venue": venue, "symbol": symbol, "timeframe": timeframe.value}
    told["origin"] = record.origin if record else None
    told["feed"] = alive.feed if alive else None  # null: nobody vouches
    for name in ("contiguous_from", "settled_through", "known_through", "forming"):
        told[name] = getattr(record.state, name) if record else 0
    return told


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A text file that takes the place of `path` when all is written, and is gone if that fails.

    Raises ConfigError if there can be none. What is no file (a device, a pipe) is written directly.
    """
    target = Path(os.path.realpath(path.expanduser()))
    direct = target.exists() and not target.is_file()
    aside = target if direct else target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        out = aside.open("w" if direct else "x", encoding="utf-8", newline="")
    except OSError as error:
        raise ConfigError(f"--output {path} cannot be written: {error.strerror}") from None
    try:
        with out:
            yield out
            out.flush()
            if not direct:
                os.fsync(out.fileno())
        if not direct:
            aside.replace(target)
    except OSError as error:
        raise LivecacheError(f"{path} could not be written: {error.strerror or error}") from None
    finally:
        if not direct:
            aside.unlink(missing_ok=True)
