"""What ccxt made of an answer: rows with their digits, and errors by kind. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ...model.candle import ExactCandle, plain_number
from ..net.http import Answer, refusal
from ..rows import Wire
from ..text import complaint
from ..venue import FailureKind, FetchFailure

__all__ = ["failure_of", "refused", "wire_of"]

# By the names of ccxt's classes; of an error's bases the nearest counts.
_KINDS = {
    "RateLimitExceeded": FailureKind.REFUSED,
    "DDoSProtection": FailureKind.REFUSED,
    "BadSymbol": FailureKind.UNKNOWN_SYMBOL,
    "AuthenticationError": FailureKind.UNAUTHORIZED,
    "RequestTimeout": FailureKind.TIMEOUT,
    "BadResponse": FailureKind.MALFORMED,
    "NetworkError": FailureKind.SERVER,  # ExchangeNotAvailable, OnMaintenance, InvalidNonce
    "OperationFailed": FailureKind.SERVER,
    "BaseError": FailureKind.BAD_REQUEST,  # NotSupported, RestrictedLocation
}


# What stands before an exchange, for who sends no key: it is not to be asked on.
_WALLS = {403: (FailureKind.REFUSED, 300.0), 451: (FailureKind.BANNED, 3600.0)}


def failure_of(error: Exception, answer: Answer | None = None) -> FetchFailure:
    """Why there is no answer, by what ccxt raised; whatever is no error of ccxt's could not be read by it."""
    named = (_KINDS[each.__name__] for each in type(error).__mro__ if each.__name__ in _KINDS)
    kind = next(named, FailureKind.MALFORMED)
    told = complaint(answer.body if answer else str(error).encode())
    message = f"{type(error).__name__}: {told}"
    if answer is None:
        return FetchFailure(kind, message, cause=error)
    return FetchFailure(kind, message, answer.status, answer.retry_after_s, error)


def refused(answer: Answer, error: Exception | None) -> FetchFailure:
    """An answer other than 200: what its status means anywhere, or else what ccxt made of its body."""
    plain = refusal(answer)
    if error is None and answer.status in _WALLS:
        kind, wait_s = _WALLS[answer.status]
        return replace(plain, kind=kind, retry_after_s=plain.retry_after_s or wait_s)
    if error is None or plain.kind is not FailureKind.BAD_REQUEST:
        return plain
    return failure_of(error, answer)


def wire_of(row: object) -> Wire:
    """One row as ccxt gives it: `[time, open, high, low, close, volume]`, numbers or their texts."""
    raw = repr(row).encode()
    if not isinstance(row, Sequence) or len(row) < 6:
        return Wire(None, None, "not a row of six", raw)
    time = int(row[0]) if _whole(row[0]) else None
    numbers = [_digits(value) for value in row[1:6]]
    if time is None or None in numbers:
        return Wire(time, None, "a price, the volume or the time is missing", raw)
    return Wire(time, ExactCandle(time, *map(str, numbers)), "", raw)


def _whole(value: Any) -> bool:
    """Whether it is a whole number, be it that some parser made a float of it."""
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _digits(value: Any) -> str | None:
    """A text verbatim, a float as its shortest text, and no exponents; None for what is neither."""
    if isinstance(value, str):
        return plain_number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return format(Decimal(repr(value)), "f")
