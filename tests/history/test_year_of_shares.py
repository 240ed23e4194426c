"""A year of days of the S&P 500 from the simulated Yahoo, as `livecache history fill` fetches it.

By `-m long` it is all 500, and in the suite a few of each sort.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import pytest

from livecache.commands.history.fill import Filling, Wanted
from livecache.config.schema import Config
from livecache.equities.calendar import Calendar, calendar_named
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Answer
from livecache.history.tally import Line
from livecache.model.candle import ExactCandle
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe, iso
from livecache.reader.reader import Reader
from livecache.simulator import MarketClock, Simulator
from livecache.simulator.trouble.faults import RequestRecord
from livecache.simulator.yahoo.faults import YahooFaults
from livecache.simulator.yahoo.market import ShareMarket
from livecache.simulator.yahoo.shares import PECULIAR, Share, default_shares
from livecache.simulator.yahoo.truth import Truth
from livecache.venues.yahoo.settings import YahooSettings
from tests.simulation.virtual import VirtualClock, run_virtually


def calendar_of(name: str) -> Calendar:
    found = calendar_named(name)
    assert found is not None
    return found


D1 = Timeframe.D1
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
EVENING = 1_784_152_800_000  # 2026-07-15, 18:00 in New York: Wednesday's session is over, and not final
NEW_YORK = calendar_of("XNYS")
GRID = NEW_YORK.grid(D1)
UNKNOWN = ("AAPPL", "ZZZZ", "NOPE", "QQQQQ", "XXXXX")
ABSENT = date(2026, 5, 20)  # the exchange was closed that day, and no calendar knew
_T = TypeVar("_T")


async def inline(work: Callable[[], _T]) -> _T:
    """A store's thread, which takes no time."""
    return work()


@dataclass
class Market:
    """The exchange, from the evening on, and the file that is filled from it."""

    folder: Path
    usual: int
    now: int = EVENING
    more: Sequence[Share] = ()
    fetched: dict[str, int] = field(default_factory=dict)
    """How often each symbol was asked for in the last fill."""
    refused: int = 0
    took_s: float = 0.0
    truth: Truth | None = None
    faults: YahooFaults | None = None
    asked: Sequence[RequestRecord] = ()

    def __post_init__(self) -> None:
        shares = default_shares(EVENING, NEW_YORK.days)
        usual = [share for share in shares if share.symbol not in PECULIAR and share.symbol != "NEW"]
        self.shares = [*usual[: self.usual], *(s for s in shares if s not in usual), *self.more]
        self.names = [s.symbol for s in self.shares if s.symbol not in ("NEW", "OLD")]

    def fill(
        self, symbols: Sequence[str], *, days: int = 365, force: bool = False, until_s: float | None = None
    ) -> list[Line]:
        """Fill, or be stopped after so many seconds; what became of each symbol."""

        async def main() -> list[Line]:
            clock = VirtualClock(self.now / 1000)
            time = MarketClock(self.now, 1.0, clock.monotonic)
            market = ShareMarket(NEW_YORK, self.shares, closed=[ABSENT])
            async with Simulator(
                market,
                clock=time,
                venue="yahoo",
                host_clock=clock,
                requests_per_second=1,
                faults=self.faults,
            ) as simulator:
                settings = YahooSettings(symbols=tuple(symbols), rest_url=simulator.rest_url)
                config = Config(venues={"yahoo": settings})
                store = SqliteHistory.open(self.folder / "history.db", lambda: int(clock.wall() * 1000))
                with closing(store):
                    filling = Filling(config, "yahoo", store, inline, clock)  # type: ignore[arg-type]
                    wanted = Wanted({"yahoo": symbols}, (D1,), since=-days * DAY_MS, force=force)
                    began = clock.monotonic()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(until_s):
                            await filling.run(wanted)
                    self.took_s = clock.monotonic() - began
                self.asked = list(simulator.exchange.requests)
                asked = [r.product for r in self.asked]
                self.fetched = {symbol: asked.count(symbol) for symbol in asked}
                self.refused = simulator.exchange.counts.refused
                self.truth, self.now = simulator.exchange.truth, time.now()  # type: ignore[attr-defined]
                return filling.lines

        return run_virtually(main())

    def read(self, symbol: str, start: int, end: int) -> Answer:
        with closing(SqliteHistory.open(self.folder / "history.db", lambda: self.now)) as store:
            info = store.series(SeriesId("yahoo", symbol, D1))
            assert info is not None
            return store.read(info.id, start, end)

    def told(self, symbol: str, day: int) -> ExactCandle:
        """What was traded that day."""
        assert self.truth is not None
        (row,) = self.truth.settled(symbol, D1, day, day + 1, self.now)
        return row

    def check(self, symbols: Collection[str], days: int = 365) -> None:
        """What is stored of each is what was traded, to the digit, and all else is known to be empty."""
        assert self.truth is not None
        final = self.truth.final_through(self.now)
        start = GRID.ceil(self.now - days * DAY_MS)
        for symbol in symbols:
            answer = self.read(symbol, start, final)
            assert answer.rows.candles() == self.truth.settled(symbol, D1, start, final, self.now), symbol
            assert answer.coverage.covers(start, GRID.end_before(final)), f"{symbol} {iso(start)}"


@pytest.mark.parametrize(
    "usual", [pytest.param(12, id="some"), pytest.param(503, id="all", marks=pytest.mark.long)]
)
def test_a_year_of_the_sp500_ends_by_itself_right_to_the_row_and_is_not_asked_for_twice(
    tmp_path: Path, usual: int
) -> None:
    market = Market(tmp_path, usual)
    names, known = [*market.names, *UNKNOWN], [n for n in market.names if n != "GONE"]

    stopped = 0
    for _ in range(2):  # killed twice, in the middle
        market.fill(names, until_s=len(names) / 3)
        stopped += sum(market.fetched.values())
        assert market.refused == 0
    lines = {line.symbol: line for line in market.fill(names)}
    asked = stopped + sum(market.fetched.values())
    failed = {name for name, line in lines.items() if line.error}
    assert failed == {*UNKNOWN, "GONE"} and market.refused == 0
    assert asked <= len(names) + 2 * 8, "at most what was in flight is asked for twice"
    market.check(known)
    for name in known:
        expected = 100.0
        assert lines[name].completeness == expected, name
    assert market.read("IPO", 0, 1 << 62).rows.time[0] == market.truth.listed("IPO")  # type: ignore[union-attr]

    again = market.fill(known)
    assert not market.fetched and all(not line.error for line in again), "a second run asks for nothing"
    forced = market.fill(known, force=True)
    assert set(market.fetched) >= set(known) and max(market.fetched.values()) == 1
    assert sum(line.inserted + line.revised for line in forced) == 0


def test_it_takes_a_second_for_each_request_and_is_refused_none(tmp_path: Path) -> None:
    market = Market(tmp_path, 40)
    market.fill([*market.names, *UNKNOWN])
    calls = sum(market.fetched.values())
    assert calls == len(market.names) + len(UNKNOWN) and market.refused == 0
    assert calls - 1 <= market.took_s <= calls * 1.0 + 10.0, f"{calls} calls in {market.took_s:.1f} s"


def test_the_next_trading_day_costs_a_request_a_symbol_after_its_close(tmp_path: Path) -> None:
    market = Market(tmp_path, 4)
    known = [name for name in market.names if name not in ("GONE", "TONIGHT")]
    market.fill(known)
    wednesday = GRID.floor(EVENING)
    market.now = EVENING + DAY_MS
    market.fill(known)
    assert market.fetched == dict.fromkeys(known, 1)
    market.check(known)
    for name in known:
        (row,) = market.read(name, wednesday, wednesday + 1).rows.candles()
        assert row == market.told(name, wednesday), "it was stored as final only now"
    market.now += HOUR_MS
    market.fill(known)
    assert not market.fetched, "the same evening nothing is asked for again"
    market.now = EVENING + 4 * DAY_MS  # Sunday
    market.fill(known)
    assert market.fetched == dict.fromkeys(known, 1), "Friday, while it is closed"
    market.now += 12 * HOUR_MS
    market.fill(known)
    assert not market.fetched


def test_halts_early_closes_and_days_that_nobody_expected_are_counted_right(tmp_path: Path) -> None:
    market = Market(tmp_path, 2)
    lines = {line.symbol: line for line in market.fill(["AAPL", "HALT", "A"], days=800)}
    market.check(["AAPL", "HALT", "A"], days=800)
    truth = market.truth
    assert truth is not None
    start = GRID.ceil(market.now - 800 * DAY_MS)
    absent = truth.absent("A", D1, start, market.now, market.now)
    assert [iso(time)[:10] for time in absent] == ["2026-05-20"]
    assert len(truth.absent("HALT", D1, start, market.now, market.now)) == 2
    for name, line in lines.items():
        final = truth.final_through(market.now)
        assert line.inserted == GRID.count(start, final) - len(
            truth.absent(name, D1, start, final, market.now)
        )


def test_adjusted_as_the_exchange_adjusts_and_as_it_was_traded(tmp_path: Path) -> None:
    market = Market(tmp_path, 3)
    names = [n for n in market.names if n not in ("GONE", "^GSPC", "IPO", "HALT")]
    market.fill(names, days=700)
    start, end = GRID.ceil(market.now - 690 * DAY_MS), GRID.floor(market.now)
    truth, paid, split = market.truth, 0, 0
    assert truth is not None
    with Reader("redis://127.0.0.1:1", history=f"sqlite:///{tmp_path}/history.db", venue="yahoo") as reader:
        for name in names:
            told = truth.adjusted(name, start, end, market.now)
            got = reader.history(name, "1d", start, end, adjust="all", source="stored")
            for time, close in zip(got.time.tolist(), got.close.tolist(), strict=True):
                assert close == pytest.approx(told[time], rel=1e-6), f"{name} {iso(time)}"
            quoted = {c.time: c for c in truth.settled(name, D1, start, end, market.now)}
            actions = truth.actions(name, 0, end, market.now)
            traded = reader.history(name, "1d", start, end, adjust="none", source="stored")
            for time, close in zip(traded.time.tolist(), traded.close.tolist(), strict=True):
                ratio = 1.0
                for each in actions:
                    if each.kind == "split" and each.time > time:
                        ratio *= float(Fraction(each.value))
                assert close == pytest.approx(float(quoted[time].close) * ratio, rel=1e-9)
            paid += any(each.kind == "dividend" for each in truth.actions(name, start, end, market.now))
            split += any(each.kind == "split" for each in truth.actions(name, start, end, market.now))
    assert paid and split


def test_a_split_overnight_costs_one_more_reading_and_no_revisions(tmp_path: Path) -> None:
    market = Market(tmp_path, 0)
    market.fill(["TONIGHT"])
    for days in (1, 2):  # Thursday, and Friday at whose open there are three shares for two
        market.now = EVENING + days * DAY_MS
        lines = market.fill(["TONIGHT"])
    assert market.fetched["TONIGHT"] <= 2, "the new day, and the year again"
    market.check(["TONIGHT"])
    assert sum(line.revised for line in lines) == 0
    with closing(SqliteHistory.open(tmp_path / "history.db", lambda: market.now)) as store:
        (stats,) = [each for each in store.stats() if each.series.key.timeframe is D1]
        assert stats.revisions == 0
    market.now += HOUR_MS
    market.fill(["TONIGHT"])
    assert not market.fetched
