"""A tape: what a venue said, page by page and frame by frame, with its times. JSON lines; docs/simulator.md.

`livecache record` writes one, `livecache simulator --replay` plays it. Of what was sent to the venue only
path, query and body of requests are on it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlencode

from .errors import LivecacheError

__all__ = ["TAPE", "TAPE_BYTES", "Recorded", "Tape", "asked", "posted", "read_tape", "without_secrets"]

TAPE_BYTES = 256 * 1024 * 1024
"""No tape is longer."""

_VERSION = 1
_AT_BELOW = 1 << 50  # ms

_NAME = r"\w*(?:key|token|secret|signature|passphrase|password|jwt)"  # of what is nobody's business
_SECRET = re.compile(_NAME, re.IGNORECASE)
_SECRETS = re.compile(
    rf'("{_NAME}"\s*:\s*")(?:[^"\\]|\\.)*'
    r"|\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*"  # a JWT
    r"|-----BEGIN[^-]*PRIVATE KEY-----[^-]*",
    re.IGNORECASE,
)
_HEADERS = re.compile(r"retry-after|used|limit|weight", re.IGNORECASE)  # how a venue counts requests


def without_secrets(text: str) -> str:
    """The text with `***` in place of what looks like a token or a key."""
    return _SECRETS.sub(lambda found: f"{found[1] or ''}***", text)


def asked(url: str, parameters: Any = ()) -> str:
    """Path and query of a request in one form: what an answer is found by. `url` may have a query of its own.

    Secrets are left out, and `_`, which is there to be another one each time.
    """
    path, _, query = url.partition("?")
    given = parameters.items() if isinstance(parameters, Mapping) else parameters
    pairs = [*parse_qsl(query, keep_blank_values=True), *given]
    kept = (pair for pair in pairs if pair[0] != "_" and not _SECRET.fullmatch(pair[0]))
    query = urlencode(sorted(kept))
    return f"{path}?{query}" if query else path


def posted(body: str) -> str:
    """The body of a request in one form, without secrets, and without the id of a call by JSON-RPC."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return asked(f"?{body}")[1:]  # a form
    for call in told if isinstance(told, list) else [told]:
        if isinstance(call, dict) and "jsonrpc" in call:
            call.pop("id", None)
    return without_secrets(json.dumps(told, sort_keys=True))


class Tape:
    """Writes a tape. `now_s` is monotonic; `ended` is called once, when it is full or the disk refuses it.

    Never raises once it is open: who is recorded goes on.
    """

    def __init__(
        self,
        file: IO[str],
        venue: str,
        *,
        now_s: Callable[[], float],
        ended: Callable[[], None] = lambda: None,
        most_bytes: int = TAPE_BYTES,
    ) -> None:
        self.lines = 0
        self.problem = ""
        """Why it was ended, for people."""
        self._file = file
        self._now_s = now_s
        self._ended = ended
        self._left = most_bytes
        self._began_s = now_s()
        self._connections = 0
        self._write({"tape": _VERSION, "venue": venue})

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Whatever connects to a venue within is recorded."""
        before = TAPE.set(self)
        try:
            yield self
        finally:
            TAPE.reset(before)

    def page(
        self,
        url: str,
        parameters: Any,
        status: int,
        body: bytes,
        headers: Mapping[str, str],
        sent: str | None = None,
    ) -> None:
        """A request was answered; one with a body, which was `sent`, is a POST."""
        told: dict[str, object] = {"page": asked(url, parameters), "status": status, "body": _text(body)}
        if kept := {name: text for name, text in headers.items() if _HEADERS.search(name)}:
            told["headers"] = kept
        if sent is not None:
            told["posted"] = posted(sent)
        self._write({"at": self._at(), **told})

    def opened(self) -> int:
        """A connection of the feed is there; its number on the tape."""
        self._connections += 1
        self._write({"at": self._at(), "open": self._connections})
        return self._connections

    def frame(self, connection: int, data: bytes) -> None:
        """A message came over it."""
        self._write({"at": self._at(), "frame": connection, "text": _text(data)})

    def closed(self, connection: int) -> None:
        """It has ended by itself."""
        self._write({"at": self._at(), "close": connection})

    def _at(self) -> int:
        return int((self._now_s() - self._began_s) * 1000)

    def _write(self, line: Mapping[str, object]) -> None:
        if self.problem:
            return
        text = json.dumps(line, separators=(",", ":")) + "\n"  # ASCII: a character is a byte
        self._left -= len(text)
        try:
            if self._left < 0:
                self.problem = "it is full"
            else:
                self._file.write(text)
                self.lines += 1
        except OSError as error:
            self.problem = f"it cannot be written: {error.strerror}"
        if self.problem:
            self._ended()


TAPE: ContextVar[Tape | None] = ContextVar("livecache.tape", default=None)
"""On which it is recorded what venues say to what is made in this context; None: on none."""


def _text(data: bytes) -> str:
    return without_secrets(data.decode("utf-8", "surrogateescape"))


class Recorded(NamedTuple):
    """One line of a tape: `page`, `open`, `frame` or `close`, and of which request or connection."""

    at: int  # ms since the tape began
    what: str
    which: str | int
    body: bytes = b""
    status: int = 0
    headers: Mapping[str, str] = {}
    posted: str | None = None  # the body of a POST in the form of `posted`


def read_tape(path: Path) -> tuple[str, list[Recorded], str]:
    """The venue, what is on the tape, and where and how it is damaged, "" where it is not.

    What is before the damage counts. Raises LivecacheError for what cannot be read or is no tape.
    """
    lines: list[Recorded] = []
    left = TAPE_BYTES
    try:
        with path.open("rb") as file:
            head = _decoded(file.readline(10_000))
            if head is None or head.get("tape") != _VERSION or not isinstance(head.get("venue"), str):
                hint = f"`livecache record` writes one, of version {_VERSION}"
                raise LivecacheError(f"{path} is no tape", hint)
            number = 1
            while text := file.readline(left + 1):
                number += 1
                left -= len(text)
                line = _recorded(_decoded(text)) if left >= 0 and text.endswith(b"\n") else None
                if line is None:
                    return head["venue"], lines, f"line {number} is damaged: what is before it is played"
                lines.append(line)
    except OSError as error:
        raise LivecacheError(f"{path} cannot be read: {error.strerror}", "name a tape") from None
    return head["venue"], lines, ""


def _decoded(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) else None


def _recorded(line: Any) -> Recorded | None:
    """The line, None if it is not one."""
    at = line.get("at") if isinstance(line, dict) else None
    if not isinstance(at, int) or not 0 <= at < _AT_BELOW:
        return None
    try:
        match line:
            case {"page": str(page), "status": int(status), "body": str(body)}:
                if not 100 <= status <= 599:
                    return None
                given = line.get("headers", {})
                headers = {str(name): str(text) for name, text in given.items()}
                sent = line.get("posted")
                sent = None if sent is None else posted(str(sent))
                return Recorded(at, "page", asked(page), _bytes(body), status, headers, sent)
            case {"frame": int(number), "text": str(text)}:
                return Recorded(at, "frame", number, _bytes(text))
            case {"open": int(number)}:
                return Recorded(at, "open", number)
            case {"close": int(number)}:
                return Recorded(at, "close", number)
    except (ValueError, AttributeError):
        pass
    return None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
