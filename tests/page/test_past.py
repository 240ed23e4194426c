"""What the page holds of the past: one stretch without a seam, in whatever order it is loaded and dropped."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from .chromium import Tab, tab_of
from .modules import page_alone

HOUR = 3_600_000
NOW = 1_000 * HOUR
LISTED = 137 * HOUR


@pytest.fixture(scope="module")
def browser(devtools: str) -> Iterator[Tab]:
    """A tab at a file of the page, from which its modules can be loaded."""
    with page_alone() as url, tab_of(devtools) as tab:
        tab.open(f"{url}/page/icon.svg")
        yield tab


def page_of(browser: Tab, timeframe: str, **answer: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "coverage": [],
        "missing": [],
        "provisional": [],
        "candles": [],
        "grid": "",
        "job": None,
    }
    given = json.dumps({**usual, **answer})
    found: dict[str, Any] = browser.run(
        f"import('/page/past.js').then(({{ pageOf }}) => pageOf({given}, '{timeframe}'))"
    )
    return found


def candle(time: int) -> list[float]:
    return [time, 1, 1, 1, 1, 1]


def kinds(page: dict[str, Any]) -> list[tuple[int, str]]:
    return [(bucket["time"] // HOUR, bucket["kind"]) for bucket in page["buckets"]]


def test_what_is_missing_empty_and_provisional_is_told_apart_in_old_pages_too(browser: Tab) -> None:
    told = page_of(
        browser,
        "1h",
        **{"from": 10 * HOUR, "to": 17 * HOUR},
        coverage=[[0, 12 * HOUR]],
        provisional=[[12 * HOUR, 14 * HOUR]],
        missing=[[14 * HOUR, 16 * HOUR]],
        candles=[candle(10 * HOUR), candle(12 * HOUR)],
    )
    wanted = [(10, "settled"), (11, "empty"), (12, "provisional"), (13, "quiet")]
    assert kinds(told) == [*wanted, (14, "missing"), (15, "missing"), (16, "missing")]


def test_nights_and_weekends_are_no_buckets_and_months_are_of_the_calendar(browser: Tab) -> None:
    opens = [10 * HOUR, 34 * HOUR]
    sessions = ",".join(f"{opened}-{opened + 2 * HOUR}" for opened in opens)
    told = page_of(
        browser,
        "1h",
        **{"from": opens[0], "to": opens[1] + 2 * HOUR},
        grid=f"{HOUR} in {sessions} +960000",
        coverage=[[0, 100 * HOUR]],
        candles=[candle(10 * HOUR), candle(11 * HOUR), candle(35 * HOUR)],
    )
    assert kinds(told) == [(10, "settled"), (11, "settled"), (34, "empty"), (35, "settled")]
    february = 31 * 24 * HOUR
    told = page_of(browser, "1M", **{"from": 0, "to": 90 * 24 * HOUR}, coverage=[[0, 90 * 24 * HOUR]])
    assert [bucket["time"] for bucket in told["buckets"]] == [0, february, february + 28 * 24 * HOUR]


# A market of hours since its listing, and somebody who scrolls, jumps, waits and fills, drawn by a seed.
# After each step the list is one stretch: in order, without a hole, and each bucket is as the market has it.
WALK = """import('/page/past.js').then(({ Past, pageOf }) => {
  const [H, LISTED, MOST] = [3_600_000, %(listed)d, 400];
  let state = %(seed)d;
  const dice = (n) => {
    state = (state * 1103515245 + 12345) %% 2147483648;
    return Math.floor(state / 65536) %% n;
  };
  let [liveFrom, now] = [%(now)d - 60 * H, %(now)d];
  const holes = new Set([LISTED + 90 * H, LISTED + 91 * H, LISTED + 400 * H]);
  const candle = (time) => [time, 1, 1, 1, 1, time];
  const live = () => {
    const list = [];
    for (let time = liveFrom; time < now; time += H) {
      list.push({ time, kind: "settled", candle: candle(time) });
    }
    return list;
  };
  const answer = (from, to) => {
    from = Math.max(from, LISTED);
    const [candles, missing] = [[], []];
    for (let time = from; time < to; time += H) {
      if (holes.has(time)) missing.push([time, time + H]);
      else candles.push(candle(time));
    }
    const end = from === LISTED;
    return pageOf({ from, to, candles, missing, provisional: [], coverage: [[from, to]], grid: "", job: null,
      exhausted: end, ends: end ? "listing" : "", listed: LISTED }, "1h");
  };
  const past = new Past("1h");
  const asked = [];
  const wrong = [];
  let list = past.list(live());
  let at = { from: list.length - 40, to: list.length };
  for (let step = 0; step < 300; step += 1) {
    const seen = list[Math.max(0, Math.floor(at.from))]?.time;
    const way = dice(12);
    if (way < 5) at = { from: at.from - 25, to: at.to - 25 };
    else if (way < 8) at = { from: at.from + 25, to: at.to + 25 };
    else if (way === 8) {
      now += H;
      if (dice(2)) liveFrom += H;
      if (!dice(4)) {
        now += 80 * H;
        liveFrom = now - 60 * H;
      }
    } else if (way === 9 && !dice(4)) {
      const to = LISTED + (60 + dice(600)) * H;
      past.jump(answer(to - 60 * H, Math.min(to, liveFrom)));
      at = { from: 10, to: 50 };
    } else if (way === 10) {
      const open = past.lacking({ from: -1e9, to: 1e9 });
      if (open) {
        for (let time = open.from; time < open.to; time += H) holes.delete(time);
        past.mend(open, answer(open.from, open.to));
      }
    }
    at.from = Math.min(Math.max(at.from, -20), list.length + 5);
    at.to = at.from + 40;
    list = past.list(live());
    for (let turn = 0; turn < 20; turn += 1) {
      const ask = past.wanted(at);
      if (!ask) break;
      if (turn === 19) wrong.push([step, "asks for ever", ask]);
      const anchor = list[Math.max(0, Math.min(list.length - 1, Math.floor(at.from)))]?.time;
      asked.push(ask.way);
      if (ask.way === "older") past.older(answer(ask.before - 70 * H, ask.before));
      else {
        const until = Math.min(ask.from + 70 * H, ask.until);
        past.newer(answer(ask.from, until), until);
      }
      list = past.list(live());
      const shift = list.findIndex(({ time }) => time === anchor) - Math.max(0, Math.floor(at.from));
      if (anchor !== undefined && shift > -1e6) at = { from: at.from + shift, to: at.to + shift };
      if (past.trim(at, MOST)) {
        const kept = list[Math.max(0, Math.floor(at.from))]?.time;
        list = past.list(live());
        const moved = list.findIndex(({ time }) => time === kept) - Math.max(0, Math.floor(at.from));
        if (moved < 0 && kept === undefined) wrong.push([step, "what is seen was let go"]);
        else at = { from: at.from + moved, to: at.to + moved };
      }
    }
    list.forEach(({ time, candle: has, kind }, index) => {
      if (index && time - list[index - 1].time !== H) wrong.push([step, "seam", index, time]);
      const other = (kind === "missing") !== holes.has(time) || (has !== null && has[5] !== time);
      if (other) wrong.push([step, kind, time]);
    });
    if (list.length > MOST + 200) wrong.push([step, "too many", list.length]);
    if (past.attached && list.at(-1).time !== now - H) wrong.push([step, "not up to now"]);
    if (past.end && list[0].time !== LISTED) wrong.push([step, "no end there"]);
    if (wrong.length) break;
  }
  return { wrong: wrong.slice(0, 5), ways: [...new Set(asked)] };
})"""


def test_however_one_scrolls_jumps_and_waits_there_is_one_stretch_without_a_seam(browser: Tab) -> None:
    dice = random.Random(18)
    ways = set()
    for _ in range(30):
        told = browser.run(WALK % {"seed": dice.randrange(1 << 30), "now": NOW, "listed": LISTED})
        assert told["wrong"] == []
        ways |= set(told["ways"])
    assert ways == {"older", "newer"}


def test_nothing_is_asked_for_before_the_listing_and_nothing_twice(browser: Tab) -> None:
    script = """import('/page/past.js').then(({ Past, pageOf }) => {
      const [H, past, asked] = [3_600_000, new Past("1h"), []];
      const live = [{ time: 100 * H, kind: "settled", candle: [100 * H, 1, 1, 1, 1, 1] }];
      for (let turn = 0; turn < 20; turn += 1) {
        past.list(live);
        const ask = past.wanted({ from: 0, to: 10 });
        if (!ask) break;
        asked.push(ask.before / H);
        const from = Math.max(20 * H, ask.before - 30 * H);
        const end = from === 20 * H;
        const empty = { candles: [], coverage: [], provisional: [], missing: [], grid: "" };
        const ends = end ? "listing" : "";
        const answer = { from, to: ask.before, exhausted: end, ends, listed: 20 * H, ...empty };
        past.older(pageOf(answer, "1h"));
      }
      return [asked, past.end, past.listed / H];
    })"""
    assert browser.run(script) == [[100, 70, 40], "listing", 20]


def test_months_without_a_candle_are_an_end_where_nobody_tells_of_a_listing(browser: Tab) -> None:
    script = """import('/page/past.js').then(({ Past, pageOf }) => {
      const [D, past] = [86_400_000, new Past("1d")];
      past.list([{ time: 900 * D, kind: "settled", candle: [900 * D, 1, 1, 1, 1, 1] }]);
      const quiet = { candles: [], provisional: [], missing: [], grid: "" };
      const ends = [];
      for (const [from, to, coverage] of [[860, 900, true], [820, 860, false], [820, 860, true]]) {
        const known = coverage ? [[from * D, to * D]] : [];
        const page = pageOf({ from: from * D, to: to * D, ...quiet, coverage: known }, "1d");
        if (ends.length < 2) past.older(page);
        else past.mend({ from: from * D, to: to * D }, page);
        ends.push(past.end);
      }
      return [ends, past.listed / D, past.wanted({ from: 0, to: 10 })];
    })"""
    assert browser.run(script) == [["", "", "quiet"], 900, None]


# A reel over a market of hours, whose pages come when the script lets them; `live` is what is live meanwhile.
REEL = """import('/page/reel.js').then(async ({ Reel }) => {
  const H = 3_600_000;
  const span = (from, to) => Array.from({ length: (to - from) / H }, (_, at) => from + at * H);
  const candle = (time) => [time, 1, 1, 1, 1, time];
  let live = [];
  const goes = (from, to) => {
    live = span(from * H, to * H).map((time) => ({ time, kind: "settled", candle: candle(time) }));
  };
  const buckets = { list: () => live, loaded: true, step: H, grid: null };
  const asked = [];
  window.fetch = async (path) => {
    const before = Number(new URL(path, location).searchParams.get("before"));
    asked.push(before / H);
    await new Promise((let_go) => (window.page_comes = let_go));
    const [from, to] = [before - 500 * H, before];
    const page = { from, to, candles: span(from, to).map(candle), missing: [], provisional: [] };
    return Response.json({ ...page, coverage: [[from, to]], grid: "", exhausted: false, ends: "" });
  };
  const reel = new Reel({ name: "BTC-USD", timeframe: "1h", buckets }, async () => {}, () => {});
  reel.kept = true;
  const comes = async () => {
    window.page_comes();
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
    await new Promise((done) => setTimeout(done));
  };
  const times = () => reel.list().map(({ time }) => time / H);
  %s
})"""


def test_a_page_that_comes_once_the_live_candles_begin_later_makes_no_seam(browser: Tab) -> None:
    script = """goes(2000, 2100);
      reel.list();
      reel.look({ from: 10, to: 90 });
      goes(2050, 2150); // The stream broke, and what is live was loaded anew.
      reel.list();
      await comes();
      const first = times();
      reel.look({ from: 10, to: 90 });
      await comes();
      return [first, times(), asked];"""
    first, then, asked = browser.run(REEL % script)
    assert first == list(range(2050, 2150))
    assert then == list(range(1550, 2150))
    assert asked == [2000, 2050]


def test_whoever_looks_at_the_newest_sees_them_after_days_away_and_who_looks_back_stays(browser: Tab) -> None:
    script = """goes(2000, 2100);
      reel.list();
      reel.look({ from: 10, to: 102 });
      await comes();
      reel.list();
      reel.look(%s);
      goes(3000, 3100);
      return times();"""
    assert browser.run(REEL % script % "{ from: 510, to: 602 }") == list(range(3000, 3100))
    assert browser.run(REEL % script % "{ from: 300, to: 400 }") == list(range(1500, 2000))


def test_a_place_between_two_moments_is_asked_for_as_a_moment(browser: Tab) -> None:
    script = """goes(2000, 2100);
      reel.list();
      reel.goTo({ from: 1200.0000001 * H, to: 1210.0000001 * H });
      await comes();
      return asked.map((hour) => hour * H);"""
    (asked,) = browser.run(REEL % script)
    assert asked == int(asked)
