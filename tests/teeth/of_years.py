"""Breakages of years as they are told over HTTP: pages, holes, and what a client may keep."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_YEARS"]

_PAST = ("tests/http/test_past.py",)

OF_YEARS = (
    Breakage(
        "a hole in years is told as if nothing had been traded in it",
        (Edit("livecache/http/past/formats.py", "missing=[*history.missing]", "missing=[]"),),
        _PAST,
    ),
    Breakage(
        "a page of years overlaps the one before it",
        (
            Edit(
                "livecache/http/past/bounds.py",
                "Bounds(span, span.start if more else None,",
                "Bounds(span, grid.end(span.start) if more else None,",
            ),
        ),
        _PAST,
    ),
    Breakage(
        "the tag of a page of years stays though a candle of it was revised",
        (
            Edit(
                "livecache/http/past/tags.py",
                "repr((form, bounds, series, *version))",
                "repr((form, bounds, series))",
            ),
        ),
        _PAST,
    ),
    Breakage(
        "a client keeps a page of years though the file has been written",
        (
            Edit(
                "livecache/http/past/window.py",
                "            or seen.file != self._instance.history_written()\n",
                "",
            ),
        ),
        _PAST,
    ),
    Breakage(
        "who asks is told what was read before he asked",
        (
            Edit(
                "livecache/http/past/flights.py", "wanted = flight.begun + 1", "wanted = max(1, flight.begun)"
            ),
        ),
        ("tests/http/test_flights.py",),
    ),
)
