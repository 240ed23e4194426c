"""What can go wrong: faults drawn from a seed, as plain data that can be printed and replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import NamedTuple

from livecache.model.timeframe import Timeframe
from livecache.simulator.trouble.script import PAGE_FORMS
from livecache.venues.venue import FailureKind

__all__ = ["FLAGS", "Fault", "Kind", "Scenario", "draw"]


class Kind(StrEnum):
    """One sort of trouble. What `what` and `amount` of a fault mean is said here."""

    # The feed.
    FEED_CUT = "the feed's connection is cut"
    FEED_DEAD = "the feed cannot be connected to"
    FEED_SILENT = "the feed's socket is open and nothing comes"
    MUTE = "no data of a product (of none, if none is named), while heartbeats go on"
    FRAME_LOST = "a frame of the feed is lost"
    REPLAYED = "frames come twice, out of order, or again as a snapshot"
    REJECTED = "frames that cannot be believed"
    STAMP_AHEAD = "a frame is stamped two hours ahead"
    # REST. `what` is a `FailureKind`, `amount` the share of requests that fail.
    REST_FAILS = "REST answers nothing useful"
    SLOW = "REST is slow and answers out of order"  # amount: seconds
    EDGE_BEHIND = "REST lags behind"  # amount: seconds
    EMPTY_PAGES = "pages hold no row at all"  # amount: the share of them
    CUT_PAGES = "pages lack their newest rows, or their oldest"  # what: those; amount: the share of them
    ODD_PAGES = "pages come in a form that each row of them hides"  # what: the form, of the simulator's
    NEWEST_ABSENT = "REST omits the newest buckets"
    ROWS_REJECTED = "rows of pages cannot be believed"
    REVISED = "the venue changes a settled bucket"
    PAGE_LIMIT = "the longest page gets shorter"
    NO_4H = "the venue stops serving 4h"
    DELISTED = "a product is delisted"
    TIME_WRONG = "GET /time is wrong once"  # amount: seconds it is off
    # The host.
    CLOCK_JUMP = "the wall clock jumps"  # amount: seconds
    HOST_SLEEP = "the host sleeps"  # amount: seconds
    # Redis.
    REDIS_CUT = "connections to Redis break, before a command or after it took effect"
    REDIS_AWAY = "Redis cannot be reached"
    REDIS_REFUSES = "Redis refuses to write"  # what: OOM or READONLY
    FLUSHED = "Redis is emptied"
    ROLLED_BACK = "Redis comes back with older data"
    KEYS_LOST = "single keys are gone"
    TTL_SET = "somebody lets keys expire"
    DAMAGED = "a member is replaced by nonsense"
    FOREIGN = "a key holds another type"
    LEASE_LOST = "the lease key is gone"
    # Processes. `amount`: seconds until the next start.
    STOPPED = "a clean stop, and a start"
    KILLED = "killed between two commands, and started"
    STORM = "killed and started over and over"
    PAUSED = "a process stands still beyond its lease while another takes over, and wakes up"
    SUCCEEDED = "a second instance waits, and the first one is killed"
    # Somebody who doubts.
    REPAIRED = "a series is to be read again, whole"


class Fault(NamedTuple):
    """One fault. `at_s` and `lasts_s` are venue seconds from the run's start."""

    at_s: float
    kind: Kind
    lasts_s: float = 0.0
    symbol: str = ""  # "": all
    timeframe: Timeframe | None = None  # None: all
    what: str = ""
    amount: float = 0.0

    def __str__(self) -> str:
        parts = [f"{self.at_s:8.1f} s  {self.kind.name:<14}"]
        parts += [f"for {self.lasts_s:.0f} s"] if self.lasts_s else []
        parts += [str(x) for x in (self.symbol, self.timeframe, self.what) if x]
        parts += [f"{self.amount:g}"] if self.amount else []
        return " ".join(parts)


@dataclass(frozen=True)
class Scenario:
    """A run: the service's configuration, the venue's manners, and the faults in order of time."""

    seed: int
    market: int
    symbols: tuple[str, ...]
    timeframes: tuple[Timeframe, ...]
    start_ms: int
    lasts_s: float  # while there are faults; the quiet end comes after it
    tick_s: float
    latency_s: float
    edge_s: float
    omits_newest: bool  # whether REST shows a bucket only a minute after its end
    last_update_lost: bool
    links: int
    embedded: bool  # whether a start takes the lease over at once
    foreign_first: bool  # whether the store was written from another venue before
    skew_s: float
    faults: tuple[Fault, ...]
    candles: int = 100  # wanted of each series
    flags: bool = False  # whether candles of the feed say that they are the last, mostly

    def __str__(self) -> str:
        frames = ",".join(self.timeframes)
        return (
            f"seed {self.seed}: {','.join(self.symbols)} {frames} market {self.market} start {self.start_ms}"
            f" tick {self.tick_s:g} latency {self.latency_s:g} edge {self.edge_s:g} links {self.links}"
            f" skew {self.skew_s:g}"
            + " newest omitted" * self.omits_newest
            + " last update lost" * self.last_update_lost
            + " flags" * self.flags
            + " embedded" * self.embedded
            + " after a foreign origin" * self.foreign_first
        )


LIQUID = ("BTC-USD", "ETH-USD", "SOL-USD")
THIN = ("GRT-USD", "KNC-USD", "BAND-USD")
VERY_THIN = ("RAD-USD",)

_M1, _M5, _M15, _M30 = Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.M30
_H1, _H2, _H4, _H6, _D1 = (Timeframe.H1, Timeframe.H2, Timeframe.H4, Timeframe.H6, Timeframe.D1)
_TIMEFRAMES = (
    (_M5, _M15, _H1, _H4, _D1), (_M5, _M15, _H1, _H4, _D1), (_M5, _M15), (_M5,), (_M5, _D1), (_M15, _H4),
    (_H1,), (_D1,), (_M1, _M5), (_M1, _M30, _H2), (_H6, _M5), (_H4, _M5, _M1, _M15), (_M30, _H2),
)  # fmt: skip

# Ends of a bucket of 5m, 15m, 1h; of 4h and 1d: runs share them, and with them the market's truth.
_CLOSE = 1_770_001_200_000
_STARTS = (_CLOSE, _CLOSE + 40 * 60_000, _CLOSE + 12_000_000, _CLOSE + 81_000_000)

_FEED = (
    Kind.FEED_CUT, Kind.FEED_DEAD, Kind.FEED_SILENT, Kind.MUTE, Kind.FRAME_LOST, Kind.REPLAYED,
    Kind.REPLAYED, Kind.REJECTED, Kind.STAMP_AHEAD,
)  # fmt: skip
_REST = (
    Kind.REST_FAILS, Kind.REST_FAILS, Kind.SLOW, Kind.EDGE_BEHIND, Kind.NEWEST_ABSENT, Kind.ROWS_REJECTED,
    Kind.REVISED, Kind.PAGE_LIMIT, Kind.NO_4H, Kind.DELISTED, Kind.TIME_WRONG,
)  # fmt: skip
_HOST = (Kind.CLOCK_JUMP, Kind.HOST_SLEEP)
_REDIS = (
    Kind.REDIS_CUT, Kind.REDIS_AWAY, Kind.REDIS_REFUSES, Kind.FLUSHED, Kind.ROLLED_BACK, Kind.KEYS_LOST,
    Kind.TTL_SET, Kind.DAMAGED, Kind.FOREIGN, Kind.LEASE_LOST,
)  # fmt: skip
_PROCESS = (Kind.STOPPED, Kind.KILLED, Kind.STORM, Kind.PAUSED, Kind.SUCCEEDED)

_FAILURES = (
    FailureKind.REFUSED, FailureKind.REFUSED, FailureKind.UNAUTHORIZED, FailureKind.BAD_REQUEST,
    FailureKind.SERVER, FailureKind.TIMEOUT, FailureKind.NETWORK, FailureKind.NETWORK, FailureKind.MALFORMED,
)  # fmt: skip
_ONCE = frozenset((
    Kind.FEED_CUT, Kind.FRAME_LOST, Kind.STAMP_AHEAD, Kind.REVISED, Kind.TIME_WRONG, Kind.CLOCK_JUMP,
    Kind.HOST_SLEEP, Kind.FLUSHED, Kind.ROLLED_BACK, Kind.KEYS_LOST, Kind.TTL_SET, Kind.DAMAGED,
    Kind.LEASE_LOST, Kind.STOPPED, Kind.KILLED, Kind.STORM, Kind.PAUSED, Kind.SUCCEEDED,
))  # fmt: skip
_REVISIONS_MOST = 4


LIES = 1_000_000
"""Seeds from here on draw a REST API that lies for minutes, beside a feed that is sound."""

_LIES = (Kind.EMPTY_PAGES, Kind.EMPTY_PAGES, Kind.EDGE_BEHIND, Kind.EDGE_BEHIND, Kind.ROWS_REJECTED)
_BESIDE_LIES = (Kind.FEED_CUT, Kind.STOPPED, Kind.KILLED, Kind.FLUSHED, Kind.REST_FAILS, Kind.REPLAYED)


FLAGS = 2_000_000
"""Seeds from here on are the runs of those from 0 on, at a venue whose feed flags the last candles."""


ODD = 3_000_000
"""Seeds from here on draw pages of odd forms, each for minutes, among the lies and what else goes wrong."""

_BESIDE_ODD = (Kind.FEED_CUT, Kind.STOPPED, Kind.KILLED, Kind.REST_FAILS, Kind.REPLAYED, *_LIES)


LONG = 4_000_000
"""Seeds from here on want more than a page of each series, whose pages are empty or cut short for minutes."""

_CUTS = (Kind.EMPTY_PAGES, Kind.EMPTY_PAGES, Kind.CUT_PAGES, Kind.CUT_PAGES, Kind.EDGE_BEHIND)
_BESIDE_CUTS = (Kind.FEED_CUT, Kind.FEED_DEAD, Kind.STOPPED, Kind.KILLED, Kind.FLUSHED, Kind.REST_FAILS)


def draw(seed: int) -> Scenario:
    """The run that follows from a seed."""
    if seed >= LONG:
        return _long(seed)
    if seed >= ODD:
        return _odd(seed)
    if seed >= FLAGS:
        return replace(draw(seed - FLAGS), seed=seed, flags=True)
    if seed >= LIES:
        return _lies(seed)
    random = Random(seed)
    symbols = random.sample(LIQUID, random.randint(1, 2)) + random.sample(THIN, random.random() < 0.4)
    if random.random() < 0.2:
        symbols += VERY_THIN
    frames = random.choice(_TIMEFRAMES)
    near = random.choice((-150_000, -12_000, -9_999, -999, 0, 1, 999, 9_950, 10_001, 11_000, 149_999))
    lasts_s = random.choice((3_600.0, 7_200.0, 10_800.0))
    start_ms = random.choice(_STARTS) + near
    last_update_lost = random.random() < 0.2
    return Scenario(
        seed=seed,
        market=1 + seed % 3,
        symbols=tuple(symbols),
        timeframes=frames,
        start_ms=start_ms,
        lasts_s=lasts_s,
        tick_s=random.choice((4.0, 9.7)),
        latency_s=random.choice((0.05, 0.3, 2.0)),
        edge_s=0.0 if last_update_lost else random.choice((0.0, 0.0, 5.0, 30.0, 59.0)),
        omits_newest=not last_update_lost and random.random() < 0.2,
        last_update_lost=last_update_lost,
        links=random.randint(1, 2),
        embedded=random.random() < 0.5,
        foreign_first=random.random() < 0.12,
        skew_s=random.choice((0.0, 0.0, -3_600.0, 45.0)),
        faults=_in_order(
            _faults(random, symbols, frames, start_ms, lasts_s), _repairs(seed, symbols, frames, lasts_s)
        ),
    )


def _lies(seed: int) -> Scenario:
    """Empty pages, an edge up to 20 minutes behind and spoilt rows in any mix, also at starts."""
    random = Random(f"lies {seed}")
    symbols = tuple(random.sample(LIQUID, random.randint(1, 2)))
    frames = random.choice(_TIMEFRAMES)
    start_ms = random.choice(_STARTS) + random.choice((-9_999, 0, 10_001, 149_999))
    lasts_s = random.choice((3_600.0, 7_200.0))
    faults: list[Fault] = []
    at_s = random.choice((0.0, 0.0, 200.0))
    while at_s < lasts_s:
        kind = random.choice(random.choice((_LIES, _LIES, _BESIDE_LIES)))
        faults.append(_lie(random, kind, at_s, symbols, frames))
        at_s += random.expovariate(1 / random.choice((120.0, 600.0)))
    return Scenario(
        seed=seed, market=1 + seed % 3, symbols=symbols, timeframes=frames, start_ms=start_ms,
        lasts_s=lasts_s, tick_s=4.0, latency_s=0.3, edge_s=0.0, omits_newest=False, last_update_lost=False,
        links=1, embedded=True, foreign_first=False, skew_s=0.0, faults=_in_order(faults),
    )  # fmt: skip


def _long(seed: int) -> Scenario:
    """Empty pages and such that are cut short, each for up to 20 minutes, in any mix, also at the start."""
    scenario, random = _lies(seed), Random(f"long {seed}")
    frames = random.choice(((_M5,), (_M5,), (_M1,), (_M15, _H1), (_D1,)))
    faults: list[Fault] = []
    at_s = random.choice((0.0, 1.0, 3.0))
    while at_s < 3_000.0:
        kind = random.choice(random.choice((_CUTS, _CUTS, _BESIDE_CUTS)))
        fault = _lie(random, kind, at_s, scenario.symbols, frames)
        if fault.lasts_s:
            fault = fault._replace(lasts_s=random.choice((60.0, 100.0, 600.0, 1_200.0)))
        faults.append(fault)
        at_s += random.expovariate(1 / random.choice((2.0, 300.0)))
    return replace(scenario, timeframes=frames, lasts_s=3_600.0, candles=400, faults=_in_order(faults))


def _odd(seed: int) -> Scenario:
    """Odd pages once something is known, none for longer than three of them would need to be right."""
    scenario, random = _lies(seed), Random(f"odd {seed}")
    faults: list[Fault] = []
    at_s = 240.0
    while at_s < scenario.lasts_s:
        lasts_s = random.choice((30.0, 90.0, 240.0))
        symbol, frame = random.choice((*scenario.symbols, "")), random.choice((None, *scenario.timeframes))
        faults.append(Fault(at_s, Kind.ODD_PAGES, lasts_s, symbol, frame, random.choice(PAGE_FORMS)))
        if random.random() < 0.4:
            kind = random.choice(_BESIDE_ODD)
            beside_s = at_s + random.uniform(0.0, lasts_s)
            faults.append(_lie(random, kind, beside_s, scenario.symbols, scenario.timeframes))
        at_s += lasts_s + random.uniform(120.0, 600.0)
    return replace(scenario, faults=_in_order(faults))


def _lie(
    random: Random, kind: Kind, at_s: float, symbols: Sequence[str], frames: Sequence[Timeframe]
) -> Fault:
    lasts_s = random.choice((5.0, 30.0, 90.0, 400.0, 1_500.0))
    match kind:
        case Kind.EMPTY_PAGES:
            share, frame = random.choice((0.2, 0.5, 1.0, 1.0)), random.choice((None, *frames))
            return Fault(at_s, kind, lasts_s, random.choice((*symbols, "")), frame, amount=share)
        case Kind.CUT_PAGES:
            what, share = random.choice(("newest", "oldest")), random.choice((0.02, 0.5, 0.98))
            frame, symbol = random.choice((None, *frames)), random.choice((*symbols, ""))
            return Fault(at_s, kind, lasts_s, symbol, frame, what, share)
        case Kind.EDGE_BEHIND:
            return Fault(at_s, kind, lasts_s, amount=random.uniform(60.0, 1_200.0))
        case Kind.ROWS_REJECTED:
            return Fault(at_s, kind, lasts_s, random.choice((*symbols, "")))
    return _fault(random, kind, at_s, symbols, frames)


def _in_order(*several: list[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(fault for faults in several for fault in faults))


def _faults(
    random: Random, symbols: Sequence[str], frames: Sequence[Timeframe], start_ms: int, lasts_s: float
) -> list[Fault]:
    """Faults of a few kinds, so that runs differ; about half of them around a close."""
    rooms = [_FEED, _FEED, _REST, _REST, _HOST, _REDIS, _REDIS, _PROCESS]
    kinds = [random.choice(random.choice(rooms)) for _ in range(random.randint(4, 10))]
    every_s = random.choice((90.0, 240.0, 600.0))
    faults: list[Fault] = []
    at_s = random.uniform(0.0, 300.0)
    revisions = 0
    while at_s < lasts_s:
        kind = random.choice(kinds)
        revisions += kind is Kind.REVISED
        begins_s = at_s
        if random.random() < 0.5:
            into_s = (start_ms / 1000 + at_s) % 300
            begins_s = max(0.0, at_s + 300 - into_s + random.uniform(-40.0, 20.0))
        if kind is not Kind.REVISED or revisions <= _REVISIONS_MOST:
            faults.append(_fault(random, kind, begins_s, symbols, frames))
        at_s += random.expovariate(1 / every_s)
    return faults


def _repairs(seed: int, symbols: Sequence[str], frames: Sequence[Timeframe], lasts_s: float) -> list[Fault]:
    """In every fifth run somebody has series read again. Drawn apart, so that all else is as it was."""
    random = Random(f"repairs {seed}")
    times = [random.uniform(60.0, lasts_s) for _ in range(random.randint(3, 12))] if seed % 5 == 4 else []
    return [
        Fault(at_s, Kind.REPAIRED, symbol=random.choice(symbols), timeframe=random.choice(frames))
        for at_s in times
    ]


def _fault(
    random: Random, kind: Kind, at_s: float, symbols: Sequence[str], frames: Sequence[Timeframe]
) -> Fault:
    lasts_s = 0.0 if kind in _ONCE else random.choice((5.0, 20.0, 45.0, 90.0, 400.0, 1_500.0))
    symbol, timeframe, what, amount = "", None, "", 0.0
    match kind:
        case Kind.MUTE | Kind.ROWS_REJECTED:
            symbol = random.choice((*symbols, ""))
        case Kind.REVISED | Kind.DELISTED | Kind.DAMAGED | Kind.FOREIGN:
            symbol = random.choice(symbols)
            timeframe = random.choice(frames)
        case Kind.KEYS_LOST | Kind.TTL_SET:
            what = random.choice(("set", "state", "some"))
        case Kind.REST_FAILS:
            what = random.choice(_FAILURES)
            amount = random.choice((1.0, 1.0, 0.5))
            timeframe = random.choice((None, None, *frames))
            lasts_s = random.choice((lasts_s, 4_000.0)) if lasts_s == 1_500.0 else lasts_s
        case Kind.SLOW:
            amount = random.choice((2.0, 15.0))
        case Kind.EDGE_BEHIND:
            amount = random.uniform(5.0, 60.0)
        case Kind.TIME_WRONG:
            amount = random.choice((5_000.0, -2_500.0))  # No sum of jumps agrees with it.
        case Kind.CLOCK_JUMP:
            amount = random.choice((-3_600.0, -20.0, 20.0, 7_200.0))
        case Kind.HOST_SLEEP:
            amount = random.choice((8.0, 70.0, 400.0, 1_300.0, 20_000.0))
        case Kind.REDIS_REFUSES:
            what = random.choice(("OOM", "READONLY"))
        case Kind.REDIS_CUT:
            amount = random.choice((0.1, 0.5))
        case Kind.STOPPED | Kind.KILLED:
            amount = random.choice((1.0, 30.0, 400.0, 3_000.0))
        case Kind.PAUSED:
            amount = random.choice((3.0, 30.0, 400.0))
            what = random.choice(("", "", "FLUSHED"))
        case Kind.SUCCEEDED | Kind.STORM:
            amount = random.choice((5.0, 60.0))
        case Kind.FEED_SILENT:
            lasts_s = min(lasts_s, 400.0)
    return Fault(at_s, kind, lasts_s, symbol, timeframe, what, amount)
