"""Whatever goes wrong at Yahoo, what is stored is what was traded, and a refusal is one call."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from livecache.simulator.yahoo.faults import Refusal, YahooFaults
from livecache.simulator.yahoo.oddities import Oddity

from .test_year_of_shares import Market

REFUSALS: tuple[Refusal, ...] = ("429", "429 with a time", "429 in 200", "401", "consent")
TROUBLE: tuple[Refusal | Oddity, ...] = (
    *REFUSALS,
    *("cut", "hang", "html", "nothing", "no result", "down", "500", "cut json"),
    *("today twice", "clock stamps", "before and after hours", "newest first", "each twice"),
    *("unequal columns", "no close", "negative", "huge", "no quote"),
)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 40))])
def test_whatever_goes_wrong_what_is_stored_is_what_was_traded(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)
    market = Market(tmp_path, 8, faults=(faults := YahooFaults(seed)))
    names = [name for name in market.names if name != "GONE"]
    for _ in range(60):
        faults.strike(chance.choice(TROUBLE) if chance.random() < 0.6 else "live row")
    asked, failed = 0, set(names)
    for _ in range(8):
        failed = {line.symbol for line in market.fill(names) if line.error}
        asked += len(market.asked)
        # Where a connection is cut that was kept, aiohttp sends the request over another one.
        for one, other in pairwise(record for record in market.asked if record.status):
            assert other.at - one.at >= (5.0 if one.status in (401, 429) else 1.0) - 1e-6
        if not failed:
            break
    assert not failed and faults.counts["asked all the same"] == 0
    assert asked <= len(names) + 60 + 20, "one call for whatever goes wrong, and a second look at a few rows"
    market.check(names)
