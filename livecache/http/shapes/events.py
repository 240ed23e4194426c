"""What `/api/v1/stream` is asked, and the events that it tells."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ...model.candle import Candle
from .fields import SERIES_A_STREAM_MOST, EventId, SeriesName, Time, TimeframeName
from .series import SeriesRow

__all__ = [
    "ClosedEvent",
    "FormingEvent",
    "LostEvent",
    "StateEvent",
    "StreamQuery",
]


class StreamQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`/api/v1/stream`: the series to tell of, and where to go on."""

    series: Annotated[
        list[SeriesName],
        Meta(
            max_length=SERIES_A_STREAM_MOST,
            description="the parameter, once for each; or `*` alone for what closes, settles and is revised "
            "of all. Needed without `jobs`",
        ),
    ] = []
    jobs: Annotated[bool, Meta(description="tell of jobs, too")] = False
    after: Annotated[
        EventId | None,
        Meta(description="the id of the last event that was dealt with; Last-Event-ID counts before it"),
    ] = None


class StateEvent(msgspec.Struct, frozen=True, kw_only=True):
    """How the series of a stream stand: at first, when it changes, and every few seconds."""

    time: Annotated[Time, Meta(description="the venue's clock at the last sign of life; 0 without one")]
    error: Annotated[str, Meta(description="why nothing can be told; then `series` is empty")]
    series: list[SeriesRow]


class FormingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The bucket in progress, as it trades."""

    venue: str
    symbol: str
    timeframe: TimeframeName
    time: Time
    candle: Candle


class ClosedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`closed`, `settled` or `revised`: what became of a bucket, and what readers saw there before."""

    venue: str
    symbol: str
    timeframe: TimeframeName
    time: Time
    candle: Annotated[Candle | None, Meta(description="null: proven empty")]
    replaced: Candle | None


class LostEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What was to be gone on from, or what follows it, is not kept any more: read the candles anew."""

    after: str
    error: str
    hint: str
