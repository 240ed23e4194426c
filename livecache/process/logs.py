"""Logs: one line a record on stderr, as text for people or as JSON for machines.

Every record has an `event`, a name that does not change when the sentence is reworded:
`logger.bind(event="backfill_start", total=10).info("Filling 10 series")`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import select
import stat
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from ..config.render import redact
from ..quiet import logger

if TYPE_CHECKING:
    import loguru

__all__ = ["Told", "setup"]

_LISTED_MOST = 5  # of a list in a line for people
_FIRST = ("repeats", 0)  # what a line that comes for the first time need not say

_COLOURS = {"TRACE": "2", "DEBUG": "2", "INFO": "32", "SUCCESS": "32", "WARNING": "33", "ERROR": "31"}


class Told(NamedTuple):
    """A record, as it may be kept: without passwords of URLs, and without the values of variables."""

    time_ms: int
    level: str
    event: str
    message: str
    fields: Mapping[str, object]
    trace: str


def setup(
    level: str = "INFO",
    format: str = "text",
    stream: TextIO | None = None,
    *,
    also: Callable[[Told], None] | None = None,
) -> None:
    """Send records of `level` and above to `stream` (stderr), and `also` there; may be called again.

    `format` is "text" (one line; coloured on a terminal) or "json". Passwords in URLs are hidden in either.
    What cannot be written, since nobody is there or reads, is dropped: no log is worth the candles.
    """
    chosen = stream or sys.stderr
    colour = chosen is not None and chosen.isatty()
    room = _Room(chosen)

    def write(message: loguru.Message) -> None:
        record = message.record
        line = _json_line(record) if format == "json" else _text_line(record, colour)
        # Looked up at each write: a progress bar puts a proxy there, to draw itself below the log.
        target = stream or sys.stderr
        if target is None or not room.there():
            return
        with contextlib.suppress(OSError, ValueError):  # full, or its reader is gone; or closed
            target.write(redact(line) + "\n")
            target.flush()

    logger.enable("livecache")
    logger.remove()
    # No diagnosis: it would print the values of variables, secrets too, into tracebacks.
    logger.add(write, level=level, format="{message}", backtrace=False, diagnose=False)
    if also is not None:
        keep = also
        logger.add(lambda message: keep(_told(message.record)), level=level, format="{message}")
    # Libraries speak through the standard library's logging; their warnings belong to the same stream.
    logging.basicConfig(handlers=[_Forward(logger)], level=logging.WARNING, force=True)


class _Room:
    """Whether a stream takes a line without waiting: a pipe or a socket whose reader sleeps does not."""

    def __init__(self, stream: TextIO | None) -> None:
        self._pipe: int | None = None
        with contextlib.suppress(OSError, ValueError, AttributeError):  # It has no number, or is closed.
            number = stream.fileno() if stream is not None else -1
            mode = os.fstat(number).st_mode
            self._pipe = number if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None

    def there(self) -> bool:
        """Whether there is some for a line."""
        if self._pipe is None:
            return True
        try:
            return bool(select.select([], [self._pipe], [], 0)[1])
        except (OSError, ValueError):  # closed meanwhile
            return False


class _Forward(logging.Handler):
    def __init__(self, target: loguru.Logger) -> None:
        super().__init__()
        self._target = target

    def emit(self, record: logging.LogRecord) -> None:
        bound = self._target.bind(event="library", library=record.name).opt(exception=record.exc_info)
        bound.log(record.levelname if record.levelname in _COLOURS else "ERROR", "{}", record.getMessage())


def _told(record: loguru.Record) -> Told:
    fields = {
        name: value if isinstance(value, int | float | None) else redact(str(value))
        for name, value in record["extra"].items()
        if name != "event"
    }
    return Told(
        int(record["time"].timestamp() * 1000),
        record["level"].name,
        str(record["extra"].get("event", "")),
        redact(record["message"]),
        fields,
        redact(_traceback(record)),
    )


def _text_line(record: loguru.Record, colour: bool) -> str:
    paint: Callable[[str, str], str] = _paint if colour else _plain
    level = record["level"].name
    fields = dict(record["extra"])
    event = fields.pop("event", "")
    time = record["time"].astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
    parts = [paint("2", time), paint(_COLOURS.get(level, "1;31"), f"{level:<7}"), record["message"]]
    details = " ".join(f"{name}={_brief(value)}" for name, value in _unsaid(fields, record["message"]))
    parts.append(paint("2", f"[{event}{' ' if event and details else ''}{details}]"))
    line = " ".join(parts)
    # One record is one line, whatever a venue put into a message; a traceback is the exception to that.
    line = line.replace("\r", "\\r").replace("\n", "\\n")
    return line + _traceback(record, before="\n")


def _unsaid(fields: Mapping[str, object], message: str) -> Iterator[tuple[str, object]]:
    """The fields that the sentence does not tell: no line says the same twice.

    Each word of it stands for one field only, so that two that are alike by chance are not both left out.
    """
    left = message
    for name, value in fields.items():
        for text in _as_said(value):
            # A word is not the end of another one, nor a number the part of one.
            if found := re.search(rf"(?<![\w.,-]){re.escape(text)}(?![\w-]|[.,]\d)", left):
                left = f"{left[: found.start()]}\0{left[found.end() :]}"
                break
        else:
            if value is not None and (name, value) != _FIRST:
                yield name, value


def _as_said(value: object) -> Iterator[str]:
    """How a sentence may put that value."""
    match value:
        case bool() | None:
            return
        case float():
            yield from {_brief(value), f"{value:.1f}", f"{value:.2f}"}
        case list() | tuple():
            yield from (sep.join(map(str, value)) for sep in (",", ", ", " ") if value)
        case _:
            yield from (text for text in [str(value)] if text)


def _json_line(record: loguru.Record) -> str:
    line: dict[str, Any] = {
        "time": record["time"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record["level"].name,
        "event": record["extra"].get("event", ""),
        "message": record["message"],
    }
    for name, value in record["extra"].items():
        if name != "event":
            line[f"{name}_" if name in line else name] = value
    if trace := _traceback(record):
        line["exception"] = trace
    return json.dumps(line, default=str, ensure_ascii=False)


def _traceback(record: loguru.Record, before: str = "") -> str:
    exception = record["exception"]
    if exception is None or exception.value is None:
        return ""
    return before + "".join(traceback.format_exception(exception.value)).rstrip()


def _brief(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}" if abs(value) < 1000 else f"{value:.1f}"
        case list() | tuple():
            names = [str(item) for item in value[:_LISTED_MOST]]
            more = len(value) - len(names)
            text = ",".join(names) + (f",…+{more}" if more else "")
        case _:
            text = str(value)
    text = text if len(text) <= 200 else text[:199] + "…"
    return json.dumps(text, ensure_ascii=False) if not text or " " in text else text


def _paint(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def _plain(code: str, text: str) -> str:
    return text
