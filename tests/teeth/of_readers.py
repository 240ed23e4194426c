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
