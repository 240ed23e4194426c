"""Damage: what others did to our keys, counted and told. What follows from it is the writer's to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..model.series import SeriesId
from ..quiet import logger
from ..write.closes import CLOSES_KEPT
from ..write.stats import DamageStats
from .audit import SeriesFinding, SharedFindings

__all__ = ["DamageTeller"]


class DamageTeller:
    """Tells each finding once, in as few lines as there are rounds."""

    def __init__(self) -> None:
        self.stats = DamageStats()
        self._closes = 0

    def tell(self, findings: Sequence[SeriesFinding]) -> list[SeriesId]:
        """Tell what was found of series; those that must be rewritten."""
        limited = [finding.series for finding in findings if finding.what == "ttl"]
        if limited:
            self.stats.limits += len(limited)
            logger.bind(event="ttl_lifted", series=len(limited), first=str(limited[0])).warning(
                "Somebody had set a time limit on the keys of {} series, {} among them; it is lifted.",
                len(limited),
                limited[0],
            )
        damaged = {finding.series: finding.what for finding in findings if finding.what != "ttl"}
        if damaged:
            self.stats.series += len(damaged)
            what = ", ".join(f"{kind}: {count}" for kind, count in Counter(damaged.values()).items())
            first = str(next(iter(damaged)))
            logger.bind(event="cache_damaged", series=len(damaged), what=what, first=first).warning(
                "{} series are not in Redis as they were written ({}; {} for one); rewriting them.",
                len(damaged),
                what,
                first,
            )
        return list(damaged)

    def tell_shared(self, found: SharedFindings) -> None:
        """Tell what was found of the keys that all series share."""
        for key in found.limited:
            self.stats.limits += 1
            logger.bind(event="ttl_lifted", key=key).warning(
                "Somebody had set a time limit on {}; it is lifted.", key
            )
        if found.set_damaged:
            self.stats.announcements += 1
            logger.bind(event="series_set_damaged").warning(
                "The set of series is not what was announced; announcing it anew."
            )
        # The writer itself lets the stream grow to CLOSES_KEPT, and never below.
        removed = min(self._closes, CLOSES_KEPT) - found.closes
        self._closes = found.closes
        if removed > 0:
            self.stats.closes += removed
            logger.bind(event="closes_removed", entries=removed).warning(
                "Somebody removed {} entries from the stream of closes; these are not announced again.",
                removed,
            )

    def forget(self) -> None:
        """What was there in an earlier tenure is no measure for this one."""
        self._closes = 0
