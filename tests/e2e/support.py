"""What the tests of the whole service share: the command in a process of its own, and a simulated exchange.

Nothing here sleeps for a fixed time: whatever is waited for has a condition and a deadline.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from livecache.simulator import (
    Market,
    MarketClock,
    Product,
    RequestRecord,
    SeededMarket,
    Simulator,
)

from .preloaded import COMMAND, started

__all__ = [
    "CANDLES",
    "NOON",
    "ROOT",
    "Exchange",
    "Process",
    "Record",
    "candle_requests",
    "environment",
    "exchange",
    "free_port",
    "livecache",
    "market_of",
    "reach",
    "settings",
    "until",
]

ROOT = Path(__file__).parents[2]
CANDLES = ROOT.parent / "shared" / "data" / "coinbase" / "three_symbols_5m_2026-02"

NOON = 1_790_856_060_000
"""2026-10-01T12:01:00Z: a minute after 5m, 15m, 1h and 4h buckets have closed, and four before the next."""

Record = dict[str, Any]
T = TypeVar("T")


def until(
    what: str, condition: Callable[[], T | None], within_s: float = 60.0, *, every_s: float = 0.02
) -> T:
    """Wait for the condition to return something true, and return that; fail when it does not in time."""
    deadline = time.monotonic() + within_s
    while True:
        if result := condition():
            return result
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(every_s)


def reach(moment_s: float) -> None:
    """Wait for that monotonic time: for what is to happen at a moment that nothing else marks."""
    until("the moment has come", lambda: time.monotonic() >= moment_s, 60.0)


class Busy:
    """How long this process was ready to run and did not, for want of a processor that was free."""

    def __init__(self) -> None:
        self.s = 0.0  # in all
        self.longest_s = 0.0
        self._late: list[tuple[float, float]] = []  # from when to when
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="how busy the host is")

    def _look(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(0.02):
            now = time.monotonic()
            late_s = max(0.0, now - began - 0.025)
            self.s += late_s
            self.longest_s = max(self.longest_s, late_s)
            if late_s:
                self._late.append((now - late_s, now))
            began = now

    def within(self, since: float, until: float) -> float:
        """Seconds of these, by the monotonic clock."""
        return sum(max(0.0, min(end, until) - max(began, since)) for began, end in self._late)

    def __enter__(self) -> Busy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


# --- the command


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment without livecache's own variables, and `extra`; logs come as JSON.

    HTTP is off unless `extra` says otherwise: services that run side by side would want the same port.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LIVECACHE_")}
    ours = {"LIVECACHE_LOG_FORMAT": "json", "LIVECACHE_HTTP_LISTEN": "off"}
    return {**clean, **ours, **(extra or {})}


class Process:
    """A running `livecache` command: its log records as they come, its output, its end."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self.began_s = time.monotonic()
        self.records: list[Record] = []
        self.errors: list[str] = []  # lines on stderr that are no records
        self.output: list[str] = []
        self._news = threading.Condition()
        (out, write_out), (err, write_err) = os.pipe(), os.pipe()
        try:
            with open(os.devnull, "rb") as nothing:
                files = (nothing.fileno(), write_out, write_err)
                self._process = started(command, env=environment(env), cwd=cwd, files=files)
        finally:
            os.close(write_out)
            os.close(write_err)
        self._listeners = [
            threading.Thread(target=self._listen, args=(out, self._take_output)),
            threading.Thread(target=self._listen, args=(err, self._take_error)),
        ]
        for listener in self._listeners:
            listener.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def event(self, name: str, within_s: float = 60.0, **fields: object) -> Record:
        """The first record of that event (with these fields), waited for."""

        def found() -> Record | None:
            return next((r for r in self.events(name) if fields.items() <= r.items()), None)

        return self._wait(found, f"a record {name} {fields or ''}", within_s)

    def events(self, name: str) -> list[Record]:
        """All records of that event so far."""
        return [record for record in self.records if record.get("event") == name]

    def line(self, part: str, within_s: float = 60.0) -> str:
        """The first line of output that holds `part`, waited for."""
        return self._wait(
            lambda: next((line for line in self.output if part in line), None), f"a line {part!r}", within_s
        )

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self, within_s: float = 60.0) -> int:
        """The exit code, once it has ended and all that it said has arrived."""
        code = self._process.wait(within_s)
        for listener in self._listeners:
            listener.join(within_s)
            assert not listener.is_alive(), "somebody still holds its output"
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM, within_s: float = 30.0) -> float:
        """Send the signal and return after how many seconds it ended, cleanly and within `within_s`."""
        began = time.monotonic()
        self.send(number)
        assert self.ended(within_s) == 0, self.story()
        return time.monotonic() - began

    def close(self) -> None:
        """Whatever state it is in: be rid of it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for listener in self._listeners:
            listener.join(10)

    def story(self) -> str:
        """What it said, for the message of a failed test."""
        said = [json.dumps(record)[:300] for record in self.records[-40:]]
        return "\n".join([f"exit code {self._process.poll()}", *said, *self.errors[-40:], *self.output[-40:]])

    def _wait(self, found: Callable[[], T | None], what: str, within_s: float) -> T:
        with self._news:
            over = self._news.wait_for(lambda: found() or not self._alive(), within_s)
        result = found()
        assert result is not None, (
            f"{'it ended' if over else f'{within_s:g} s'} without {what}:\n{self.story()}"
        )
        return result

    def _alive(self) -> bool:
        return any(listener.is_alive() for listener in self._listeners)

    def _listen(self, file: int, take: Callable[[str], None]) -> None:
        with open(file, encoding="utf-8") as stream:
            for line in stream:
                with self._news:
                    take(line.rstrip("\n"))
                    self._news.notify_all()

    def _take_output(self, line: str) -> None:
        self.output.append(line)

    def _take_error(self, line: str) -> None:
        try:
            record = json.loads(line)
        except ValueError:
            self.errors.append(line)
        else:
            self.records.append(record)


@contextmanager
def livecache(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    under: Sequence[str] = (),
) -> Iterator[Process]:
    """A `livecache` command in a process of its own; killed at the end if it still runs.

    It works in a directory without a config.toml unless `cwd` has one. `under`: a command that runs it.
    """
    process = Process([*under, *COMMAND, *arguments], env or {}, cwd or ROOT / "tests" / "e2e")
    try:
        yield process
    finally:
        process.close()


def settings(
    rest_url: str, ws_url: str, redis_url: str, symbols: Sequence[str], **more: object
) -> dict[str, str]:
    """The environment of a service on that exchange and Redis; `more` as `CACHE_CANDLES=100`."""
    given = {
        "VENUES_COINBASE_REST_URL": rest_url,
        "VENUES_COINBASE_WS_URL": ws_url,
        "VENUES_COINBASE_SYMBOLS": ",".join(symbols),
        "VENUES_COINBASE_REQUESTS_PER_SECOND": "100",
        "REDIS_URL": redis_url,
        **{name: str(value) for name, value in more.items()},
    }
    return {f"LIVECACHE_{name}": value for name, value in given.items()}


# --- the exchange


def market_of(*symbols: str, seed: int = 1) -> SeededMarket:
    """A seeded market of these products; thin ones as `ANY-USD:thin`."""
    return SeededMarket(seed, [Product.parse(symbol) for symbol in symbols])


class Exchange:
    """A simulated exchange in a thread of its own, for tests that are no coroutines."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.rest_url = simulator.rest_url
        self.ws_url = simulator.ws_url

    @property
    def requests(self) -> list[RequestRecord]:
        """Every REST request so far, in order of arrival."""
        return list(self.simulator.exchange.requests)

    @property
    def candle_requests(self) -> list[RequestRecord]:
        """Those for candles."""
        return candle_requests(self.requests)

    def settings(self, redis_url: str, symbols: Sequence[str] = (), **more: object) -> dict[str, str]:
        """The environment of a service on this exchange; without `symbols`, of all its products."""
        chosen = symbols or self.simulator.market.products()
        return settings(self.rest_url, self.ws_url, redis_url, chosen, **more)


@contextmanager
def exchange(
    market: Market | None = None, *, speed: float = 1.0, start_ms: int = NOON, **options: Any
) -> Iterator[Exchange]:
    """A running exchange that allows a thousand requests a second, unless `options` say otherwise.

    However fast its market runs, the feed is updated ten times in a real second at most.
    """
    options = {
        "requests_per_second": 1000,
        "private_requests_per_second": 1000,
        "update_ms": max(1_000, round(100 * speed)),
        **options,
    }
    started: list[Exchange | BaseException] = []
    ready = threading.Event()
    # At its end nothing is left under way: no request that hangs, no feed.
    runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
    loop, stop = runner.get_loop(), asyncio.Event()

    async def serve() -> None:
        simulator = Simulator(
            market or market_of("BTC-USD", "ETH-USD"), clock=MarketClock(start_ms, speed), **options
        )
        async with simulator:
            started.append(Exchange(simulator))
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            with runner:
                runner.run(serve())
        except BaseException as error:
            started.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="exchange")
    thread.start()
    try:
        assert ready.wait(60)
        running = started[0]
        if isinstance(running, BaseException):
            raise running
        yield running
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join(60)
    assert not thread.is_alive()
    if isinstance(started[-1], BaseException):
        raise started[-1]


def candle_requests(requests: Sequence[RequestRecord]) -> list[RequestRecord]:
    """Those of the requests that ask for candles."""
    return [request for request in requests if request.path.endswith("/candles")]


def free_port() -> int:
    """A port of loopback on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
