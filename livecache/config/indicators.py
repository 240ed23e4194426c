"""Indicators by name, such as `macd(12,26,9)`, and how many candles each needs to be relied on. Pure.

A window is right once it is full. An exponential average (`ema`, Wilder's `rma`) begins as the mean of its
first values, and is relied on once that beginning weighs next to nothing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from math import floor, isqrt, log, log1p
from typing import NamedTuple

from ..errors import ConfigError
from ..model.policy import CANDLES_MAX

__all__ = ["START_WEIGHT", "Stage", "Warmup", "need_of", "split", "warmup_of"]

START_WEIGHT = 0.001
"""An average can be relied on once its beginning weighs less than that."""


class Stage(NamedTuple):
    """A step of a computation: it begins with `begins` values, and forgets these after `forgets` more."""

    what: str
    begins: int
    forgets: int = 0


class Warmup(NamedTuple):
    """How many closed candles an indicator needs, and why: its stages, each computed from the one before."""

    indicator: str  # with all its numbers
    candles: int
    stages: tuple[Stage, ...]


def _window(n: int) -> Stage:
    return Stage("window", n)


def _average(n: int, alpha: float, what: str) -> Stage:
    """An exponential average: each value leaves what was before it `1 - alpha` of its weight."""
    forgets = floor(log(START_WEIGHT) / log1p(-alpha)) + 1 if alpha < 1 else 0
    return Stage(f"{what}({n})", n, forgets)


def _ema(n: int) -> Stage:
    return _average(n, 2 / (n + 1), "ema")


def _rma(n: int) -> Stage:
    return _average(n, 1 / n, "rma")


_CHANGE = Stage("change", 2)  # what is computed from a candle and the one before


class _Kind(NamedTuple):
    numbers: dict[str, int]  # their names, and what is usual
    stages: Callable[..., Iterable[Stage]]


def _one(usual: int, *stages: Callable[[int], Stage] | Stage) -> _Kind:
    """One length, for all the stages."""
    return _Kind({"n": usual}, lambda n: [one if isinstance(one, Stage) else one(n) for one in stages])


_KINDS = {
    "sma": _one(20, _window),
    "wma": _one(20, _window),
    "hma": _one(20, _window, lambda n: _window(isqrt(n))),
    "ema": _one(20, _ema),
    "dema": _one(20, _ema, _ema),
    "tema": _one(20, _ema, _ema, _ema),
    "rma": _one(14, _rma),
    "macd": _Kind(
        {"fast": 12, "slow": 26, "signal": 9},
        lambda fast, slow, signal: (_ema(max(fast, slow)), _ema(signal)),
    ),
    "rsi": _one(14, _CHANGE, _rma),
    "stochrsi": _Kind(
        {"n": 14, "window": 14, "k": 3, "d": 3},
        lambda n, window, k, d: (_CHANGE, _rma(n), *map(_window, (window, k, d))),
    ),
    "atr": _one(14, _CHANGE, _rma),
    "adx": _one(14, _CHANGE, _rma, _rma),
    "bbands": _Kind({"n": 20, "width": 2}, lambda n, width: [_window(n)]),
    "donchian": _one(20, _window),
    "stoch": _Kind({"n": 14, "k": 3, "d": 3}, lambda *windows: map(_window, windows)),
    "willr": _one(14, _window),
    "cci": _one(20, _window),
    "mfi": _one(14, _CHANGE, _window),
    "roc": _one(10, lambda n: _window(n + 1)),
    "mom": _one(10, lambda n: _window(n + 1)),
}

# What people call them too.
_ALSO = {"bb": "bbands", "bollinger": "bbands", "smma": "rma", "wilder": "rma", "stochastic": "stoch"}

_ENDLESS = ("ad", "obv", "psar", "supertrend", "vwap")

_FORM = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\(([^()]*)\))?\s*")
_FORM_HINT = "write it as macd(12,26,9), rsi(14) or sma(200)"


def split(text: str) -> list[str]:
    """The indicators of a list by comma: commas within brackets are theirs."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def warmup_of(text: str) -> Warmup:
    """The warm-up of `rsi(14)`; numbers left out at the end are the usual ones.

    Raises ConfigError, naming what is near.
    """
    form = _FORM.fullmatch(text)
    if not form:
        raise ConfigError(f"{text[:100]!r} is no indicator", _FORM_HINT)
    name = form[1].lower()
    if name in _ENDLESS:
        raise ConfigError(
            f"{name} has no warm-up: where it begins shows in it for ever",
            "leave it out, and set cache.min_candles to what you begin it with",
        )
    kind = _KINDS.get(name)
    if kind is None:
        near = _ALSO.get(name) or next(iter(difflib.get_close_matches(name, [*_KINDS, *_ALSO], n=1)), "")
        meant = f"did you mean {_shown(_ALSO.get(near, near))}? " if near else ""
        raise ConfigError(f"unknown indicator {form[1][:100]!r}", f"{meant}one of {', '.join(_KINDS)}")
    given = [part.strip() for part in form[2].split(",")] if (form[2] or "").strip() else []
    if len(given) > len(kind.numbers):
        raise ConfigError(f"{text.strip()[:100]!r} has too many numbers", f"write it as {_shown(name)}")
    told = (_number(text, name, key, part) for key, part in zip(kind.numbers, given, strict=False))
    numbers = [*told, *list(kind.numbers.values())[len(given) :]]
    stages = tuple(kind.stages(*numbers))
    candles = 1 + sum(stage.begins - 1 + stage.forgets for stage in stages)
    return Warmup(f"{name}({','.join(map(str, numbers))})", candles, stages)


def need_of(indicators: Iterable[str]) -> int:
    """The candles that all of them need; 1 where there are none. Raises ConfigError as `warmup_of`."""
    return max((warmup_of(one).candles for one in indicators), default=1)


def _shown(name: str) -> str:
    """The indicator with its usual numbers."""
    return f"{name}({','.join(map(str, _KINDS[name].numbers.values()))})"


def _number(text: str, name: str, key: str, part: str) -> int | str:
    if key == "width" and re.fullmatch(r"\d{1,4}(\.\d{1,4})?", part, re.ASCII):
        return f"{float(part):g}"  # how wide the bands are changes nothing of how many candles they need
    if part.isascii() and part.isdecimal() and len(part) <= 5 and 1 <= int(part) <= CANDLES_MAX:
        return int(part)
    wanted = "a number" if key == "width" else f"a whole number from 1 to {CANDLES_MAX:,}"
    raise ConfigError(f"{text.strip()[:100]!r}: {key} has to be {wanted}", f"such as {_shown(name)}")
