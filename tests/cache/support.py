"""What the cache's tests share: a series written by hand, and a source of changes that a test fills."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from livecache.model.candle import ExactCandle
from livecache.model.coverage import Coverage
from livecache.model.series import Change, Changes, Close, SeriesId, SeriesState, Update
from livecache.model.timeframe import Timeframe
from livecache.write.presence import Alive

__all__ = ["BTC", "ETH", "ORIGIN", "STEP", "T0", "Source", "SyncAdapter", "candle", "state", "until", "whole"]

BTC = SeriesId("coinbase", "BTC-USD", Timeframe.M5)
ETH = SeriesId("coinbase", "ETH-USD", Timeframe.M5)
STEP = Timeframe.M5.ms
T0 = 1_753_056_000_000  # 2025-07-21T00:00:00Z
ORIGIN = "https://api.coinbase.com"


def candle(n: int, close: str = "101.5", volume: str = "2.5") -> ExactCandle:
    """The candle of bucket `n` after T0."""
    return ExactCandle(T0 + n * STEP, "100.00", "110.0", "90", close, volume)


def state(first: int, settled: int, known: int, *, forming: int | None = None, **other: Any) -> SeriesState:
    """A ready state: contiguous from bucket `first`, settled and known up to the others, exclusive."""
    times = [T0 + n * STEP for n in (first, settled, known)]
    plain = SeriesState(
        ready=True,
        reason="",
        contiguous_from=times[0],
        settled_through=times[1],
        known_through=times[2],
        closed_through=times[2],
        coverage=Coverage([(times[0], times[1])]),
        history_from=0,
        forming=0 if forming is None else T0 + forming * STEP,
    )
    return replace(plain, **other)


def whole(series: SeriesId, buckets: Sequence[int], vouched: SeriesState, **other: Any) -> Change:
    """A change that writes these buckets and nothing else."""
    members: dict[int, ExactCandle | None] = {T0 + n * STEP: candle(n) for n in buckets}
    return msgspec.structs.replace(Change(series, True, members, 0, vouched), **other)


class SyncAdapter:
    """Lets a writer write through a synchronous client, such as fakeredis's."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def execute_command(self, *args: Any) -> Any:
        await asyncio.sleep(0)
        return self._client.execute_command(*args)


@dataclass
class Source:
    """Holds the truth about a few series, as a timeline does, and remembers what is not yet taken."""

    content: dict[SeriesId, Change] = field(default_factory=dict)
    changed: list[Change] = field(default_factory=list)
    closes: list[Close] = field(default_factory=list)
    vouch: Alive | None = field(
        default_factory=lambda: Alive(T0 + 100 * STEP, {"BTC-USD": "up", "ETH-USD": "up"})
    )
    breaks: int = 0
    rewrites: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def fill(self, change: Change) -> None:
        """Set the whole content of a series."""
        self.content[change.series] = change
        self.changed.append(change)
        self.wake.set()

    def change(
        self,
        series: SeriesId,
        members: dict[int, ExactCandle | None],
        vouched: SeriesState,
        *,
        keep_from: int = 0,
        updates: tuple[Update, ...] = (),
    ) -> None:
        """Change a few buckets of a series."""
        held = {**self.content[series].members, **members}
        kept: dict[int, ExactCandle | None] = {t: c for t, c in held.items() if c and t >= keep_from}
        self.content[series] = Change(series, True, kept, keep_from, vouched)
        self.changed.append(Change(series, False, members, keep_from, vouched, updates))
        self.wake.set()

    def take(self) -> Changes:
        """One change a series, as a timeline gives it, however often it was changed since the last call."""
        changes: dict[SeriesId, Change] = {}
        for change in self.changed:
            before = changes.get(change.series)
            if before is not None and not change.whole:
                members, updates = {**before.members, **change.members}, (*before.updates, *change.updates)
                change = msgspec.structs.replace(change, whole=before.whole, members=members, updates=updates)
            changes[change.series] = change
        taken = Changes(tuple(changes.values()), tuple(self.closes))
        self.changed, self.closes = [], []
        return taken

    def whole(self, series: Sequence[SeriesId]) -> Changes:
        self.rewrites += 1
        return Changes(tuple(self.content[s] for s in series if s in self.content))

    def held(self, series: SeriesId) -> Sequence[ExactCandle] | None:
        if any(change.series == series for change in self.changed) or series not in self.content:
            return None
        return [candle for candle in self.content[series].members.values() if candle]

    def sent(self) -> None:
        pass

    def alive(self) -> Alive | None:
        return self.vouch

    def feed_changes(self) -> int:
        return self.breaks

    def feed_status(self) -> Mapping[str, str]:
        return {"connected": "1"}


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for the condition to hold; fail when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
