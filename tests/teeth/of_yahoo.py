"""Breakages of what is peculiar to Yahoo."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_YAHOO"]

_ROOM = "livecache/venues/yahoo"
_PAGES, _VENUE, _ANSWERS, _DIGITS = (f"{_ROOM}/{name}.py" for name in ("pages", "venue", "answers", "digits"))
_OF_PAGES = "tests/venues/test_yahoo_pages.py"
_OF_PACE = "tests/venues/test_yahoo_pace.py"

OF_YAHOO = (
    Breakage(
        "today's row counts twice",
        (Edit(_PAGES, "                if row.live != held.live:\n", "                if False:\n"),),
        (_OF_PAGES,),
    ),
    Breakage(
        "a live row is taken as closed",
        (Edit(_PAGES, "return bucket if time < grid.end(bucket) else None", "return bucket"),),
        (_OF_PAGES,),
    ),
    Breakage(
        "a day is where its stamp lies",
        (
            Edit(
                _PAGES,
                "hours.session_on(day) if daily else _bucket_at",
                "grid.floor(stamp * 1000) if daily else _bucket_at",
            ),
        ),
        (_OF_PAGES,),
    ),
    Breakage(
        "there is one more call after a refusal",
        (
            Edit(
                _VENUE,
                "        told = await super().fetch(request)\n",
                "        told = await super().fetch(request)\n"
                "        if isinstance(told, FetchFailure) and told.kind is FailureKind.REFUSED:\n"
                "            told = await super().fetch(request)\n",
            ),
        ),
        (_OF_PACE,),
    ),
    Breakage(
        "a refusal in an answer 200 is a fault that passes",
        (Edit(_ANSWERS, "if _TOO_MANY in body or status in (401, 429):", "if status in (401, 429):"),),
        (_OF_PACE,),
    ),
    Breakage(
        "who goes on being refused goes on asking",
        (Edit(_VENUE, "return replace(told, kind=FailureKind.BANNED)", "return told"),),
        ("tests/venues/test_yahoo_venue.py",),
    ),
    Breakage(
        "Yahoo's digits are those of 64 bits",
        (Edit(_DIGITS, "text = _shortest(value) or repr(value)", "text = repr(value)"),),
        (_OF_PAGES,),
    ),
    Breakage(
        "what is always traded is asked for later than anybody waits",
        (
            Edit(
                "livecache/venues/yahoo/traits.py",
                "_LATE_MS if hours.calendar else _ALWAYS_LATE_MS",
                "_LATE_MS",
            ),
        ),
        ("tests/simulation/test_sessions.py",),
    ),
)
