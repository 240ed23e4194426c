"""`GET /api/v1/series`: how every series stands, looked at once a second at most, however many ask."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial

from msgspec import UNSET

from ...clock import Clock
from ...config.render import redact
from ...errors import OutsideCalendar
from ...keys.keyspace import Damaged, decode_member
from ...model.series import SeriesId
from ...read.reading import SeriesView, trips
from ...read.standing import row_of
from ..shapes.series import SeriesAnswer, SeriesRow, VenueRow
from ..source import Source, Way
from ..watch.lookout import LOOK_AGAIN_MOST_S, LOOK_AGAIN_S, side_by_side
from .kept import Kept

__all__ = ["PATH", "row", "table", "time_of"]

PATH = "/api/v1/series"


def table(source: Source, clock: Clock) -> Kept[SeriesAnswer]:
    """The handler, and what it saw last."""
    return Kept(source, clock, partial(_read, source), least_s=LOOK_AGAIN_S, most_s=LOOK_AGAIN_MOST_S)


async def _read(source: Source, way: Way) -> SeriesAnswer:
    async def look(venue: str) -> tuple[int, list[SeriesRow]]:
        async def trip(series: Sequence[SeriesId]) -> tuple[int, list[SeriesRow]]:
            views = await way.link.drive(way.core.views(series))
            return time_of(views), [*map(row, views)]

        # By round trips: in between the feed and the writer have their turn.
        seen = await side_by_side(trip, [*trips(await way.link.drive(way.core.series_at(venue)))])
        return max((time for time, _ in seen), default=0), [one for _, rows in seen for one in rows]

    found, wrong = await way.of_each(look)
    rows = [one for _, some in found.values() for one in some]
    (venue, *more), venues = way.venues, list[VenueRow]()
    for one in way.venues if more else ():
        trouble = source.trouble(one) or (wrong[one].message if one in wrong else "")
        venues.append(VenueRow(venue=one, time=found[one][0] if one in found else 0, trouble=redact(trouble)))
    return SeriesAnswer(
        venue="" if more else venue,
        venues=venues or UNSET,
        time=max(time for time, _ in found.values()),
        total=len(rows),
        ready=sum(one.state == "ready" for one in rows),
        series=rows,
    )


def time_of(views: list[SeriesView]) -> int:
    """The venue's clock at the last sign of life in these, Unix ms; 0 without one."""
    return max((view.alive.time for view in views if view.alive), default=0)


def row(view: SeriesView) -> SeriesRow:
    """A series as the API tells of it."""
    seen, stored = row_of(view), view.record.state if view.record else None
    last = None
    with contextlib.suppress(Damaged, OutsideCalendar):  # It shows no price; readers tell of the damage.
        grid = stored.grid_of(view.series.timeframe) if stored else None
        last = decode_member(view.newest, view.series.timeframe, grid) if view.newest else None
    return SeriesRow(
        venue=view.series.venue,
        symbol=view.series.symbol,
        timeframe=view.series.timeframe.value,
        state=seen.state,  # type: ignore[arg-type]
        reason=seen.reason,
        feed=seen.feed,  # type: ignore[arg-type]
        candles=seen.count,
        contiguous_from=stored.contiguous_from if stored else 0,
        settled_through=seen.settled_through,
        known_through=stored.known_through if stored else 0,
        closed_through=stored.closed_through if stored else 0,
        lag_ms=seen.lag_ms,
        last=float(last.close) if last else None,
        last_time=last.time if last else None,
    )
