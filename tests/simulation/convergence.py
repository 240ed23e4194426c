"""What must be so once nothing is wrong any more, and what it may have cost in requests."""

from __future__ import annotations

from collections import Counter

from livecache.errors import ReadError
from livecache.model.policy import Policy
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.proof.evidence import LAG_MS
from livecache.reader.reader import Reader

from .auditor import Violation
from .faults import LIQUID
from .world import World

__all__ = ["converged", "requests_bounded"]

SETTLED_WITHIN_MS = 80_000
THIN_SETTLED_WITHIN_MS = 400_000  # an empty bucket that nobody watched takes five minutes to prove
# What one page alone tells of a sleeping product is settled once no edge can lag so far any more.
NOBODY_BEARS_OUT_MS = LAG_MS + THIN_SETTLED_WITHIN_MS
A_MINUTE_MOST = 40  # requests of one series, whatever fails
A_MINUTE_MOST_PER_START = 12


def converged(world: World, url: str) -> None:
    """Everything is ready or honestly short, settled up to now, and served."""
    with Reader(url, prefix=world.keys.prefix) as reader:
        for series in world.series:
            _converged(world, reader, series)


def _converged(world: World, reader: Reader, series: SeriesId) -> None:
    _, symbol, timeframe = series
    now = world.now()

    def expect(holds: bool, problem: str) -> None:
        if not holds:
            raise Violation(f"{series} at the end ({now}): {problem}")

    view = reader.state(symbol, timeframe)
    expect(view.record is not None, f"no state: {view.damage}")
    assert view.record is not None
    state = view.record.state
    expect(view.alive is not None, "nobody vouches")
    short = bool(state.history_from) and "venue has only" in state.reason
    expect(state.ready or short, f"not ready: {state.reason}")
    within = SETTLED_WITHIN_MS if symbol in LIQUID else THIN_SETTLED_WITHIN_MS
    late = timeframe.floor(now - within) - state.known_through
    expect(late <= 0, f"known {late} ms too late, up to {state.known_through}")
    if symbol not in LIQUID and not _carried(world, symbol):
        within = NOBODY_BEARS_OUT_MS
    if world.scenario.flags:  # the feed's word may stand alone for so long
        within += Policy().confirm_after_ms
    late = timeframe.floor(now - within) - state.settled_through
    expect(late <= 0, f"settled {late} ms too late, up to {state.settled_through}")
    if symbol in LIQUID and not world.scenario.last_update_lost:
        assert view.alive is not None
        expect(view.alive.feed == "up", "the feed is down")
    if state.ready:
        try:
            reader.candles(symbol, timeframe, 60)
        except ReadError as error:
            expect(False, f"a reader is told {error!r}")
    for process in world.processes:
        assert process.engine is not None
        track = process.engine.live.timeline.symbols[symbol].tracks[timeframe]
        held = len(track.provisional), len(track.settled)
        expect(held[0] <= 40 and held[1] <= 1_000, f"{held} provisional and settled candles in memory")


def _carried(world: World, symbol: str) -> bool:
    """Whether the feed of the instance that writes stands behind the symbol."""
    engines = [process.engine for process in world.processes if process.engine is not None]
    return any(engine.live.timeline.feed_up(symbol) for engine in engines)


def requests_bounded(world: World, quiet_s: float) -> None:
    """No storm at any time, and at the end only what settling needs."""
    a_minute: Counter[tuple[str, Timeframe, int]] = Counter()
    quiet: Counter[tuple[str, Timeframe]] = Counter()
    calm_from = world.now() - int(quiet_s * 500)  # the second half of it
    for at, request in world.venue.requests:
        a_minute[request.symbol, request.timeframe, at // 60_000] += 1
        if at >= calm_from:
            quiet[request.symbol, request.timeframe] += 1
    starts = world.injected["STORM"] * 6 + world.started
    most = A_MINUTE_MOST + A_MINUTE_MOST_PER_START * min(starts, 8)
    for (symbol, timeframe, minute), count in a_minute.items():
        if count > most:
            raise Violation(f"{symbol} {timeframe}: {count} requests in the minute {minute * 60_000}")
    for (symbol, timeframe), count in quiet.items():
        closes = int(quiet_s / 2 * 1000) // timeframe.ms + 1
        if count > 2 * closes + 3:
            raise Violation(f"{symbol} {timeframe}: {count} requests for {closes} closes in the quiet end")
