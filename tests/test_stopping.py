"""What becomes of errors that end the service."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from livecache.process.stopping import HURRY_S, until_stopped

PROGRAM = """
    import asyncio, sys
    from livecache.process import stopping
    from livecache.process.stopping import until_stopped

    stopping.HURRY_S = float(sys.argv[3])

    async def main():
        print("up", flush=True)
        try:
            await asyncio.sleep(60)
        finally:
            print("stopping", flush=True)
            await asyncio.sleep(float(sys.argv[2]))
            print("stopped", flush=True)

    reloads = sys.argv[1] == "reloads"
    asyncio.run(until_stopped(main, on_hangup=lambda: print("reloads", flush=True) if reloads else None))
"""
PLAIN = PROGRAM.replace('on_hangup=lambda: print("reloads", flush=True) if reloads else None', "")


class Running:
    """That program in a process of its own."""

    def __init__(
        self, *, reloads: bool = False, stop_s: float = 0.0, hurry_s: float = HURRY_S, ignores: bool = False
    ) -> None:
        program = textwrap.dedent(PROGRAM if reloads else PLAIN)
        words = [sys.executable, "-c", program, "reloads", str(stop_s), str(hurry_s)]
        given = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *words] if ignores else words
        self.process = subprocess.Popen(
            given, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.says("up")

    def says(self, line: str) -> None:
        """Wait for that line, which is to be the next."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{line}\n"

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """The exit code."""
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            assert self.process.stdout is not None
            self.process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP])
def test_every_signal_that_ends_it_ends_it_cleanly(number: signal.Signals) -> None:
    running = Running()
    running.send(number)
    running.says("stopping")
    running.says("stopped")
    assert running.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_that_comes_twice_still_lets_it_stop(number: signal.Signals) -> None:
    """A supervisor and the shell that it started may both send one."""
    running = Running(stop_s=HURRY_S / 5, hurry_s=60.0)
    running.send(number)
    running.says("stopping")
    running.send(number)
    running.says("stopped")
    assert running.ended() == 0


def test_a_second_signal_leaves_the_stop_a_moment() -> None:
    running = Running(stop_s=60.0)
    running.send(signal.SIGTERM)
    running.says("stopping")
    began = time.monotonic()
    running.send(signal.SIGTERM)
    assert running.ended() == 128 + signal.SIGTERM
    assert time.monotonic() - began >= HURRY_S


def test_whoever_sends_a_third_signal_does_not_wait() -> None:
    running = Running(stop_s=60.0)
    running.send(signal.SIGTERM)
    running.says("stopping")
    while running.process.poll() is None:
        running.send(signal.SIGTERM)
    # A last one may come when Python has taken its handlers down: then it ends of the signal itself.
    assert running.ended() in (128 + signal.SIGTERM, -signal.SIGTERM)


def test_a_hangup_while_it_stops_is_not_a_second_wish() -> None:
    """systemd with SendSIGHUP, or a terminal that closes: both send it beside another signal."""
    running = Running(stop_s=0.2)
    running.send(signal.SIGTERM)
    running.says("stopping")
    running.send(signal.SIGHUP)
    running.says("stopped")
    assert running.ended() == 0


def test_a_hangup_is_handed_to_who_wants_it_and_ends_nothing() -> None:
    running = Running(reloads=True)
    for _ in range(3):
        running.send(signal.SIGHUP)
        running.says("reloads")
    running.send(signal.SIGTERM)
    running.says("stopping")
    running.says("stopped")
    assert running.ended() == 0


def test_under_nohup_a_hangup_ends_nothing_and_still_asks_for_a_reload() -> None:
    for reloads in (False, True):
        running = Running(reloads=reloads, ignores=True)
        running.send(signal.SIGHUP)
        if reloads:
            running.says("reloads")
        running.send(signal.SIGTERM)
        running.says("stopping")
        running.says("stopped")
        assert running.ended() == 0


def test_a_terminal_that_is_closed_ends_it_cleanly_though_a_hangup_reloads(tmp_path: Path) -> None:
    """Whoever closes the window does not want it to go on without one."""
    told = tmp_path / "told"
    leader, follower = pty.openpty()
    with told.open("w") as output:
        words = [sys.executable, "-c", textwrap.dedent(PROGRAM), "reloads", "0", str(HURRY_S)]
        process = subprocess.Popen(
            words, stdin=follower, stdout=output, stderr=subprocess.DEVNULL, start_new_session=True
        )
    os.close(follower)
    deadline = time.monotonic() + 60
    while told.read_text() != "up\n":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGHUP)
    while told.read_text() != "up\nreloads\n":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.close(leader)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0
    assert told.read_text() == "up\nreloads\nstopping\nstopped\n"


def test_a_connection_that_ends_unexpectedly_is_a_bug_and_not_the_end_of_what_a_user_types() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(hang_up(), name="hang up")

    async def hang_up() -> None:
        raise EOFError

    with pytest.raises(RuntimeError, match="a connection has ended") as caught:
        asyncio.run(until_stopped(main))
    assert isinstance(caught.value.__cause__, EOFError)
