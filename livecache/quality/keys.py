"""Which keys there are under our prefix, and whose they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..errors import ConfigError
from ..keys.keyspace import SHARDS_MOST, Keyspace
from ..model.series import SeriesId
from .findings import Finding, Flaw
from .inspection import Shared

__all__ = ["SortedKeys", "judge_shared", "sort_keys"]

_NAMED_MAX = 20

_OF_A_PREFIX = re.compile(r"[^\s{}]+:\{[^\s:{}]+(:[^\s{}]+)?\}:.+")


@dataclass(slots=True)
class SortedKeys:
    """The keys that belong to no announced series."""

    leftovers: set[SeriesId] = field(default_factory=set)  # written by livecache, configured no more
    unknown: list[str] = field(default_factory=list)

    def findings(self) -> list[Finding]:
        """One for each series that is left over, and for each key that nobody knows."""
        found = [
            Finding(
                Flaw.LEFTOVER,
                "it is stored, and no longer among the configured series",
                "livecache prune --yes",
                series.symbol,
                series.timeframe.value,
            )
            for series in sorted(self.leftovers, key=lambda s: (s.symbol, s.timeframe.ms))
        ]
        for key in self.unknown[:_NAMED_MAX]:
            found.append(
                Finding(Flaw.UNKNOWN_KEY, f"{key[:200]!r} begins with our prefix, and is not livecache's")
            )
        if len(self.unknown) > _NAMED_MAX:
            found.append(Finding(Flaw.UNKNOWN_KEY, f"and {len(self.unknown) - _NAMED_MAX} more such keys"))
        return found


def sort_keys(names: Iterable[str], keys: Keyspace, announced: Sequence[SeriesId]) -> SortedKeys:
    """Whose these keys are, where they are not an announced series'.

    Another venue's are its own affair, and so are those under a prefix that begins with ours and a colon.
    """
    ours = {keys.venues, keys.series, keys.feed, keys.closes, keys.lease, keys.ban, keys.members}
    for shard in range(SHARDS_MOST):
        ours |= {keys.lease_of(shard), keys.feed_of(shard)}
    for _, symbol, timeframe in announced:
        ours |= {keys.candles(symbol, timeframe), keys.state(symbol, timeframe), keys.alive(symbol)}
    result, budgets = SortedKeys(), keys.budget("-").removesuffix("-")
    head, other_venue = f"{keys.prefix}:{{{keys.venue}", f"{keys.prefix}:{{"
    for name in names:
        if name in ours or name.startswith(budgets) or not name.startswith(f"{keys.prefix}:"):
            continue
        if name.startswith(other_venue) and not name.startswith((f"{head}:", f"{head}}}")):
            continue
        if _OF_A_PREFIX.fullmatch(name, len(keys.prefix) + 1):
            continue
        series = keys.series_of(name)
        if series is not None:
            result.leftovers.add(series)
        elif not _is_of_a_symbol(name, keys):
            result.unknown.append(name)
    result.unknown.sort()
    return result


def _is_of_a_symbol(name: str, keys: Keyspace) -> bool:
    symbol = name.removeprefix(f"{keys.prefix}:{{{keys.venue}:").rpartition("}:")[0]
    try:
        return name in (keys.alive(symbol), keys.fence(symbol))
    except ConfigError:
        return False


def judge_shared(shared: Shared, keys: Keyspace) -> tuple[list[SeriesId], list[Finding]]:
    """The announced series, by symbol and then from the shortest; and what is wrong with the shared keys."""
    findings = [
        Finding(
            Flaw.FOREIGN,
            f"{key} is a {kind}, which is not livecache's",
            "delete that key if nothing needs it, or set another redis.prefix",
        )
        for key, kind in shared.types.items()
        if kind not in (shared.expected[key], "none")
    ]
    series: list[SeriesId] = []
    for member in shared.announced:
        parsed = keys.parse_series(member)
        try:
            if parsed is not None:
                keys.candles(parsed.symbol, parsed.timeframe)
        except ConfigError:
            parsed = None
        if parsed is None:
            findings.append(
                Finding(
                    Flaw.STATE,
                    f"{keys.series} has a member {member[:80]!r} that names no series",
                    "the running service restores that set within seconds",
                )
            )
        else:
            series.append(parsed)
    return sorted(series, key=lambda s: (s.symbol, s.timeframe.ms)), findings
