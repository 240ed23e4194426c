"""What Redis knows of a stretch of years, as steps. Needs numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..errors import ReadError
from ..history.answer.seam import NOTHING
from ..history.columns import Columns
from ..history.store import Answer
from ..keys.keyspace import UNDECODABLE, Damaged, decode_member
from ..model.coverage import Coverage
from ..model.grid import Grid, read_grid
from ..model.series import SeriesId
from ..model.timeframe import TIME_MAX, Timeframe
from ..read.answer import State
from ..read.reading import Core, Steps
from ..wire.scripts import text_of

__all__ = ["Filled", "Told", "filled", "kept", "known", "mark", "sessions"]

_TOLD = ("sums_below", "grids", "calendar")

Told = tuple[Timeframe | None, Mapping[Timeframe, Grid], bool]
"""From which timeframe on a venue's candles are no sums, its own grids, and whether it keeps to sessions."""


Filled = tuple[set[SeriesId], dict[str, Told]]
"""Series that are filled; and what is told of each venue."""


def filled(core: Core, names: set[str]) -> Steps[Filled]:
    """The series of these symbols, or all, that are filled; and what is told of each venue."""
    yield from core.learn()
    found: set[SeriesId] = set()
    told: dict[str, Told] = {}
    for venue in core.venues or ():
        keys = core.keyspace(venue)
        members, fields = yield [("SMEMBERS", keys.series), ("HMGET", keys.feed, *_TOLD)]
        if isinstance(members, Exception) or isinstance(fields, Exception):  # nobody's that we know
            continue
        bound, grids, calendar = fields
        try:
            texts = msgspec.json.decode(grids, type=dict[Timeframe, str]) if grids else {}
            own = {timeframe: read_grid(text, timeframe.ms) for timeframe, text in texts.items()}
            told[venue] = Timeframe(text_of(bound)) if bound else None, own, calendar is not None
        except (ValueError, *UNDECODABLE):
            raise ReadError(f"{venue}: where buckets lie cannot be understood", "update livecache") from None
        texts_of = (text for text in map(text_of, members) if not names or text.rpartition(":")[0] in names)
        found |= {series for text in texts_of if (series := keys.parse_series(text))}
    return found, told


def sessions(core: Core, series: Sequence[SeriesId]) -> Steps[dict[Timeframe, Grid]]:
    """The sessions that Redis tells of these."""
    commands = [("HGET", f"{core.keys_of(one)[0]}:state", "grid") for one in series]
    texts = yield commands
    told = zip(series, texts, strict=True)
    return {one.timeframe: read_grid(text_of(text)) for one, text in told if isinstance(text, bytes)}


def known(core: Core, series: SeriesId, start: int, end: int, *, vouched: bool = False) -> Steps[Answer]:
    """What Redis has settled of `[start, end)`, in the venue's digits.

    With `vouched` also what has closed and is vouched for; it is provisional.
    """
    keys = core.keys_of(series)
    (reply,) = yield from core.evaluate([(keys, ("range", start, end))])
    if isinstance(reply, Exception) or not reply:
        return NOTHING
    state, covered = _state(reply, series, keys[0], vouched=vouched)
    if not covered:
        return NOTHING
    try:
        candles = [decode_member(member, series.timeframe, state.grid) for member in reply[3]]
    except Damaged as error:
        raise ReadError(
            f"a candle in {keys[0]} cannot be read: {str(error)[:200]}",
            f"delete {keys[0]}, and its writer restores it",
        ) from None
    asked = covered.clip(start, end)
    rows = Columns.of(each for each in candles if each.time in asked)
    return Answer(rows, asked, 0, 0, asked.clip(state.settled_through, end))


def kept(core: Core, series: Sequence[SeriesId], *, vouched: bool) -> Steps[dict[SeriesId, Coverage]]:
    """All that `known` covers of each of these, at once."""
    keys = [core.keys_of(one) for one in series]
    replies = yield from core.evaluate([(each, ("range", TIME_MAX - 1, TIME_MAX)) for each in keys])
    return {
        one: _state(reply, one, its[0], vouched=vouched)[1]
        for one, its, reply in zip(series, keys, replies, strict=True)
        if reply and not isinstance(reply, Exception)
    }


def _state(reply: Sequence[Any], series: SeriesId, key: str, *, vouched: bool) -> tuple[State, Coverage]:
    """The state in a reply, and what is covered; nothing where candles are lost until the next write."""
    fields, _, size, _, _ = reply
    state = State.of(fields, series, key)
    through = state.known_through if vouched else state.settled_through
    return state, Coverage([(state.contiguous_from, through)] if size == state.members else [])


def mark(core: Core, series: SeriesId, start: int, end: int) -> Steps[bytes]:
    """What changes whenever `known` would say something else; nothing is decoded for it."""
    (reply,) = yield from core.evaluate([(core.keys_of(series), ("range", start, end))])
    if isinstance(reply, Exception) or not reply:
        return b""
    fields, _, size, members, _ = reply
    return repr((fields, size, members)).encode()
