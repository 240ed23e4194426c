"""`livecache explain SYMBOL TIMEFRAME TIME`: what is known of one bucket, since when, by what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ...config.schema import Config
from ...errors import RedisUnavailable, UnknownSeries
from ...model.naming import find_symbol, near_names
from ...model.series import SeriesId
from ...model.timeframe import Timeframe, iso
from ..look.stored import Bucket, BucketKind, read_stored
from ..reading import connect, keyspace_of, moment_of, open_reader
from .chosen import span_of
from .opened import Place, open_history

if TYPE_CHECKING:
    from ...history.store import HistoryDatabase, SeriesInfo

__all__ = ["Version", "explain", "versions_of"]

_MEMBERS_MOST = 20_000

Numbers = tuple[str, str, str, str, str]
"""Open, high, low, close and volume."""


@dataclass(frozen=True, slots=True)
class Version:
    """What was known of a bucket from `at` (Unix ms) on; None: that it is empty."""

    at: int | None
    """None: before what is kept of when."""
    source: str
    """`page`, `feed`, `roll-up`, or a file's name."""
    revised: bool
    candle: Numbers | None


@dataclass(frozen=True, slots=True)
class _Sum:
    """What smaller candles add up to."""

    timeframe: str
    known: int
    parts: int
    candle: Numbers | None


def explain(config: Config, place: Place, symbol: str, timeframe: str, time: str, *, as_json: bool) -> int:
    """Print its story; 1 if nothing is known of it. Raises UnknownSeries, and ConfigError for the time."""
    at, of = moment_of("TIME", time), Timeframe.parse(timeframe)
    with ExitStack() as stack:
        store = stack.enter_context(open_history(place)) if place.exists() else None
        filled, trouble = _filled(config)
        infos = {info.key: info for info in store.all_series()} if store else {}
        venue, name = _named(symbol, {*infos, *filled})
        series = SeriesId(venue, name, of)
        info = infos.get(series)
        start = (info.grid if info else of.grid).floor(at)
        end = (info.grid if info else of.grid).end(start)
        versions = list(versions_of(store, info, start)) if store and info else []
        sums = list(_sums(store, infos, series, start)) if store else []
    hot = _in_redis(config, series, start) if series in filled else None
    if as_json:
        _print_json(series, (start, end), versions, sums, hot)
    else:
        print(f"{venue}:{name} {of}, {span_of(start, end)}")
        for line in _lines(versions, sums, hot, trouble, history=info is not None):
            print(line)
    in_redis = hot is not None and hot.kind is not BucketKind.MISSING
    return 0 if versions or in_redis or any(one.known == one.parts for one in sums) else 1


def versions_of(store: HistoryDatabase, info: SeriesInfo, bucket: int) -> Iterator[Version]:
    """What the store has held of a bucket, the oldest first; nothing where it is not known."""
    if not store.coverage(info.id).covers(bucket, info.grid.end(bucket)):
        return
    rows = store.read(info.id, bucket, bucket + 1).rows.candles()
    now = rows[0].numbers if rows else None
    revisions = list(reversed(store.revisions(info.id, bucket, bucket + 1)))
    held = [*(each.old for each in revisions), now]
    known = [each for each in store.arrivals(info.id, bucket, bucket + 1) if bucket in each.coverage]
    if known:
        yield Version(min(known[0].at, bucket + known[0].lag), known[0].source, False, held[0])
    else:
        yield Version(None, "", False, held[0])
    for revision, candle in zip(revisions, held[1:], strict=True):
        yield Version(revision.at, revision.source, True, candle)


def _sums(
    store: HistoryDatabase, infos: dict[SeriesId, SeriesInfo], series: SeriesId, start: int
) -> Iterator[_Sum]:
    """What each smaller timeframe that is stored adds up to."""
    from ...history.answer.derive import derive

    info = infos.get(series)
    grid = info.grid if info else series.timeframe.grid
    start = grid.floor(start)
    for key, child in infos.items():
        if key[:2] != series[:2] or key.timeframe.ms >= series.timeframe.ms or not child.grid.divides(grid):
            continue
        part = store.read(child.id, start, grid.end(start))
        known = sum(child.grid.count(*span) for span in part.coverage)
        rows = derive(part.rows, part.coverage, grid)[0].candles()
        parts = child.grid.count(start, grid.end(start))
        yield _Sum(key.timeframe.value, known, parts, rows[0].numbers if rows else None)


def _filled(config: Config) -> tuple[list[SeriesId], str]:
    """The series that are in Redis, and why it could not be asked."""
    try:
        with open_reader(config) as reader:
            return reader.series(), ""
    except RedisUnavailable as error:
        return [], error.message


def _named(symbol: str, there: set[SeriesId]) -> tuple[str, str]:
    known: dict[str, set[str]] = {}
    for venue, name, _ in there:
        known.setdefault(venue, set()).add(name)
    if found := find_symbol(symbol, known):
        return found
    near = near_names(symbol, known)
    hint = f"did you mean {' or '.join(near)}?" if near else "livecache history stats lists what is stored"
    raise UnknownSeries(f"{symbol}: neither Redis nor a history has anything of it", hint)


def _in_redis(config: Config, series: SeriesId, start: int) -> Bucket | None:
    with connect(config) as client:
        stored = read_stored(client, keyspace_of(config, series.venue), series, _MEMBERS_MOST)
    return next((bucket for bucket in stored.buckets if bucket.time == start), None)


# --- telling it


def _lines(
    versions: list[Version], sums: list[_Sum], hot: Bucket | None, trouble: str, *, history: bool
) -> Iterator[str]:
    for version in versions:
        when = "before that is kept" if version.at is None else iso(version.at)
        what = "revised" if version.revised else "known"
        yield f"  {when}  {what} {_by(version.source)}: {_shown(version.candle)}"
    if versions:
        yield "  so it is stored now; what the file covers is proven by the last of these"
    elif history:
        yield "  history: nobody has asked for it, or in vain: it is missing"
    else:
        yield "  history: this series is not stored"
    for one in sums:
        if one.known == one.parts:
            yield f"  its {one.parts:,} candles of {one.timeframe} add up to: {_shown(one.candle)}"
        else:
            yield f"  of its {one.parts:,} candles of {one.timeframe}, {one.known:,} are known"
    if hot is not None:
        yield f"  Redis: {hot.kind.value}" + (f", {_shown(hot.candle.numbers)}" if hot.candle else "")
    else:
        yield f"  Redis could not be asked: {trouble}" if trouble else "  Redis: it keeps nothing of it"


def _by(source: str) -> str:
    told = {
        "page": "by a page of the venue's",
        "feed": "by what the running service settled",
        "roll-up": "by the sum of smaller candles",
        "": "by what is not kept any more",
    }
    return told.get(source, f"by the file {source}")


def _shown(numbers: Numbers | None) -> str:
    if numbers is None:
        return "nothing was traded"
    names = ("open", "high", "low", "close", "volume")
    return ", ".join(f"{name} {number}" for name, number in zip(names, numbers, strict=True))


def _print_json(
    series: SeriesId, span: tuple[int, int], versions: list[Version], sums: list[_Sum], hot: Bucket | None
) -> None:
    venue, symbol, timeframe = series
    told = {
        "venue": venue,
        "symbol": symbol,
        "timeframe": timeframe.value,
        "start": span[0],
        "end": span[1],
        "versions": [asdict(version) for version in versions],
        "sums": [asdict(one) for one in sums],
        "redis": hot and {"kind": hot.kind.value, "candle": hot.candle and hot.candle.numbers},
    }
    print(json.dumps(told))
