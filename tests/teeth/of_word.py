"""Breakages of what the feed's own word is worth, where its candles say that they are the last."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_WORD"]

_TESTS = ("tests/core/test_word.py",)

OF_WORD = (
    Breakage(
        "a flag counts however long before the end it comes",
        (Edit("livecache/proof/feeding.py", "EARLY_MS = 1_000\n", "EARLY_MS = 60_000\n"),),
        _TESTS,
    ),
    Breakage(
        "what the feed said before it broke goes on waiting for its page",
        (
            Edit(
                "livecache/ledger/symbol.py",
                "            track.flagged = dict.fromkeys(track.flagged, 0)",
                "            # track.flagged = dict.fromkeys(track.flagged, 0)",
            ),
        ),
        _TESTS,
    ),
    Breakage(
        "a flag over a stream that was broken within the bucket is believed",
        (Edit("livecache/proof/feeding.py", "0 < channel.since <= bucket:", "0 < channel.since:"),),
        _TESTS,
    ),
    Breakage(
        "a bucket is known to be empty only once a page says so, though its minutes are known",
        (Edit("livecache/proof/derive.py", "            take_word(parent, time)", "            pass"),),
        ("tests/core/test_flat.py",),
    ),
    Breakage(
        "a flag that what came later belies is believed",
        (
            Edit(
                "livecache/proof/feeding.py",
                "    if changed and bucket in track.flagged:\n",
                "    if False:\n",
            ),
        ),
        _TESTS,
    ),
    Breakage(
        "more volume is later at a venue that takes volume back",
        (Edit("livecache/model/policy.py", "        if stamp and self.stamp:\n", "        if False:\n"),),
        ("tests/core/test_order.py",),
    ),
    Breakage(
        "what the feed repeats late is later",
        (Edit("livecache/model/policy.py", "return stamp >= self.stamp and not", "return not"),),
        ("tests/core/test_order.py",),
    ),
    Breakage(
        "a venue's history is read before it is as it stays",
        (
            Edit(
                "livecache/app.py",
                "settle_delay_ms=traits.settle_delay_ms if delay_s is None",
                "settle_delay_ms=0 if delay_s is None",
            ),
        ),
        ("tests/test_app.py",),
    ),
    Breakage(
        "the feed's word may stand alone for ever",
        (
            Edit(
                "livecache/proof/feeding.py",
                "    if not track.flagged or not track.coverage or min(track.flagged.values()) <= now:\n",
                "    if not track.flagged or not track.coverage:\n",
            ),
        ),
        _TESTS,
    ),
)
