"""A running service on an exchange that fails, and a reader that watches it all the while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from livecache import OutOfSync, Reader, Timeframe
from livecache.errors import ReadError, Stale
from livecache.read.candles import Candles
from livecache.simulator import FaultScript, ScriptedFaults

from .support import Exchange, Process, Record, exchange, livecache, market_of, until
from .truth import KEYS, Truth, Watcher, everything_is_right, series_of, watching

__all__ = ["SYMBOLS", "TIMEFRAMES", "Scene", "faulty"]

SYMBOLS = ("BTC-USD", "ETH-USD")
TIMEFRAMES = ("5m", "15m", "1h")
SPEED = 60.0
MAX_LAG_S = 1_800  # half a minute of this market, for a busy machine
M5 = Timeframe.M5


@dataclass
class Scene:
    """What a test of faults has at hand. A 5m bucket of this market lasts five seconds."""

    venue: Exchange
    faults: ScriptedFaults
    service: Process
    reader: Reader
    store: redis.Redis
    watcher: Watcher
    truth: Truth

    def now(self) -> int:
        """Market time, Unix ms."""
        return self.venue.simulator.now()

    def feed(self, symbol: str) -> str:
        """What a reader is told of it, "up" or "down"; empty where it is told nothing."""
        try:
            return self.reader.candles(symbol, "5m", 60).feed
        except ReadError:
            return ""

    def forms(self, symbol: str) -> bool:
        """Whether the bucket in progress can be read."""
        try:
            return len(self.reader.candles(symbol, "5m", 60, forming=True)) == 61
        except (OutOfSync, Stale):
            return False

    def in_sync(self, symbols: Sequence[str] = SYMBOLS) -> bool:
        """Whether the feed vouches for the bucket in progress of each."""
        return all(self.forms(symbol) for symbol in symbols)

    def settled(self, through: int, symbols: Sequence[str] = SYMBOLS) -> bool:
        """Whether each series of these symbols is settled up to that time."""
        series = [one for one in self.watcher.series if one.symbol in symbols]
        try:
            read = [self.reader.candles(one.symbol, one.timeframe, 60) for one in series]
        except Stale:
            return False
        return all(candles.settled_through >= candles.series.timeframe.floor(through) for candles in read)

    def known(self, symbol: str, through: int) -> Candles | None:
        """The 5m candles once they are known up to that time; None before, and while nobody vouches."""
        try:
            read = self.reader.candles(symbol, "5m", 60)
        except Stale:
            return None
        return read if read.known_through >= through else None

    def told(self, text: str) -> Record:
        """The first record whose message holds the text, waited for."""
        return until(
            f"it says {text!r}",
            lambda: next((r for r in self.service.records if text in r["message"]), None),
            60.0,
        )

    def feed_counts(self) -> dict[str, int]:
        """The numbers in the `feed` hash."""
        fields = self.store.hgetall(KEYS.feed)
        return {k.decode(): int(v) for k, v in fields.items() if v.isdigit()}  # type: ignore[union-attr]

    def heals(self, symbols: Sequence[str] = SYMBOLS) -> None:
        """The faults are over: two more buckets, and everything is as if nothing had been."""
        self.faults.end_all()
        until("the feed vouches again", lambda: self.in_sync(symbols), 60.0)
        through = M5.floor(self.now()) + M5.ms
        until("a later bucket is settled", lambda: self.settled(through, symbols), 60.0)

    @contextmanager
    def few_requests(self, spare: int = 0) -> Iterator[None]:
        """Meanwhile no more candle requests than one a product and bucket that closes, and `spare`."""
        began, asked = self.now(), len(self.venue.candle_requests)
        yield
        closes = (M5.floor(self.now()) - M5.floor(began)) // M5.ms + 1
        made = len(self.venue.candle_requests) - asked
        assert made <= closes * len(self.venue.simulator.market.products()) + spare

    def ends_well(self) -> None:
        """Nothing that was read, said or stored was wrong."""
        assert everything_is_right(self.store, self.watcher.series, self.truth) > 300
        assert self.watcher.wrong == []
        assert self.watcher.went_back == []
        assert not [r for r in self.service.records if r["level"] in ("ERROR", "CRITICAL")]


@contextmanager
def faulty(
    url: str,
    symbols: Sequence[str] = SYMBOLS,
    *,
    script: FaultScript | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Scene]:
    """A scene in which all is well. At its end the service stops cleanly and has said nothing but records."""
    faults = ScriptedFaults(script)
    truth, series = Truth(market_of(*symbols)), series_of(symbols, TIMEFRAMES)
    with exchange(market_of(*symbols), speed=SPEED, faults=faults, update_ms=3_000) as venue:
        env = venue.settings(url, symbols, CACHE_TIMEFRAMES=",".join(TIMEFRAMES), **(settings or {}))
        with (
            livecache("run", env=env) as service,
            redis.Redis.from_url(url) as store,
            Reader(url, max_lag=MAX_LAG_S) as reader,
            watching(url, series, truth, max_lag_s=MAX_LAG_S) as watcher,
        ):
            scene = Scene(venue, faults, service, reader, store, watcher, truth)
            service.event("backfill_complete", 60.0)
            until("all is well", lambda: watcher.sees_all() and scene.in_sync(symbols))
            yield scene
            service.stop()
            assert service.errors == [], "no traceback"
