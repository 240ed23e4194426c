"""How many candles an indicator needs: held to what the indicators themselves compute."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livecache.__main__ import main
from livecache.config.indicators import need_of, split, warmup_of
from livecache.errors import ConfigError

Values = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

# --- the indicators, as their users compute them, over the first axis


def average(values: Values, n: int, alpha: float, start: Values | None = None) -> Values:
    """An exponential average from `start` on: else from the mean of its first `n` values."""
    mean = values[:n].mean(axis=0) if start is None else start
    means = [mean]
    for value in values[n:]:
        mean = mean + (value - mean) * alpha
        means.append(mean)
    return np.array(means)


def ema(values: Values, n: int) -> Values:
    return average(values, n, 2 / (n + 1))


def rma(values: Values, n: int) -> Values:
    return average(values, n, 1 / n)


def dema(values: Values, n: int) -> Values:
    twice = ema(ema(values, n), n)
    return 2 * ema(values, n)[-len(twice) :] - twice


def tema(values: Values, n: int) -> Values:
    once = ema(values, n)
    twice = ema(once, n)
    thrice = ema(twice, n)
    return 3 * once[-len(thrice) :] - 3 * twice[-len(thrice) :] + thrice


def macd(values: Values, fast: int, slow: int) -> Values:
    return ema(values, fast)[slow - fast :] - ema(values, slow)


def signal(values: Values, fast: int, slow: int, n: int) -> Values:
    return ema(macd(values, fast, slow), n)


def change(values: Values) -> Values:
    return values[1:] - values[:-1]


def rsi(closes: Values, n: int) -> Values:
    up, down = (rma(np.maximum(way * change(closes), 0), n) for way in (1, -1))
    return 100 * up / (up + down)


def atr(high: Values, low: Values, close: Values, n: int) -> Values:
    return rma(np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1]), n)


def adx(high: Values, low: Values, close: Values, n: int) -> Values:
    up, down = change(high), -change(low)
    plus, minus = np.where((up > down) & (up > 0), up, 0), np.where((down > up) & (down > 0), down, 0)
    of_range = atr(high, low, close, n)
    rising, falling = rma(plus, n) / of_range, rma(minus, n) / of_range
    return rma(100 * abs(rising - falling) / (rising + falling), n)


LINEAR: list[tuple[str, Callable[[Values], Values]]] = [
    *((f"ema({n})", partial(ema, n=n)) for n in (1, 2, 9, 20, 200)),
    *((f"rma({n})", partial(rma, n=n)) for n in (1, 2, 14, 50)),
    ("dema(20)", partial(dema, n=20)),
    ("tema(20)", partial(tema, n=20)),
    *(
        (f"macd({fast},{slow},{n})", partial(signal, fast=fast, slow=slow, n=n))
        for fast, slow, n in ((12, 26, 9), (5, 35, 5), (3, 10, 16))
    ),
    ("macd(12,26,9)", partial(macd, fast=12, slow=26)),
    ("sma(20)", lambda values: values[-20:].mean(axis=0, keepdims=True)),
]

# --- the tests


@given(n=st.integers(2, 400), wilder=st.booleans(), start=st.floats(-1e6, 1e6), other=st.floats(-1e6, 1e6))
def test_wherever_an_average_starts_that_weighs_less_than_a_thousandth_and_a_candle_fewer_is_too_few(
    n: int, wilder: bool, start: float, other: float
) -> None:
    name, alpha = ("rma", 1 / n) if wilder else ("ema", 2 / (n + 1))
    need = need_of([f"{name}({n})"])
    closes = np.sin(np.arange(float(need)))
    for after in (n, 1):  # after the mean of so many, as most begin; after the first close, as some do
        ends = [average(closes, after, alpha, np.array(begun))[-1] for begun in (start, other)]
        assert abs(ends[0] - ends[1]) <= 0.001 * abs(start - other) + 1e-9
    assert (1 - alpha) ** (need - n) < 0.001 <= (1 - alpha) ** (need - 1 - n)


@pytest.mark.parametrize(("name", "compute"), LINEAR)
def test_what_was_before_changes_the_value_by_less_than_a_thousandth_of_the_prices_span(
    name: str, compute: Callable[[Values], Values]
) -> None:
    """Whatever the prices: of something linear the worst is the sum of what each close weighs."""
    need = warmup_of(name).candles
    each = np.eye(4 * need)
    error = compute(each)[-1] - compute(each[-need:])[-1]
    assert np.abs(error).sum() / 2 < 0.001


@pytest.mark.parametrize("seed", range(20))
def test_rsi_atr_and_adx_of_these_candles_are_those_of_all_history(seed: int) -> None:
    walk = np.random.default_rng(seed)
    close = 100 + walk.normal(size=2000).cumsum() * 0.1
    high, low = close + walk.exponential(0.05, 2000), close - walk.exponential(0.05, 2000)
    for n in (2, 7, 14, 30):
        for name, compute, series in cast(
            "list[tuple[str, Callable[..., Values], list[Values]]]",
            [("rsi", rsi, [close]), ("atr", atr, [high, low, close]), ("adx", adx, [high, low, close])],
        ):
            need = need_of([f"{name}({n})"])
            whole, short = compute(*series, n=n)[-1], compute(*(one[-need:] for one in series), n=n)[-1]
            assert short == pytest.approx(whole, abs=0.1 if name != "atr" else 0.001), f"{name}({n})"


@pytest.mark.parametrize(
    ("text", "indicator", "candles"),
    [
        ("sma(200)", "sma(200)", 200),
        ("macd(12,26,9)", "macd(12,26,9)", 155),
        ("MACD( 26, 12 )", "macd(26,12,9)", 155),
        ("rsi", "rsi(14)", 109),
        ("rsi()", "rsi(14)", 109),
        ("adx(14)", "adx(14)", 216),
        ("ema(1)", "ema(1)", 1),
        ("bbands(20, 2.50)", "bbands(20,2.5)", 20),
        ("stoch(14,3,3)", "stoch(14,3,3)", 18),
        ("roc(010)", "roc(10)", 11),
        ("hma(16)", "hma(16)", 19),
    ],
)
def test_an_indicator_is_written_in_one_way_with_all_its_numbers(
    text: str, indicator: str, candles: int
) -> None:
    told = warmup_of(text)
    assert (told.indicator, told.candles) == (indicator, candles)
    assert warmup_of(indicator) == told


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("mcad(12,26,9)", "unknown indicator 'mcad'", "did you mean macd(12,26,9)? one of sma, "),
        ("bollinger(20)", "unknown indicator 'bollinger'", "did you mean bbands(20,2)?"),
        ("zzz", "unknown indicator 'zzz'", "one of sma, "),
        ("obv", "obv has no warm-up", "leave it out"),
        ("macd 12 26", "'macd 12 26' is no indicator", "write it as macd(12,26,9)"),
        ("rsi(14", "'rsi(14' is no indicator", "rsi(14)"),
        ("", "'' is no indicator", "rsi(14)"),
        ("rsi(14,3)", "'rsi(14,3)' has too many numbers", "write it as rsi(14)"),
        ("sma(0)", "n has to be a whole number from 1 to 10,000", "such as sma(20)"),
        ("sma(14.5)", "n has to be a whole number", "sma(20)"),
        ("macd(12,,9)", "slow has to be a whole number", "macd(12,26,9)"),
        ("sma(" + "9" * 5000 + ")", "n has to be a whole number", "sma(20)"),
        ("bbands(20,wide)", "width has to be a number", "bbands(20,2)"),
    ],
)
def test_what_is_no_indicator_is_told_with_the_form(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as told:
        warmup_of(text)
    assert message in told.value.message and hint in told.value.hint
    assert len(told.value.message) < 200


@given(st.text(max_size=40))
def test_any_text_is_an_indicator_or_an_error(text: str) -> None:
    try:
        told = warmup_of(text)
    except ConfigError:
        return
    assert told.candles >= 1


def test_a_list_is_split_between_indicators_and_not_within() -> None:
    assert split(" macd(12,26,9), rsi(14) ,,sma") == ["macd(12,26,9)", "rsi(14)", "sma"]


def test_the_command_tells_the_number_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["warmup", "macd(12,26,9)", "sma(20)"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split(maxsplit=2) == ["macd(12,26,9)", "155", "ema(26): 26 + 90, then ema(9): 9 + 31"]
    assert "155 closed candles" in lines[4]
    assert main(["warmup", "--json", "rsi"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["candles"] == told["indicators"][0]["candles"] == 109
    assert told["indicators"][0]["stages"][1] == {"what": "rma(14)", "begins": 14, "forgets": 94}


def test_the_example_of_a_macd_asks_for_as_many_candles_as_that_takes() -> None:
    example = (Path(__file__).parent.parent / "docs/examples/macd.py").read_text()
    (count,) = re.findall(r"^COUNT = (\d+)", example, re.MULTILINE)
    assert int(count) == warmup_of("macd(12,26,9)").candles


def test_the_command_says_what_is_more_than_can_be_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["warmup", "ema(5000)"]) == 1
    assert "no more than 10,000 are kept" in capsys.readouterr().out
    assert main(["warmup", "mcad"]) == 2
    assert "did you mean macd(12,26,9)?" in capsys.readouterr().err
