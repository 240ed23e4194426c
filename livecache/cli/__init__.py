"""The command line: what each command is called, what it takes, and whom it calls.

One module a group of commands. Their own work is in `livecache.commands`, imported when a command runs: so
each loads only what it needs.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import sys

import click

from . import checking, files, history, keeping, looking, running
from .completion import VARIABLE

__all__ = ["app", "run_command"]


class _Commands(click.Group):
    """Lists its commands in the order in which they were added, and says which one was probably meant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.commands, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands, no_args_is_help=True, context_settings={"show_default": True, "max_content_width": 80}
)
@click.version_option(package_name="livecache", message="livecache %(version)s")
def app() -> None:
    """Keeps the latest candles of every symbol and timeframe warm in Redis."""


def run_command(arguments: list[str]) -> int:
    """Run one command; returns its exit code. Raises what the command raises, LivecacheError for one."""
    if VARIABLE in os.environ:
        from click.shell_completion import shell_complete

        return shell_complete(app, {}, "livecache", VARIABLE, os.environ[VARIABLE])
    try:
        # Not by `main`, which makes "Aborted!" of every EOFError, wherever it comes from.
        with app.make_context("livecache", list(arguments)) as context:
            code = app.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        with contextlib.suppress(OSError):  # Nobody may be there to read it.
            sys.stderr.write(_plainly(said.getvalue()))
        return error.exit_code
    return code if isinstance(code, int) else 0


def _plainly(message: str) -> str:
    """Click's message without a programmer's words: `is not a valid integer range`, `1<=x<=200`."""
    message = re.sub(r"is not a valid integer(?: range)?\b", "is not a whole number", message)
    message = re.sub(r"is not a valid float(?: range)?\b", "is not a number", message)
    message = re.sub(r"is not in the range ([\d.]+)<=?x<=?([\d.]+)", r"is not from \1 to \2", message)
    message = re.sub(r"is not in the range x>=([\d.]+)", r"is less than \1", message)
    return re.sub(r"is not in the range x<=([\d.]+)", r"is more than \1", message)


# The help lists them in this order.
for _room in (running, looking, checking, history, files, keeping):
    for _command in _room.COMMANDS:
        # Whole sentences in the list of commands: by itself it cuts them to fit a line.
        _command.short_help = (_command.help or "").partition("\n")[0]
        app.add_command(_command)
