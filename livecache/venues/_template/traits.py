"""REQUIRED. What it is like: every line is a row of your table of evidence."""

from __future__ import annotations

from ...model.timeframe import Timeframe
from ...model.traits import Carriage, Served, Traits

__all__ = ["TRAITS"]

TRAITS = Traits(
    # What it serves by request, and how long a page is never too long. What it does not serve is rolled up.
    served=dict.fromkeys((Timeframe.M5, Timeframe.H1, Timeframe.D1), Served(page=60)),
    # What its feed carries: one timeframe will do. `flag`: the last candle of a bucket says that it is.
    # OPTIONAL: without a feed, () here and in `feeds`.
    carries=(Carriage(Timeframe.M5, flag=True),),
    # OPTIONAL: `empty="flat"` where a bucket without trades has a row; `trades=True` where minutes can be
    # built of trades that are numbered without a gap; `grids` where its days or weeks begin elsewhere;
    # `Served.reach` where it keeps only the newest, `Served.most` where years may come by longer pages;
    # `dated` where its list tells since when each is listed, `begins` where it shows its first candle;
    # `clock=False` where nobody can ask for its time;
    # `order="stamp"` where a later frame may show less; `settle_delay_ms` where its history is late;
    # `budgets` for what it allows in a minute or an hour.
)
"""Before it has taught anything else."""
