"""Properties P6 and P8 of request 001: a symbol is known once, and when it was asked for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.history.records.symbols import Asset
from livecache.venues.venue import FailureKind, FetchFailure, PageRequest

from .bourse import Bourse, Filling

SYMBOLS = ["AAPL", "MSFT", "GONE"]


def answer(request: PageRequest, before: int) -> FetchFailure | None:
    return FetchFailure(FailureKind.UNKNOWN_SYMBOL, "404") if request.symbol == "GONE" else None


@settings(max_examples=4, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sets(st.sampled_from(SYMBOLS), min_size=1),
            st.booleans(),
            st.one_of(st.none(), st.floats(0, 4)),
            st.integers(0, 5),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_P6_and_P8_a_symbol_is_known_once_and_when_it_was_updated(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[set[str], bool, float | None, int]]
) -> None:
    """However often it is asked for, killed and forced; one that was never had is not known."""
    filling = Filling(tmp_path_factory.mktemp("assets"), Bourse(answer), SYMBOLS)
    known: dict[str, Asset] = {}
    for symbols, force, until_s, days in runs:
        filling.now += days * 86_400_000
        filling.symbols, began = sorted(symbols), filling.now
        before = {symbol: filling.pages(symbol) for symbol in SYMBOLS}
        filling.run(force=force, until_s=until_s)
        store = filling.store()
        found = {asset.symbol: asset for asset in store.assets()}
        assert len(found) == len(store.assets()) and "GONE" not in found
        store.close()
        for symbol, asset in found.items():
            stored = filling.pages(symbol) > before[symbol]
            earlier = known.get(symbol)
            assert asset.first_seen == (earlier.first_seen if earlier else asset.first_seen)
            assert asset.first_seen >= began or earlier
            if stored:
                assert began <= asset.last_update <= filling.now
            elif earlier:
                assert asset.last_update == earlier.last_update
        known = found
