"""How the history of a venue stands: of one that is split, all shards together."""

from __future__ import annotations

from livecache.history.service.standing import Standing
from livecache.history.store import JobState
from livecache.history.tally import Line, Tally


def tally(inserted: int, *, failed: int = 0) -> Tally:
    """Of a session that has brought so much, and in which so many series failed."""
    made = Tally(lambda: 0.0, lambda series: 300)
    made.lines[0] = Line("venue", "BTC-USD", "1h", inserted=inserted)
    made.lines |= {n: Line("venue", f"S{n}", "1h", JobState.FAILED) for n in range(1, failed + 1)}
    return made


def test_shards_are_counted_together_and_what_was_stored_stays_counted() -> None:
    standing = Standing()
    standing.opened(3, tally(100, failed=1))
    standing.opened(5, tally(20, failed=2))
    assert (standing.filled, standing.failed) == (120, 3)
    standing.opened(5, tally(1))
    assert (standing.filled, standing.failed) == (121, 1), "a session that begins anew takes nothing back"
    standing.left(3)
    assert (standing.filled, standing.failed) == (121, 0), "what another holds by now fails there"


def test_it_is_kept_once_each_shard_is() -> None:
    standing = Standing()
    standing.troubles |= {3: "the disk is full", 5: "the disk is full", 7: "no such table: jobs"}
    standing.recovered(3)
    assert standing.trouble == "the disk is full"
    standing.recovered(5)
    assert standing.trouble == "no such table: jobs"
    standing.left(7)
    assert standing.trouble == ""
