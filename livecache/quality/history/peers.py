"""One asset at several venues: a move of the price that only one of them shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import reduce

import numpy as np

from ...history.columns import Columns
from ...model.coverage import Coverage
from ...model.grid import Grid
from ...model.series import SeriesId
from ...model.timeframe import iso
from .findings import Finding, Kind, Rules
from .outliers import joined, typical

__all__ = ["asset_of", "compare_peers"]

_DOLLARS = frozenset({"USD", "USDT", "USDC", "BUSD", "FDUSD", "TUSD", "DAI", "PERPETUAL", "PERP", "SWAP"})
_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "EUR", "GBP", "TRY", "BTC", "ETH")


def asset_of(symbol: str) -> tuple[str, str]:
    """What is traded, and in what it is priced; all dollars are one: BTC-USD, BTCUSDT and BTC-PERPETUAL."""
    parts = [part for part in re.split(r"[^0-9A-Z]+", symbol.upper()) if part]
    if len(parts) == 1:
        quote = next((q for q in _QUOTES if parts[0].endswith(q) and parts[0] != q), "")
        parts = [parts[0].removesuffix(quote), quote]
    base, quote = (*parts, "", "")[:2]
    return base, "USD" if not quote or quote in _DOLLARS else quote


def compare_peers(
    peers: Sequence[tuple[SeriesId, Columns, Coverage]], grid: Grid, rules: Rules
) -> Iterator[Finding]:
    """Moves of one that the others, at two venues or more, do not show at the same time.

    The candles are such as can be, all of one timeframe.
    """
    times = reduce(np.intersect1d, (rows.time for _, rows, _ in peers))
    if len(times) < 2:
        return
    common = [rows.take(np.isin(rows.time, times)) for _, rows, _ in peers]
    moves = np.stack([np.diff(np.log(rows.close.floats())) for rows in common])
    together = np.all(
        [joined(rows, coverage) for rows, (_, _, coverage) in zip(common, peers, strict=True)], axis=0
    )
    for at, (series, _, _) in enumerate(peers):
        own, others = moves[at], np.median(np.delete(moves, at, axis=0), axis=0)
        alone = np.abs(own - others) > rules.move * typical(np.abs(own))
        alone &= together & (np.abs(others) < np.abs(own) / 2)
        names = ", ".join(peer.venue for peer, _, _ in peers if peer != series)
        for place in np.flatnonzero(alone).tolist():
            time = int(times[place + 1])
            said = f"{iso(time)} moves the price by {_percent(own[place])}, and by {_percent(others[place])}"
            yield Finding(Kind.PEERS, series, f"{said} at {names}", "", time, grid.end(time))


def _percent(move: float) -> str:
    return f"{100 * np.expm1(move):+.3g} %"
