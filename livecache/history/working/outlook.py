"""What there is to do for a job. It blocks: it belongs in the store's thread."""

from __future__ import annotations

from typing import NamedTuple

from ...model.coverage import Coverage
from ...model.traits import Traits
from ..coarse import Coarse, coarse_of
from ..columns import Columns
from ..store import NONE, PRIORITY_READ, HistoryDatabase, Job, SeriesInfo

__all__ = ["Outlook", "outlook"]


class Outlook(NamedTuple):
    """What is missing of a series, of which so much is worth asking for."""

    series: SeriesInfo
    missing: Coverage
    coarse: Coarse | None
    left: Coverage


def outlook(database: HistoryDatabase, traits: Traits, job: Job) -> Outlook | None:
    """What days prove empty is committed; None while another job will tell of days, or of a split.

    One that a reader waits for does not wait for the days.
    """
    if traits.finals and database.later(job.id):
        return None
    series = database.info(job.want.series)
    missing, coarse = database.missing(job.id), None
    day = coarse_of(series.key.timeframe, traits)
    if day is not None and (bigger := database.series(series.key._replace(timeframe=day))):
        coarse = Coarse(database, bigger, traits.grid(day))
        if job.want.priority > PRIORITY_READ and database.busy(bigger.id):
            return None
    left = missing if coarse is None else coarse.unseen(missing)
    if empty := missing.without(left):
        replace = empty if job.want.force else NONE
        database.commit(series.id, Columns.of(()), empty, replace=replace, lease=job.lease, source="roll-up")
    return Outlook(series, missing, coarse, left)
