"""Breakages of where an exchange's buckets lie, and of who is told."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_CALENDARS"]

_CALENDAR = "tests/core/test_calendar.py::test_"
_SESSIONS = ("tests/cache/test_sessions.py",)

OF_CALENDARS = (
    Breakage(
        "the calendar is off by a day",
        (
            Edit(
                "livecache/equities/calendar_file.py",
                "yield date(int(year), int(month), int(day)).toordinal()",
                "yield date(int(year), int(month), int(day)).toordinal() + 1",
            ),
        ),
        tests=(f"{_CALENDAR}a_day_opens_and_ends_when_the_exchange_does",),
    ),
    Breakage(
        "an hour bucket opens at :00",
        (
            Edit(
                "livecache/model/grid.py",
                "        return self.openings[session] + (number - self._firsts[session]) * self.step\n",
                "        opening = self.openings[session] + (number - self._firsts[session]) * self.step\n"
                "        return opening - opening % (self.step or 1)\n",
            ),
        ),
        tests=(f"{_CALENDAR}hours_begin_with_the_session_and_a_half_day_has_fewer",),
    ),
    Breakage(
        "an early close is ignored",
        (
            Edit(
                "livecache/equities/calendar_file.py",
                "            opening, closing = odd[day]\n",
                "            pass\n",
            ),
        ),
        tests=(f"{_CALENDAR}a_day_opens_and_ends_when_the_exchange_does",),
    ),
    Breakage(
        "clocks never change",
        (
            Edit(
                "livecache/equities/calendar_file.py",
                "        found += [held] * (min(until, days.stop) - days.start - len(found))\n",
                "        found += [steps[0][1]] * (min(until, days.stop) - days.start - len(found))\n",
            ),
        ),
        tests=(f"{_CALENDAR}clocks_that_change_move_the_sessions",),
    ),
    Breakage(
        "a state tells no sessions before its hole",
        (
            Edit(
                "livecache/ledger/watermarks.py",
                "min([closed_through, *covered, *track.settled, *track.provisional])",
                "track.coverage.spans[-1].start if covered else closed_through",
            ),
        ),
        tests=_SESSIONS,
    ),
    Breakage(
        "what may be a holiday is called missing",
        (
            Edit(
                "livecache/quality/spans.py",
                "if time >= sure_until and not _is_claimed(stored, time)",
                "if time >= sure_until and _is_claimed(stored, time)",
            ),
        ),
        tests=_SESSIONS,
    ),
    Breakage(
        "check adds hours up to days that have auctions",
        (
            Edit(
                "livecache/quality/rollups.py",
                "least = sums_below.ms if sums_below and sums_below.ms <= timeframe.ms else 0",
                "least = 0",
            ),
        ),
        tests=_SESSIONS,
    ),
    Breakage(
        "a calendar gone wrong takes the table of all series down",
        (
            Edit(
                "livecache/read/standing.py",
                '    except OutsideCalendar as error:\n        return Row(view.series, "damaged"',
                '    except ZeroDivisionError as error:\n        return Row(view.series, "damaged"',
            ),
        ),
        tests=_SESSIONS,
    ),
    Breakage(
        "a closed exchange counts as one where nothing is traded",
        (
            Edit(
                "livecache/read/answer.py",
                "now - state.grid.after(candles[newest].time) <= within",
                "now - state.grid.end(candles[newest].time) <= within",
            ),
        ),
        tests=_SESSIONS,
    ),
    Breakage(
        "a week is expected before the days that it is made of",
        (
            Edit(
                "livecache/model/traits.py",
                "grid.expected_after(self._expected_after(timeframe))",
                "grid.expected_after(self.shown_after_ms.get(timeframe, 0))",
            ),
        ),
        tests=_SESSIONS,
    ),
    Breakage(
        "a session that an earlier run's calendar did not know counts as empty",
        (
            Edit(
                "livecache/writer/adoption.py",
                "if not there or any(grid.opens(*span) != venues.opens(*span) for span in coverage):",
                "if not there:",
            ),
        ),
        ("tests/cache/test_adoption.py",),
    ),
)
