"""Price and volume around a finding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....model.timeframe import iso
from ..excerpts import Excerpt
from .heat import level_of, title_of
from .markup import Markup, el, number

__all__ = ["closer_look"]

_WIDE, _HIGH, _VOLUME, _GAP = 600.0, 150.0, 30.0, 6.0
_APART = 3  # times: beyond, prices are drawn by their ratio
_SPACE = 8  # buckets' room for what is missing


def closer_look(excerpts: Sequence[Excerpt]) -> Markup:
    """A picture of each."""
    if not excerpts:
        return el("p", "Nothing that was found has a place in time.")
    return el("div", *map(_figure, excerpts), cls="figures")


def _figure(excerpt: Excerpt) -> Markup:
    finding, rows = excerpt.finding, excerpt.rows
    lows, highs, closes = (each.floats() for each in (rows.low, rows.high, rows.close))
    can_be = rows.sound()
    bounds = (float(lows[can_be].min()), float(highs[can_be].max())) if can_be.any() else (1.0, 1.0)
    title = el(
        "strong",
        el("span", finding.kind.value, cls=f"kind {level_of(finding.kind)}"),
        f" {title_of(finding.series)}",
    )
    parts = [el("figcaption", title, el("span", finding.message))]
    ends = el(
        "div",
        el("span", f"{_told(bounds[0])} to {_told(bounds[1])}"),
        el("span", f"volume to {_told(rows.volume.floats().max())}"),
        cls="ends",
    )
    dates = (iso(int(rows.time[0])), iso(int(rows.time[-1])))
    parts += [ends, _plot(excerpt, closes, (lows, highs), bounds)]
    parts.append(el("div", *(el("span", each) for each in dates), cls="ends"))
    if finding.remedy:
        parts.append(el("code", finding.remedy))
    return el("figure", *parts)


def _told(value: float) -> str:
    return f"{value:,.0f}" if value >= 10_000 else f"{value:.5g}"


def _plot(
    excerpt: Excerpt,
    closes: np.ndarray,
    ranges: tuple[np.ndarray, np.ndarray],
    bounds: tuple[float, float],
) -> Markup:
    inside = excerpt.inside
    first = int(np.searchsorted(excerpt.rows.time, excerpt.finding.start))
    space = 0 if inside.any() else _SPACE
    places = np.arange(len(closes)) + np.where(np.arange(len(closes)) >= first, space, 0) + 0.5
    step = _WIDE / (len(closes) + space)
    x = places * step
    by_ratio = bounds[1] > _APART * bounds[0]

    def y(values: np.ndarray) -> np.ndarray:
        low, high = bounds
        values = np.clip(values, low, high)
        if by_ratio:
            values, low, high = np.log(values), float(np.log(low)), float(np.log(high))
        return _GAP + (_HIGH - 2 * _GAP) * (high - values) / ((high - low) or 1.0)

    count = int(inside.sum()) or space
    shade = el(
        "rect",
        cls="found",
        x=number(first * step),
        y=0,
        width=number(max(3.0, count * step)),
        height=number(_HIGH + _VOLUME),
    )
    spans = [slice(0, first), slice(first, None)] if space else [slice(None)]
    lows, highs = map(y, ranges)
    wicks = "".join(f"M{number(a)} {number(b)}V{number(c)}" for a, b, c in zip(x, lows, highs, strict=True))
    line = "".join(_line(x[span], y(closes)[span]) for span in spans)
    volumes = excerpt.rows.volume.floats()
    tall = volumes / (volumes.max() or 1.0) * (_VOLUME - 2)
    bars = "".join(
        f"M{number(a)} {number(_HIGH + _VOLUME)}v-{number(b)}" for a, b in zip(x, tall, strict=True) if b > 0
    )
    said = f"{title_of(excerpt.finding.series)}: close, range and volume around: {excerpt.finding.message}"
    return el(
        "svg",
        el("title", said),
        shade,
        el("path", cls="wicks", d=wicks),
        el("path", cls="line", d=line),
        el("path", cls="bars", d=bars),
        viewBox=f"0 0 {number(_WIDE)} {number(_HIGH + _VOLUME)}",
        preserveAspectRatio="none",
        role="img",
    )


def _line(x: np.ndarray, y: np.ndarray) -> str:
    pairs = [f"{number(a)} {number(b)}" for a, b in zip(x, y, strict=True)]
    return f"M{'L'.join(pairs)}" if pairs else ""
