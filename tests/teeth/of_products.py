"""Breakages of what is told of products that the venue does not know, refuses, halts, or is mute of."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_PRODUCTS"]

_STANDING = "tests/simulation/test_standing.py"

OF_PRODUCTS = (
    Breakage(
        "an unknown symbol holds back readiness",
        (
            Edit(
                "livecache/read/standing.py",
                '    return state in ("ready", "short", "unknown", "halted")',
                '    return state in ("ready", "short")',
            ),
        ),
        (f"{_STANDING}::test_an_unknown_symbol_holds_back_nothing_and_says_what_is_to_be_done",),
    ),
    Breakage(
        "a halted product looks alive",
        (
            Edit(
                "livecache/engine/listing.py",
                "            live.timeline.stand(symbol, standing, live.now())\n",
                "",
            ),
        ),
        (f"{_STANDING}::test_a_halted_product_does_not_look_alive",),
    ),
    Breakage(
        "a heartbeat vouches for a mute product",
        (Edit("livecache/ledger/timeline.py", "        if timeline.channel.mute:\n", "        if False:\n"),),
        ("tests/service/test_consumer.py",),
    ),
    Breakage(
        "a refused subscription is not narrowed",
        (
            Edit(
                "livecache/venues/feed/subscriptions.py",
                "elif len(waits) > 1 and not self._again and",
                "elif len(waits) < 0 and",
            ),
        ),
        ("tests/venues/test_subscriptions.py",),
    ),
    Breakage(
        "the bound of a frame does not grow with what was asked for",
        (
            Edit(
                "livecache/venues/feed/session.py",
                "max(self.message_bytes, terms.frame_bytes + terms.id_bytes * len(symbols))",
                "max(self.message_bytes, terms.frame_bytes)",
            ),
        ),
        ("tests/venues/test_coinbase_refusals.py",),
    ),
)
