"""What was really traded at the simulated exchange, and what a client has to know of it by some time."""

from __future__ import annotations

from dataclasses import dataclass

from ...equities.action import Action
from ...model.candle import ExactCandle
from ...model.timeframe import Timeframe
from ..clock import MarketClock
from .chart import Chart, Window

__all__ = ["Truth"]


@dataclass(frozen=True)
class Truth:
    """Told from the market, past limits and all that spoils a page. All times are Unix ms.

    `now` is when the exchange was asked, the market's own time if it is left out: rows are adjusted for the
    splits up to then, as it tells them.
    """

    _chart: Chart
    _clock: MarketClock
    _lag_ms: int

    def settled(
        self, symbol: str, timeframe: Timeframe, start: int, end: int, now: int | None = None
    ) -> list[ExactCandle]:
        """The rows of the buckets that open in `[start, end)` and are final: the next session has opened."""
        window = self._window(symbol, timeframe, start, end, now)
        return self._chart.candles(window._replace(end=min(end, self.final_through(now))))

    def provisional(
        self, symbol: str, timeframe: Timeframe, start: int, end: int, now: int | None = None
    ) -> list[ExactCandle]:
        """The rows of those that are over, and not final yet."""
        window = self._window(symbol, timeframe, start, end, now)
        grid = self._chart.shares.calendar.grid(timeframe)
        rows = self._chart.candles(window._replace(start=max(start, self.final_through(now))))
        return [row for row in rows if grid.end(row.time) <= window.seen]

    def final_through(self, now: int | None = None) -> int:
        """What opens before is final: when the newest session opened that the exchange shows."""
        return self._chart.shares.calendar.sessions.floor(self._seen(now))

    def absent(
        self, symbol: str, timeframe: Timeframe, start: int, end: int, now: int | None = None
    ) -> list[int]:
        """The final buckets since its listing that the calendar expects and in which nothing was traded."""
        start = max(start, self.listed(symbol))
        traded = {row.time for row in self.settled(symbol, timeframe, start, end, now)}
        opens = self._chart.shares.calendar.grid(timeframe).opens(start, min(end, self.final_through(now)))
        return [time for time in opens if time not in traded]

    def actions(self, symbol: str, start: int, end: int, now: int | None = None) -> list[Action]:
        """Splits and dividends of the sessions that open in `[start, end)`, oldest first."""
        return self._chart.actions(self._window(symbol, Timeframe.D1, start, end, now))

    def adjusted(self, symbol: str, start: int, end: int, now: int | None = None) -> dict[int, float]:
        """The closes of days without what was paid since, by the days' opens."""
        window = self._window(symbol, Timeframe.D1, start, end, now)
        rows = self._chart.candles(window)
        return dict(zip([row.time for row in rows], self._chart.adjusted(window, rows), strict=True))

    def sessions(self, start: int, end: int) -> list[tuple[int, int]]:
        """When the exchange was open, of those sessions that open in `[start, end)`."""
        shares = self._chart.shares
        grid = shares.calendar.sessions
        return [(o, grid.end(o)) for o in grid.opens(start, end) if shares.held(shares.session(o))]

    def listed(self, symbol: str) -> int:
        """When its first session opened."""
        return self._chart.shares.listed(symbol)

    def _window(self, symbol: str, timeframe: Timeframe, start: int, end: int, now: int | None) -> Window:
        return Window(self._chart.shares.share(symbol).symbol, timeframe, start, end, self._seen(now))

    def _seen(self, now: int | None) -> int:
        return (self._clock.now() if now is None else now) - self._lag_ms
