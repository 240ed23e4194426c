"""A service that is restarted, handed over and reconfigured under a reader that never stops reading."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from livecache import Candles, Reader
from livecache.errors import LivecacheError
from livecache.model.series import SeriesId

from .support import Exchange, Process, exchange, livecache, market_of, until

__all__ = ["Changing", "Polling", "changing"]

STAYING = ("BTC-USD", "ETH-USD", "SOL-USD")
PASSING = ("XRP-USD", "ADA-USD", "DOGE-USD")  # they come and go
FRAMES = ("5m", "15m", "1h", "4h", "1d")
SPEED = 20.0  # a 5m bucket closes every 15 s
PROMISED_S = 6.5  # whoever comes within this time is not noticed
COUNT = 60

_FILE = """
[redis]
url = "{redis}"
[cache]
timeframes = {timeframes}
candles = {candles}
[venues.coinbase]
symbols = {symbols}
rest_url = "{rest}"
ws_url = "{ws}"
requests_per_second = {rate}
[log]
format = "json"
"""


@dataclass
class Polling:
    """Reads all that stays, closed candles and settled ones, ten times a second."""

    url: str
    errors: list[tuple[float, str]] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    down: list[float] = field(default_factory=list)  # when it was told that a feed is down
    looks: int = 0
    reads: int = 0
    through: dict[tuple[SeriesId, bool], tuple[int, int]] = field(default_factory=dict)

    def look(self, reader: Reader) -> None:
        """Once."""
        wanted = [(symbol, frame, COUNT) for symbol in STAYING for frame in FRAMES]
        for settled in (False, True):
            for series, answer in reader.many(wanted, settled=settled).items():
                self.reads += 1
                now = time.monotonic()
                if not isinstance(answer, Candles):
                    self.errors.append((now, f"{series}, settled {settled}: {answer!r}"))
                    continue
                marks = answer.known_through, answer.settled_through
                before = self.through.get((series, settled), (0, 0))
                if marks[0] < before[0] or marks[1] < before[1]:
                    self.back.append(f"{series}: {before} to {marks}")
                self.through[series, settled] = marks
                if answer.feed != "up":
                    self.down.append(now)
        self.looks += 1

    def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        with Reader(self.url) as reader:
            due = time.monotonic()
            while not stop.wait(max(0.0, due - time.monotonic())):
                due = max(due + 0.1, time.monotonic())
                try:
                    self.look(reader)
                except LivecacheError as error:
                    self.errors.append((time.monotonic(), repr(error)))


class Changing:
    """The service, and what is done to it."""

    def __init__(self, redis_url: str, venue: Exchange, directory: Path, stack: ExitStack) -> None:
        self.polling = Polling(redis_url)
        self.gaps_s: list[float] = []  # from each SIGTERM until the next one vouches
        self._reader = stack.enter_context(Reader(redis_url))
        self._venue = venue
        self._redis_url = redis_url
        self._directory = directory
        self._stack = stack
        self._reloads = 0
        self.write(STAYING, FRAMES)
        self.service = self.start()
        self.service.event("warm")
        self.vouched()

    def write(
        self, symbols: Sequence[str], timeframes: Sequence[str], *, candles: int = 100, rate: int = 100
    ) -> None:
        """Write the configuration."""
        (self._directory / "config.toml").write_text(
            _FILE.format(
                redis=self._redis_url,
                rest=self._venue.rest_url,
                ws=self._venue.ws_url,
                candles=candles,
                rate=rate,
                symbols=json.dumps(symbols),
                timeframes=json.dumps(timeframes),
            )
        )

    def start(self) -> Process:
        """Another instance."""
        return self._stack.enter_context(livecache("run", cwd=self._directory))

    def vouched(self) -> None:
        """Wait until the running instance vouches, with its feed."""

        def by_it() -> bool:
            words = [view.alive for view in self._reader.states() if view.series.symbol in STAYING]
            return bool(words) and all(
                word and f"-{self.service.pid}-" in word.instance and word.feed == "up" for word in words
            )

        until("it vouches", by_it)

    def restart(self) -> None:
        """SIGTERM, and start again."""
        began = time.monotonic()
        self.service.stop()
        self.service = self.start()
        self._came(began)

    def hand_over(self) -> None:
        """SIGTERM while another instance waits."""
        waiting = self.start()
        waiting.event("lease_wait")
        began = time.monotonic()
        gone, self.service = self.service, waiting
        gone.stop()
        self._came(began)

    def _came(self, began: float) -> None:
        self.service.event("adopted")
        until("it vouches", self._alive_is_its)
        self.gaps_s.append(time.monotonic() - began)
        self.vouched()

    def _alive_is_its(self) -> bool:
        view = self._reader.state(STAYING[0], "5m")
        return view.alive is not None and f"-{self.service.pid}-" in view.alive.instance

    def reload(self) -> None:
        """Have something come, and something go; return once what came can be read."""
        self._reloads += 1
        n = self._reloads
        passing = PASSING[n % len(PASSING)]
        frames = (*FRAMES, "30m") if n % 2 else FRAMES
        self.write((*STAYING, passing), frames, candles=100 + n % 3, rate=100 - n % 4)
        self.service.send(signal.SIGHUP)
        until(f"reload {n}", lambda: len(self.service.events("reloaded")) == self._reloads)
        until(
            f"{passing} can be read",
            lambda: all(
                isinstance(a, Candles)
                for a in self._reader.many([(passing, f, COUNT) for f in frames]).values()
            ),
        )

    def after_reloads(self) -> None:
        """A new instance: its reloads are counted anew."""
        self._reloads = 0


@contextmanager
def changing(redis_url: str, directory: Path) -> Iterator[Changing]:
    """A warm service over that Redis, and the reader at work."""
    with ExitStack() as stack:
        venue = stack.enter_context(exchange(market_of(*STAYING, *PASSING), speed=SPEED))
        it = Changing(redis_url, venue, directory, stack)
        stop = threading.Event()
        thread = threading.Thread(target=it.polling.run, args=(stop,), name="polling")
        thread.start()
        try:
            yield it
        finally:
            stop.set()
            thread.join(30)
