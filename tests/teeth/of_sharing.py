"""Breakages of how several processes share a venue's symbols."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_SHARING"]

OF_SHARING = (
    Breakage(
        "a shard is claimed whose lease has not lapsed",
        (Edit("livecache/sharing/hold.py", " and not value_of(KEYS[tonumber(ARGV[i])])", ""),),
        tests=("tests/sharing/test_hold.py",),
    ),
    Breakage(
        "a shard is handed over before its taker is ready",
        (
            Edit(
                "livecache/sharing/plan.py",
                "given = {s for s, offer in self._offers.items() if s in view.members[offer.to].ready}",
                "given = set(self._offers)",
            ),
        ),
        tests=("tests/sharing/test_sharing.py",),
    ),
    Breakage(
        "a shard's writer takes out the series of others",
        (
            Edit(
                "livecache/write/presence.py",
                '[member for member in others if self._keys.owns(member.rpartition(":")[0])]',
                "others",
            ),
        ),
        tests=("tests/sharing/test_hold.py",),
    ),
)
