"""Which faults of a script play now."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from ...quiet import logger
from ..clock import MarketClock
from .script import Episode, Strike

__all__ = ["NEVER", "Episodes", "Playing"]

NEVER = 1 << 62
_E = TypeVar("_E", bound=Episode)


@dataclass(slots=True, eq=False)
class Playing:
    """One episode: from when to when (Unix ms of market time), and what became of it."""

    episode: Episode
    begin: int
    end: int
    chance: random.Random
    struck: int = 0
    held: tuple[int, str] | None = None  # a frame that is to come later, and whose session's it is

    @property
    def kind(self) -> str:
        """Its name in a script."""
        return str(self.episode.__struct_config__.tag)


class Episodes:
    """The episodes to come and those that play now, by a market's clock.

    `counts`: how many of each kind happened; what holds for a while counts once.
    """

    def __init__(self, clock: MarketClock, seed: int, counts: Counter[str]) -> None:
        self._clock = clock
        self._seed = seed
        self._added = 0
        self._counts = counts
        self._coming: list[Playing] = []
        self.active: list[Playing] = []
        self.next_change = NEVER
        """When (market time, Unix ms) an episode begins or ends; `NEVER` if none does by the clock."""

    def add(self, episode: Episode, begin: int) -> None:
        """Let it begin then (Unix ms), at once if that is past."""
        lasts_s: float = getattr(episode, "lasts", 0.0)
        # What strikes once waits for its chance; what is done for good is over at once.
        open_end = NEVER if isinstance(episode, Strike) else begin
        end = begin + int(lasts_s * 1000) if lasts_s else open_end
        self._added += 1
        # Each has dice of its own, so that one more or less changes nothing for the others.
        chance = random.Random(f"{self._seed}|{self._added}")
        self._coming.append(Playing(episode, begin, end, chance))
        self._coming.sort(key=lambda p: p.begin)
        self.next_change = 0

    def end_all(self) -> None:
        """End what plays, and drop what is to come."""
        self._coming.clear()
        for playing in self.active:
            playing.end = 0
        self.next_change = 0

    def refresh(self) -> int:
        """Begin what is due and end what is over. Returns market time, Unix ms."""
        now = self._clock.now()
        if now < self.next_change:
            return now
        due = [p for p in self._coming if p.begin <= now]
        del self._coming[: len(due)]
        for playing in due:
            _tell("fault_began", f"fault: {playing.kind} begins", playing)
            if not isinstance(playing.episode, Strike):
                self._counts[playing.kind] += 1
        self.active += due
        for playing in [p for p in self.active if p.end <= now]:
            self.active.remove(playing)
            _tell("fault_over", f"fault: {playing.kind} is over", playing)
        changes = [p.begin for p in self._coming[:1]] + [p.end for p in self.active]
        self.next_change = min(changes, default=NEVER)
        return now

    def of(self, kind: type[_E]) -> Iterator[tuple[Playing, _E]]:
        """Those that play now and are of this kind."""
        self.refresh()
        for playing in self.active:
            if isinstance(playing.episode, kind):
                yield playing, playing.episode

    def strikes(self, playing: Playing, detail: object = "") -> bool:
        """Whether it takes the chance that offers; if so, it is counted, under its kind and that detail."""
        strike = playing.episode
        assert isinstance(strike, Strike)
        if playing.end == 0 or (strike.share < 1 and playing.chance.random() >= strike.share):
            return False
        playing.struck += 1
        self._counts[f"{playing.kind} {detail}".rstrip()] += 1
        if strike.lasts == 0:
            playing.end = self.next_change = 0
        return True


def _tell(event: str, message: str, playing: Playing) -> None:
    struck = f" after {playing.struck} times" if playing.struck else ""
    logger.bind(event=event, kind=playing.kind, struck=playing.struck).info("{}{}", message, struck)
