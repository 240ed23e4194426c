"""`livecache import`: candles of other people's files into the history, as far as they prove anything."""

from __future__ import annotations

import json
import os
import random
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...clock import SystemClock
from ...config.schema import Config
from ...errors import ConfigError, LivecacheError
from ...model.series import SeriesId
from ...model.timeframe import Timeframe, iso
from ...venues.registry import KINDS, build, settings_named
from ..history.chosen import print_table
from ..history.opened import Place, open_history
from .interrupted import goes_on

if TYPE_CHECKING:
    from ...history.files.candles import Kept
    from ...history.store import HistoryDatabase, SeriesInfo
    from ...model.traits import Traits

__all__ = ["Wanted", "import_files"]

_VENUE = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_ROWS_A_COMMIT = 100_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is said of the files."""

    venue: str | None
    symbol: str | None
    timeframe: str | None
    complete: bool
    digits: int | None
    force: bool


@dataclass(slots=True)
class _Line:
    """What became of one file."""

    file: str
    series: str = ""
    rows: int = 0
    inserted: int = 0
    same: int = 0
    differ: int = 0
    """Rows that say otherwise than what is stored, and change nothing."""
    revised: int = 0
    rejected: int = 0
    repeated: int = 0
    first: int | None = None
    last: int | None = None
    notes: tuple[str, ...] = ()
    error: str = ""


def import_files(
    config: Config, place: Place, files: Sequence[Path], wanted: Wanted, *, as_json: bool
) -> int:
    """Import them one by one, and print a line each; 1 if one could not be read. Raises StoreUnusable."""
    venue = _venue(config, wanted.venue)
    lines = []
    again = goes_on("the same command again takes what is not stored yet")
    with again, open_history(place, writes=True, create=True) as store:
        traits = _traits(config, venue)
        for file in _each(files):
            line = _Line(file.name)
            try:
                _import(store, file, venue, traits, wanted, line)
            except (LivecacheError, ModuleNotFoundError, OSError) as error:
                line.error = str(error)
            lines.append(line)
            if not as_json:
                _tell(line)
    if as_json:
        print(json.dumps({"files": [asdict(line) for line in lines]}))
    elif lines:
        _print(lines)
    return 1 if any(line.error for line in lines) else 0


def _venue(config: Config, named: str | None) -> str:
    if named is None and len(config.venues) == 1:
        return next(iter(config.venues))
    if named is None:
        raise ConfigError("nothing says of which venue the candles are", "say --venue")
    if not _VENUE.fullmatch(named):
        raise ConfigError(f"--venue {named[:40]!r} is no venue's id", "small letters, digits and dashes")
    return named


def _traits(config: Config, venue: str) -> Traits | None:
    """What the venue is like, for where its buckets lie; None for one that nobody knows."""
    if venue not in config.venues and venue not in KINDS:
        return None
    settings = settings_named(venue, config.venues)
    clock = SystemClock()
    built = build(venue, settings, environ=os.environ, now=lambda: None, clock=clock, jitter=random.random)
    return built.traits


def _each(files: Iterable[Path]) -> Iterator[Path]:
    """The files, of a directory all that are in it."""
    for file in files:
        if file.is_dir():
            yield from sorted(each for each in file.iterdir() if each.suffix != ".CHECKSUM")
        else:
            yield file


def _import(
    store: HistoryDatabase, file: Path, venue: str, traits: Traits | None, wanted: Wanted, line: _Line
) -> None:
    from ...history.files.candles import gathered
    from ...history.files.reading import digest_of, source_of
    from ...history.records.log import LogEntry

    timeframe = None if wanted.timeframe is None else Timeframe.parse(wanted.timeframe)
    source = source_of(file, wanted.symbol, timeframe, wanted.digits)
    if source.symbol is None or source.timeframe is None:
        lacks = "symbol" if source.symbol is None else "timeframe"
        raise ConfigError(f"{file.name} does not say of which {lacks} it is", f"say --{lacks}")
    info = _series(store, SeriesId(venue, source.symbol, source.timeframe), traits)
    line.series = f"{venue}:{source.symbol} {source.timeframe}"
    now = int(SystemClock().wall() * 1000)
    kept = gathered(
        source.parts(),
        source.timeframe,
        info.grid,
        whole=source.whole,
        complete=wanted.complete,
        now=now,
        written=int(file.stat().st_mtime * 1000),
    )
    line.rows, line.rejected, line.repeated = len(kept.rows), kept.rejected, kept.repeated
    line.notes = (*source.notes, *kept.why)
    if len(kept.rows):
        line.first, line.last = int(kept.rows.time[0]), int(kept.rows.time[-1])
    _store(store, info, kept, file.name, line, force=wanted.force)
    told = asdict(line) | {"sha256": digest_of(file)}
    message = f"{file.name}: {line.inserted:,} candles new, {line.rejected:,} rows rejected"
    store.log([LogEntry(now, "INFO", "imported", message, series=info.id, detail=json.dumps(told))])


def _series(store: HistoryDatabase, key: SeriesId, traits: Traits | None) -> SeriesInfo:
    from ...history.ordering import series_of

    if traits is not None:
        for own in traits.grids:  # whoever adds up to it has to know where its buckets open
            series_of(store, key._replace(timeframe=own), traits)
        return series_of(store, key, traits)
    made = store.series(key, create=True)
    assert made is not None
    return made


def _store(
    store: HistoryDatabase, info: SeriesInfo, kept: Kept, name: str, line: _Line, *, force: bool
) -> None:
    """Take what nobody knew; with `force` the rest, too."""
    from ...history.columns import merge, within
    from ...history.files.candles import slices

    known = store.coverage(info.id)
    for rows, covered in slices(kept, _ROWS_A_COMMIT):
        fresh = covered if force else covered.without(known)
        new = within(rows.time, fresh)
        if fresh:
            done = store.commit(info.id, rows.take(new), fresh, source=name)
            line.inserted += done.inserted
            line.same += done.same
            line.revised += done.revised
        if not new.all():
            old = rows.take(~new)
            stored = store.read(info.id, int(old.time[0]), int(old.time[-1]) + 1).rows
            merged = merge(stored, old)
            differ = len(merged.inserted) + len(merged.changed)
            line.differ += differ
            line.same += len(old) - differ


def _tell(line: _Line) -> None:
    """What was guessed, and what is wrong with it, on stderr."""
    for note in line.notes:
        print(f"{line.file}: {note}", file=sys.stderr)
    if line.differ:
        print(
            f"{line.file}: {line.differ:,} candles are stored otherwise, and stay so; --force takes these",
            file=sys.stderr,
        )
    if line.error:
        print(f"{line.file}: not imported: {line.error}", file=sys.stderr)


def _print(lines: Sequence[_Line]) -> None:
    print_table(
        ("FILE", "SERIES", "FROM", "LAST", "ROWS", "NEW", "SAME", "DIFFER", "REVISED", "REJECTED"),
        [
            (
                line.file,
                line.series or "-",
                *("-" if at is None else iso(at) for at in (line.first, line.last)),
                *(f"{n:,}" for n in (line.rows, line.inserted, line.same, line.differ)),
                *(f"{n:,}" for n in (line.revised, line.rejected)),
            )
            for line in lines
        ],
    )
    failed = sum(bool(line.error) for line in lines)
    new = sum(line.inserted for line in lines)
    print(f"{len(lines) - failed} of {len(lines)} files imported, {new:,} candles new")
