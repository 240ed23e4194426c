"""What the page computes: averages as an oracle has them, markets out of series, times of a zone."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from .chromium import Tab, tab_of
from .modules import call, page_alone

STEP = 300_000
FAST, SLOW, SIGNAL = 12, 26, 9


@pytest.fixture(scope="module")
def browser(devtools: str) -> Iterator[Tab]:
    """A tab at a file of the page, from which its modules can be loaded."""
    with page_alone() as url, tab_of(devtools) as tab:
        tab.open(f"{url}/page/icon.svg")
        yield tab


# --- the oracle


def mean_of(values: Sequence[float], span: int) -> list[float | None]:
    """The exponential moving average as textbooks have it: it begins with a plain mean."""
    found: list[float | None] = [None] * len(values)
    for index in range(span - 1, len(values)):
        before = found[index - 1]
        if before is None:
            found[index] = sum(values[:span]) / span
        else:
            weight = 2 / (span + 1)
            found[index] = weight * values[index] + (1 - weight) * before
    return found


def macd_of(values: Sequence[float]) -> list[tuple[float | None, float | None, float | None]]:
    pairs = zip(mean_of(values, FAST), mean_of(values, SLOW), strict=True)
    lines = [None if fast is None or slow is None else fast - slow for fast, slow in pairs]
    known = [line for line in lines if line is not None]
    signals = [*[None] * (len(lines) - len(known)), *mean_of(known, SIGNAL)]
    return [
        (line, signal, None if line is None or signal is None else line - signal)
        for line, signal in zip(lines, signals, strict=True)
    ]


def near(told: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """Whether they are the same numbers, and None at the same places."""
    return [one is None for one in told] == [one is None for one in wanted] and [
        one for one in told if one is not None
    ] == pytest.approx([one for one in wanted if one is not None], rel=1e-9, abs=1e-9)


def walk(dice: random.Random, length: int) -> list[float]:
    prices, price = [], dice.choice([0.00001234, 1.0, 76_000.0])
    for _ in range(length):
        price *= dice.uniform(0.98, 1.02)
        prices.append(price)
    return prices


def bucket(index: int, kind: str, close: float | None) -> dict[str, Any]:
    time = index * STEP
    candle = None if close is None else [time, close, close, close, close, 1.0]
    return {"time": time, "kind": kind, "candle": candle}


# --- averages


@pytest.mark.parametrize("length", [0, 1, 11, 12, 25, 26, 33, 34, 35, 100, 500])
def test_averages_are_the_textbooks_and_begin_where_there_are_enough_candles(
    browser: Tab, length: int
) -> None:
    values = walk(random.Random(length), length)
    assert near(call(browser, "indicators", "ema", values, FAST), mean_of(values, FAST))
    told = call(browser, "indicators", "macd", values)
    for place, name in enumerate(("macd", "signal", "histogram")):
        wanted = [each[place] for each in macd_of(values)]
        assert near([each[name] for each in told], wanted), name
        first = {"macd": SLOW, "signal": SLOW + SIGNAL - 1, "histogram": SLOW + SIGNAL - 1}[name]
        assert sum(each is not None for each in wanted) == max(0, length - first + 1)


def test_averages_never_lead_across_a_hole_nor_to_what_may_yet_change(browser: Tab) -> None:
    """Whatever lies before a bucket that is not known counts for nothing after it."""
    for seed in range(20):
        dice = random.Random(seed)
        prices = walk(dice, 160)
        hole = dice.randint(40, 100)
        tail = dice.randint(1, 5)
        kinds = ["settled"] * 160
        kinds[hole] = "missing"
        kinds[-tail:] = ["provisional"] * tail
        kinds[-1] = "forming"
        empty = set(dice.sample([n for n in range(160 - tail) if n != hole], 20))
        buckets = [
            bucket(n, "empty" if n in empty else kind, None if n in empty or n == hole else price)
            for n, (kind, price) in enumerate(zip(kinds, prices, strict=True))
        ]
        told = call(browser, "indicators", "indicators", buckets)
        runs = [[n for n in span if n not in empty] for span in (range(hole), range(hole + 1, 160 - tail))]
        assert [int(time) // STEP for time in told] == [*runs[0], *runs[1]], seed
        for run in runs:
            closes = [prices[n] for n in run]
            rows = [told[str(n * STEP)] for n in run]
            assert near([row["slow"] for row in rows], mean_of(closes, SLOW))
            assert near([row["signal"] for row in rows], [signal for _, signal, _ in macd_of(closes)])


def test_a_bucket_that_was_proven_empty_counts_as_no_candle(browser: Tab) -> None:
    buckets = [bucket(0, "settled", 1.0), bucket(1, "empty", None), bucket(2, "settled", 2.0)]
    told = call(browser, "indicators", "settledRun", buckets)
    assert told == [{"time": 0, "close": 1.0}, {"time": 2 * STEP, "close": 2.0}]


# --- markets


def row(symbol: str, timeframe: str, state: str = "ready", **more: Any) -> dict[str, Any]:
    usual = {"reason": "", "feed": "up", "last": 100.0, "last_time": 1_000, "lag_ms": 0}
    return {"symbol": symbol, "timeframe": timeframe, "state": state, **usual, **more}


def markets(browser: Tab, rows: Sequence[Any], courses: Any = ()) -> list[dict[str, Any]]:
    script = f"""import('/page/markets.js').then((m) =>
        m.marketsOf({rows!r}, new Map({list(courses)!r})))""".replace("None", "null")
    found: list[dict[str, Any]] = browser.run(script)
    return found


def test_series_of_a_symbol_are_one_market_with_the_newest_of_their_prices(browser: Tab) -> None:
    rows = [
        row("SOL-USD", "1h", last=20.0, last_time=3_600),
        row("BTC-USD", "1h", last=None, last_time=None),
        row("SOL-USD", "5m", last=21.0, last_time=5_000),
        row("BTC-USD", "5m", last=None, last_time=None),
    ]
    course = {"symbol": "SOL-USD", "day_ago": 20.0, "closes": [20.0, 21.0]}
    sol, btc = markets(browser, rows, [["SOL-USD", course]])
    assert (sol["symbol"], sol["last"], len(sol["rows"])) == ("SOL-USD", 21.0, 2)
    assert sol["change"] == pytest.approx(0.05)
    assert (btc["symbol"], btc["last"], btc["change"]) == ("BTC-USD", None, None)


@pytest.mark.parametrize("day_ago", [None, 0])
def test_without_a_price_of_a_day_ago_no_change_is_told(browser: Tab, day_ago: float | None) -> None:
    course: dict[str, Any] = {"symbol": "SOL-USD", "day_ago": day_ago, "closes": []}
    (sol,) = markets(browser, [row("SOL-USD", "1h")], [["SOL-USD", course]])
    assert sol["change"] is None


def ordered(browser: Tab, rows: Sequence[Any], column: str, direction: int = 1) -> list[str]:
    script = f"""import('/page/markets.js').then((m) => m.marketsOf({rows!r}, new Map())
        .sort(m.order({column!r}, {direction})).map((market) => market.symbol))""".replace("None", "null")
    found: list[str] = browser.run(script)
    return found


def test_trouble_comes_first_worst_first_and_the_rest_stays_as_it_is_configured(browser: Tab) -> None:
    states = {
        "A": "ready",
        "B": "lagging",
        "C": "warming",
        "D": "hole",
        "E": "short",
        "F": "failing",
        "G": "unknown",
        "H": "halted",
        "I": "stale",
        "J": "damaged",
    }
    rows = [row(name, timeframe) for name in states for timeframe in ("5m",)]
    rows += [row(name, "1h", state) for name, state in states.items()]
    assert "".join(ordered(browser, rows, "")) == "FJIDGHBACE"


def test_what_is_not_known_comes_last_whichever_way_round(browser: Tab) -> None:
    prices = {"A": 5.0, "B": None, "C": 1.0, "D": 9.0}
    rows = [row(name, "5m", last=price) for name, price in prices.items()]
    assert "".join(ordered(browser, rows, "last")) == "CADB"
    assert "".join(ordered(browser, rows, "last", -1)) == "DACB"
    assert "".join(ordered(browser, rows, "symbol", -1)) == "DCBA"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["hole"], ["1h"]),
        (["eth"], ["5m", "1h"]),
        (["eth", "1h"], ["1h"]),
        (["5m", "hole"], []),  # it is the other one that has the hole
        (["ready", "eth"], ["5m"]),
        ([], ["5m", "1h"]),
    ],
)
def test_a_filter_knows_symbols_timeframes_and_states(
    browser: Tab, words: list[str], wanted: list[str]
) -> None:
    rows = [row("ETH-USD", "5m"), row("ETH-USD", "1h", "hole")]
    market = {"symbol": "ETH-USD", "rows": rows}
    assert [each["timeframe"] for each in call(browser, "markets", "matching", market, words)] == wanted


def test_one_reason_of_several_timeframes_is_told_once_and_the_worst_first(browser: Tab) -> None:
    rows = [
        row("X", "5m", "lagging", reason="lagging: for a while"),
        row("X", "1h", "hole", reason="hole: from then"),
        row("X", "4h", "hole", reason="hole: from then"),
        row("X", "1d", "warming", reason="warming up: 3 of 60"),
    ]
    told = call(browser, "markets", "wordsOf", {"rows": rows})
    assert [(each["state"], each["timeframes"]) for each in told] == [
        ("hole", ["1h", "4h"]),
        ("lagging", ["5m"]),
    ]


# --- words and times


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0.0123, "+1.23\xa0%"),
        (-0.5, "\u221250.00\xa0%"),
        (0, "+0.00\xa0%"),
        (-0.00001, "+0.00\xa0%"),
        (12.0, "+1200.00\xa0%"),
    ],
)
def test_a_change_is_told_in_per_cent(browser: Tab, ratio: float, text: str) -> None:
    assert call(browser, "words", "percent", ratio) == text


def zone(browser: Tab, local: bool, expression: str) -> Any:
    return browser.run(
        f"import('/page/zone.js').then(({{ Zone }}) => ((z) => {expression})(new Zone({str(local).lower()})))"
    )


@pytest.mark.parametrize(
    ("name", "moment", "text"),
    [
        ("Europe/Berlin", "2026-02-20T12:05Z", "2026-02-20 13:05 UTC+1"),
        ("Europe/Berlin", "2026-07-20T23:30Z", "2026-07-21 01:30 UTC+2"),
        ("Asia/Kolkata", "2026-02-20T20:00Z", "2026-02-21 01:30 UTC+5:30"),
        ("America/St_Johns", "2026-02-20T02:00Z", "2026-02-19 22:30 UTC\u22123:30"),
        ("UTC", "2026-02-20T12:05Z", "2026-02-20 12:05 UTC"),
    ],
)
def test_times_are_those_of_utc_or_of_whoever_looks(browser: Tab, name: str, moment: str, text: str) -> None:
    browser.call("Emulation.setTimezoneOverride", timezoneId=name)
    try:
        assert zone(browser, True, f"z.text(Date.parse('{moment}'))") == text
        utc = moment.replace("T", " ").replace("Z", " UTC")
        assert zone(browser, False, f"z.text(Date.parse('{moment}'))") == utc
        assert zone(browser, True, "z.mark(Date.parse('2026-02-20T12:00Z'), false)").startswith("20 Feb")
    finally:
        browser.call("Emulation.setTimezoneOverride", timezoneId="")


# --- buckets


def test_an_exchange_that_closes_has_no_bucket_at_night(browser: Tab) -> None:
    hour, evening, morning = 3_600_000, 1_000 * 3_600_000, 1_017 * 3_600_000
    sessions = f"{evening - 3 * hour}-{evening},{morning}-{morning + hour + 600_000}"
    closed = [evening - 3 * hour, evening - hour]

    def candle(time: int) -> list[float]:
        return [time, 1, 1, 1, 1, 1]

    answer = {
        "grid": f"{hour} in {sessions} +960000",
        "contiguous_from": closed[0],
        "settled_through": evening,
        "known_through": evening,
        "closed_through": evening,
        "forming_from": 0,
        "forming": None,
        "candles": [candle(time) for time in closed],
    }
    told = [
        ["settled", {"time": morning, "candle": candle(morning)}],
        ["closed", {"time": morning + hour, "candle": None}],
        ["closed", {"time": morning + 24 * hour, "candle": candle(morning + 24 * hour)}],
    ]
    script = f"""import('/page/buckets.js').then(({{ Buckets }}) => {{
      const buckets = new Buckets("1h");
      buckets.load({json.dumps(answer)});
      const before = buckets.list();
      for (const [event, data] of {json.dumps(told)}) buckets.apply(event, data);
      return [before, buckets.list(), buckets.known, buckets.settled];
    }})"""
    before, after, known, settled = browser.run(script)
    assert [(each["time"], each["kind"]) for each in before] == [
        (closed[0], "settled"),
        (closed[0] + hour, "empty"),
        (closed[1], "settled"),
    ]
    assert [(each["time"], each["kind"]) for each in after[3:]] == [
        (morning, "settled"),
        (morning + hour, "quiet"),
    ]
    assert (known, settled) == (morning + hour + 600_000, morning + hour), "the last one is shorter"


def test_a_candle_before_all_that_was_loaded_makes_nothing_between_look_as_if_nothing_had_been_traded(
    browser: Tab,
) -> None:
    # Of ten candles the newest five are asked for; a revision tells of the second, and one of the seventh.
    script = f"""import('/page/buckets.js').then(({{ Buckets }}) => {{
      const [buckets, H] = [new Buckets("1h"), {12 * STEP}];
      const candle = (time, close) => [time, 1, 1, 1, close, 1];
      const through = {{ settled_through: 10 * H, known_through: 10 * H, closed_through: 10 * H }};
      const candles = [5, 6, 7, 8, 9].map((hour) => candle(hour * H, 1));
      buckets.load({{ ...through, contiguous_from: 0, forming_from: 0, grid: "", candles }}, 5);
      for (const hour of [1, 6]) buckets.apply("revised", {{ time: hour * H, candle: candle(hour * H, 2) }});
      return buckets.list().map(({{ time, kind, candle }}) => [time / H, kind, candle?.[4] ?? null]);
    }})"""
    told = browser.run(script)
    assert told == [[hour, "settled", 2 if hour == 6 else 1] for hour in range(5, 10)]


def test_a_price_of_long_ago_is_told_with_all_its_digits(browser: Tab) -> None:
    script = """Promise.all(["words", "zone"].map((name) => import(`/page/${name}.js`)))
      .then(([{ sentence }, { Zone }]) => {
        const candle = (...prices) => ({ time: 0, kind: "settled", candle: [0, ...prices, 1] });
        return [candle(0.25, 0.125, 0.0625, 1), candle(100, 100.5, 1 / 3, 1)].map((bucket) =>
          sentence(bucket, 2, new Zone(false)).replaceAll("\\u00a0", " "));
      })"""
    assert browser.run(script) == [
        "1970-01-01 00:00 UTC  O 0.2500  H 0.1250  L 0.0625  C 1.0000  V 1",
        "1970-01-01 00:00 UTC  O 100.00000000  H 100.50000000  L 0.33333333  C 1.00000000  V 1",
    ]
