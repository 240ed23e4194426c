"""Years are filled beside a live service, while everything that can go wrong with old pages does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from livecache.history.columns import Columns
from livecache.history.ordering import wants_of
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import JobState
from livecache.history.tally import Tally
from livecache.history.thread import Healing
from livecache.history.worker import Worker
from livecache.model.coverage import Span
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.simulator import Product, ScriptedFaults
from livecache.simulator.face import kind_of
from livecache.simulator.trouble import script as faults
from tests.sizes import some

from .place import START, Simulated
from .service import Running
from .virtual import VirtualClock, run_virtually

T = TypeVar("T")
M1, M5, H1, D1 = Timeframe.M1, Timeframe.M5, Timeframe.H1, Timeframe.D1
YEARS_MS = 3_652 * D1.ms
PRODUCTS = (
    Product.parse("BTC-USD")._replace(listed_ms=START - YEARS_MS + 90 * D1.ms),
    Product.parse("GRT-USD")._replace(listed_ms=START - 400 * D1.ms),
)
HALTS = tuple(
    ((START - days * D1.ms) // M1.ms * M1.ms, (START - days * D1.ms) // M1.ms * M1.ms + hours * H1.ms)
    for days, hours in ((1_500, 65), (300, 5), (90, 30))
)
KINDS = ("coinbase", "binance", "deribit")
_BUCKETS = 100_000


def troubles(lasts: float) -> Sequence[faults.Fault]:
    """All of them, until so many seconds from the start on."""
    often: Any = {"lasts": lasts, "share": 0.03}
    return (
        faults.EmptyPage(**often),
        faults.ShortPage(keep=70 / 300, **often),
        faults.HttpError(status=500, **often),
        faults.Reset(**often),
        faults.Hang(at=lasts * 0.1, seconds=9.0),
        faults.Hang(seconds=9.0, lasts=lasts, share=0.01),
        faults.HttpError(status=429, retry_after=2, lasts=lasts, share=0.01),
        faults.HttpError(at=lasts * 0.2, status=418, retry_after=60, lasts=60.0),
        faults.HttpError(at=lasts * 0.4, status=503, lasts=lasts * 0.2, least=100),
        faults.HttpError(at=lasts * 0.7, status=504, lasts=lasts * 0.1, least=40),
        *(faults.Revision(at=lasts * 0.1 * n, back=7_000 * n + 200) for n in range(1, 9)),
    )  # fmt: skip


async def inline(work: Callable[[], T]) -> T:
    """The store's work takes no virtual time."""
    return work()


class Filled:
    """A store, and years that are wanted in it of one place."""

    def __init__(self, place: Simulated, store: SqliteHistory) -> None:
        self.place, self.store = place, store
        self.tally = Tally(place.clock.monotonic, lambda series: 1_000)

    def want(self, running: Running, timeframe: Timeframe, days: int, *, force: bool = False) -> Span:
        """The last so many days of every symbol."""
        span = Span(START - days * D1.ms, START - D1.ms)
        traits = running.venue.traits
        wants = wants_of(
            self.store, running.venue.name, traits, self.place.symbols, [timeframe], span, force=force
        )
        self.store.submit(wants)
        grid = traits.grid(timeframe)
        return Span(grid.ceil(span.start), grid.closed(span.end))

    async def fill(self, running: Running) -> None:
        """Until nothing is left."""
        worker = Worker(
            self.store, Healing(inline, self.store), running.venue, running.engine.limiter, self.place.clock,
            name="worker", watch=self.tally,
        )  # fmt: skip
        await worker.run(once=True)
        for line in self.tally.lines.values():
            assert line.state == JobState.SUCCEEDED, line

    def equals_the_market(self, venue: str, timeframe: Timeframe, span: Span) -> None:
        """Each row is as the market tells of it now, or as it did before it was revised."""
        whole = timeframe.ms * _BUCKETS
        for symbol in self.place.symbols:
            series = self.store.series(SeriesId(venue, symbol, timeframe))
            assert series
            assert self.store.coverage(series.id).covers(*span), (symbol, timeframe)
            assert self.store.read(series.id, *span).rows, (symbol, timeframe)
            for start in range(span.start, span.end, whole):
                part = start, min(start + whole, span.end)
                now, before = (
                    Columns.of(row for row in told if not row.flat)
                    for told in self.place.told(symbol, timeframe, *part)
                )
                held = self.store.read(series.id, *part).rows
                assert held.time.tolist() == now.time.tolist(), (symbol, timeframe)
                versions = zip(held.numbers, now.numbers, before.numbers, strict=True)
                for mine, one, two in versions:
                    assert not (mine.differ(one) & mine.differ(two)).any(), (symbol, timeframe, part)
        assert list(self.store.verify()) == []


def beside_a_live_service(
    kind: str, url: str, path: Path, *, seconds: float, wanted: Sequence[tuple[Timeframe, int]]
) -> None:
    """Fill while a service lives, and compare all of it, the service as well."""

    async def main() -> None:
        clock = VirtualClock(START / 1000)
        script = faults.FaultScript(3, tuple(troubles(seconds * 0.8)))
        trouble = ScriptedFaults(script, host_clock=clock, refusing=kind_of(kind).refusing)
        place = Simulated(kind, PRODUCTS, trouble, halts=HALTS, update_ms=10_000, trades_ms=10_000)
        store = SqliteHistory.open(path / "history.db", lambda: int(clock.wall() * 1000))
        with closing(store):
            async with place.listening(), place.run(url, (M5, H1, D1)) as running:
                await running.warm()
                filled = Filled(place, store)
                spans = [(each, filled.want(running, each, days)) for each, days in wanted]
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(filled.fill(running))
                    tasks.create_task(lived(place, running, seconds))
                await asyncio.sleep(2)  # Redis goes by real time: what vouches is told anew
                place.forget()
                place.converged(running)
            for timeframe, span in spans:
                filled.equals_the_market(running.venue.name, timeframe, span)
        struck = {kind.partition(" ")[0] for kind in trouble.counts}
        assert struck >= {"empty_page", "short_page", "http_error", "reset", "hang", "revision"}

    run_virtually(main())


async def lived(place: Simulated, running: Running, seconds: float) -> None:
    """Let time pass; what is settled is what the market told, before it was revised or since."""
    for _ in range(int(seconds // 100)):
        await asyncio.sleep(100)
        place.forget()
        place.audit(running)


@pytest.mark.takes(20)
@pytest.mark.parametrize("kind", some(KINDS, "coinbase"))
def test_years_are_filled_through_all_trouble_beside_a_live_service(
    kind: str, clean_valkey: str, tmp_path: Path
) -> None:
    wanted = (D1, 3_652), (H1, 300), (M1, 5)
    beside_a_live_service(kind, clean_valkey, tmp_path, seconds=900.0, wanted=wanted)


@pytest.mark.long
@pytest.mark.takes(900)
@pytest.mark.parametrize("kind", KINDS)
def test_ten_years_of_minutes_are_filled_through_all_trouble_beside_a_live_service(
    kind: str, clean_valkey: str, tmp_path: Path
) -> None:
    wanted = (D1, 3_652), (H1, 3_652), (M1, 3_652)
    beside_a_live_service(kind, clean_valkey, tmp_path, seconds=7_200.0, wanted=wanted)
