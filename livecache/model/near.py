"""Which names are near another one: what somebody may have meant. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = ["near_symbols"]

_MOST = 3
_SEPARATORS = re.compile(r"[/_:\s]")  # what others write for the dash


def near_symbols(symbol: str, known: Iterable[str]) -> list[str]:
    """The known symbols that may have been meant, the nearest first; [] where none is near.

    What comes before the last dash is compared, since nearly all end alike.
    """
    wanted = _SEPARATORS.sub("-", symbol.upper())
    base, _, quote = wanted.rpartition("-") if "-" in wanted else (wanted, "", "")
    by_base: dict[str, list[str]] = {}
    for name in known:
        if name != symbol and name.replace("-", "").upper() == wanted.replace("-", ""):
            return [name]
        by_base.setdefault(name.rpartition("-")[0], []).append(name)
    near = []
    for found in difflib.get_close_matches(base, by_base, n=_MOST, cutoff=0.66):
        near += difflib.get_close_matches(f"{found}-{quote}", by_base[found], n=1, cutoff=0.0)
    return near
