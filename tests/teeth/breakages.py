"""Deliberate breakages: small edits, each of which takes away one rule that keeps a candle right."""

from __future__ import annotations

from .edits import Breakage, Edit
from .of_binance import OF_BINANCE
from .of_budgets import OF_BUDGETS
from .of_calendars import OF_CALENDARS
from .of_ccxt import OF_CCXT
from .of_changes import OF_CHANGES
from .of_deribit import OF_DERIBIT
from .of_evidence import OF_EVIDENCE
from .of_limits import OF_LIMITS
from .of_orders import OF_ORDERS
from .of_products import OF_PRODUCTS
from .of_readers import OF_READERS
from .of_reads import OF_READS
from .of_sessions import OF_SESSIONS
from .of_shares import OF_SHARES
from .of_sharing import OF_SHARING
from .of_store import OF_STORE
from .of_venues import OF_VENUES
from .of_word import OF_WORD
from .of_writers import OF_WRITERS
from .of_yahoo import OF_YAHOO
from .of_years import OF_YEARS

__all__ = ["BREAKAGES", "Breakage", "Edit"]

BREAKAGES = (
    Breakage(
        "the feed writes over what is settled",
        (
            Edit(
                "livecache/proof/track.py",
                "        if bucket in self.coverage and not self.refute(candle, stamp):\n"
                "            return False\n        shown =",
                "        shown =",
            ),
        ),
    ),
    Breakage(
        "coverage is extended before the page has come",
        (
            Edit(
                "livecache/engine/backfiller.py",
                "        self.requests += 1\n        try:\n            outcome = await",
                "        self.requests += 1\n"
                "        early = self._live.timeline.symbols[request.symbol].tracks[request.timeframe]\n"
                "        edge = request.timeframe.floor(heard - early.policy.settle_delay_ms)\n"
                "        early.coverage = early.coverage.add(request.start, min(request.end, edge))\n"
                "        try:\n            outcome = await",
            ),
        ),
    ),
    Breakage(
        "coverage is written before its candles",
        (
            Edit(
                "livecache/write/upserts.py",
                "        outcomes: dict[SeriesId, int | str] = {}\n",
                "        outcomes: dict[SeriesId, int | str] = {}\n"
                "        for one in batch:\n"
                "            key = self._keys.state(one.series.symbol, one.series.timeframe)\n"
                "            fields = encode_state(one.state, origin=self._origin, fence=self._lease.token,\n"
                "                                  revision=self._revision, updated_at=0)\n"
                '            await self._redis.execute_command("HSET", key, *fields)\n',
            ),
        ),
        tests=(
            "tests/cache/test_writer.py::test_no_command_leaves_coverage_without_the_candles_that_it_claims",
        ),
    ),
    Breakage(
        "a reconnect forgets to mark what it touched",
        (
            Edit(
                "livecache/ledger/timeline.py",
                "            self._interrupt(self.symbols[symbol], since, now)\n",
                "            self.counters.feed_changes += 1\n",
            ),
        ),
    ),
    Breakage(
        "changes are coalesced by symbol instead of by bucket",
        (
            Edit(
                "livecache/ledger/symbol.py",
                "members = {t: track.candle(t) for t in track.dirty if t >= track.keep_from}",
                "members = {t: track.candle(t) for t in [max(track.dirty, default=0)] if t}",
            ),
        ),
    ),
    Breakage(
        "candles are trimmed without their coverage",
        (
            Edit(
                "livecache/ledger/watermarks.py",
                "        coverage=proven.clip(track.keep_from, 1 << 62),",
                "        coverage=proven,",
            ),
            Edit(
                "livecache/proof/track.py",
                "        self.coverage = self.coverage.clip(oldest, 1 << 62)\n",
                "",
            ),
        ),
    ),
    Breakage(
        "a missing fence is accepted",
        (
            Edit(
                "livecache/write/upsert.lua",
                "    if fence_of(held[1]) ~= token\n"
                "      or not (revision == one.expected or revision == one.revision)\n"
                "      or redis.call('ZCARD', one.set) ~= count\n",
                "    if held[1] and (fence_of(held[1]) ~= token\n"
                "      or not (revision == one.expected or revision == one.revision)\n"
                "      or redis.call('ZCARD', one.set) ~= count)\n",
            ),
        ),
        ("tests/cache/test_upsert.py::test_a_change_upon_anything_but_the_last_write_is_lost",),
    ),
    Breakage(
        "a foreign origin is adopted",
        (Edit("livecache/writer/adoption.py", "if record.origin != origin:", "if False:"),),
    ),
    Breakage(
        "the settling delay is ignored",
        (
            Edit(
                "livecache/proof/settling.py",
                "    edge = final_edge(track, page.heard)",
                "    edge = track.grid.closed(page.heard)",
            ),
            Edit(
                "livecache/model/policy.py",
                "    settle_delay_ms: int = 10_000",
                "    settle_delay_ms: int = 0",
            ),
        ),
    ),
    Breakage(
        "an absent row is always taken as proof",
        (
            Edit(
                "livecache/proof/evidence.py",
                "    if not w.whole:\n        return Verdict.OPEN\n",
                "    if True:\n        return Verdict.SETTLED\n",
            ),
        ),
        tests=("tests/core/test_evidence.py",),
    ),
    Breakage(
        "between provisionals the newer is taken for the richer",
        (
            Edit(
                "livecache/proof/track.py",
                "if shown is not None and not replace and not shown.precedes(candle, stamp):",
                "if shown is not None and not replace and candle.equals(shown.candle):",
            ),
        ),
    ),
    Breakage(
        "a page from before the close is believed",
        (
            Edit(
                "livecache/proof/evidence.py",
                "    if w.row and (w.newer or w.aged):",
                "    if w.row:",
            ),
        ),
        tests=("tests/core/test_evidence.py",),
    ),
    Breakage(
        "a page poorer than the feed is believed at once",
        (
            Edit(
                "livecache/proof/evidence.py",
                "    against = w.poorer or (not w.row",
                "    against = (not w.row",
            ),
        ),
        tests=("tests/core/test_evidence.py",),
    ),
    Breakage(
        "a parent is rolled up though a child is not known",
        (
            Edit(
                "livecache/proof/derive.py",
                "            if time < edge and not child.known(time, heard_through):",
                "            if False:",
            ),
        ),
    ),
    Breakage(
        "candles of an earlier run are believed outside their coverage",
        (
            Edit(
                "livecache/ledger/adopting.py",
                "    track.settled = {c.time: c for c in one.candles if c.time in one.coverage}\n",
                "    track.settled = {c.time: c for c in one.candles}\n"
                "    for c in one.candles:\n"
                "        track.coverage = track.coverage.add(c.time, c.time + track.width)\n",
            ),
        ),
    ),
    Breakage(
        "a revision is not announced",
        (
            Edit(
                "livecache/proof/track.py",
                "        if bucket not in self.likely:\n"
                "            self._announce(Kind.REVISED, bucket, candle, before)\n",
                "",
            ),
        ),
        ("tests/simulation/test_found_by_seeds.py",),
    ),
    Breakage(
        "what could not be sent is not owed",
        (
            Edit(
                "livecache/writer/writer.py",
                "        self._owed |= set(changes)\n        return list(changes.values())",
                "        self._owed = set()\n        return list(changes.values())",
            ),
        ),
        (
            "tests/cache/test_writer.py::"
            "test_a_change_that_could_not_be_sent_is_not_forgotten_when_the_next_one_comes",
        ),
    ),
    Breakage(
        "somebody vouches though the venue is silent",
        (
            Edit(
                "livecache/engine/live.py",
                "renews = answered_s > self._renewed_s",
                "renews = True",
            ),
        ),
        tests=(
            "tests/service/test_consumer.py::test_that_the_feed_broke_is_said_though_the_venue_was_not_heard_since",
        ),
    ),
    Breakage(
        "the channels of all databases are one",
        (
            Edit(
                "livecache/keys/names.py",
                'return f"{name}:{self.database}" if self.database else name',
                "return name",
            ),
        ),
        tests=("tests/cache/test_databases.py",),
    ),
    Breakage(
        "a bucket in progress is streamed that nobody vouches for",
        (
            Edit(
                "livecache/read/standing.py",
                "if view.record is None or view.alive is None or view.newest is None:",
                "if view.record is None or view.newest is None:",
            ),
        ),
        tests=("tests/cache/test_databases.py",),
    ),
    Breakage(
        "a check prints a remedy that a repair refuses",
        (
            Edit(
                "livecache/ledger/repair.py",
                "    first, last = max(start, oldest), min(end, edge)\n",
                "    if start < oldest or end > edge:\n"
                "        raise RepairRefused(name)\n"
                "    first, last = max(start, oldest), min(end, edge)\n",
            ),
        ),
        tests=("tests/quality/test_remedies.py",),
    ),
    Breakage(
        "a repair passes over what was never settled",
        (
            Edit(
                "livecache/proof/track.py",
                "            self.suspect.add(bucket)\n            self.contested.setdefault(bucket, 0)\n",
                "            if bucket in self.coverage:\n"
                "                self.suspect.add(bucket)\n"
                "                self.contested.setdefault(bucket, 0)\n",
            ),
            Edit(
                "livecache/proof/track.py",
                "                told.again = told.others_again = 0\n        if self.history_from",
                "                pass\n        if self.history_from",
            ),
        ),
        tests=("tests/quality/test_remedies.py",),
    ),
    Breakage(
        "a restart takes back what was known",
        (
            Edit(
                "livecache/ledger/adopting.py",
                "    _stand_by(track, one)\n",
                "",
            ),
        ),
        tests=("tests/simulation/test_handover.py",),
    ),
    Breakage(
        "a break of the new feed takes back what the old one had finished",
        (
            Edit(
                "livecache/proof/track.py",
                "if shown is not None and shown.vouched and self.grid.end(bucket) > self.told_through:",
                "if shown is not None and shown.vouched:",
            ),
        ),
        tests=("tests/core/test_timeline.py",),
    ),
    Breakage(
        "who leaves is vouched for anew",
        (
            Edit(
                "livecache/write/presence.py",
                "string.gsub(held, '\"feed\":.*', ARGV[2]), 'XX', 'KEEPTTL')",
                "string.gsub(held, '\"feed\":.*', ARGV[2]), 'XX', 'PX', 10000)",
            ),
        ),
        tests=("tests/cache/test_leaving.py",),
    ),
    Breakage(
        "whoever stops takes back another's word",
        (
            Edit(
                "livecache/write/presence.py",
                "  if held and string.sub(held, 1, #ARGV[1]) == ARGV[1] then\n    if ARGV[2] == ''",
                "  if held then\n    if ARGV[2] == ''",
            ),
        ),
        tests=("tests/cache/test_leaving.py",),
    ),
    Breakage(
        "an overdue writer sends what was queued before the host slept",
        (
            Edit(
                "livecache/write/while_held.py",
                "            async with asyncio.timeout(self._lease.left_s) as left:\n",
                "            async with asyncio.timeout(None) as left:\n",
            ),
        ),
        tests=("tests/cache/test_overdue.py",),
    ),
    Breakage(
        "an overdue writer sends",
        (
            Edit(
                "livecache/write/while_held.py",
                '            raise Fenced("the lease is overdue")\n',
                "            return await send()\n",
            ),
        ),
        tests=("tests/cache/test_overdue.py",),
    ),
    Breakage(
        "the back-off of writes grows beyond a second",
        (
            Edit(
                "livecache/wire/trouble.py",
                "delays(jitter, first_s=AGAIN_FIRST_S, most_s=AGAIN_MOST_S)",
                "delays(jitter, first_s=AGAIN_FIRST_S, most_s=5.0)",
            ),
        ),
        tests=("tests/cache/test_refusals.py::test_a_redis_that_is_back_is_written_to_within_a_second",),
    ),
    Breakage(
        "what nobody has heard of ends a running service",
        (
            Edit(
                "livecache/writer/patience.py",
                "if not (passes(error) or self._used_before or self._pulse.answered_at_s):",
                "if not passes(error):",
            ),
        ),
        tests=("tests/cache/test_refusals.py::test_a_start_ends_by_code_3_where_waiting_is_in_vain",),
    ),
    *OF_LIMITS,
    *OF_ORDERS,
    *OF_PRODUCTS,
    *OF_WORD,
    *OF_READERS,
    *OF_READS,
    *OF_EVIDENCE,
    *OF_CHANGES,
    *OF_VENUES,
    *OF_DERIBIT,
    *OF_BINANCE,
    *OF_BUDGETS,
    *OF_CALENDARS,
    *OF_CCXT,
    *OF_SESSIONS,
    *OF_SHARES,
    *OF_SHARING,
    *OF_STORE,
    *OF_WRITERS,
    *OF_YAHOO,
    *OF_YEARS,
)
