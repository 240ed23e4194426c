"""What other timeframes say of a bucket, however many buckets of theirs it holds."""

from __future__ import annotations

from typing import Any

from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from livecache.proof.evidence import Kin
from livecache.proof.kin import Kindred
from tests.core.driver import Driver, candle

M1, MN1 = Timeframe.M1, Timeframe.MN1
NOW = 1_784_109_900_000


class Looked(dict[int, ExactCandle]):
    """Counts how often something is looked for in it."""

    times = 0

    def get(self, *asked: Any) -> Any:
        self.times += 1
        return super().get(*asked)


def test_of_the_minutes_of_a_month_only_those_are_looked_at_that_are_there() -> None:
    driver = Driver((M1, MN1), NOW)
    tracks = driver.symbol.tracks
    newest = M1.floor(NOW) - 10 * M1.ms
    held = tracks[M1].settled = Looked({newest: candle(newest, "1")})
    kin = Kindred(tracks, MN1, NOW)
    months = list(MN1.grid.opens(NOW - 1_000 * 30 * Timeframe.D1.ms, NOW))
    assert [kin(month) for month in months[:-1]] == [Kin.SILENT] * (len(months) - 1)
    assert kin(months[-1]) is Kin.DENIES
    assert held.times <= 1
