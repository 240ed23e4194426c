"""What systemd is told, over a real socket; and the unit file."""

from __future__ import annotations

import asyncio
import configparser
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from livecache.config.schema import Config
from livecache.engine.engine import Engine
from livecache.engine.fleet import Place
from livecache.http.watch.health import STIRS_WITHIN_S
from livecache.http.watch.instance import Instance
from livecache.process.supervisor import Supervisor

from .service.hand_clock import HandClock

UNIT = Path(__file__).parents[1] / "docs" / "systemd" / "livecache.service"


class Manager:
    """The other end: what was told, a dict a message."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.socket.setblocking(False)

    def heard(self) -> list[dict[str, str]]:
        messages: list[dict[str, str]] = []
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except BlockingIOError:
                return messages
            messages.append(dict(line.split("=", 1) for line in text.splitlines()))


@contextmanager
def manager(address: str) -> Iterator[Manager]:
    listening = Manager(address)
    try:
        yield listening
    finally:
        listening.socket.close()


@pytest.fixture(params=["a path", "an abstract address"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    path = str(tmp_path / "notify")
    with manager(path if request.param == "a path" else f"@livecache-{os.getpid()}-{id(path)}") as listening:
        yield listening


def of(systemd: Manager, **more: str) -> Supervisor:
    return Supervisor({"NOTIFY_SOCKET": systemd.address, **more}, 7)


def test_each_word_is_one_datagram_in_systemds_own_terms(systemd: Manager) -> None:
    supervisor = of(systemd)
    supervisor.starting("starting: Redis is\naway")
    supervisor.ready("writing")
    supervisor.lives("writing")
    supervisor.reloading()
    supervisor.ready()
    supervisor.stopping()
    starting, ready, lives, reloading, again, stopping = systemd.heard()
    assert starting == {"EXTEND_TIMEOUT_USEC": "60000000", "STATUS": "starting: Redis is away"}
    assert ready == {"READY": "1", "STATUS": "writing"}
    assert lives == {"WATCHDOG": "1", "STATUS": "writing"}
    assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) > 0
    assert again == {"READY": "1"}
    assert stopping == {"STOPPING": "1", "STATUS": "stopping"}


def test_without_systemd_nothing_is_told_and_nothing_runs() -> None:
    supervisor = Supervisor({}, 7)
    supervisor.ready("x")
    supervisor.stopping()
    asyncio.run(supervisor.run(cast(Instance, None), HandClock()))


@pytest.mark.parametrize("address", ["/nowhere/at/all", "@nobody-listens-here", "x" * 300, "relative"])
def test_a_socket_that_cannot_be_told_harms_nobody(address: str) -> None:
    Supervisor({"NOTIFY_SOCKET": address}, 7).ready("x")


def test_a_manager_that_does_not_read_holds_nobody_up(systemd: Manager) -> None:
    supervisor = of(systemd)
    for _ in range(2_000):
        supervisor.lives("writing")


class Beat(HandClock):
    """Ends the loop after so many beats."""

    def __init__(self, beats: int, between: Any = lambda n: None) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._beats = beats
        self._between = between

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        if len(self.waits) == self._beats:
            raise asyncio.CancelledError
        self._between(len(self.waits))


def told(systemd: Manager, beats: int, between: Any, **more: str) -> tuple[list[dict[str, str]], Beat]:
    """What a service tells that is warm from the start; `between` changes it after each beat."""

    async def scenario() -> Beat:
        holder: list[Instance] = []
        clock = Beat(beats, lambda n: between(n, holder[0]))
        instance = Instance(Config(), clock)
        holder.append(instance)
        pulse = SimpleNamespace(stirred_at_s=clock.monotonic(), waits_for="")
        engine = SimpleNamespace(
            clock=clock,
            live=SimpleNamespace(warm_s=None),
            writer=SimpleNamespace(pulse=pulse, writing=True),
        )
        instance.places = {"coinbase": Place(cast(Engine, engine))}
        between(0, instance)
        with pytest.raises(asyncio.CancelledError):
            await of(systemd, **more).run(instance, clock)
        return clock

    clock = asyncio.run(scenario())
    return systemd.heard(), clock


def test_it_is_started_once_all_was_ready_and_then_gives_signs_of_life_until_it_stops(
    systemd: Manager,
) -> None:
    def between(n: int, instance: Any) -> None:
        instance.engine.live.warm_s = 1.0

    heard, clock = told(systemd, 3, between, WATCHDOG_USEC="6000000", WATCHDOG_PID="7")
    assert [next(iter(one)) for one in heard] == ["READY", "WATCHDOG", "WATCHDOG", "STOPPING"]
    assert clock.waits[0] == 3.0, "twice in the time that is allowed"


def test_until_then_it_asks_for_time_and_says_why(systemd: Manager) -> None:
    def between(n: int, instance: Any) -> None:
        if n == 0:
            instance.places["coinbase"].engine = None  # it has only begun
        if n == 2:
            instance.was_ready = True

    heard, _ = told(systemd, 3, between)
    assert [next(iter(one)) for one in heard] == [
        *("EXTEND_TIMEOUT_USEC", "EXTEND_TIMEOUT_USEC", "READY", "STOPPING")
    ]
    assert heard[0]["STATUS"] == "starting: the service is starting, or ending"


def test_a_writer_that_is_stuck_is_given_no_sign_of_life(systemd: Manager) -> None:
    def between(n: int, instance: Any) -> None:
        instance.was_ready = True
        if n == 1:
            instance.clock.time += STIRS_WITHIN_S + 1

    heard, _ = told(systemd, 3, between, WATCHDOG_USEC="6000000")
    assert [next(iter(one)) for one in heard] == ["READY", "STOPPING"], "systemd acts on silence"


def test_another_processes_watchdog_is_not_ours(systemd: Manager) -> None:
    def between(n: int, instance: Any) -> None:
        instance.was_ready = True

    _, clock = told(systemd, 2, between, WATCHDOG_USEC="2000000", WATCHDOG_PID="8")
    assert clock.waits[0] == 5.0


# --- the unit


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text(encoding="utf-8"))
    return parser


def test_the_unit_says_what_the_service_does() -> None:
    service = unit()["Service"]
    assert (service["Type"], service["NotifyAccess"], service["KillMode"]) == ("notify", "main", "mixed")
    assert service["ExecStart"].split()[1:3] == ["run", "--config"]
    assert "HUP" in service["ExecReload"]
    assert int(service["TimeoutStopSec"]) > 5, "a stop takes five seconds at most"
    assert int(service["WatchdogSec"]) >= 10
    assert int(service["TimeoutStartSec"]) > 5, "the first word comes at once"
    assert unit()["Install"]["WantedBy"] == "multi-user.target"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze comes with systemd")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8")
    copy = tmp_path / UNIT.name
    # The only thing that is not there is the program itself.
    copy.write_text(text.replace("/opt/livecache/bin/livecache", sys.executable), encoding="utf-8")
    verdict = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    mine = [line for line in verdict.stderr.splitlines() if UNIT.name in line]
    assert (verdict.returncode, mine) == (0, []), verdict.stderr
