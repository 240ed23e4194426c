"""Breakages of how the warm cache keeps to the sessions of an exchange."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_SESSIONS"]

_TESTS = ("tests/simulation/test_sessions.py",)
_SPLITS = ("tests/simulation/test_splits.py",)

OF_SESSIONS = (
    Breakage(
        "a day is final when it has closed",
        (
            Edit(
                "livecache/model/traits.py",
                "        return settled if self.finals is None else self.finals.floor(settled)\n",
                "        return settled\n",
            ),
        ),
        _TESTS,
    ),
    Breakage(
        "what nobody expects yet is late",
        (Edit("livecache/model/grid.py", "through - 1) + 1) + self.late", "through - 1) + 1)"),),
        _TESTS,
    ),
    Breakage(
        "what a page should have made final long since is known nevertheless",
        (
            Edit(
                "livecache/ledger/watermarks.py",
                "    return track.traits.finals is not None and track",
                "    return False and track",
            ),
        ),
        _TESTS,
    ),
    Breakage(
        "a split is taken for revisions",
        (Edit("livecache/engine/backfiller.py", "if since := rescaled", "if since := 0 * rescaled"),),
        _TESTS,
    ),
    Breakage(
        "what a session's candles add up to is known only when they are final",
        (
            Edit(
                "livecache/proof/derive.py",
                "(rolled is None or parent.traits.finals is not None)",
                "rolled is None",
            ),
        ),
        ("tests/simulation/test_shares.py",),
    ),
    Breakage(
        "what is quoted in new shares before the split is told is taken for revisions",
        (Edit("livecache/ledger/splitting.py", "return ratios[0] if one else", "return"),),
        _SPLITS,
    ),
    Breakage(
        "an answer from before a split is taken after it",
        (Edit("livecache/ledger/splitting.py", "    symbol.rescaled = now\n", ""),),
        _SPLITS,
    ),
    Breakage(
        "what a split has read again is told as news",
        (Edit("livecache/ledger/splitting.py", "if track.announce_from and", "if 0 and"),),
        _SPLITS,
    ),
    Breakage(
        "after a restart what should be final long since is known for ever",
        (Edit("livecache/ledger/adopting.py", "if track.traits.finals is not None:", "if False:"),),
        _TESTS,
    ),
    Breakage(
        "what stays open while an exchange is closed is asked for all night",
        (
            Edit(
                "livecache/proof/settling.py",
                "max(self._next(bucket, told, disputed=disputed), self._reopens(told))",
                "self._next(bucket, told, disputed=disputed)",
            ),
        ),
        _TESTS,
    ),
    Breakage(
        "a night lies between what is copied and what is filled",
        (
            Edit(
                "livecache/history/service/copying.py",
                "Coverage((grid.end_before(grid.ceil(start)), end) for start, end in track.proven())",
                "track.proven()",
            ),
        ),
        ("tests/history/test_copying.py",),
    ),
    Breakage(
        "a night in which no session opens is asked for, again and again",
        (
            Edit(
                "livecache/history/planner.py",
                "return holding(self.grid, self.wanted.without(self.covered))",
                "return self.wanted.without(self.covered)",
            ),
        ),
        ("tests/history/test_closed_hours.py",),
    ),
    Breakage(
        "what is taken away of shares ends in the middle of a night",
        (
            Edit(
                "livecache/history/tables/reading.py",
                "return grid.end_before(grid.ceil(time))",
                "return time",
            ),
        ),
        ("tests/history/test_closed_hours.py",),
    ),
)
