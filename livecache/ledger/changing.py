"""What one series needs in Redis now."""

from __future__ import annotations

from ..model.candle import ExactCandle
from ..model.series import Change, Kind, Update
from ..proof.track import Track
from .symbol import SymbolTimeline
from .watermarks import compute_state

__all__ = ["take_change"]


def take_change(timeline: SymbolTimeline, track: Track, now: int, *, whole: bool) -> Change:
    """Take what has gathered in a track; with `whole`, all that it holds."""
    if whole:
        members: dict[int, ExactCandle | None] = {c.time: c for c in track.members()}
    else:
        members = {t: track.candle(t) for t in track.dirty if t >= track.keep_from}
    forming = timeline.forming(track, now)
    if forming and forming in track.dirty:
        shown = track.provisional.get(forming)
        if shown is not None and shown.vouched:
            track.updates.append(Update(Kind.FORMING, shown.candle))
    before = state = track.state
    if state is None or track.state_dirty or whole or state.forming != forming:
        state = compute_state(
            track,
            now,
            timeline.channel.through,
            forming,
            awaits_proof=timeline.awaits_proof(track, now),
            standing=timeline.standing,
        )
        if track.sound:
            timeline.late.discard(track.series.timeframe)
    told = None if state == before and not whole else state
    updates = tuple(track.updates)
    track.dirty, track.updates, track.closes = set(), [], []
    track.whole = track.state_dirty = False
    return Change(track.series, whole, members, track.keep_from, told, updates)
