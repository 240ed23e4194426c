"""HTML and SVG as text. Whatever is no `Markup` is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

__all__ = ["Markup", "el", "joined", "number"]

_VOID = frozenset({"meta", "br", "rect", "path", "line", "circle"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def el(name: str, /, *children: str, **attributes: object) -> Markup:
    """An element. Attributes are named as Python allows (`cls`, `aria_label`); None leaves one out."""
    told = "".join(
        f' {_ATTRIBUTES.get(key, key.replace("_", "-"))}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID and not children:
        return Markup(f"<{name}{told}>" if name in ("meta", "br") else f"<{name}{told}/>")
    return Markup(f"<{name}{told}>{joined(children)}</{name}>")


_ATTRIBUTES = {"cls": "class", "http_equiv": "http-equiv"}


def joined(parts: Iterable[str]) -> Markup:
    """One after the other."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def number(value: float) -> str:
    """A coordinate in few letters."""
    return f"{value:.1f}".removesuffix(".0")
