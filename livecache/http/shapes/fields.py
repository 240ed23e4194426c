"""What parameters and fields of the API are, each once.

Times are Unix ms of the venue's clock; `…_through` are exclusive ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = [
    "ROWS_MOST",
    "ROWS_USUAL",
    "SERIES_A_STREAM_MOST",
    "EventId",
    "FeedState",
    "Moment",
    "NoQuery",
    "ReadTimeframe",
    "Reasons",
    "RoleName",
    "Rows",
    "SeriesName",
    "Stretch",
    "Symbol",
    "TheVenue",
    "Time",
    "TimeframeName",
]

ROWS_MOST = 5_000  # candles in an answer

ROWS_USUAL = 100

SERIES_A_STREAM_MOST = 100

Symbol = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="as the venue names it: BTC-USD; or venue:BTC-USD",
        examples=["BTC-USD"],
    ),
]

TimeframeName = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w", "1M"]

ReadTimeframe = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=20,
        description="one that is kept, or a whole multiple of one: 5m, 45m, 2d, 1M (a month)",
        examples=["5m"],
        extra_json_schema={"pattern": "^[1-9][0-9]{0,5}[mhdwM]$"},
    ),
]

Moment = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=40,
        description="Unix ms, or ISO-8601: 2026-02-20T12:00:00Z, 2026-02-20; without a zone it is UTC",
    ),
]

Rows = Annotated[int, Meta(ge=1, le=ROWS_MOST)]

Time = Annotated[int, Meta(ge=0, description="Unix ms, venue time")]

Stretch = Annotated[Sequence[int], Meta(min_length=2, max_length=2, description="[start, end), Unix ms")]

FeedState = Literal["up", "down"]

_ENTRY = r"[0-9]{1,20}(-[0-9]{1,20})?"

_AT_VENUE = rf"[a-z][a-z0-9-]{{0,31}}={_ENTRY}"

EventId = Annotated[str, Meta(pattern=rf"^({_ENTRY}|{_AT_VENUE}(,{_AT_VENUE})*)$", max_length=4_000)]

RoleName = Annotated[
    Literal["starting", "waiting", "writing"], Meta(description="waiting: for another one's lease")
]

Reasons = Annotated[list[str], Meta(description="why not, the first 20 of them; else empty")]

SeriesName = Annotated[str, Meta(min_length=1, max_length=140, description="BTC-USD:5m; or venue:BTC-USD:5m")]

TheVenue = Annotated[str, Meta(description='"" where there are several: then `venues` has them')]


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`/api/v1/series`: there is nothing to say."""
