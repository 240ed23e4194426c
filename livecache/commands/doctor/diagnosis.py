"""What `livecache doctor` says of one thing: that it is right, or what is wrong and what mends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from ...config.render import redact

__all__ = ["Diagnosis", "Outcome", "failed", "lines", "noted", "right", "skipped", "without_secrets"]


class Outcome(StrEnum):
    """How it is with one thing."""

    RIGHT = "right"
    NOTE = "note"  # it works, and is worth a look
    WRONG = "wrong"
    SKIPPED = "skipped"  # it could not be tried, because of something else


class Diagnosis(msgspec.Struct, frozen=True):
    """One line. `part` names what was tried."""

    part: str
    outcome: Outcome
    message: str
    remedy: str = ""


def right(part: str, message: str) -> Diagnosis:
    """It is as it should be."""
    return Diagnosis(part, Outcome.RIGHT, message)


def noted(part: str, message: str, remedy: str = "") -> Diagnosis:
    """It works, and is worth a look."""
    return Diagnosis(part, Outcome.NOTE, message, remedy)


def failed(part: str, message: str, remedy: str) -> Diagnosis:
    """It would keep the service from working, or from working well."""
    return Diagnosis(part, Outcome.WRONG, message, remedy)


def skipped(part: str, why: str) -> Diagnosis:
    """It was not tried."""
    return Diagnosis(part, Outcome.SKIPPED, f"not tried: {why}")


def without_secrets(diagnosis: Diagnosis) -> Diagnosis:
    """The same with every password in a URL hidden, whoever put it there; each text in one line."""
    message, remedy = (" ".join(redact(text).split()) for text in (diagnosis.message, diagnosis.remedy))
    return Diagnosis(diagnosis.part, diagnosis.outcome, message[:_TEXT_MAX], remedy[:_TEXT_MAX])


_TEXT_MAX = 500
_WIDTH = 14  # of the names of the parts
_MARKS = {Outcome.RIGHT: "✓", Outcome.NOTE: "!", Outcome.WRONG: "✗", Outcome.SKIPPED: "-"}
_PLAIN = {Outcome.RIGHT: "ok", Outcome.NOTE: "note", Outcome.WRONG: "WRONG", Outcome.SKIPPED: "-"}


def lines(diagnoses: Sequence[Diagnosis], *, plain: bool) -> Iterator[str]:
    """As lines for people, the remedy below what it mends. `plain` needs no more than ASCII."""
    marks = _PLAIN if plain else _MARKS
    width = max(map(len, marks.values()))
    for diagnosis in diagnoses:
        mark = marks[diagnosis.outcome].ljust(width)
        yield f"{mark} {diagnosis.part.ljust(_WIDTH)} {diagnosis.message}"
        if diagnosis.remedy:
            yield f"{' ' * (width + 1)}{'':{_WIDTH}} {'->' if plain else '→'} {diagnosis.remedy}"
