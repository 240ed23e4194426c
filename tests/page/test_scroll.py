"""The chart that scrolls back for years, in a real browser over the real service and its history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from livecache.embedded.server import EmbeddedServer
from livecache.model.coverage import Coverage
from livecache.model.timeframe import Timeframe

from .chromium import Tab
from .scrolling import (
    DAY,
    NOON,
    Years,
    drawn,
    look_into,
    offline,
    once,
    place,
    seen,
    stored,
    to_the_left,
    years,
)
from .support import live, nothing_in_the_console, shows

DAYS = 160  # more than the hundred candles that are live, of days too
LISTED = (NOON - DAYS * DAY) // DAY * DAY
HOLE = Coverage([(LISTED + 90 * DAY, LISTED + 92 * DAY)])

HOUR = 3_600_000
LENGTH = "parseInt(document.getElementById('chart').ariaLabel?.split(': ')[1])"
FIRST = """Date.parse(
    (document.getElementById("chart").ariaLabel?.match(/buckets, ([\\d-]+ [\\d:]+)/)?.[1] ?? "") + "Z"
)"""
QUIET = "document.getElementById('chart').ariaBusy === 'false'"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Years]:
    """A market that was listed 160 days ago: 3,840 hours, of which a hundred are live."""
    path = tmp_path_factory.mktemp("years") / "history.db"
    kept = {Timeframe.H1: HOLE, Timeframe.D1: Coverage()}
    with (
        EmbeddedServer(temporary=True) as server,
        years(
            server.url,
            path,
            days=DAYS,
            kept=kept,
            CACHE_TIMEFRAMES="5m,1h,1d",
            HISTORY_FILL_PAGES=0,  # what is missing stays so until somebody orders it
        ) as running,
    ):
        yield running


def day(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).date().isoformat()


@pytest.fixture
def chart(here: Years, tab: Tab) -> Tab:
    """A tab that shows the newest hours."""
    look_into(tab)
    tab.call("Network.clearBrowserCache")  # Old pages stay in it for minutes, over tests too.
    tab.open(f"{here.page}#BTC-USD/1h")
    shows(tab, "BTC-USD 1h")
    live(tab)
    return tab


def test_one_scrolls_from_today_to_the_listing_and_each_candle_is_there_once(here: Years, chart: Tab) -> None:
    assert to_the_left(chart) == f"listed {day(LISTED)}: nothing before"
    shown = drawn(chart)
    times = list(shown)
    assert times == list(range(LISTED, times[-1] + 1, HOUR)), "one a bucket, without a seam"
    truth = stored(here, "1h", LISTED)
    assert {time: shown[time] for time in truth} == truth, "as a reader of years has them"
    lacking = {time for time, prices in shown.items() if prices is None}
    assert lacking == {time for time in times if time in HOLE}
    once(chart)
    nothing_in_the_console(chart)


def test_what_is_looked_at_stays_where_it_is_while_older_ones_come(chart: Tab) -> None:
    chart.until("the first page is there", f"{LENGTH} > 500")
    for _ in range(14):
        chart.drag("#chart", 300)
        first, _ = seen(chart)
        anchor = first + 30 * HOUR
        length, at = chart.run(LENGTH), place(chart, anchor)
        chart.until("nothing is under way", QUIET)
        assert place(chart, anchor) == pytest.approx(at, abs=0.5), (length, chart.run(LENGTH))
    chart.until("pages came meanwhile", f"{LENGTH} > 600")
    once(chart)


def test_one_goes_to_a_day_and_back_by_scrolling_until_what_is_live(here: Years, chart: Tab) -> None:
    there = NOON // DAY * DAY - 25 * DAY
    chart.run(f"document.getElementById('date').value = '{day(LISTED + 40 * DAY)}'")
    chart.focus("#date")
    chart.press("Enter")
    chart.until("that day is shown", f"location.hash.endsWith('@{day(LISTED + 40 * DAY)}')")
    chart.until("it is loaded", f"{FIRST} < {LISTED + 40 * DAY}")
    first, last = seen(chart)
    assert first < LISTED + 40 * DAY < last
    assert max(drawn(chart)) < there, "what lies between was not loaded"
    assert chart.text("#last"), "the last price goes on"
    chart.focus("#chart")
    for _ in range(80):
        chart.press("PageDown")
        last = seen(chart)[1]
        chart.until("nothing is under way", QUIET)
        if last > NOON - 2 * HOUR:
            break
    shown = drawn(chart)
    times = list(shown)
    assert times == list(range(times[0], times[-1] + 1, HOUR))
    truth = stored(here, "1h", times[0])
    assert {time: shown[time] for time in truth} == truth
    once(chart)
    chart.press("PageUp")
    chart.until("the newest are not seen", "!document.getElementById('now').disabled")
    chart.click("#now")
    chart.until("the newest are seen", "document.getElementById('now').disabled")
    assert "@" not in chart.run("location.hash")


def test_an_address_leads_to_a_day(here: Years, tab: Tab) -> None:
    look_into(tab)
    tab.open(f"{here.page}#BTC-USD/1h@{day(LISTED + 30 * DAY)}")
    shows(tab, "BTC-USD 1h")
    tab.until("it is loaded", f"{FIRST} < {LISTED + 30 * DAY}")
    first, last = seen(tab)
    assert first < LISTED + 30 * DAY < last


def test_zoomed_out_it_shows_larger_candles_of_the_same_time_and_zoomed_in_its_own(chart: Tab) -> None:
    chart.until("the first page is there", f"{LENGTH} > 500")
    before = seen(chart)
    chart.zoom("#chart", -25)
    chart.until("days are shown", "document.getElementById('level').innerText === 'shown as 1d'")
    chart.until("they are drawn", "document.getElementById('chart').ariaLabel.startsWith('BTC-USD 1d')")
    first, last = seen(chart)
    assert first < before[0] and last >= NOON // DAY * DAY - DAY
    assert all(time % DAY == 0 for time in drawn(chart))
    chart.zoom("#chart", -25)
    chart.until("weeks are shown", "document.getElementById('level').innerText === 'shown as 1w'")
    chart.until("they are drawn", "document.getElementById('chart').ariaLabel.startsWith('BTC-USD 1w')")
    line = "charted.panes()[0].getSeries().flatMap((each) => each.priceLines())[0].options().price"
    told = "Number(document.getElementById('last').innerText.replaceAll(',', ''))"
    chart.until("the line is at the last price, which is of no whole week", f"{line} === {told}")
    assert chart.text("#readout").startswith("1w ")
    chart.click("#newest summary")
    opens = "[...document.querySelectorAll('#newest tbody th')].map((name) => name.innerText.slice(-5))"
    chart.until("the newest hours are listed, whatever is shown", f"new Set({opens}).size === 12")
    chart.click("#newest summary")
    first, _ = seen(chart)
    chart.zoom("#chart", 50)
    chart.until("hours are shown", "document.getElementById('level').innerText === ''")
    chart.until("they are drawn", "document.getElementById('chart').ariaLabel.startsWith('BTC-USD 1h')")
    assert all(now >= first for now in seen(chart))
    nothing_in_the_console(chart)


def test_without_a_network_it_says_so_quietly_and_goes_on_once_it_is_back(chart: Tab) -> None:
    chart.until("the first page is there", f"{LENGTH} > 500")
    chart.until("nothing is under way", QUIET)
    offline(chart, True)
    chart.focus("#chart")
    length = chart.run(LENGTH)
    for _ in range(length // 80):
        chart.press("PageUp")
        seen(chart)
    words = "document.getElementById('edge-words').innerText"
    chart.until("it says so", f"{words}.startsWith('Older candles do not come')")
    assert chart.run(LENGTH) == length
    offline(chart, False)
    chart.until("it goes on", f"{LENGTH} > {length}", 60.0)
    chart.until("that is all", f"!{words}.startsWith('Older candles do not come')")


def test_what_is_missing_is_filled_by_its_button_which_a_keyboard_can_press(here: Years, tab: Tab) -> None:
    (hole,) = HOLE
    look_into(tab)
    tab.open(f"{here.page}#BTC-USD/1h@{day(hole.start)}")
    tab.until("it is loaded", f"{FIRST} < {hole.start}")
    tab.until("it can be filled", "document.getElementById('fill').checkVisibility()")
    assert tab.text("#fill") == f"fill {day(hole.start)} to {day(hole.end)}"
    assert next(time for time, prices in drawn(tab).items() if prices is None) == hole.start
    tab.focus("#fill")
    tab.press("Enter")
    missing = "charted.panes()[0].getSeries().find((each) => each.seriesType() === 'Line').data().length"
    tab.until("it is filled", f"{missing} === 0", 60.0)
    truth = stored(here, "1h", hole.start)
    shown = drawn(tab)
    within = {time: prices for time, prices in truth.items() if time in HOLE}
    assert len(within) == 48
    assert {time: shown[time] for time in within} == within
    assert not tab.run("document.getElementById('fill').checkVisibility()")
    assert tab.run("document.activeElement.id") == "chart", "a keyboard goes on where the button was"


def go(tab: Tab, when: str) -> None:
    """To a day, by the field above the chart."""
    tab.run(f"document.getElementById('date').value = '{when}'")
    tab.focus("#date")
    tab.press("Enter")


def test_what_is_no_day_and_one_to_come_lead_to_the_newest_and_long_ago_to_the_listing(
    here: Years, chart: Tab
) -> None:
    chart.until("the first page is there", f"{LENGTH} > 500")
    for nonsense in ("2024-13-45", "0001-01-01", "2040-01-01"):
        chart.run(f"location.hash = '#BTC-USD/1h@{day(LISTED + 30 * DAY)}'")
        chart.until("it goes there", f"{FIRST} < {LISTED + 30 * DAY}")
        chart.run(f"location.hash = '#BTC-USD/1h@{nonsense}'")
        chart.until(f"the newest are seen for {nonsense}", "document.getElementById('now').disabled")
        assert seen(chart)[1] >= NOON // HOUR * HOUR - HOUR
    go(chart, "1969-01-01")
    assert "1969" not in chart.run("location.hash"), "the field says what it takes"
    to_the_left(chart)
    go(chart, day(LISTED - 400 * DAY))
    chart.until(
        "the listing is seen", f"document.getElementById('edge-words').innerText.includes('{day(LISTED)}')"
    )
    assert seen(chart)[0] == LISTED
    nothing_in_the_console(chart)


def test_who_goes_to_the_newest_sees_them_however_soon_older_ones_come(here: Years, chart: Tab) -> None:
    chart.until("the first page is there", f"{LENGTH} > 500")
    for _ in range(8):  # Older ones come at the very moment at which the view moves, or a little later.
        chart.run(f"location.hash = '#BTC-USD/1h@{day(LISTED + 30 * DAY)}'")
        chart.until("it goes there", f"{FIRST} < {LISTED + 30 * DAY}")
        chart.run("location.hash = '#BTC-USD/1h'")
        chart.until("the newest are seen", "document.getElementById('now').disabled")


def test_who_goes_somewhere_and_thinks_better_of_it_is_led_there_no_more(here: Years, chart: Tab) -> None:
    chart.until("the first page is there", f"{LENGTH} > 500")
    chart.until("nothing is under way", QUIET)
    latency = {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
    chart.call("Network.emulateNetworkConditions", latency=2_000, **latency)
    go(chart, day(LISTED + 20 * DAY))
    chart.until("it says so", "document.getElementById('edge-words').innerText === 'loading older candles'")
    chart.click("#now")
    chart.call("Network.emulateNetworkConditions", latency=0, **latency)
    chart.until("nothing is under way", f"document.getElementById('now').disabled && {QUIET}")
    assert seen(chart)[1] >= NOON // HOUR * HOUR - HOUR
    assert chart.run(LENGTH) > 500, "nothing was let go"


def test_the_arrow_keys_begin_where_one_looks(here: Years, chart: Tab) -> None:
    chart.until("the first page is there", f"{LENGTH} > 500")
    chart.focus("#chart")
    chart.press("PageUp")
    chart.press("PageUp")
    chart.until("nothing is under way", QUIET)
    before = seen(chart)
    chart.press("ArrowLeft")
    first, last = seen(chart)
    assert abs(last - before[1]) <= 2 * HOUR
    read = datetime.fromisoformat(chart.text("#readout")[:16]).replace(tzinfo=UTC).timestamp() * 1000
    assert first < read <= last


def test_a_press_of_the_other_button_holds_nothing_up(chart: Tab) -> None:
    chart.until("the first page is there", f"{LENGTH} > 500")
    box = chart.run("document.getElementById('chart').getBoundingClientRect().toJSON()")
    at = {"x": box["x"] + 100, "y": box["y"] + 100, "button": "right", "clickCount": 1}
    chart.call("Input.dispatchMouseEvent", type="mousePressed", **at)
    chart.focus("#chart")
    to_the_left(chart)


def test_a_finger_on_the_chart_scrolls_it_sideways_and_the_page_up_and_down(chart: Tab) -> None:
    chart.until("the first page is there", f"{LENGTH} > 500")
    chart.resize(360, 740, phone=True)
    middle = "((box) => [box.x + 120, box.y + 150])(document.getElementById('chart').getBoundingClientRect())"

    def swipe(x_by: int, y_by: int) -> None:
        x, y = chart.run(middle)
        chart.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for part in range(1, 9):
            at = {"x": x + x_by * part / 8, "y": y + y_by * part / 8}
            chart.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[at])
        chart.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    before = seen(chart)
    swipe(150, 0)
    chart.until("older ones are seen", f"charted.timeScale().getVisibleRange().from * 1000 < {before[0]}")
    assert chart.run("scrollY") == 0
    swipe(0, -250)
    chart.until("the page has scrolled", "scrollY > 100")


def test_however_many_buckets_come_and_change_at_once_each_is_drawn(chart: Tab) -> None:
    script = """import('/page/chart.js').then(async ({ Chart }) => {
      const { Zone } = await import('/page/zone.js');
      const box = document.createElement("div");
      document.body.append(box);
      const nothing = { onPoint() {}, onRange() {} };
      const drawn = new Chart(box, document.getElementById("legend"), new Zone(false), nothing);
      const candle = (hour) => [0, hour, hour, hour, hour, 1];
      const bucket = (hour) => ({ time: hour * 3.6e6, kind: "settled", candle: candle(hour) });
      const looks = { digits: 0, step: 3.6e6, live: true, last: null, averages: null };
      let list = Array.from({ length: 30 }, (_, hour) => bucket(hour));
      const seen = [];
      for (const [more, changed] of [[0, 0], [1, 0], [2, 0], [7, 3], [0, 4], [3, 1]]) {
        const kept = list.slice(0, list.length - changed);
        const rest = Array.from({ length: changed + more }, (_, at) => bucket(kept.length + at));
        drawn.show((list = [...kept, ...rest]), looks);
        const series = charted.panes()[0].getSeries();
        const candles = series.find((each) => each.seriesType() === "Candlestick").data();
        seen.push(candles.map(({ close }) => close));
      }
      // All is loaded anew, and some have come: whoever looks at the newest goes on doing so.
      [box.style.width, box.style.height] = ["600px", "300px"];
      await new Promise((done) => setTimeout(done, 300));
      drawn.show(list, { ...looks, aim: "newest" });
      const ends = [drawn.range.to - list.length];
      for (const count of [50, 200]) {
        drawn.show(Array.from({ length: count }, (_, hour) => bucket(hour)), looks);
        ends.push(drawn.range.to - count);
      }
      box.remove();
      return [seen, ends];
    })"""
    each, ends = chart.run(script)
    assert each == [list(range(length)) for length in (30, 31, 33, 40, 40, 43)]
    assert ends[0] >= 0 and ends == pytest.approx([ends[0]] * 3, abs=0.01), "the newest, at the same place"
