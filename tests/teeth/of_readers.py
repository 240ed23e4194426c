"""Breakages of what readers make of an answer, alone, many at once and over time."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_READERS"]

_MULTIPLES = "tests/cache/test_multiples.py"

OF_READERS = (
    Breakage(
        "of many, a symbol that several venues have is read of the first",
        (
            Edit(
                "livecache/read/reading.py",
                "_outcome(answer) if request.series.venue else self.several(request.series)",
                "_outcome(answer)",
            ),
        ),
        ("tests/cache/test_venues.py",),
    ),
    Breakage(
        "what may have been meant is looked for at the first venue only",
        (
            Edit(
                "livecache/read/elsewhere.py",
                "near_names(series.symbol, known or {series.venue: there})",
                "near_names(series.symbol, {series.venue: there})",
            ),
        ),
        ("tests/cache/test_venues.py",),
    ),
    Breakage(
        "a venue that the id of a stream does not name is told from now on only",
        (
            Edit(
                "livecache/http/api/events.py",
                "return {venue: told.get(venue, BEGINNING) for venue in venues}",
                "return told",
            ),
        ),
        ("tests/http/test_side_by_side.py",),
    ),
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
                "    if grid.ceil(begin) < candles.contiguous_from:\n",
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
        tests=(f"{_MULTIPLES}::test_a_hole_in_a_part_is_told_with_what_is_known_of_the_parts",),
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
        tests=(f"{_MULTIPLES}::test_it_is_settled_once_all_its_parts_are",),
    ),
    Breakage(
        "the oldest bucket of a multiple lacks the parts that were not asked for",
        (
            Edit(
                "livecache/read/multiples.py",
                "        most = (request.count + 2) * self._most\n",
                "        most = request.count * self._most\n",
            ),
        ),
        tests=(f"{_MULTIPLES}::test_no_part_is_left_out_however_few_are_asked_for",),
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
        tests=(f"{_MULTIPLES}::test_it_forms_only_of_parts_that_are_all_known",),
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
        tests=(f"{_MULTIPLES}::test_days_with_auctions_are_not_made_of_hours",),
    ),
    Breakage(
        "candles of one venue are given for those of another",
        (
            Edit(
                "livecache/read/asking.py",
                "    if venues is not None and venue and venue not in venues:\n",
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
                "livecache/reader/listen/channels.py",
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
    Breakage(
        "who asks while another learns a cluster's nodes is told that there are none",
        (Edit("livecache/wire/routing.py", "if nothing_known or (self._stale", "if (self._stale"),),
        tests=("tests/cluster/test_connecting.py",),
    ),
    Breakage(
        "one node of a cluster that is away fails all that is read",
        (
            Edit(
                "livecache/read/reading.py",
                'if not isinstance(error, NodeUnavailable) and "WRONGTYPE" not in str(error):',
                'if "WRONGTYPE" not in str(error):',
            ),
        ),
        tests=("tests/cluster/test_readers.py",),
    ),
    Breakage(
        "what a replica still has is read though nobody vouches for it",
        (
            Edit(
                "livecache/read/answer.py",
                "    if raw is None:\n",
                "    if raw is None:\n        return AliveRecord('', 0, 'up')\n    if raw is None:\n",
            ),
        ),
        tests=("tests/cluster/test_readers.py",),
    ),
)
