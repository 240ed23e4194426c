"""The repair desk: orders to have a span read again, and how far that is."""

from __future__ import annotations

from ..errors import RepairNotNow
from ..ledger.repair import RepairPlan, order_repair, pages_waiting
from ..model.timeframe import Timeframe, iso
from ..quiet import logger
from .live import Live
from .schedule import Schedule

__all__ = ["RepairDesk"]


class RepairDesk:
    """Takes orders, which the schedule serves."""

    def __init__(self, live: Live, schedule: Schedule) -> None:
        self._live = live
        self._schedule = schedule

    def order(self, symbol: str, timeframe: Timeframe, start: int | None, end: int | None) -> RepairPlan:
        """Have a span read again, `[start, end)` in Unix ms; without one of them, as far as is kept.

        What is settled stays served meanwhile. Raises `UnknownSeries`, `RepairRefused` or `RepairNotNow`.
        """
        live = self._live
        if not live.serving:
            raise RepairNotNow("this instance does not write yet", "it is starting, or another one writes")
        plan = order_repair(
            live.timeline,
            symbol,
            timeframe,
            start,
            end,
            now=live.time.heard,
        )
        logger.bind(
            event="repair_ordered",
            symbol=symbol,
            timeframe=str(timeframe),
            pages=plan.pages,
            waiting=plan.waiting,
        ).info(f"{symbol} {timeframe} is read again from {iso(plan.start)} to {iso(plan.end)}")
        self._schedule.hurry(symbol, live.timeline.symbols[symbol].sources[timeframe])
        live.due.set()
        live.changed.set()
        return plan

    def left(self, symbol: str, timeframe: Timeframe) -> int:
        """How many pages of this series' repair are still to be read. Raises `UnknownSeries`."""
        return pages_waiting(self._live.timeline, (symbol, timeframe))
