"""The name of every key. Pure."""

from __future__ import annotations

import re
from binascii import crc_hqx
from dataclasses import dataclass, replace

from ..errors import ConfigError
from ..model.series import FIRST_VENUE, SeriesId
from ..model.timeframe import Timeframe

__all__ = ["Keyspace"]

# Braces would move the hash tag, and white space would make redis-cli's lines unreadable.
_NAME = re.compile(r"[^\s{}\x00-\x1f\x7f]{1,128}")

_SLOTS = 16_384


def _checked(what: str, name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{what} {name!r:.42} cannot be part of a Redis key",
            "1 to 128 characters, no white space and no braces",
        )
    return name


@dataclass(frozen=True, slots=True)
class Keyspace:
    """The names of all keys of one venue under one prefix, in one database.

    The braces are Redis Cluster hash tags: all keys of a symbol share a slot, and so do the venue's own.
    """

    prefix: str = "livecache"
    venue: str = FIRST_VENUE
    database: int = 0
    split: int = 1  # into so many shards
    shard: int | None = None  # of a venue that is split: whose lease and feed are meant

    def __post_init__(self) -> None:
        _checked("the prefix", self.prefix)
        _checked("the venue", self.venue)

    def candles(self, symbol: str, timeframe: Timeframe) -> str:
        """The sorted set of a series: score = open time, member = the candle as a JSON array."""
        return f"{self._symbol(symbol)}:{timeframe.value}"

    def state(self, symbol: str, timeframe: Timeframe) -> str:
        """The hash that vouches for a series."""
        return f"{self.candles(symbol, timeframe)}:state"

    def updates(self, symbol: str, timeframe: Timeframe) -> str:
        """The channel on which it is told that something happened to a series.

        A server's channels belong to none of its databases, unlike its keys. So all but the first are named.
        """
        name = f"{self.candles(symbol, timeframe)}:updates"
        return f"{name}:{self.database}" if self.database else name

    def alive(self, symbol: str) -> str:
        """The string that expires when nobody vouches for the symbol any more."""
        return f"{self._symbol(symbol)}:alive"

    def fence(self, symbol: str) -> str:
        """The string with the token of who writes a symbol: in a cluster, whose scripts see no lease."""
        return f"{self._symbol(symbol)}:fence"

    @property
    def venues(self) -> str:
        """The set of the venues that are filled under the prefix. 0.1 and 0.2 knew one, and wrote none."""
        return f"{self.prefix}:venues"

    @property
    def closes(self) -> str:
        """The stream of closed, settled and revised candles."""
        return f"{self._own}:closes"

    @property
    def series(self) -> str:
        """The set of configured series, members as `series_member` writes them."""
        return f"{self._own}:series"

    @property
    def feed(self) -> str:
        """The hash that describes the feed."""
        return f"{self._own}:feed"

    @property
    def lease(self) -> str:
        """The string that says who writes; where the venue is split, into how many shards."""
        return f"{self._own}:lease" if self.shard is None else self.lease_of(self.shard)

    def lease_of(self, shard: int) -> str:
        """The string that says who writes a shard's symbols."""
        return f"{self._own}:lease:{shard}"

    def feed_of(self, shard: int) -> str:
        """The hash that describes the feed of a shard's symbols."""
        return f"{self._own}:feed:{shard}"

    @property
    def own_feed(self) -> str:
        """The hash that describes the feed of the shard's symbols, or of all where the venue is not split."""
        return self.feed if self.shard is None else self.feed_of(self.shard)

    def of_shard(self, shard: int, split: int) -> Keyspace:
        """The same of one shard of so many."""
        return replace(self, shard=shard, split=split)

    def shard_of(self, symbol: str) -> int:
        """The shard of a symbol: by its slot in a Redis Cluster, so that few nodes hold what is of one."""
        return crc_hqx(f"{self.venue}:{symbol}".encode(), 0) % _SLOTS * self.split // _SLOTS

    def owns(self, symbol: str) -> bool:
        """Whether the symbol is of the shard."""
        return self.shard is None or self.shard_of(symbol) == self.shard

    @property
    def members(self) -> str:
        """The hash of the instances that share the venue's symbols, each with when it counts as gone."""
        return f"{self._own}:members"

    def budget(self, scope: str) -> str:
        """The hash of what all who share a budget have asked of the venue."""
        return f"{self._own}:budget:{_checked('the scope', scope)}"

    @property
    def ban(self) -> str:
        """The string that says until when the venue refuses everything; it expires then."""
        return f"{self._own}:ban"

    def series_member(self, series: SeriesId) -> str:
        """How the `series` set and the `closes` stream name a series: `BTC-USD:5m`."""
        return f"{series.symbol}:{series.timeframe.value}"

    def parse_series(self, member: str) -> SeriesId | None:
        """The series of such a name; None for one that this version does not know."""
        symbol, _, name = member.rpartition(":")
        try:
            return SeriesId(self.venue, symbol, Timeframe(name)) if symbol else None
        except ValueError:
            return None

    def series_of(self, key: str) -> SeriesId | None:
        """The series whose set or state bears that name; None for any other key."""
        symbol, separator, rest = key.removeprefix(f"{self.prefix}:{{{self.venue}:").partition("}:")
        series = self.parse_series(f"{symbol}:{rest.removesuffix(':state')}") if separator else None
        try:
            return series if series and key in (self.candles(*series[1:]), self.state(*series[1:])) else None
        except ConfigError:  # such a symbol was never ours
            return None

    @property
    def _own(self) -> str:
        return f"{self.prefix}:{{{self.venue}}}"

    def _symbol(self, symbol: str) -> str:
        return f"{self.prefix}:{{{self.venue}:{_checked('the symbol', symbol)}}}"
