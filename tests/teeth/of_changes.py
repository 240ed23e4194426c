"""Breakages of what keeps a reload from being an outage."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_CHANGES"]

OF_CHANGES = (
    Breakage(
        "what came late goes before the settling of what is served",
        (
            Edit(
                "livecache/engine/schedule.py",
                "        return 2 * Priority.SETTLE + 1\n",
                "        return 2 * want.priority\n",
            ),
        ),
        tests=("tests/service/test_schedule.py",),
    ),
    Breakage(
        "a series that was taken out is served on",
        (
            Edit(
                "livecache/write/presence.py",
                "            await self._retire(gone, lease, token)\n",
                "",
            ),
        ),
        tests=("tests/cache/test_retired.py",),
    ),
    Breakage(
        "a reload connects the feed anew",
        (
            Edit(
                "livecache/venues/feed/feed.py",
                'for feed in cast("Sequence[SocketFeed]", among):',
                'for feed in cast("Sequence[SocketFeed]", ()):',
            ),
        ),
        tests=("tests/venues/test_coinbase_carrying.py",),
    ),
    Breakage(
        "what a reload leaves alone is written anew",
        (
            Edit(
                "livecache/ledger/timeline.py",
                "self.symbols[symbol] = before.get(symbol) or SymbolTimeline",
                "self.symbols[symbol] = SymbolTimeline",
            ),
        ),
        tests=("tests/core/test_arranging.py",),
    ),
    Breakage(
        "a reload is half done before it is refused",
        (Edit("livecache/app.py", "        engine.check(_settings(config, keys, built.traits))\n", ""),),
        tests=("tests/test_app.py",),
    ),
)
