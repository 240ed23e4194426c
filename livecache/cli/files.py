"""The command that takes candles out of other people's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import options
from .completion import complete_timeframe
from .options import Given

__all__ = ["COMMANDS"]


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=options.FILE, metavar="FILE...")
@click.option("--venue", help="The id of the venue, where several are configured.")
@click.option("--symbol", help="As the venue writes it; else as the name of an archive says.")
@click.option(
    "--timeframe", help="Such as 1m; else as the file's name says.", shell_complete=complete_timeframe
)
@click.option("--complete", is_flag=True, help="What is not between its candles was not traded: it is empty.")
@click.option(
    "--digits",
    type=click.IntRange(1, 15),
    help="Round binary floats to so many digits, where that moves them by no more than their last bit.",
)
@click.option("--force", is_flag=True, help="Take also what is stored otherwise.")
@options.history_url
@options.config
@options.as_json
def import_(
    files: tuple[Path, ...], given: Given, history_url: str | None, as_json: bool, **wanted: Any
) -> int:
    """Take candles from files into the history.

    An exchange's archives (zip, with their checksums), CSV, Parquet, freqtrade's Feather, jesse's table; of a
    directory, all that are in it. What they are their content tells. A file proves what it holds: a hole in
    it stays missing. What is stored already stays as it is. Exit 1 if a file could not be read.
    """
    from ..commands.files.importing import Wanted, import_files
    from ..commands.history.opened import place_of

    config = given.load().config
    place = place_of(config, history_url)
    return import_files(config, place, files, Wanted(**wanted), as_json=as_json)


COMMANDS = (import_,)
"""What brings candles in."""
