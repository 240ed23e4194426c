"""Breakages of budgets that several processes share."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_BUDGETS"]

_LIMITER, _SCRIPT, _QUOTA = (
    *("livecache/engine/limiter.py", "livecache/quota/quota.lua", "livecache/quota/quota.py"),
)
_TESTS = "tests/quota/test_limiter.py"

OF_BUDGETS = (
    Breakage(
        "without Redis each takes the whole budget",
        (
            Edit(_LIMITER, "        return self.quota.members if", "        return 1 if"),
            Edit(_QUOTA, "        if self.members == 1 or", "        if True or"),
        ),
        (f"{_TESTS}::test_without_redis_each_has_its_share_and_no_second_has_more",),
    ),
    Breakage(
        "what is deep reserves as far ahead as what is urgent",
        (
            Edit(
                _LIMITER,
                "        return min(REACH_S, _REACHES_S[as_] +",
                "        return max(REACH_S, _REACHES_S[as_] +",
            ),
        ),
        (f"{_TESTS}::test_what_is_urgent_waits_for_few_however_many_are_deep",),
    ),
    Breakage(
        "what is deep never reaches further",
        (Edit(_LIMITER, "_REACHES_FURTHER = 0.007", "_REACHES_FURTHER = 0.0"),),
        (f"{_TESTS}::test_nobody_starves_for_what_others_ask",),
    ),
    Breakage(
        "what is live reaches as far as what has waited for long",
        (Edit(_LIMITER, "Urgency.LIVE: 0.95 * REACH_S", "Urgency.LIVE: REACH_S"),),
        (f"{_TESTS}::test_one_that_was_passed_over_has_its_turn_and_holds_up_nothing_urgent",),
    ),
    Breakage(
        "what is urgent is not called where two have their turn since slots are shared",
        (Edit(_LIMITER, "        self._call()  # Two have", "        # Two have"),),
        (f"{_TESTS}::test_one_that_was_passed_over_has_its_turn_and_holds_up_nothing_urgent",),
    ),
    Breakage(
        "one that was passed over takes the slot of what is live, which gets in line again",
        (Edit(_LIMITER, "if shared or not starve else []", "if not starve else []"),),
        (f"{_TESTS}::test_what_is_urgent_waits_for_few_however_much_is_warmed_up",),
    ),
    Breakage(
        "many that came long ago all reach as far as what is live",
        (Edit(_LIMITER, "self._turns.get(waiting.urgency, waiting.since))", "waiting.since)"),),
        (f"{_TESTS}::test_what_is_urgent_waits_for_few_however_much_is_warmed_up",),
    ),
    Breakage(
        "what is live gets in line once it is its turn",
        (Edit(_LIMITER, " and not waiting.in_line:", " and False:"),),
        (f"{_TESTS}::test_what_is_urgent_is_in_line_from_when_it_came_though_one_before_it_asks",),
    ),
    Breakage(
        "of many that are live those that were told to wait get in line one by one",
        (Edit(_LIMITER, "*live[:1]", "*live[:0]"),),
        (f"{_TESTS}::test_many_urgent_ones_of_one_wait_for_no_less_urgent_ones_of_others",),
    ),
    Breakage(
        "an engine that waits for something less urgent waits on as such",
        (Edit(_LIMITER, "min(waiting.urgency, chosen.urgency)", "waiting.urgency"),),
        (f"{_TESTS}::test_what_becomes_urgent_while_it_waits_finds_a_slot_as_what_is_urgent_does",),
    ),
    Breakage(
        "a refusal pauses the one alone that was refused",
        (Edit(_SCRIPT, "if tonumber(ARGV[6]) > 0 then hold('pause', pause) end", ""),),
        (f"{_TESTS}::test_a_refusal_of_one_pauses_and_slows_all",),
    ),
    Breakage(
        "the rate that one has learned is its own",
        (Edit(_SCRIPT, "one.unit = math.max(one.unit, slowest[one.name] or 0)", ""),),
        (f"{_TESTS}::test_a_refusal_of_one_pauses_and_slows_all",),
    ),
    Breakage(
        "who comes does not wait for the one that has been alone",
        (Edit(_SCRIPT, "elseif alone_until > now then", "elseif false then"),),
        (f"{_TESTS}::test_passing_from_one_to_many_and_back_no_second_has_more",),
    ),
    Breakage(
        "slots are given out while others may not be back",
        (Edit(_SCRIPT, "opens = now + OPENS", "opens = now"),),
        (f"{_TESTS}::test_without_redis_each_has_its_share_and_no_second_has_more",),
    ),
    Breakage(
        "a slot that was reached late is used all the same",
        (Edit(_LIMITER, "if reserved.slot < latest:", "if reserved.slot < latest - 9.0:"),),
        (f"{_TESTS}::test_timers_that_are_late_make_no_burst",),
    ),
)
