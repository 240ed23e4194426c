"""What a read returns: cannot be changed, and becomes the arrays and frames that people compute with."""

from __future__ import annotations

import copy
import math
import pickle
import sys
from typing import Any

import pytest

from livecache import Candle, Candles

from .support import BTC, STEP, T0


def candles(*, gap: bool = False) -> Candles:
    """Three of them; with a gap, the second stands for an empty bucket."""
    made = [Candle(T0 + n * STEP, 100.0 + n, 110.0, 90.0, 101.5, 2.5) for n in range(3)]
    if gap:
        made[1] = Candle(T0 + STEP, *[math.nan] * 5)
    return Candles(
        made,
        series=BTC,
        contiguous_from=T0,
        settled_through=T0 + 2 * STEP,
        known_through=T0 + 3 * STEP,
        forming=0,
        feed="up",
        age=1234,
        synthetic=frozenset({T0 + STEP} if gap else ()),
    )


VOUCHERS = ("contiguous_from", "settled_through", "known_through", "forming", "feed", "age", "synthetic")


@pytest.mark.parametrize("name", ["series", *VOUCHERS, "close", "something"])
def test_nothing_of_it_can_be_changed(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(candles(), name, 0)


def test_its_items_and_columns_cannot_be_changed() -> None:
    pytest.importorskip("numpy")
    made = candles()
    with pytest.raises(TypeError):
        made[0] = made[1]  # type: ignore[index]
    with pytest.raises(AttributeError):
        made[0].close = 1.0  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        made.close[0] = 1.0


def test_it_goes_to_other_processes_as_it_is() -> None:
    made = candles()
    for other in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert list(other) == list(made)
        assert [getattr(other, name) for name in VOUCHERS] == [getattr(made, name) for name in VOUCHERS]


def test_as_a_numpy_array_it_has_a_field_for_each_column() -> None:
    numpy = pytest.importorskip("numpy")
    made = candles()
    array = made.to_numpy()
    assert array.dtype.names == ("time", "open", "high", "low", "close", "volume")
    assert array["time"].dtype == numpy.int64 and array["open"].dtype == numpy.float64
    assert array["time"].tolist() == [T0, T0 + STEP, T0 + 2 * STEP]
    assert array["open"].tolist() == [100.0, 101.0, 102.0]
    array["open"][0] = 0  # It is the caller's own.
    assert made.open[0] == 100.0


def test_as_a_polars_frame_its_times_are_utc() -> None:
    polars = pytest.importorskip("polars")
    frame = candles(gap=True).to_polars()
    kinds = dict.fromkeys(("open", "high", "low", "close", "volume"), polars.Float64)
    assert dict(frame.schema) == {"time": polars.Datetime("ms", "UTC"), **kinds}
    assert [t.timestamp() * 1000 for t in frame["time"]] == [T0, T0 + STEP, T0 + 2 * STEP]
    assert frame["close"][0] == 101.5 and math.isnan(frame["close"][1])


def test_as_a_pandas_frame_its_index_is_utc() -> None:
    pandas = pytest.importorskip("pandas")
    made = candles(gap=True)
    frame = made.to_pandas()
    assert isinstance(frame.index, pandas.DatetimeIndex)
    assert (frame.index.name, str(frame.index.tz)) == ("time", "UTC")
    assert frame.index[0] == pandas.Timestamp(T0, unit="ms", tz="UTC")
    assert list(frame.columns) == ["open", "high", "low", "close", "volume"]
    assert frame["close"].tolist()[0] == 101.5 and math.isnan(frame["close"].iloc[1])
    frame.loc[frame.index[0], "close"] = 0.0  # It is the caller's own.
    assert made.close[0] == 101.5


@pytest.mark.parametrize("package", ["numpy", "polars", "pandas"])
def test_a_package_that_is_not_there_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    convert: Any = getattr(candles(), f"to_{package}")
    with pytest.raises(ModuleNotFoundError, match=f"to_{package}.. needs the package {package}") as caught:
        convert()
    assert caught.value.name == package
