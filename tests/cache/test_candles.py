"""What a read returns: cannot be changed, and becomes the arrays and frames that people compute with."""

from __future__ import annotations

import copy
import math
import pickle
import sys
from datetime import UTC, datetime
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


def plain(count: int = 6, forming: bool = False) -> Candles:
    """So many candles, the last of them in progress if that is asked for."""
    made = [Candle(T0 + n * STEP, 100.0 + n, 110.0, 90.0, 101.5, 2.5) for n in range(count)]
    return Candles(
        made,
        series=BTC,
        contiguous_from=T0,
        settled_through=T0 + (count - 2) * STEP,
        known_through=T0 + (count - forming) * STEP,
        forming=T0 + (count - 1) * STEP if forming else 0,
        feed="up",
        age=0,
        synthetic=frozenset({T0, T0 + 4 * STEP}),
    )


@pytest.mark.parametrize(
    "part", [slice(-2, None), slice(None), slice(1, 4), slice(0), slice(None, None, 2), slice(9, 99)]
)
def test_a_slice_is_candles_with_the_same_vouchers(part: slice) -> None:
    made = plain()
    cut = made[part]
    assert isinstance(cut, Candles) and list(cut) == list(made)[part]
    assert cut.values("open") == made.values("open")[part]
    for name in ("series", "contiguous_from", "settled_through", "known_through", "feed", "age", "standing"):
        assert getattr(cut, name) == getattr(made, name)
    assert cut.synthetic == made.synthetic & set(cut.values("time"))


@pytest.mark.parametrize("name", ["close", 1.0, None, ("time", 0)])
def test_who_asks_for_a_column_as_of_a_frame_is_told_how(name: Any) -> None:
    with pytest.raises(TypeError, match=r"^candles are found by number or slice, not by .* candles\.close$"):
        plain()[name]


def test_a_slice_says_that_the_bucket_in_progress_is_in_it_only_if_it_is() -> None:
    made = plain(forming=True)
    assert made[-3:].forming == made.forming and made[:-1].forming == 0 and made[:0].forming == 0
    not_traded = Candles(
        list(made)[:-1],
        series=BTC,
        contiguous_from=T0,
        settled_through=T0,
        known_through=made.known_through,
        forming=made.forming,
        feed="up",
        age=0,
        synthetic=frozenset(),
    )
    assert not_traded[-2:].forming == made.forming


def test_candles_are_equal_if_they_are_the_same_candles_of_one_series() -> None:
    made = plain()
    assert made == plain() and hash(made) == hash(plain()) and made[1:] == plain()[1:]
    assert made == tuple(made) and made == list(made) and made[:2] == tuple(made)[:2]
    assert made != made[1:] and made != "candles"


@pytest.mark.parametrize("name", ["time", "open", "high", "low", "close", "volume"])
def test_a_column_is_an_array_and_its_values_are_a_list(name: str) -> None:
    numpy = pytest.importorskip("numpy")
    made = plain()
    column = getattr(made, name)
    assert isinstance(column, numpy.ndarray) and column.dtype == ("int64" if name == "time" else "float64")
    assert type(made.values(name)) is list and made.values(name) == column.tolist()
    assert {type(value) for value in made.values(name)} == {int if name == "time" else float}


@pytest.mark.parametrize("name", ["time", "open", "high", "low", "close", "volume"])
def test_without_numpy_a_column_is_an_error_that_names_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    made = plain()
    with pytest.raises(ModuleNotFoundError, match=rf"candles.{name} is a numpy array.*livecache\[numpy\]"):
        getattr(made, name)
    assert len(made.values(name)) == 6


def test_values_of_no_column_are_refused() -> None:
    with pytest.raises(ValueError, match="no column 'price'"):
        plain().values("price")


def test_a_column_stays_read_only_in_another_process() -> None:
    pytest.importorskip("numpy")
    made = plain()
    assert made.close[0] == 101.5
    there = pickle.loads(pickle.dumps(made))
    with pytest.raises(ValueError, match="read-only"):
        there.close[0] = 1.0
    assert there == made and there.standing == made.standing


def test_a_candle_unpacks_as_ccxts_rows_do_and_knows_its_time() -> None:
    candle = plain()[1]
    time, opened, high, low, close, volume = candle
    assert [time, opened, high, low, close, volume] == [T0 + STEP, 101.0, 110.0, 90.0, 101.5, 2.5]
    assert (len(candle), candle[4], candle[-1], candle[1:3]) == (6, 101.5, 2.5, (101.0, 110.0))
    assert candle.datetime == datetime(2025, 7, 21, 0, 5, tzinfo=UTC)


def test_what_people_do_first_with_pandas_and_numpy_works() -> None:
    pandas, numpy = pytest.importorskip("pandas"), pytest.importorskip("numpy")
    made = plain()
    for frame in (pandas.DataFrame(made), pandas.DataFrame(list(made)), pandas.DataFrame(made[1:])):
        assert list(frame.columns) == ["time", "open", "high", "low", "close", "volume"]
        assert frame["close"].iloc[-1] == 101.5
    assert numpy.array(made).shape == (6, 6)


def test_a_frame_says_whose_it_is_and_who_vouches_for_it() -> None:
    pytest.importorskip("pandas")
    made = plain(forming=True)
    assert made.to_pandas().attrs == {
        "venue": "coinbase",
        "symbol": "BTC-USD",
        "timeframe": "5m",
        "feed": "up",
        "standing": "",
        "contiguous_from": T0,
        "settled_through": T0 + 4 * STEP,
        "known_through": T0 + 5 * STEP,
        "forming": T0 + 5 * STEP,
    }


def test_a_notebook_shows_a_table_of_the_first_and_the_last() -> None:
    shown = plain(30)._repr_html_()
    assert shown.startswith("<table><caption>&lt;Candles: 30 of BTC-USD 5m")
    assert shown.count("<tr>") == 1 + 5 + 1 + 5 and "20 more" in shown
    assert "<td>2025-07-21 00:05</td><td>101</td><td>110</td>" in shown
    assert plain(3)._repr_html_().count("<tr>") == 4 and plain(0)._repr_html_().count("<tr>") == 1


@pytest.mark.parametrize("package", ["numpy", "polars", "pandas"])
def test_a_package_that_is_not_there_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    convert: Any = getattr(candles(), f"to_{package}")
    with pytest.raises(ModuleNotFoundError, match=f"to_{package}.. needs the package {package}") as caught:
        convert()
    assert caught.value.name == package
