"""Vouching: when readers are told that somebody writes, and what of the feed."""

from __future__ import annotations

from ..clock import Clock
from ..keys.keyspace import Keyspace
from ..write.lease import Lease
from ..write.presence import Presence
from ..write.source import ChangeSource
from .foreign import ForeignKeys
from .patience import Patience

__all__ = ["ALIVE_AGAIN_S", "ALIVE_RENEW_S", "UNSENT_S", "Vouching"]

ALIVE_RENEW_S = 3.0

ALIVE_AGAIN_S = 0.25
"""At the soonest, where the feed came up or broke meanwhile."""

UNSENT_S = 3.0
"""After which readers are told that the feed is down: it does not reach them."""


class Vouching:
    """One writer's."""

    def __init__(
        self,
        source: ChangeSource,
        lease: Lease,
        presence: Presence,
        foreign: ForeignKeys,
        patience: Patience,
        keys: Keyspace,
        clock: Clock,
        *,
        origin: str,
    ) -> None:
        self._source = source
        self._lease = lease
        self._presence = presence
        self._foreign = foreign
        self._patience = patience
        self._keys = keys
        self._clock = clock
        self._origin = origin
        self._vouched_feed = 0
        self.due()

    def due(self) -> None:
        """Have it done the next time, however short ago it was."""
        self._vouched_at_s = float("-inf")

    async def vouch(self) -> None:
        """Renew the alive keys and the feed's hash, if that is due and true."""
        now_s = self._clock.monotonic()
        feed_changes = self._source.feed_changes()
        wait_s = ALIVE_RENEW_S if feed_changes == self._vouched_feed else ALIVE_AGAIN_S
        if now_s - self._vouched_at_s < wait_s or self._lease.overdue:
            return
        alive = self._source.alive()
        if alive is None or not (alive.renews or feed_changes != self._vouched_feed):
            return
        if self._patience.lasts_s("write") > UNSENT_S:
            alive = alive._replace(feed=dict.fromkeys(alive.feed, "down"))
        self._vouched_at_s = now_s
        self._vouched_feed = feed_changes
        status = {"instance": self._lease.instance, "origin": self._origin, **self._source.feed_status()}
        try:
            vouched = self._presence.vouch(alive, status, self._lease.record)
            await self._foreign.heed([self._keys.feed, *self._presence.alive_keys], vouched)
        except BaseException:
            self.due()
            raise
        if alive.renews:
            self._lease.pulse.vouched_at_s = self._clock.wall()
        await self._patience.recovered("vouch")
