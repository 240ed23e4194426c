"""The report as a page: it stands alone, says what the others say, and is small whatever it tells of."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from livecache.__main__ import main
from livecache.history.sqlite.store import SqliteHistory
from livecache.history.store import Want
from livecache.model.coverage import Coverage
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.quality.history.check import Check
from livecache.quality.history.findings import Finding, Gap, Kind, Rules, fill_command
from livecache.quality.history.months import MonthLine
from livecache.quality.history.page.page import as_html
from livecache.quality.history.report import Report, SeriesLine

from ..page.chromium import Tab, chromium, tab_of
from .test_quality import changed
from .test_quality_sessions import calendar, keep, ms, opens, times_as_much, wander

D1 = Timeframe.D1
NASTY = """A<script>alert(1)</script>&"'>"""


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def rows(self) -> list[str]:
        """What the rows of the heat map are described by, from top to bottom."""
        return [text for text in self.text if re.search(r": (complete|\d+ months? lacks?)", text)]


def years(store: SqliteHistory) -> None:
    """Shares with one of each kind of trouble, and a sound one."""
    times = opens("2025-12-01", "2026-11-28")
    keep(store, wander(times), SeriesId("shares", "SOUND", D1))
    key = SeriesId("shares", NASTY, D1)
    rows = wander(times)
    rows = [*(times_as_much(row, 4) for row in rows[:90]), *rows[90:]]
    rows[150], rows[60] = changed(rows[150], high="1"), changed(rows[60], volume="7")
    series = keep(store, [*rows[:20], *rows[22:]], key)
    grid = calendar().sessions
    store.uncover(series, Coverage([(grid.end_before(times[200]), grid.end(times[211]))]))
    late = keep(store, wander(times[:180]), SeriesId("shares", "LATE", D1))
    store.submit([Want(late, ms("2025-12-01"), ms("2026-11-28"))])


@pytest.fixture
def written(store: SqliteHistory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    years(store)
    assert (
        main(["check", "--history", "--history-url", "sqlite:///history.db", "--html", "so/page.html"]) == 7
    )
    return tmp_path / "so/page.html"


def test_the_page_loads_nothing_runs_nothing_and_takes_no_name_for_markup(written: Path) -> None:
    html = written.read_text()
    page = Page(html)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "form", "b"}
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "src", "href")]
    assert "url(" not in html and "@import" not in html and "http:" not in html and "https:" not in html
    assert any(NASTY in text for text in page.text), "and the name is there to be read"
    policy = next(attrs["content"] for tag, attrs in page.elements if tag == "meta" and "http-equiv" in attrs)
    style = re.search("<style>(.*)</style>", html, re.DOTALL)
    assert style and policy
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")


def test_the_page_has_the_worst_first_and_what_mends_it(written: Path) -> None:
    page = Page(written.read_text())
    text = "\n".join(page.text)
    names = [row.partition(" ")[0] for row in page.rows()]
    assert names == ["shares:LATE", f"shares:{NASTY}", "shares:SOUND"]
    assert "4 months lack something: 2026-09 0 %" in page.rows()[0]
    assert page.rows()[2].endswith(": complete")
    kinds = ("ohlcv", "missing", "absent", "split", "volume")
    assert [kind for kind in kinds if page.text.count(kind) < 2] == [], (
        "each with what it means, and a picture"
    )
    assert f"--symbols {NASTY},LATE --timeframe 1d --since 2026-08-20T13:30Z" in text, "one order for all"
    pictures = [attributes for tag, attributes in page.elements if tag == "svg" and "role" in attributes]
    titles = [tag for tag, _ in page.elements].count("title")
    assert len(pictures) >= 3 + 2 + 6 and titles >= len(pictures), "each says in words what it shows"


def test_a_quiet_market_is_no_worse_than_one_of_which_something_is_missing(store: SqliteHistory) -> None:
    hours = [ms("2026-01-01") + n * 3_600_000 for n in range(2_000)]
    keys = [SeriesId("exchange", name, Timeframe.H1) for name in ("QUIET", "HOLE")]
    keep(store, wander(hours[::2]), keys[0], name="")
    keep(store, wander(hours), keys[1], name="")
    store.uncover(store.all_series(["HOLE"])[0].id, Coverage([(hours[900], hours[903])]))
    check = Check(store, Rules())
    for info in store.all_series():
        check.take(info)
    page = Page(as_html(check.report(path="", checked_at=0, top=100), []))
    assert [row.partition(" ")[0] for row in page.rows()] == ["exchange:HOLE", "exchange:QUIET"]
    assert any(text == "50.03 %" for text in page.text)


def test_a_page_of_nothing_says_so() -> None:
    report = Report(True, 0, "years.db", [], [], [], [], [], [], 0, 0, 0)
    page = Page(as_html(report, []))
    assert "Clean" in page.text and any("Nothing is expected" in text for text in page.text)


def worst(series: int, months: int) -> Report:
    """Of each series every other month lacks something, as much as can be found."""
    first, names = ms("2016-01-01"), [f"{2016 + n // 12}-{n % 12 + 1:02}" for n in range(months)]
    end = ms(f"{2016 + months // 12}-01-01")
    keys = [SeriesId("exchange", f"SYMBOL{n:04}-USDT", D1) for n in range(series)]
    lines = [
        SeriesLine(
            series=key,
            calendar="XNYS",
            rows=2_500,
            provisional=1,
            first=first,
            last=end,
            listed=None,
            start=first,
            end=end,
            expected=2_500,
            known=9,
            absent=9,
            empty=0,
            missing=999,
            unknown=0,
            complete=9,
            known_percent=9.5,
            completeness_percent=9.5,
            gaps=60,
            longest_gap=9,
            findings=60,
            warnings=60,
        )
        for key in keys
    ]
    lacks = [
        MonthLine(key, name, 20, 19 - 18 * (n % 4 == 0), 0, 0, 1 + 18 * (n % 4 == 0), 9.5)
        for key in keys
        for n, name in enumerate(names)
        if n % 2 == 0
    ]
    remedy = fill_command(keys[0], first, end, force=True)
    found = [
        Finding(
            kind, key, "so many buckets from then to then are as they should not be" * 3, remedy, first, end
        )
        for key in keys
        for kind in Kind
        for _ in range(3)
    ]
    gaps = [Gap(key, Kind.MISSING, first + n, end, 9) for key in keys for n in range(10)]
    return Report(False, 0, "years.db", lines, found, [], [], lacks, gaps, len(gaps), 0, 0)


def test_ten_years_of_five_hundred_series_are_less_than_two_megabytes_whatever_lacks() -> None:
    html = as_html(worst(500, 120), [])
    assert len(html.encode()) < 2_000_000
    assert "findings.csv has all" in html and len(Page(html).rows()) == 500
    assert len(as_html(worst(1_500, 12), []).encode()) < 2_000_000
    longer = Page(as_html(worst(3, 480), []))
    assert any("by its worst month" in text for text in longer.text), "forty years: a cell is a year"


@pytest.fixture
def tab() -> Iterator[Tab]:
    with chromium() as devtools, tab_of(devtools) as opened:
        yield opened


def test_a_browser_shows_it_at_any_width(written: Path, tab: Tab) -> None:
    for width in (1280, 390):
        tab.resize(width, 800)
        tab.open(written.as_uri())
        beyond = f"(e) => e.getBoundingClientRect().right > {width}"
        found = f"[...document.querySelectorAll('main > * > *')].filter({beyond})"
        assert tab.run(f"{found}.map((e) => e.outerHTML.slice(0, 200))") == [], "nothing sticks out"
        painted = tab.run("getComputedStyle(document.querySelector('path.m3')).fill")
        assert painted != "rgb(0, 0, 0)", "its own policy lets the style pass"
    assert tab.problems == []
