"""Log lines that would repeat for ever, told at once and then every few seconds."""

from __future__ import annotations

from loguru import logger

from ..clock import Clock

__all__ = ["Repeats"]

_KINDS_MOST = 1_000


class Repeats:
    """Lets a message of one kind through at once and then every `interval_s`, with a count of the rest."""

    def __init__(self, clock: Clock, interval_s: float = 10.0) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def log(self, event: str, kind: str, message: str, **fields: object) -> bool:
        """Log a warning unless the same `event` and `kind` was told just now. Whether it was logged."""
        now = self._clock.monotonic()
        key = (event, kind)
        told_at, withheld = self._last.get(key, (float("-inf"), 0))
        if now - told_at < self._interval_s:
            self._last[key] = (told_at, withheld + 1)
            return False
        if len(self._last) >= _KINDS_MOST:
            self._last.clear()
        self._last[key] = (now, 0)
        logger.bind(event=event, repeats=withheld, **fields).warning(message)
        return True

    def forget(self, event: str) -> None:
        """The trouble is over: the next one is told at once."""
        self._last = {k: v for k, v in self._last.items() if k[0] != event}
