"""Commands that need not load livecache first: they are forked off a process that has loaded it once.

Loading is a third of a second of computing, for each of some three hundred commands more than all that
they do. What is forked has arguments, environment, directory, files, session, signals and an exit code of its
own.

`python -m tests.e2e.preloaded` is that process; it takes its orders from the socket that is its stdin.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["COMMAND", "Forked", "close", "started"]

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "livecache")
_NUMBER = struct.Struct("!i")  # the pid, and later the exit code, in a pipe to whoever ordered the command
_ORDER_MOST = 200_000


class _Loaded:
    """The process that has loaded all, as seen by those who order commands of it."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen([sys.executable, "-m", __name__], cwd=ROOT, stdin=theirs.fileno())

    def close(self) -> None:
        self.socket.close()
        self.process.wait(60)


@functools.cache
def _loaded() -> _Loaded:
    return _Loaded()


def close() -> None:
    """End the process that has loaded all, if there is one."""
    if _loaded.cache_info().currsize:
        _loaded().close()
        _loaded.cache_clear()


class Forked:
    """A `livecache` command in a process of its own, with what tests need of `subprocess.Popen`.

    `files` are its stdin, stdout and stderr.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        files: tuple[int, int, int],
        new_session: bool = False,
    ) -> None:
        self.returncode: int | None = None
        self._told, theirs = os.pipe()
        order = {"arguments": [*arguments], "env": {**env}, "cwd": str(cwd), "new_session": new_session}
        try:
            socket.send_fds(_loaded().socket, [json.dumps(order).encode()], [*files, theirs])
        finally:
            os.close(theirs)
        self.pid = self._number()

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, waited for."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("livecache", timeout or 0.0)
            self.returncode = self._number()
            os.close(self._told)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _number(self) -> int:
        told = os.read(self._told, _NUMBER.size)
        assert len(told) == _NUMBER.size, "the process that forks commands has ended"
        number: int = _NUMBER.unpack(told)[0]
        return number


def started(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    files: tuple[int, int, int],
    new_session: bool = False,
) -> Forked | subprocess.Popen[bytes]:
    """The command in a process of its own: forked if it is one of ours, else loaded from nothing.

    On Linux only: elsewhere a process that has loaded as much may not be forked.
    """
    if sys.platform == "linux" and tuple(command[: len(COMMAND)]) == COMMAND:
        return Forked(command[len(COMMAND) :], env=env, cwd=cwd, files=files, new_session=new_session)
    stdin, stdout, stderr = files
    return subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=new_session,
    )


# --- the process that has loaded all


def _become_commands() -> list[str] | None:
    """Fork off what is ordered, until nobody orders any more.

    Returns None here, and in the process of a command its arguments.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    handler = signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever orders.
    orders = socket.socket(fileno=os.dup(0))
    running: dict[int, int] = {}  # pipes to those who ordered, by the pid of what they ordered
    while True:
        ready, _, _ = select.select([orders.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 1_000)
            _reap(running)
        if orders.fileno() not in ready:
            continue
        text, files, _, _ = socket.recv_fds(orders, _ORDER_MOST, 4)
        if not text:
            return None
        if pid := os.fork():
            running[pid] = files.pop()
            os.write(running[pid], _NUMBER.pack(pid))
            for file in files:
                os.close(file)
            continue
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, handler)
        signal.signal(signal.SIGINT, interrupted)
        orders.close()
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        for file in [woken, wake, *files, *running.values()]:
            os.close(file)
        return _entered(json.loads(text))


def _reap(running: dict[int, int]) -> None:
    for pid in [*running]:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            _, status = os.waitpid(pid, 0)
            told = running.pop(pid)
            with contextlib.suppress(BrokenPipeError):  # Nobody may wait for it any more.
                os.write(told, _NUMBER.pack(os.waitstatus_to_exitcode(status)))
            os.close(told)


def _entered(order: dict[str, object]) -> list[str]:
    """Be in the place that was ordered, as an interpreter that has just begun there."""
    if order["new_session"]:
        os.setsid()
    os.chdir(str(order["cwd"]))
    env, arguments = order["env"], order["arguments"]
    assert isinstance(env, dict) and isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    encoding, _, errors = env.get("PYTHONIOENCODING", "").partition(":")
    encoding, lines = encoding or "utf-8", bool(env.get("PYTHONUNBUFFERED"))
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding)
    sys.stdout = _text(1, encoding, errors or "strict", lines=lines or os.isatty(1))
    sys.stderr = _text(2, encoding, "backslashreplace", lines=True)
    sys.argv = ["livecache", *arguments]
    return arguments


def _text(number: int, encoding: str, errors: str, *, lines: bool) -> io.TextIOWrapper:
    raw = io.BufferedWriter(io.FileIO(number, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding, errors, line_buffering=lines)


def _load() -> None:
    import livecache

    for found in pkgutil.walk_packages(livecache.__path__, "livecache."):
        importlib.import_module(found.name)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _load()
    ordered = _become_commands()
    if ordered is not None:
        from livecache.__main__ import main

        sys.exit(main(ordered))
