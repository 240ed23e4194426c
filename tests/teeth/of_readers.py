"""Breakages of what readers make of an answer, alone, many at once and over time."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_READERS"]

OF_READERS = (
    Breakage(
        "a hole looks like a quiet market to who asks as ccxt does",
        (
            Edit(
                "livecache/read/ohlcv.py",
                "        _refuse_a_hole(candles, reply, len(closed), begin)\n",
                "        pass\n",
            ),
        ),
        tests=("tests/cache/test_fetch_ohlcv.py",),
    ),
    Breakage(
        "a since within a hole begins behind it without a word",
        (
            Edit(
                "livecache/read/ohlcv.py",
                "    if timeframe.ceil(begin) < candles.contiguous_from:\n",
                "    if msgspec.json.decode(members[known], type=Candle).time >= begin:\n",
            ),
        ),
        tests=("tests/cache/test_fetch_ohlcv.py",),
    ),
    Breakage(
        "the oldest bucket of a multiple is given though its first parts are not kept",
        (
            Edit(
                "livecache/read/multiples.py",
                "    contiguous = min(grid.ceil(first), through)\n",
                "    contiguous = min(grid.floor(first), through)\n",
            ),
        ),
        tests=("tests/cache/test_multiples.py",),
    ),
    Breakage(
        "a multiple is settled before all its parts are",
        (
            Edit(
                "livecache/read/multiples.py",
                "    settled = min(max(grid.closed(settled), contiguous), through)\n",
                "    settled = min(max(grid.ceil(settled), contiguous), through)\n",
            ),
        ),
        tests=("tests/cache/test_multiples.py",),
    ),
    Breakage(
        "the oldest bucket of a multiple lacks the parts that were not asked for",
        (
            Edit(
                "livecache/read/multiples.py",
                "                oldest = grid.floor(parts[0].time)\n",
                "                oldest = 0\n",
            ),
        ),
        tests=("tests/cache/test_multiples.py",),
    ),
    Breakage(
        "a bucket in progress of a multiple leaves out parts that nobody knows",
        (
            Edit(
                "livecache/read/multiples.py",
                " and first <= grid.ceil(through):\n",
                ":\n",
            ),
        ),
        tests=("tests/cache/test_multiples.py",),
    ),
    Breakage(
        "days with auctions are added up of hours",
        (
            Edit(
                "livecache/read/multiples.py",
                "        if bound and source.ms < bound.ms <= multiple.ms:\n            continue\n",
                "",
            ),
        ),
        tests=("tests/cache/test_multiples.py",),
    ),
    Breakage(
        "candles of one venue are given for those of another",
        (
            Edit(
                "livecache/read/asking.py",
                "    if venues is not None and venue not in venues:\n",
                "    if False:\n",
            ),
        ),
        tests=("tests/cache/test_asking.py",),
    ),
    Breakage(
        "a write that is refused half-way can be read",
        (
            Edit(
                "livecache/write/upsert.lua",
                "redis.call('HSET', one.state, 'count', UNDER_WAY, unpack(one.fields))",
                "redis.call('HSET', one.state, unpack(one.fields))",
            ),
        ),
        tests=("tests/cache/test_denied.py",),
    ),
    Breakage(
        "a set of series that is being announced is called damaged",
        (
            Edit(
                "livecache/writer/writer.py",
                "        if listed is None or listed is not self._listed:\n",
                "        if False:\n",
            ),
        ),
        tests=("tests/cache/test_audit.py",),
    ),
    Breakage(
        "one of those who follow is given another's reply",
        (
            Edit(
                "livecache/reader/listening.py",
                "answered.set_result(outcome[first : first + len(commands)])",
                "answered.set_result(outcome[: len(commands)])",
            ),
        ),
        tests=("tests/cache/test_follow_many.py",),
    ),
    Breakage(
        "what changed while a subscription was broken is not read",
        (
            Edit(
                "livecache/reader/listening.py",
                "        if channel not in self._unconfirmed:\n            self._hint(channel)\n",
                "        if channel not in self._unconfirmed:\n",
            ),
        ),
        tests=("tests/cache/test_follow_many.py",),
    ),
    Breakage(
        "a slice without the bucket in progress says that it holds it",
        (
            Edit(
                "livecache/read/candles.py",
                "forming=self._forming if reaches_the_end else 0,",
                "forming=self._forming,",
            ),
        ),
        tests=("tests/cache/test_candles.py",),
    ),
)
