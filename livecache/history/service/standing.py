"""How the history of one venue stands, for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...quiet import logger
from ..tally import Tally
from ..working.reads import Reads

__all__ = ["Standing"]


@dataclass(slots=True)
class Standing:
    """Of a venue that is split it tells of all shards that are held here; the only one of a whole is None."""

    troubles: dict[int | None, str] = field(default_factory=dict)
    """Of the shards that are not kept now, why."""
    copied: int = 0
    """Candles that the live service had settled, and that were new in the store."""
    tallies: dict[int | None, Tally] = field(default_factory=dict)
    """What is filled, by whose session."""
    reads: Reads = field(default_factory=Reads)
    """What is filled because a reader asked for it."""
    _filled: int = 0  # by sessions that are over

    @property
    def trouble(self) -> str:
        """Why the store cannot be used, if for one shard alone; "" while it can."""
        return next(iter(self.troubles.values()), "")

    @property
    def filled(self) -> int:
        """Candles that pages brought."""
        return self.reads.candles + self._filled + sum(map(_brought, self.tallies.values()))

    @property
    def failed(self) -> int:
        """Series of which something could not be had."""
        return sum(len(each.failures) for each in self.tallies.values())

    def opened(self, shard: int | None, tally: Tally) -> None:
        """Another session of the shard begins, which is looked on at by that tally."""
        self._over(shard)
        self.tallies[shard] = tally

    def recovered(self, shard: int | None) -> None:
        """The store can be used."""
        if self.troubles.pop(shard, ""):
            logger.bind(event="history_recovered").info("the history is kept again")

    def left(self, shard: int | None) -> None:
        """The shard is not held here any more."""
        self._over(shard)
        self.troubles.pop(shard, None)

    def _over(self, shard: int | None) -> None:
        if tally := self.tallies.pop(shard, None):
            self._filled += _brought(tally)


def _brought(tally: Tally) -> int:
    return sum(line.inserted + line.revised for line in tally.lines.values())
