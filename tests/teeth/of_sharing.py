"""Breakages of how several processes share a venue's symbols."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_SHARING"]

_ONE = "tests/sharing/test_one_limiter.py"

OF_SHARING = (
    Breakage(
        "each shard of a process has a limiter of its own",
        (Edit("livecache/app.py", "limiter = limiters[id_] = Limiter(", "limiter = Limiter("),),
        tests=(f"{_ONE}::test_twelve_shards_of_a_process_ask_no_more_often_than_one_may",),
    ),
    Breakage(
        "who shares a budget hears no more of a process whose first shard has ended",
        (Edit("livecache/engine/limiter.py", "and not self._sharing and", "and"),),
        tests=(f"{_ONE}::test_a_process_is_one_member_until_its_last_shard_has_ended",),
    ),
    Breakage(
        "of a venue that is split only what the newest session has filled is told",
        (
            Edit(
                "livecache/history/service/standing.py",
                "        self.tallies[shard] = tally",
                "        self.tallies = {shard: tally}",
            ),
        ),
        tests=("tests/history/test_standing.py",),
    ),
    Breakage(
        "what the feed showed before a shard was taken over stands in place of what is settled",
        (
            Edit(
                "livecache/ledger/adopting.py",
                "heard, track.provisional = track.provisional, {}",
                "heard = track.provisional",
            ),
        ),
        tests=("tests/core/test_timeline.py",),
    ),
    Breakage(
        "what has settled before a pause goes into years that another keeps by now",
        (
            Edit(
                "livecache/history/service/session.py",
                "        if self._engine.writer.writing:\n",
                "        if True:\n",
            ),
        ),
        tests=("tests/simulation/test_history.py",),
    ),
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
        "one that has died lives on as long as a clock says that was set back",
        (Edit("livecache/sharing/hold.py", " and left <= FAR_MS then", " then"),),
        tests=("tests/sharing/test_sharing.py",),
    ),
    Breakage(
        "a lease lasts as long as a clock says that was set back",
        (
            Edit(
                "livecache/write/lease.py",
                "  if redis.call('PTTL', key) > tonumber(most) then redis.call('PEXPIRE', key, most) end\n",
                "",
            ),
        ),
        tests=("tests/sharing/test_sharing.py",),
    ),
    Breakage(
        "a process that can serve none of its shards goes on for ever",
        (Edit("livecache/engine/fleet.py", "if all_fail and not place.engines:", "if False:"),),
        tests=("tests/sharing/test_ending.py",),
    ),
    Breakage(
        "one shard that fails ends all of a process",
        (
            Edit(
                "livecache/engine/fleet.py",
                "(not served and len(failed) >= sharer.part)",
                "True",
            ),
            Edit("livecache/engine/fleet.py", "if all_fail and not place.engines:", "if all_fail:"),
        ),
        tests=("tests/sharing/test_ending.py",),
    ),
    Breakage(
        "what one has claimed who leaves is nobody's until it lapses",
        (
            Edit(
                "livecache/sharing/hold.py",
                "    if value_of(KEYS[i]) == ARGV[6] then redis.call('DEL', KEYS[i]) end\n",
                "",
            ),
        ),
        tests=("tests/sharing/test_hold.py",),
    ),
    Breakage(
        "check takes a shard's lease of any type",
        (Edit("livecache/quality/inspection.py", '{keys.lease_of(shard): "string", ', "{"),),
        tests=("tests/cache/test_inspection.py",),
    ),
    Breakage(
        "a shard's lease of another type is looked at all the time, and named nowhere",
        (
            Edit(
                "livecache/sharing/hold.py",
                "    leases[#leases + 1] = { '', 0, type_of(KEYS[i]) }\n",
                "    leases[#leases + 1] = { 'x', 0, '' }\n",
            ),
        ),
        tests=("tests/sharing/test_hold.py",),
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
