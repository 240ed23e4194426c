"""Rows that a page settles at once: nothing is different from settling them one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livecache.model.policy import Policy
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.proof.track import Track
from livecache.venues.coinbase.traits import TRAITS
from tests.core.driver import candle

W = Timeframe.M5.ms
T = 1_770_000_000_000 // W * W
places = st.integers(0, 12)


def track(settled: set[int], suspect: set[int], news_from: int, *, working: bool) -> Track:
    on = Track(SeriesId("coinbase", "BTC-USD", Timeframe.M5), Policy(), TRAITS, working=working)
    for place in sorted(settled):
        on.settle(T + place * W, candle(T + place * W, "1"), derived=place % 2 == 0)
    on.dirty, on.updates, on.closes, on.state_dirty = set(), [], [], False
    for place in sorted(suspect):
        on.contest(T + place * W, T + place * W + 1)
    on.announce_from = T + news_from * W if news_from else 0
    return on


@given(first=places, count=st.integers(1, 6), others=st.sets(places), suspect=st.sets(places),
       news_from=places, working=st.booleans())  # fmt: skip
def test_a_run_of_rows_leaves_what_its_rows_one_by_one_leave(
    first: int, count: int, others: set[int], suspect: set[int], news_from: int, working: bool
) -> None:
    rows = {T + place * W: candle(T + place * W, "2") for place in range(first, first + count)}
    before = others - {*range(first, first + count)}
    at_once, singly = (track(before, suspect, news_from, working=working) for _ in range(2))
    at_once.settle_run(rows)
    for bucket, row in rows.items():
        singly.settle(bucket, row, derived=False)
    for name in set(Track.__slots__) - {"series", "policy", "traits", "grid"}:
        assert getattr(at_once, name) == getattr(singly, name), name
