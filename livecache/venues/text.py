"""Foreign text made fit for a log line: one line, bounded, without secrets. Pure."""

from __future__ import annotations

import re

__all__ = ["excerpt", "one_line", "without_numbers"]

_MOST_CHARACTERS = 200

# A JWT in transit. A venue or a proxy may echo what it was sent.
_TOKEN = re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*){0,2}", re.ASCII)
_NUMBER = re.compile(r"-?\d[\d.]*")
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def one_line(text: str, most: int = _MOST_CHARACTERS) -> str:
    """`text` on one line of at most `most` characters, tokens masked."""
    # Cut generously first, so that the work is bounded too; a token cut in half is still recognised.
    flat = _UNPRINTABLE.sub(" ", _TOKEN.sub("<token>", text[: 8 * most])).strip()
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def excerpt(payload: bytes) -> str:
    """The beginning of a payload that could not be believed, for a log."""
    return one_line(payload[: 8 * _MOST_CHARACTERS].decode("utf-8", "replace"))


def without_numbers(reason: str) -> str:
    """What a reason of ours has in common with others of its kind: it may name times and values."""
    return _NUMBER.sub("#", reason)
