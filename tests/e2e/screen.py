"""A `livecache` command on a terminal of its own: what it shows, and keys pressed in it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from .preloaded import COMMAND, started
from .support import ROOT, environment

__all__ = ["Screen", "on_a_terminal"]

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen:
    """The running command. `shown` is all that it has written so far, without colours and movements."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], columns: int, rows: int) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self._raw = b""
        plain = {name: value for name, value in environment(env).items() if name not in ("COLUMNS", "LINES")}
        self.process = started(
            command,
            env={**plain, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
            cwd=ROOT / "tests" / "e2e",
            files=(theirs, theirs, theirs),
            new_session=True,
        )

    @property
    def shown(self) -> str:
        return _CONTROL.sub("", self.raw).replace("\r\n", "\n")

    @property
    def raw(self) -> str:
        return self._raw.decode(errors="replace")

    @property
    def frame(self) -> str:
        """What stands there since the last time that the cursor went home."""
        return _CONTROL.sub("", self.raw.rpartition("\x1b[H")[2]).replace("\r\n", "\n")

    @property
    def settings(self) -> list[object]:
        """The terminal's, to be compared with `before`."""
        return termios.tcgetattr(self._theirs)

    def shows(self, part: str, within_s: float = 30.0, *, below: str = "") -> None:
        """Wait until it has shown that, be it after the last of what is `below`'s."""
        deadline = time.monotonic() + within_s
        while part not in (self.shown.rpartition(below)[2] if below else self.shown):
            assert time.monotonic() < deadline, (
                f"{part!r} was not shown within {within_s:g} s:\n{self.shown[-3000:]}"
            )
            self._read(0.2)

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def ended(self, within_s: float = 30.0) -> int:
        """The exit code, once it has ended."""
        deadline = time.monotonic() + within_s
        while (code := self.process.poll()) is None:
            assert time.monotonic() < deadline, f"it goes on after {within_s:g} s:\n{self.shown[-3000:]}"
            self._read(0.1)
        self._read(0.1)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self._theirs)
        os.close(self._ours)

    def _read(self, within_s: float) -> None:
        while select.select([self._ours], [], [], within_s)[0]:
            self._raw += os.read(self._ours, 65_536)
            within_s = 0.0


@contextmanager
def on_a_terminal(
    *arguments: str, env: Mapping[str, str], columns: int = 100, rows: int = 30
) -> Iterator[Screen]:
    """The command on a terminal of that size; killed at the end if it still runs."""
    screen = Screen([*COMMAND, *arguments], env, columns, rows)
    try:
        yield screen
    finally:
        screen.close()
