"""Log lines that would repeat for ever."""

from __future__ import annotations

from typing import Any

from loguru import logger

from livecache.repeats import Repeats

from .hand_clock import HandClock


def test_a_line_comes_at_once_then_every_ten_seconds_with_a_count_of_those_withheld() -> None:
    clock, records = HandClock(), list[dict[str, Any]]()
    handler = logger.add(lambda message: records.append(message.record["extra"]), level="WARNING")
    try:
        repeats = Repeats(clock)
        for second in range(25):
            clock.time = 100.0 + second
            repeats.log("venue_unreachable", "network", "nobody there", url="http://h")
        assert repeats.log("venue_unreachable", "timeout", "too slow"), "another kind is news"
        repeats.forget("venue_unreachable")
        assert repeats.log("venue_unreachable", "network", "nobody there"), "after it was over, it is news"
    finally:
        logger.remove(handler)
    assert [r["repeats"] for r in records] == [0, 9, 9, 0, 0]
    assert records[0] == {"event": "venue_unreachable", "repeats": 0, "url": "http://h"}


def test_what_mends_it_is_said_with_the_first_line_of_a_kind_and_again_after_it_was_over() -> None:
    clock, said = HandClock(), list[str]()
    handler = logger.add(lambda message: said.append(message.record["message"]), level="WARNING")
    try:
        repeats = Repeats(clock)
        for second in (0, 1, 20):
            clock.time = 100.0 + second
            repeats.log("venue_unreachable", "network", "nobody there", remedy="turn it on")
        repeats.log("venue_unreachable", "timeout", "too slow", remedy="wait")
        repeats.forget("venue_unreachable")
        repeats.log("venue_unreachable", "network", "nobody there", remedy="turn it on")
    finally:
        logger.remove(handler)
    first = "nobody there: turn it on"
    assert said == [first, "nobody there", "too slow: wait", first]


def test_many_kinds_do_not_fill_the_memory() -> None:
    repeats = Repeats(HandClock())
    for number in range(5_000):
        repeats.log("feed_rejected", f"a payload that says {number}", "rejected")
    assert len(repeats._last) <= 1_000
