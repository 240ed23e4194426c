"""The ETag of an answer, by what it is made of: nothing is decoded for it."""

from __future__ import annotations

from collections.abc import Sequence

from ...model.series import SeriesId
from ..conditional import named_in, tag_of
from .bounds import Bounds

__all__ = ["named_in", "tag_of_version"]


def tag_of_version(form: str, bounds: Bounds, series: SeriesId, version: Sequence[object]) -> str:
    """Another one whenever the answer is another one."""
    return tag_of(repr((form, bounds, series, *version)).encode())
