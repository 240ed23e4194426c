"""The pages by which a symbol is warmed up are as few as can be, and no longer than they have to be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from livecache.model.timeframe import Timeframe
from livecache.model.traits import Carriage
from livecache.proof.plan import Priority
from tests.core.driver import Driver

M1, M5, M15, H1, H4, D1 = (Timeframe(t) for t in ("1m", "5m", "15m", "1h", "4h", "1d"))
DAY = 1_769_990_400_000  # 2026-02-02


@pytest.mark.parametrize(
    ("timeframes", "page", "pages", "rows"),
    [
        ((M5, M15, H1, H4, D1), 1_000, 3, 1_560),  # three of a thousand would do as well
        ((M5, M15, H1, H4, D1), 500, 3, 1_500),  # four fill all, three make all ready: as long as can be
        ((M1,), 1_000, 1, 110),
    ],
    ids=str,
)
@pytest.mark.parametrize("into_s", [61, 299, 3_600 * 4 - 1, 3_600 * 23 + 130])
def test_a_symbol_is_warm_by_few_and_short_pages_whenever_it_begins(
    timeframes: Sequence[Timeframe], page: int, pages: int, rows: int, into_s: int
) -> None:
    driver = Driver(timeframes, DAY + into_s * 1_000, page_limit=page, carries=(Carriage(M1, flag=True),))
    assert driver.fill(Priority.WARM) == pages
    assert sum((want.end - want.start) // want.timeframe.ms for want in driver.asked) <= rows
    assert all(driver.settled(t) >= (100 if page == 1_000 else 60) for t in timeframes)


def test_where_less_is_traded_than_the_first_page_can_tell_the_next_is_as_long_as_can_be() -> None:
    driver = Driver(
        (M1,),
        DAY + 61_000,
        page_limit=1_000,
        carries=(Carriage(M1, flag=True),),
        trades=lambda _, time: time // M1.ms % 5 == 0,
    )
    driver.fill()
    first, second = ((want.end - want.start) // M1.ms for want in driver.asked)
    assert first < 110 and second >= 999
    assert driver.settled(M1) >= 100
