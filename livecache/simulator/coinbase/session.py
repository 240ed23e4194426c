"""One client's connection to Coinbase's feed: its sequence numbers, and for what it is closed."""

from __future__ import annotations

from typing import Any

from ..session import Session
from ..trouble.faults import FeedFrame

__all__ = ["CoinbaseSession"]


class CoinbaseSession(Session):
    """Frames are numbered over all channels. A client that does not subscribe is closed, and a silent one."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.has_subscribed = False
        self._next_sequence = 0
        # Somewhere between the two bounds, the same for the same connection.
        least_s, most_s = self._options.silence_s
        self._silence_s = least_s + (most_s - least_s) * (self.number * 0.618 % 1)

    def send(self, channel: str, timestamp: str, events: str) -> None:
        """Put a frame in line, with the next sequence number. `events` is a JSON array."""
        client_id = '"client_id":"",' if self._options.client_id else ""
        text = (
            f'{{"channel":"{channel}",{client_id}"timestamp":"{timestamp}",'
            f'"sequence_num":{self._next_sequence},"events":{events}}}'
        )
        self.put(FeedFrame(self.number, channel, self._next_sequence, text))
        self._next_sequence += 1

    def send_error(self, error: str) -> None:
        """Put an error frame in line. It has no sequence number; `error` is JSON."""
        self.put(FeedFrame(self.number, "", -1, error))

    async def _watch(self) -> None:
        """Close a connection that does not subscribe in time, or that has gone silent."""
        await self._host.sleep(self._options.subscribe_timeout_s)
        if not self.has_subscribed:
            return await self.close(1008)
        while (left_s := self._last_sent_s + self._silence_s - self._host.monotonic()) > 0:
            await self._host.sleep(left_s)
        return await self.close(1000)
