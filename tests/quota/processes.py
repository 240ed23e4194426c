"""Four processes that share a budget."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE
from typing import NamedTuple

from livecache.engine.limiter import Urgency

from .members import Sent

__all__ = ["Told", "four"]

ROOT = Path(__file__).parents[2]
FOUR = "abcd"


class Told(NamedTuple):
    """What four processes have sent, in order; how often they asked and lost Redis; when all were there."""

    sent: list[Sent]
    by_each: list[int]
    asks: int
    fallbacks: list[int]
    began: float
    ended: float

    def starts(self, since: float = 0.0, until: float = 1e12) -> list[float]:
        """Seconds of the clock that all processes of a host share."""
        return [each.at for each in self.sent if since <= each.at < until]

    def rate(self, since: float, until: float) -> float:
        return len(self.starts(since, until)) / (until - since)

    def waits(self, urgency: Urgency, since: float) -> list[float]:
        """Seconds that these have waited, the shortest first."""
        return sorted(e.waited_s for e in self.sent if e.urgency == urgency and e.at > since)


def four(url: str, seconds: float, mix: str, meanwhile: Callable[[], None] = lambda: None) -> Told:
    """What four processes send that ask for so long, and what is done meanwhile."""
    command = [sys.executable, "-m", "tests.quota.members", url]
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, name, str(seconds), mix], stdin=PIPE, stdout=PIPE, cwd=ROOT, text=True
                )
            )
            for name in FOUR
        ]
        try:
            for process in running:
                assert process.stdout is not None and process.stdout.readline() == "loaded\n"
            for process in running:  # together, however long each has loaded
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
            meanwhile()
            told = [json.loads(process.communicate(timeout=seconds + 300)[0]) for process in running]
        finally:
            for process in running:
                process.kill()
    sent = sorted(Sent(*each) for one in told for each in one["sent"])
    deep = [[at for at, urgency, _ in one["sent"] if urgency == Urgency.HISTORY] for one in told]
    # The first is alone until it is heard of twice.
    return Told(
        sent,
        [len(one["sent"]) for one in told],
        sum(one["asks"] for one in told),
        [one["fallbacks"] for one in told],
        max(one[0] for one in deep) + 1.5,
        min(one[-1] for one in deep),
    )
