"""A pure venue for the timeline: every bucket trades, pages are answered at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Literal

from livecache.ledger.timeline import Timeline
from livecache.model.candle import ExactCandle
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Carriage, Served
from livecache.proof.evidence import PageFacts
from livecache.proof.plan import Priority, Want, plan
from livecache.venues.coinbase.traits import TRAITS

__all__ = ["SYMBOL", "Driver", "candle"]

SYMBOL = "BTC-USD"


def candle(time: int, volume: str = "1") -> ExactCandle:
    return ExactCandle(time, "10", "11", "9", "10.5", volume)


class Driver:
    """One symbol's timeline, fed with pages as the plan asks for them."""

    def __init__(
        self,
        timeframes: Sequence[Timeframe],
        now: int,
        *,
        policy: Policy | None = None,
        trades: Callable[[Timeframe, int], bool] = lambda timeframe, time: True,
        page_limit: int = 330,
        unserved: Collection[Timeframe] = (),
        carries: tuple[Carriage, ...] = TRAITS.carries,
        empty: Literal["absent", "flat"] = "absent",
        sums_below: Timeframe | None = None,
        order: Literal["volume", "stamp"] = "volume",
        reach: int = 0,
    ) -> None:
        served = {t: Served(page_limit, reach=reach) for t in Timeframe if t not in unserved}
        traits = replace(
            TRAITS, served=served, carries=carries, empty=empty, sums_below=sums_below, order=order
        )
        self.timeline = Timeline("coinbase", [SYMBOL], timeframes, policy or Policy(), traits)
        self.symbol = self.timeline.symbols[SYMBOL]
        self.now = now
        self.trades = trades
        self.asked: list[Want] = []
        self.revised: dict[tuple[Timeframe, int], int] = {}  # volumes that the venue has changed

    @property
    def page_limit(self) -> int:
        return self.timeline.traits.page(Timeframe.M5)

    @page_limit.setter
    def page_limit(self, most: int) -> None:
        self.timeline.learn(self.timeline.traits.paged(most))

    def wants(self) -> list[Want]:
        return sorted(
            plan(
                self.symbol.tracks,
                self.timeline.children,
                now=self.now,
                in_flight={},
            )
        )

    def answer(self, want: Want, *, heard: int | None = None) -> None:
        """Give the page that was asked for, the bucket in progress included."""
        self.asked.append(want)
        step = want.timeframe.ms
        # A bigger bucket trades if any of its 5m do; its volume is their number, so that roll-ups agree.
        rows = {}
        for time in range(want.start, want.end, step):
            if time <= self.now and (count := self._volume(want.timeframe, time)):
                rows[time] = candle(time, str(count))
        facts = PageFacts(want.start, want.end, rows, self.now if heard is None else heard)
        if want.witness is not None:
            self.timeline.apply_witness(SYMBOL, want.witness, want.timeframe, facts, self.now)
        else:
            self.timeline.apply_page(SYMBOL, want.timeframe, facts, self.now)

    def _volume(self, timeframe: Timeframe, time: int) -> float:
        if (timeframe, time) in self.revised:
            return self.revised[timeframe, time]
        width = min(timeframe.ms, Timeframe.M5.ms)
        return sum(self.trades(timeframe, t) for t in range(time, time + timeframe.ms, width))

    def fill(self, *priorities: Priority, most: int = 50) -> int:
        """Answer wants of these priorities (all if none are named) until there are none; how many it took."""
        before = len(self.asked)
        while len(self.asked) - before < most:
            wants = [w for w in self.wants() if not priorities or w.priority in priorities]
            if not wants:
                return len(self.asked) - before
            self.answer(wants[0])
        raise AssertionError(f"the plan never ends: {self.asked[-3:]}")

    def settled(self, timeframe: Timeframe) -> int:
        run = self.symbol.tracks[timeframe].newest_settled_run()
        return run[1] if run else 0
