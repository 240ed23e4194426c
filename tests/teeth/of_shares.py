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
    Breakage(
        "a split makes thousands of revisions",
        (Edit(f"{_ROOM}/tables/writing.py", "        changed = changed[~split]\n", ""),),
        ("tests/history/test_splits.py",),
    ),
    Breakage(
        "what was read before a split is told as it was",
        (
            Edit(
                f"{_ROOM}/tables/reading.py",
                "rows, old = rescaled(fetched(), scales), stale",
                "rows, old = fetched(), stale",
            ),
        ),
        ("tests/history/test_splits.py",),
    ),
    Breakage(
        "what was asked for after a split is taken for older than it",
        (Edit(f"{_ROOM}/tables/symbols.py", "if each.began >= since for span", "if False for span"),),
        ("tests/history/test_splits.py",),
    ),
    Breakage(
        "what was asked for before a split and stored after it is taken for younger",
        (Edit(f"{_ROOM}/tables/arrivals.py", "began = asked\n", "began = now\n"),),
        ("tests/history/test_splits.py",),
    ),
    Breakage(
        "what was stored before a split is told with what has been read since",
        (Edit(f"{_ROOM}/tables/symbols.py", "        _restate(db, series, split, since, ratio)\n", ""),),
        ("tests/history/test_splits.py",),
    ),
    Breakage(
        "what a live service has read since a split is converted by it once more",
        (Edit(f"{_ROOM}/tables/writing.py", 'if opened and source == "feed":', "if False:"),),
        ("tests/history/test_splits.py",),
    ),
    Breakage(
        "the closed hours before a split are read again for ever",
        (Edit(f"{_ROOM}/tables/symbols.py", "grid.end_before(grid.ceil(split))", "split"),),
        ("tests/history/test_splits.py",),
    ),
    Breakage(
        "nobody listens for a split of today",
        (
            Edit(
                f"{_ROOM}/worker.py", "if self._venue.traits.finals else asked.end", "if False else asked.end"
            ),
        ),
        ("tests/history/test_splits.py",),
    ),
    Breakage(
        "prices are adjusted twice",
        (
            Edit(
                "livecache/reader/years.py",
                "return replace(answer, rows=self.adjuster(answer.rows))",
                "return replace(answer, rows=self.adjuster(self.adjuster(answer.rows)))",
            ),
        ),
        ("tests/history/test_adjust.py",),
    ),
    Breakage(
        "parts of one read are in different shares",
        (Edit("livecache/reader/years.py", " or told not in (None, told := reading.adjuster.heeded)", ""),),
        ("tests/history/test_adjust.py",),
    ),
    Breakage(
        "an export has prices from before a split and from after it",
        (Edit("livecache/commands/files/exporting.py", "if rows.heeded(info.id) != told:", "if False:"),),
        ("tests/history/test_adjust.py",),
    ),
    Breakage(
        "a dividend of more than the price makes prices below zero",
        (Edit("livecache/equities/adjust.py", " or float(each.value) >= close:", ":"),),
        ("tests/history/test_adjust.py",),
    ),
    Breakage(
        "a split is undone on the day from which it holds",
        (Edit("livecache/equities/adjust.py", "Scale(each.time, end, 1", "Scale(each.time + 1, end, 1"),),
        ("tests/history/test_adjust.py",),
    ),
    Breakage(
        "beside a live service nobody hears of a split",
        (Edit(f"{_ROOM}/service/orders.py", "if symbol in asked or (heard", "if True or (heard"),),
        ("tests/history/test_splits.py",),
    ),
    Breakage(
        "what a split has rescaled is copied before the store has heard of it",
        (
            Edit(
                "livecache/history/service/copying.py",
                "                if apart(rows, held.rows):\n",
                "                if False and apart(rows, held.rows):\n",
            ),
        ),
        ("tests/history/test_copying.py",),
    ),
    Breakage(
        "a read across the seam has prices of before a split beside those of after it",
        (Edit("livecache/history/answer/seam.py", "        if apart(hot", "        if False and apart(hot"),),
        ("tests/history/test_copying.py",),
    ),
    Breakage(
        "an answer that lacks a split undoes it",
        (Edit(f"{_ROOM}/tables/symbols.py", "< told.asked and not still:", "< told.asked:"),),
        ("tests/history/test_splits.py",),
    ),
    Breakage(
        "the newest candles go on into shares of before a split",
        (Edit("livecache/reader/newest.py", "        reading.check_shares()\n", ""),),
        ("tests/history/test_reader_sessions.py",),
    ),
    Breakage(
        "a page of before a split is told beside live candles of after it",
        (Edit("livecache/http/past/window.py", "                reading.check_shares()\n", ""),),
        ("tests/http/test_past_edges.py",),
    ),
)
