"""Breakages of what readers have filled: at once, once for all who ask, and within bounds."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_READS"]

OF_READS = (
    Breakage(
        "what a reader waits for is left to whoever fills years",
        (
            Edit(
                "livecache/history/sqlite/jobs.py",
                "          AND (:urgent IS NULL OR (priority <= {PRIORITY_READ}) = :urgent)\n",
                "",
            ),
        ),
        ("tests/history/test_reads.py",),
    ),
    Breakage(
        "a reader waits for the days of its symbol",
        (
            Edit(
                "livecache/history/work/outlook.py",
                "if job.want.priority > PRIORITY_READ and database.busy",
                "if database.busy",
            ),
        ),
        ("tests/history/test_reads.py",),
    ),
    Breakage(
        "a reader of shares waits for years that are to hear of a split first",
        (
            Edit(
                "livecache/history/sqlite/jobs.py",
                "      AND (jobs.priority > {PRIORITY_READ} OR other.priority <= {PRIORITY_READ})\n",
                "",
            ),
        ),
        ("tests/history/test_reads.py",),
    ),
)
