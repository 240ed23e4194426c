"""How often to speak of trouble with Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from ..clock import Clock
from ..pacing.backoff import delays
from ..quiet import logger
from .refusals import ERRORS, hint_on, kind_of, said

__all__ = ["AGAIN_MOST_S", "TROUBLE", "Task", "Trouble", "waits_s"]

TROUBLE = ERRORS
"""What a command may raise for Redis's or the network's sake."""


AGAIN_FIRST_S, AGAIN_MOST_S = 0.2, 1.0
"""While Redis cannot be used it is tried again after so long: back, it waits for a second at most."""


Task = Literal["start", "write", "vouch", "hold", "node"]
"""What is asked of Redis side by side. One may fail while another does not; "node": by one of a cluster."""


def waits_s(jitter: Callable[[], float]) -> Iterator[float]:
    """How long to wait before each further attempt, in seconds."""
    return delays(jitter, first_s=AGAIN_FIRST_S, most_s=AGAIN_MOST_S)


class Trouble:
    """Says once what is wrong with Redis, reminds while it lasts, and says when all of it is over."""

    def __init__(self, clock: Clock, *, remind_s: float) -> None:
        self._clock = clock
        self._remind_s = remind_s
        self._said_at_s: dict[str, float] = {}  # by kind: two that take turns are each told once
        self._since_s = 0.0
        self._failing_since_s: dict[Task, float] = {}

    def lasts_s(self, task: Task) -> float:
        """For how long that has not worked, in seconds; 0 if it works."""
        now_s = self._clock.monotonic()
        return now_s - self._failing_since_s.get(task, now_s)

    def note(self, error: BaseException, task: Task = "start") -> None:
        """Log the error, unless one of its kind was logged a moment ago."""
        kind, now_s = kind_of(error), self._clock.monotonic()
        self._failing_since_s.setdefault(task, now_s)
        if not self._said_at_s:
            self._since_s = now_s
        if now_s - self._said_at_s.get(kind, float("-inf")) < self._remind_s:
            return
        self._said_at_s[kind] = now_s
        text, hint = said(error), hint_on(error)
        what = "A master of the cluster" if task == "node" else "Redis"
        logger.bind(event="redis_trouble", kind=kind, error=text, hint=hint).warning(
            "{} cannot be used now ({}); trying again: {}", what, text, hint
        )

    def over(self, task: Task = "start") -> bool:
        """That works: log so if it is the last that did not. False if nothing was wrong, or something is."""
        self._failing_since_s.pop(task, None)
        if task == "start":  # Then nothing else is at work yet.
            self._failing_since_s.clear()
        if self._failing_since_s or not self._said_at_s:
            return False
        logger.bind(event="redis_recovered", seconds=round(self._clock.monotonic() - self._since_s, 1)).info(
            "Redis works again."
        )
        self._said_at_s.clear()
        return True
