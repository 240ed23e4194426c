"""`livecache status --watch`: the table as it changes; in a pipe, a line for whatever changes."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ...config.schema import Config
from ...errors import RedisUnavailable, UnknownSeries
from .. import terminal
from ..reading import utc
from .status import Row, Wanted, as_object, look, rich_table, summary, trouble_first

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["changes", "watch_status"]

_QUIT = (b"q", b"Q", b"\x04")  # Ctrl-D as well


def watch_status(config: Config, wanted: Wanted, *, every_s: float) -> None:
    """Show the table every `every_s` seconds until `q` or Ctrl-C.

    In a pipe nothing is drawn: there each change of a series' state is a line; as JSON each look is one.
    Raises RedisUnavailable and UnknownSeries at the first look only.
    """
    # A signal ends it as Ctrl-C does, so that the terminal is left as it was found.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        table = look(config, wanted)
        if wanted.as_json:
            _print_objects(config, wanted, table, every_s)
        elif terminal.is_terminal():
            _draw(config, wanted, table, every_s)
        else:
            _print_changes(config, wanted, table, every_s)


def changes(before: Sequence[Row], after: Sequence[Row]) -> Iterator[str]:
    """A line for each series that is in another state than before, is new, or is gone. Pure."""
    old = {row.series: row for row in before}
    for row in after:
        earlier = old.pop(row.series, None)
        if earlier is None or earlier.state != row.state:
            was = f"{earlier.state} -> " if earlier else ""
            because = f": {row.reason}" if row.reason else ""
            yield f"{row.series.symbol} {row.series.timeframe} {was}{row.state}{because}"
    for row in old.values():
        yield f"{row.series.symbol} {row.series.timeframe} {row.state} -> no longer configured"


def _again(config: Config, wanted: Wanted) -> list[Row] | RedisUnavailable:
    """The table now, or why it cannot be had now: Redis may come back."""
    try:
        return look(config, wanted)
    except RedisUnavailable as error:
        return error
    except UnknownSeries:
        return []  # What was chosen is configured no more, and may be again.


def _print_objects(config: Config, wanted: Wanted, table: Sequence[Row], every_s: float) -> None:
    latest: list[Row] | RedisUnavailable = list(table)
    while True:
        told = {"error": latest.message} if isinstance(latest, RedisUnavailable) else as_object(latest)
        print(json.dumps(told), flush=True)
        time.sleep(every_s)
        latest = _again(config, wanted)


def _print_changes(config: Config, wanted: Wanted, table: Sequence[Row], every_s: float) -> None:
    def say(line: str) -> None:
        print(f"{utc(int(time.time() * 1000))} {line}", flush=True)

    for line in changes([], table):
        say(line)
    say(said := summary(table))
    trouble = ""
    while True:
        time.sleep(every_s)
        latest = _again(config, wanted)
        if isinstance(latest, RedisUnavailable):
            if latest.message != trouble:
                say(trouble := latest.message)
            continue
        trouble = ""
        for line in changes(table, latest):
            say(line)
        if summary(latest) != said:
            say(said := summary(latest))
        table = latest


def _draw(config: Config, wanted: Wanted, table: Sequence[Row], every_s: float) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        trouble = ""
        while True:
            live.update(_screen(console, table, trouble), refresh=True)
            if pressed(every_s) in _QUIT:
                return
            latest = _again(config, wanted)
            if isinstance(latest, RedisUnavailable):
                trouble = latest.message
            else:
                table, trouble = latest, ""


def _screen(console: Console, table: Sequence[Row], trouble: str) -> RenderableType:
    """What fits on the screen: the summary, then the series in trouble before the others."""
    from rich.console import Group
    from rich.text import Text

    ordered = trouble_first(table)
    room = max(1, console.height - 4)
    hidden = len(ordered) - room
    below = f"… and {hidden} more; " if hidden > 0 else ""
    head = Text(f"{utc(int(time.time() * 1000))} UTC  {summary(table)}", no_wrap=True, overflow="ellipsis")
    said = Text(trouble, style="red", no_wrap=True, overflow="ellipsis")
    foot = Text(f"{below}q quits", style="dim", no_wrap=True, overflow="ellipsis")
    return Group(head, said, rich_table(ordered[:room], console.width), foot)


@contextmanager
def _keys() -> Iterator[Callable[[float], bytes]]:
    """A function that waits so many seconds for a key, and returns it or b"". The terminal is restored."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield _no_key
        return
    # Only here: these are not everywhere, and only a terminal needs them.
    import termios
    import tty

    descriptor = sys.stdin.fileno()

    def pressed(within_s: float) -> bytes:
        ready, _, _ = select.select([descriptor], [], [], within_s)
        # The end of input counts as its key: nobody is there any more.
        return (os.read(descriptor, 1) or b"\x04") if ready else b""

    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _no_key(within_s: float) -> bytes:
    time.sleep(within_s)
    return b""
