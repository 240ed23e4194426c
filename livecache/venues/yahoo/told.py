"""What a chart tells beside its rows: splits, dividends, and what the symbol is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from ...equities.action import Action
from ...model.timeframe import TIME_MAX
from ..text import excerpt, one_line
from ..venue import Instrument, PageRequest, Rejected
from .digits import number_text
from .hours import Hours

__all__ = ["about", "actions", "other_hours"]

_DIVIDENDS = ("dividends", "capitalGains")
_NAME_MOST = 80  # characters
_PARTS_MOST = 1_000_000  # of a split: more is none


def about(meta: Mapping[str, Any], hours: Hours) -> Instrument:
    """What the symbol is."""

    def text(*names: str) -> str:
        found = (meta[name] for name in names if isinstance(meta.get(name), str))
        return one_line(next(found, ""), _NAME_MOST)

    first = meta.get("firstTradeDate")
    listed = first * 1000 if isinstance(first, int) and 0 < first * 1000 < TIME_MAX else 0
    return Instrument(
        exchange=text("fullExchangeName", "exchangeName"),
        currency=text("currency"),
        calendar=hours.name,
        listed=listed,
        name=text("longName", "shortName"),
    )


def other_hours(meta: Mapping[str, Any], hours: Hours) -> str:
    """What it says of the hours of its day that the calendar does not; "" where these agree."""
    match meta.get("currentTradingPeriod"):
        case {"regular": {"start": int(start), "end": int(end)}} if 0 < start * 1000 < end * 1000 < TIME_MAX:
            day = hours.local(start).date()
            opening = hours.session_on(day)
            if opening is None or (opening, hours.sessions.end(opening)) == (start * 1000, end * 1000):
                return ""
            told = " to ".join(f"{hours.local(time):%H:%M}" for time in (start, end))
            return f"on {day} it is open from {told}, and by the calendar {hours.name} it is not"
    return ""


def actions(
    events: Any, hours: Hours, request: PageRequest
) -> tuple[tuple[Action, ...], tuple[Rejected, ...]]:
    """The splits and dividends of the sessions that open within the request, and what cannot be believed."""
    found: set[Action] = set()
    odd: list[Rejected] = []
    for kind, event in _events(events):
        day = hours.local(at).date() if (at := _seconds(event)) is not None else None
        value = _ratio(event) if kind == "split" else _amount(event)
        if day is None or value is None:
            odd.append(Rejected(f"a {kind} that cannot be read", excerpt(repr(event).encode())))
            continue
        assert at is not None
        time = hours.session_on(day)
        if time is None:  # It holds from the next session on.
            time = hours.sessions.ceil(at * 1000)
        if request.start <= time < request.end:
            found.add(Action(time, "split" if kind == "split" else "dividend", value))
    return tuple(sorted(found)), tuple(odd)


def _events(events: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(events, dict):
        return
    for kind, names in (("split", ("splits",)), ("dividend", _DIVIDENDS)):
        for name in names:
            told = events.get(name)
            for event in told.values() if isinstance(told, dict) else ():
                yield kind, event


def _seconds(event: Any) -> int | None:
    at = event.get("date") if isinstance(event, dict) else None
    return at if isinstance(at, int) and 0 < at * 1000 < TIME_MAX else None


def _amount(event: Any) -> str | None:
    amount = number_text(event.get("amount")) if isinstance(event, dict) else None
    return amount if amount and Fraction(amount) > 0 else None


def _ratio(event: Any) -> str | None:
    """New shares for old, as "4/1"."""
    if not isinstance(event, dict):
        return None
    new, old = (number_text(event.get(name)) for name in ("numerator", "denominator"))
    if not new or not old or Fraction(new) <= 0 or Fraction(old) <= 0:
        return None
    ratio = Fraction(new) / Fraction(old)
    if ratio == 1 or max(ratio.numerator, ratio.denominator) > _PARTS_MOST:
        return None
    return f"{ratio.numerator}/{ratio.denominator}"
