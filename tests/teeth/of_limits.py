"""Breakages of what keeps us within what a venue allows."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_LIMITS"]

OF_LIMITS = (
    Breakage(
        "the list of products is asked for as if it cost what a page does",
        (Edit("livecache/engine/listing.py", "self._live.timeline.traits.list_costs", "{}"),),
        tests=(
            "tests/service/test_limiter.py::test_the_list_of_products_takes_what_it_costs_of_what_is_left_for_pages",
        ),
    ),
    Breakage(
        "a request is forgotten a second before its hour is over",
        (
            Edit(
                "livecache/pacing/meter.py",
                "        self._starts.append(now)",
                "        self._starts.append(min(now, slot) - 1.0)",
            ),
        ),
        tests=(
            "tests/history/test_request_001_limits.py::test_P10_the_hours_count_is_exact_and_never_above_its_limit",
        ),
    ),
    Breakage(
        "a run that follows asks into the ban of the one before",
        (
            Edit(
                "livecache/engine/engine.py",
                "        self.limiter.heed(banned or 0)\n        serving",
                "        serving",
            ),
        ),
        tests=("tests/simulation/test_ban.py::test_a_later_run_asks_nothing_until_the_ban_is_over",),
    ),
    Breakage(
        "what is under way when the venue's minute turns is not counted in the next",
        (
            Edit(
                "livecache/pacing/kept.py",
                "self._ours, self._told, self._late = self._flying + late, 0, 0",
                "self._ours, self._told, self._late = 0, 0, 0",
            ),
        ),
        tests=("tests/pacing/test_meter.py",),
    ),
    Breakage(
        "the venue's clock is taken to be right to the millisecond",
        (Edit("livecache/pacing/kept.py", "_CLOCK_OFF_S = 2.5", "_CLOCK_OFF_S = 0.0"),),
        tests=("tests/pacing/test_meter.py",),
    ),
    Breakage(
        "what others use of a window is not heard",
        (Edit("livecache/pacing/kept.py", "max(self._ours, self._told + self._flying)", "self._ours"),),
        tests=("tests/pacing/test_meter.py",),
    ),
    Breakage(
        "a pool refills before it was last looked at",
        (
            Edit(
                "livecache/pacing/kept.py",
                "max(now, self._at) + max(0.0, self._used + cost",
                "now + max(0.0, self._used + cost",
            ),
        ),
        tests=("tests/service/test_limiter.py",),
    ),
    Breakage(
        "what was under way before a budget came is taken off it",
        (
            Edit(
                "livecache/pacing/meter.py",
                "for kept in ticket.budgets:",
                "for kept in self._kept.values():",
            ),
        ),
        tests=("tests/pacing/test_meter.py",),
    ),
    Breakage(
        "what is less urgent waits for ever",
        (
            Edit(
                "livecache/engine/limiter.py",
                "return self.passed_over >= _PASSED_OVER_MOST",
                "return self.passed_over < 0",
            ),
        ),
        tests=("tests/service/test_limiter.py",),
    ),
)
