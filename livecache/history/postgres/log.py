"""The log of a database by itself: what asks for no numbers loads no numpy."""

from __future__ import annotations

from ..tables import log
from .database import Database

__all__ = ["Log"]


class Log(log.Log, Database):
    """The log."""
