"""Foreign text made fit for a log line: one line, bounded, without secrets. Pure."""

from __future__ import annotations

import re
from typing import Any

import msgspec

__all__ = ["complaint", "excerpt", "one_line", "without_numbers"]

_MOST_CHARACTERS = 200

# A JWT in transit. A venue or a proxy may echo what it was sent.
_TOKEN = re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*){0,2}", re.ASCII)
_NUMBER = re.compile(r"-?\d[\d.]*")
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")

_COMPLAINT_BYTES = 16 * 1024  # read of a body that is no answer
_TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)
_TAG = re.compile(r"<(?:style|script)\b[^<>]*>[^<]*|<[^<>]*>", re.IGNORECASE)


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


def complaint(body: bytes) -> str:
    """The gist of an error body on one line: JSON of several shapes, HTML, or plain text."""
    body = body[:_COMPLAINT_BYTES]
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body.decode("utf-8", "replace")
        title = _TITLE.search(text)
        return one_line(title[1] if title else _TAG.sub(" ", text))
    if not isinstance(decoded, dict):
        return excerpt(body)
    shape: dict[str, Any] = decoded
    errors = shape.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        shape = errors[0]
    parts: list[str] = []
    for field in ("error", "id", "error_details", "message", "msg"):
        part = shape.get(field)
        if isinstance(part, str) and part.strip() not in ("", *parts):
            parts.append(part.strip())
    return one_line(": ".join(parts)) or excerpt(body)
