"""Breakages of the history of shares: what is final when, and what splits and dividends make of prices."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_SHARES"]

_ROOM = "livecache/history"

OF_SHARES = (
    Breakage(
        "a provisional day is stored as settled",
        (
            Edit(
                f"{_ROOM}/planner.py",
                "return Coverage() if final is None else",
                "return Coverage() if True else",
            ),
        ),
        ("tests/history/test_provisional.py",),
    ),
)
