"""Every exception of livecache, each with a hint at the remedy.

LivecacheError
├── ConfigError            a bad file, flag or environment variable     exit code 2
│   ├── UnknownTimeframe
│   └── UnknownSymbol
├── RedisUnavailable       no Redis found, or it cannot be reached      exit code 3
│   └── AccessDenied       it does not let this user in, or do that
├── ForeignKey             a key of ours holds somebody else's data     exit code 4
├── EmbeddedError          the embedded server cannot be used           exit code 5
├── LeaseHeld              another instance writes already              exit code 6
├── RepairRefused          the service will not read that span again    exit code 1
│   └── RepairNotNow       … or not yet
├── ReloadRefused          no service reads its configuration again     exit code 1
├── HistoryError           what a store of history says
│   ├── StoreUnusable      it cannot be opened, or written to           exit code 8
│   │   ├── NewerSchema    … for a newer livecache has made it
│   │   └── NoHistory      … for there is none yet
│   ├── LeaseLost          another worker has taken that job over
│   └── HistoryChanged     what was passed was revised while one read on
├── OutsideCalendar        a time before or after what is known of an exchange's sessions
└── ReadError              what a Reader raises instead of a wrong answer
    ├── UnknownSeries      nobody fills such a series
    ├── NotReady           fewer candles than asked for, or a hole
    │   └── NotListed      … for the venue does not know the symbol, or no more
    ├── Stale              nobody vouches, or the newest bucket lags
    │   └── NotTraded      … or nothing was traded within `newest_within`
    ├── OutOfSync          the bucket in progress is not vouched for
    ├── ClosesLost         entries of the stream of closes are gone
    └── DamagedBlock       stored history is not what was written
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "AccessDenied",
    "ClosesLost",
    "ConfigError",
    "DamagedBlock",
    "EmbeddedError",
    "ForeignKey",
    "HistoryChanged",
    "HistoryError",
    "LeaseHeld",
    "LeaseLost",
    "LivecacheError",
    "NewerSchema",
    "NoHistory",
    "NodeUnavailable",
    "NotListed",
    "NotReady",
    "NotTraded",
    "OutOfSync",
    "OutsideCalendar",
    "ReadError",
    "RedisUnavailable",
    "ReloadRefused",
    "RepairNotNow",
    "RepairRefused",
    "Stale",
    "StoreUnusable",
    "UnknownSeries",
    "UnknownSymbol",
    "UnknownTimeframe",
    "VenueUnreachable",
    "only",
]


class LivecacheError(Exception):
    """The base of all. `hint` says what to do about it; `exit_code` is what a command ends with."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # By itself an exception is made again by calling its class with the message alone. Most of these do
        # not take that, and could be neither copied nor sent from a process to another.
        cause = self.__cause__ if isinstance(self.__cause__, LivecacheError) else None
        return _restored, (type(self), self.args, vars(self), cause)


class ConfigError(LivecacheError):
    """A setting that cannot be used: unknown key, wrong type, value out of range."""

    exit_code = 2


class UnknownTimeframe(ConfigError):
    """No such timeframe."""

    def __init__(self, name: str, suggestion: str | None, known: Sequence[str]) -> None:
        hint = f"did you mean {suggestion}? " if suggestion else ""
        super().__init__(f"unknown timeframe {name!r}", f"{hint}one of {', '.join(known)}")


class UnknownSymbol(ConfigError):
    """The venue has no such product; `gone`: none any more. `said`: its own words where it has no list."""

    def __init__(
        self, symbol: str, venue: str, near: Sequence[str], *, gone: bool = False, said: str = ""
    ) -> None:
        meant = f"; did you mean {' or '.join(near)}?" if near and not gone else ""
        if gone:
            hint = f"it was delisted or renamed: correct venues.{venue}.symbols"
        else:
            hint = f"correct venues.{venue}.symbols{meant}"
        words = f" ({said})" if said else ""
        super().__init__(f"{venue.title()} does not know {symbol}{' any more' if gone else ''}{words}", hint)
        self.symbol = symbol
        self.near = tuple(near)


class RedisUnavailable(LivecacheError):
    """No Redis is configured or found, or it does not answer."""

    exit_code = 3


class AccessDenied(RedisUnavailable):
    """Redis does not know this user or password, or its ACL does not allow what was asked."""


class ForeignKey(LivecacheError):
    """A key that livecache would write holds something that is not livecache's."""

    exit_code = 4

    def __init__(self, key: str, kind: str) -> None:
        super().__init__(
            f"the key {key} holds a {kind} that is not livecache's",
            "set another redis.prefix, or delete that key if nothing needs it",
        )
        self.key = key


class EmbeddedError(LivecacheError):
    """The embedded server cannot be started, found or trusted."""

    exit_code = 5


class LeaseHeld(LivecacheError):
    """Another instance writes this cache, and a command that is to end will not wait for it."""

    exit_code = 6

    def __init__(self, instance: str) -> None:
        super().__init__(
            f"another livecache writes this cache: {instance}",
            "it keeps the cache filled; stop it first, or set another redis.prefix",
        )


class RepairRefused(LivecacheError):
    """The running service will not read that span again: it makes no sense, or holds nothing there."""


class RepairNotNow(RepairRefused):
    """The service takes no such order now: too much is waiting, or it does not write yet. Ask later."""


class ReloadRefused(LivecacheError):
    """No service was found that reads its configuration again, or it has none to read."""


class VenueUnreachable(LivecacheError):
    """A venue does not answer, and a command that is to end will not wait for it."""


class HistoryError(LivecacheError):
    """The base of what a store of history says."""


class StoreUnusable(HistoryError):
    """The store cannot be opened, read or written: no room, no permission, no database, another's journal."""

    exit_code = 8


class NoHistory(StoreUnusable):
    """There is no store at that place yet."""


class NewerSchema(StoreUnusable):
    """The store was made by a newer livecache."""


class LeaseLost(HistoryError):
    """Another worker has taken the job over, or it was cancelled: what this one had is not stored."""


class HistoryChanged(HistoryError):
    """What was passed was revised while one read on."""


class OutsideCalendar(LivecacheError):
    """A time before the first or after the last session that the calendar of an exchange knows."""


class ReadError(LivecacheError):
    """The base of what a Reader raises rather than return a short, stale or guessed answer."""


class NodeUnavailable(ReadError, RedisUnavailable):
    """Of a cluster the node that has this series does not answer; others may."""


class UnknownSeries(ReadError):
    """Nobody fills this series: it has no state in Redis."""


class NotReady(ReadError):
    """Fewer contiguous closed candles than asked for. `have` and `want` count candles.

    From `wait_ready` it says that not all series can be read; then they count series.
    """

    def __init__(self, message: str, hint: str = "", *, have: int = 0, want: int = 0) -> None:
        super().__init__(message, hint)
        self.have = have
        self.want = want


class NotListed(NotReady):
    """The venue does not know the symbol, or knows it no more: waiting alone brings no candle."""


class Incomplete(NotReady):
    """Not all of a stretch of history is known. `missing` are its spans, half-open, Unix ms.

    `have` and `want` count buckets. `job` fetches what is missing, if anything does; after `again_s` seconds
    it is worth asking again.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        have: int = 0,
        want: int = 0,
        missing: Sequence[Any] = (),
        job: int | None = None,
        again_s: float = 1.0,
    ) -> None:
        super().__init__(message, hint, have=have, want=want)
        self.missing = tuple(missing)
        self.job = job
        self.again_s = again_s


class Stale(ReadError):
    """Nobody vouches for the series now, or its newest known bucket lags too far."""


class NotTraded(Stale):
    """The newest candle is older than `newest_within` allows: nothing was traded since. Halted?"""


class OutOfSync(ReadError):
    """The bucket in progress was asked for, but the feed does not vouch for it."""


class ClosesLost(ReadError):
    """Entries that follow `after` may be gone: the stream of closes was trimmed beyond it, or emptied."""

    def __init__(self, key: str, after: str) -> None:
        super().__init__(
            f"the entry {after} of {key} is gone, and entries after it may be",
            "read the candles anew, and go on with after='0', or with None for those to come",
        )
        self.after = after


class DamagedBlock(ReadError):
    """Stored history is not what was written. What it holds is unknown until it is fetched again."""


def _restored(
    kind: type[LivecacheError], args: tuple[Any, ...], held: dict[str, Any], cause: LivecacheError | None
) -> LivecacheError:
    """An error as it was before it was pickled or copied."""
    error = kind.__new__(kind, *args)
    vars(error).update(held)
    if cause is not None:
        error.__cause__ = cause
    return error


def only(error: Exception | BaseExceptionGroup[Any]) -> BaseException:
    """The one error inside nested groups, if all say the same; a user wants that, not the nesting."""
    if isinstance(error, BaseExceptionGroup):
        first, *others = map(only, error.exceptions)
        said = type(first), str(first)
        # What several have met at one store is one trouble, however it is told.
        stored = all(isinstance(each, StoreUnusable) for each in (first, *others))
        alike = stored or all((type(other), str(other)) == said for other in others)
        if not others or (alike and not isinstance(first, BaseExceptionGroup)):
            return first
    return error
