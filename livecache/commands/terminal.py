"""What is known of where the output goes: a terminal or a pipe, how wide, which characters it can show."""

from __future__ import annotations

import os
import shutil
import sys

__all__ = ["PIPE_WIDTH", "can_show", "has_colour", "height", "is_terminal", "width"]

PIPE_WIDTH = 80
"""Columns of a drawing that goes into a pipe."""


def is_terminal() -> bool:
    """Whether somebody looks at the output as it comes."""
    return sys.stdout.isatty()


def width() -> int:
    """The columns of the terminal, or of a drawing in a pipe; COLUMNS overrules both."""
    if not is_terminal() and not os.environ.get("COLUMNS"):
        return PIPE_WIDTH  # and not the width of a terminal that the command was merely started from
    return max(20, shutil.get_terminal_size((PIPE_WIDTH, 24)).columns)


def height() -> int:
    """The lines of the terminal; LINES overrules it."""
    return max(5, shutil.get_terminal_size((PIPE_WIDTH, 24)).lines)


def has_colour() -> bool:
    """Whether colours are wanted: only on a terminal, and not with NO_COLOR or a dumb one."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def can_show(text: str) -> bool:
    """Whether the output's encoding has these characters."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
