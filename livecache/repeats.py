"""Log lines that would repeat for ever, told at once and then every few seconds."""

from __future__ import annotations

import re

from .clock import Clock
from .quiet import logger

__all__ = ["Repeats"]

_NUMBER = re.compile(r"\d+")
_KINDS_MOST = 1_000
_KINDS_AT_ONCE = 5  # of one event within the interval; all others are one more
_OTHERS = "…"


class Repeats:
    """Lets a message of one kind through at once and then every `interval_s`, with a count of the rest."""

    def __init__(self, clock: Clock, interval_s: float = 10.0) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def log(self, event: str, kind: str, message: str, *, remedy: str = "", **fields: object) -> bool:
        """Log a warning unless the same `event` and `kind` was told just now. Whether it was logged.

        The first one of a kind ends with the `remedy`, which whoever reads on has read. A kind may be a
        text of the venue's: numbers in it, such as times, do not make it another one.
        """
        now = self._clock.monotonic()
        key = (event, _NUMBER.sub("#", kind))
        if not self._is_recent(key, now) and self._recent(event, now) >= _KINDS_AT_ONCE:
            key = (event, _OTHERS)
        told_at, withheld = self._last.get(key, (float("-inf"), 0))
        if now - told_at < self._interval_s:
            self._last[key] = (told_at, withheld + 1)
            return False
        if len(self._last) >= _KINDS_MOST:
            self._last.clear()
        self._last[key] = (now, 0)
        if remedy and told_at == float("-inf"):
            message = f"{message}: {remedy}"
        logger.bind(event=event, repeats=withheld, **fields).warning(message)
        return True

    def _is_recent(self, key: tuple[str, str], now: float) -> bool:
        return key in self._last and now - self._last[key][0] < self._interval_s

    def _recent(self, event: str, now: float) -> int:
        """How many kinds of that event were told within the interval."""
        return sum(key[0] == event and key[1] != _OTHERS and self._is_recent(key, now) for key in self._last)

    def forget(self, event: str) -> None:
        """The trouble is over: the next one is told at once."""
        self._last = {k: v for k, v in self._last.items() if k[0] != event}
