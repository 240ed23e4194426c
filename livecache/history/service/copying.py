"""The seam: what the live service has settled is copied into the store, without a request.

A bucket that leaves the hot tier is in the store by then; one that left before it was copied, after a long
absence, is missing there, and filled as anything else. Needs numpy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ...engine.live import Live
from ...model.candle import ExactCandle
from ...model.coverage import Coverage
from ...model.grid import Grid
from ...model.series import SeriesId
from ..columns import Columns
from ..ordering import series_of
from ..scaling import apart
from ..store import NONE, HistoryStore
from ..thread import Blocking

if TYPE_CHECKING:
    from ...proof.track import Track

__all__ = ["Copier", "Difference", "Held", "difference"]

_AT_ONCE = 50  # series that are looked at before others have their turn
_FAR = 1 << 62


class Held(NamedTuple):
    """What the hot tier holds of a series that is settled, and told as such."""

    coverage: Coverage
    candles: Mapping[int, ExactCandle]


class Difference(NamedTuple):
    """What has changed: the rows of `covered`, which replace what was there; `lost` is known no more."""

    rows: list[ExactCandle]
    covered: Coverage
    lost: Coverage


def difference(before: Held, now: Held, grid: Grid) -> Difference:
    """What became known or differs, and what was taken back; what the hot tier has let go is neither."""
    known = now.coverage
    covered = known.without(before.coverage)
    if now.candles != before.candles:
        differ = [t for t in {**before.candles, **now.candles} if before.candles.get(t) != now.candles.get(t)]
        revised = [(grid.end_before(t), grid.end(t)) for t in differ if t in known and t not in covered]
        covered = Coverage((*covered.spans, *revised))
    rows = [now.candles[t] for t in sorted(now.candles) if t in covered] if covered else []
    oldest = known.spans[0].start if known else _FAR
    return Difference(rows, covered, before.coverage.clip(oldest, _FAR).without(known))


class Copier:
    """Copies one venue's series. `copied` counts candles that were new in the store, or differed there.

    What a split has rescaled is copied only once the store has heard of that: till then its symbol is
    `unheard`, and `heed` is called once.
    """

    def __init__(
        self, live: Live, store: HistoryStore, thread: Blocking, heed: Callable[[], None] = lambda: None
    ) -> None:
        self.copied = 0
        self.unheard: set[str] = set()
        self._heed = heed
        self._live, self._store, self._thread = live, store, thread
        self._saved: dict[SeriesId, Held] = {}
        self._turn = asyncio.Lock()

    @property
    def oldest(self) -> dict[SeriesId, int]:
        """Since when the live service looks after each series: what lies before may be asked for."""
        return {s: held.coverage.spans[0].start for s, held in self._saved.items() if held.coverage}

    def forget(self) -> None:
        """The store may lack what was copied: the next time all is copied again."""
        self._saved.clear()

    async def copy(self) -> None:
        """Copy what has changed since the last time."""
        async with self._turn:
            await self._copy()

    async def _copy(self) -> None:
        tracks = self._live.configured()
        for number, track in enumerate(tracks):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            before = self._saved.get(track.series)
            if before is not None and _proven(track) == before.coverage and _same(track, before):
                continue
            now = _held(track)
            if await self._store_it(track.series, difference(before or Held(NONE, {}), now, track.grid)):
                self._saved[track.series] = now
                self.unheard.discard(track.series.symbol)
            elif track.series.symbol not in self.unheard:
                self.unheard.add(track.series.symbol)
                self._heed()
        there = {track.series for track in tracks}
        self._saved = {series: held for series, held in self._saved.items() if series in there}

    async def _store_it(self, series: SeriesId, found: Difference) -> bool:
        """Whether it is stored."""
        store, traits = self._store, self._live.timeline.traits

        def work() -> int | None:
            number = series_of(store, series, traits).id
            if found.lost:
                store.uncover(number, found.lost)
            if not found.covered:
                return 0
            rows = Columns.of(found.rows)
            if traits.finals and len(rows):
                held = store.read(number, int(rows.time[0]), int(rows.time[-1]) + 1)
                if apart(rows, held.rows):
                    return None
            done = store.commit(number, rows, found.covered, replace=found.covered, source="feed")
            return done.inserted + done.revised

        if found.covered or found.lost:
            if (copied := await self._thread(work)) is None:
                return False
            self.copied += copied
        return True


def _same(track: Track, before: Held) -> bool:
    return track.settled == before.candles if not track.likely else _held(track).candles == before.candles


def _held(track: Track) -> Held:
    return Held(_proven(track), {t: row for t, row in track.settled.items() if t not in track.likely})


def _proven(track: Track) -> Coverage:
    """What is settled, with the closed hours before the oldest bucket: no page brings these by themselves."""
    grid = track.grid
    return Coverage((grid.end_before(grid.ceil(start)), end) for start, end in track.proven())
