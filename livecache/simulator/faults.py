"""The seam for faults: where the exchange may be made to fail. By default nothing does.

Subclass `Faults` and hand it to the `Simulator`. It is asked at two points: around every REST answer, and
before every frame that a feed sends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Answer", "Close", "Faults", "Frame", "RequestRecord"]


@dataclass(slots=True)
class RequestRecord:
    """One REST request, as the log keeps it. `status` is 0 until it has been answered, or if it never was.

    `at` is the host's monotonic time of its arrival, in seconds; `start` and `end` are the Unix seconds it
    asked for, None where absent or unreadable; `product` and `granularity` are empty where it named none.
    """

    at: float
    path: str
    product: str = ""
    granularity: str = ""
    start: int | None = None
    end: int | None = None
    status: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One REST answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame about to be sent. `session` counts the connections since the start, from 1.

    An error frame belongs to no channel (an empty string) and has no sequence number (-1).
    """

    session: int
    channel: str
    sequence: int
    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection with this websocket close code; None cuts it off without a word."""

    code: int | None = None


class Faults:
    """No fault at all. Override either method."""

    async def rest(self, request: RequestRecord, proceed: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """Answer a request: `await proceed()` gives what the exchange would say.

        May wait before or after, change the answer, replace it, or return None to cut the connection.
        """
        return await proceed()

    def frame(self, frame: Frame) -> Iterable[str] | Close:
        """The texts to send in place of a frame: itself, none, several; or close the connection.

        Sequence numbers are already dealt, so a frame left out is a jump that the client can see.
        """
        return (frame.text,)
