"""The command line: what each command is called, what it takes, and whom it calls.

One module a group of commands. Their own work is in `livecache.commands`, imported when a command runs: so
each loads only what it needs.
"""

from __future__ import annotations

from typing import Annotated

import typer

from . import checking, keeping, looking, running

__all__ = ["app", "run_command"]

app = typer.Typer(
    help="Keeps the latest candles of every symbol and timeframe warm in Redis.",
    no_args_is_help=True,
    # Errors are explained in __main__, and help needs no colours: rich would double the time to start.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def run_command(arguments: list[str]) -> int:
    """Run one command; returns its exit code. Raises what the command raises, LivecacheError for one."""
    try:
        app(args=arguments, prog_name="livecache")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    # __main__ answers --version where it stands alone; this is for the help, and for odd places.
    if version:
        from importlib.metadata import version as installed

        print(f"livecache {installed('livecache')}")
        raise typer.Exit


# The help lists them in this order.
running.register(app)
looking.register(app)
checking.register(app)
keeping.register(app)

for _info in app.registered_commands:
    # Whole sentences in the list of commands: by itself it cuts them to fit a line.
    _info.short_help = ((_info.callback and _info.callback.__doc__) or "").partition("\n")[0]
