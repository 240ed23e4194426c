"""One round of publishing: what has changed since the manifest was written, and then a new manifest.

Files are named by what is in them, and are never replaced. So the manifest that stands, an old one or the new
one, names whole files at any instant; a round that is cut off leaves files that no manifest names, and the
next one goes on from the old manifest. Two that publish at once write a manifest each: the later one stands,
as a whole.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from ...equities.action import Action
from ...equities.scale import text_of
from ...errors import DamagedBlock, HistoryChanged, HistoryError
from ...model.coverage import Coverage
from ..columns import Columns, Decimals
from ..files.writing import folder_of, parquet_of, span_of_year, year_of
from ..store import HistoryDatabase, SeriesInfo
from .manifest import FORMAT, MANIFEST, File, Manifest, Published, manifest_of
from .target import Target

__all__ = ["KEPT_MS", "ORPHANED_MS", "Publisher", "Round"]

KEPT_MS = 15 * 60_000
"""So long a file stays that a newer manifest does not name: whoever has read the older one still reads it."""

ORPHANED_MS = 86_400_000
"""So old is a file that no manifest has named before it is taken out: it may be of a round under way."""

_TRIES = 5
_EXACT = 10**15  # fewer digits than a double has
_ALWAYS = Coverage([(-(1 << 62), 1 << 62)])


@dataclass(slots=True)
class Round:
    """What a round has done."""

    series: int = 0
    changed: int = 0
    """Series of which the manifest tells something new."""
    candles: int = 0
    """In all files that the manifest names."""
    files: int = 0
    """That it names."""
    written: int = 0
    """Files."""
    bytes: int = 0
    """Of these."""
    removed: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Series that stay as they were published, each with why."""


class Publisher:
    """Publishes a store at a target. `source` names the store: revisions of another are nothing to go by."""

    def __init__(self, store: HistoryDatabase, target: Target, now: Callable[[], int], source: str) -> None:
        self._store, self._target, self._now, self._source = store, target, now, source
        self._there = dict[str, File]()
        self._round = Round()

    def publish(
        self,
        series: Sequence[SeriesInfo],
        *,
        everything: bool = False,
        sweep: bool = True,
        told: Callable[[SeriesInfo, int], None] = lambda _series, _files: None,
    ) -> Round:
        """Bring what is published of these series up to date; others stay as they are published.

        `everything` reads years that have not changed, too; `sweep` looks for files that nobody names. `told`
        hears of each series that has changed, and of how many files that made.

        Raises StoreUnusable for a target that cannot be used, and HistoryError where another publishes there.
        """
        with self._target.alone():
            raw = self._target.read(MANIFEST)
            before = manifest_of(raw, self._target.name)
            self._there, self._round = before.files, Round(len(series))
            named = {each.key: each for each in before.series}
            for info in series:
                key = (*info.key[:2], info.key.timeframe.value)
                old, files = named.get(key), self._round.written
                try:
                    new = self._published(info, None if everything else old)
                except (DamagedBlock, HistoryChanged) as error:
                    self._round.failed[str(info.key)] = str(error)
                    continue
                if new != old:
                    named[key] = new
                    self._round.changed += 1
                    told(info, self._round.written - files)
            self._finish(raw, before, tuple(named[key] for key in sorted(named)), sweep=sweep)
        return self._round

    def _published(self, info: SeriesInfo, before: Published | None) -> Published:
        """What is told of it from now on, once its files are there."""
        if before and (before.store != self._source or before.rev > info.rev):
            before = None
        if before and (before.rev, before.grid, before.listed) == (info.rev, info.grid_text, info.listed):
            return before
        for _ in range(_TRIES):
            splits = self._splits(info)
            published = self._read(info, before)
            if self._splits(info) == splits:
                return published
        raise HistoryChanged(
            f"{info.key}: splits are told of again and again while it is read", "publish it later"
        )

    def _read(self, info: SeriesInfo, before: Published | None) -> Published:
        store = self._store
        # In this order: what changes meanwhile is among `changes`, and has a larger revision the next time.
        info = store.info(info.id)
        coverage = store.coverage(info.id)
        stale = tuple(
            (each.start, each.end, text_of(each.ratio)) for each in store.version(info.id, 0, 1).scales
        )
        dirty, files = _ALWAYS, dict[int, File]()
        if before:
            dirty = coverage.without(before.known) | before.known.without(coverage)
            dirty |= Coverage(each[:2] for each in {*stale} ^ {*before.stale})
            dirty |= store.changes(info.id, before.rev)[1]
            files = {file.year: file for file in before.files}
        (stats,) = store.stats(info.id)
        if stats.first is None or stats.last is None:
            years = range(0)
        else:
            years = range(year_of(stats.first), year_of(stats.last) + 1)
        files = {year: file for year, file in files.items() if year in years}
        for year in years:
            span = span_of_year(year)
            if dirty.clip(*span):
                answer = store.read(info.id, *span)
                coverage = coverage.remove(*span) | answer.coverage
                files.pop(year, None)
                if len(answer.rows):
                    files[year] = self._file(info, year, answer.rows)
        return Published(
            *(*info.key[:2], info.key.timeframe.value),
            store=self._source,
            rev=info.rev,
            grid=info.grid_text,
            listed=info.listed,
            coverage=tuple((start, end) for start, end in coverage),
            stale=stale,
            files=tuple(files[year] for year in sorted(files)),
        )

    def _splits(self, info: SeriesInfo) -> list[Action]:
        return [each for each in self._store.actions(*info.key[:2]) if each.kind == "split"]

    def _file(self, info: SeriesInfo, year: int, rows: Columns) -> File:
        """The file of these rows, which is written unless it is there."""
        out = io.BytesIO()
        parquet_of(rows, out)
        content = out.getbuffer()
        name = f"candles-{hashlib.sha256(content).hexdigest()[:16]}.parquet"
        path = f"{folder_of(info, year)}/{name}"
        if path not in self._there:
            self._target.write(path, content)
            self._there[path] = File(
                *(path, year, len(rows), len(content), int(rows.time[0]), int(rows.time[-1])),
                exact=all(_short(numbers) for numbers in rows.numbers),
            )
            self._round.written += 1
            self._round.bytes += len(content)
        return self._there[path]

    def _finish(
        self, raw: bytes | None, before: Manifest, series: tuple[Published, ...], *, sweep: bool
    ) -> None:
        """The manifest, and then files go that it does not name any more."""
        now, done = self._now(), self._round
        manifest = Manifest(FORMAT, now, series)
        files = manifest.files
        done.files, done.candles = len(files), sum(file.rows for file in files.values())
        retired = {**dict.fromkeys(before.files, now), **before.retired}
        gone = [path for path, since in retired.items() if path not in files and since <= now - KEPT_MS]
        retired = {path: at for path, at in retired.items() if path not in files and path not in gone}
        if raw is None or gone or series != before.series:
            if self._target.read(MANIFEST) != raw:
                raise HistoryError(
                    f"another livecache has published to {self._target.name} meanwhile",
                    "what it wrote stands; the next run goes on from there",
                )
            self._target.write(MANIFEST, msgspec.structs.replace(manifest, retired=retired).encoded())
        if sweep:
            old = now - ORPHANED_MS
            known = files.keys() | retired.keys()
            gone += [path for path, at in self._target.found() if at < old and path not in known]
        self._target.delete(gone)
        done.removed = len(gone)


def _short(numbers: Decimals) -> bool:
    return not numbers.wide and int(np.abs(numbers.scaled).max(initial=0)) < _EXACT
