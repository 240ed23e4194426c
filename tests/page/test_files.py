"""What the page is made of: how its files are served, that they are shipped, how well they can be read."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import re
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from livecache.clock import SystemClock
from livecache.http import page
from livecache.http.guard import Guard
from livecache.http.listen import bind, url_of
from livecache.http.route import Requests
from livecache.http.server import Server

ROOT = Path(__file__).parents[2]
FILES = ROOT / "livecache" / "http" / "page"
TOKEN = "0123456789abcdef-secret"


class Got(dict[str, str]):
    """The headers of an answer, its status and its body as it came."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(headers)
        self.status = status
        self.body = body


def get(*paths: str, guard: Guard | None = None, method: str = "GET", **headers: str) -> Iterator[Got]:
    """What a server of the page alone answers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def ask(url: str) -> list[Got]:
        answers = []
        for path in paths:
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
            connection.request(method, path, headers=named)
            response = connection.getresponse()
            answers.append(Got(response.status, dict(response.headers), response.read()))
            connection.close()
        return answers

    async def main() -> list[Got]:
        sockets = bind("127.0.0.1", 0)
        server = Server(
            page.PageFiles().routes, guard or Guard(None, loopback=True), Requests(), SystemClock()
        )
        running = asyncio.create_task(server.run(sockets))
        try:
            return await asyncio.to_thread(ask, url_of(sockets))
        finally:
            running.cancel()
            await asyncio.wait([running], timeout=20)

    yield from asyncio.run(main())


def test_each_file_is_served_as_what_it_is() -> None:
    kinds = {
        "/": "text/html",
        "/page/style.css": "text/css",
        "/page/main.js": "text/javascript",
        "/page/icon.svg": "image/svg+xml",
        page.LIBRARY: "text/javascript",
    }
    for got, (path, kind) in zip(get(*kinds), kinds.items(), strict=True):
        assert (got.status, got["Content-Type"].partition(";")[0]) == (200, kind), path
        assert got["X-Content-Type-Options"] == "nosniff"
        assert len(got.body) > 100


def test_whoever_can_connect_gets_the_page_and_nothing_of_it_needs_another_origin() -> None:
    for guard in (Guard(TOKEN, loopback=False), Guard(None, loopback=False), Guard(None, loopback=True)):
        (got,) = get("/", guard=guard, Origin="http://elsewhere.example", Host="elsewhere.example")
        assert got.status == 200
    policy = dict(part.split(" ", 1) for part in got["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    for name in ("script-src", "style-src", "img-src", "connect-src"):
        assert policy[name] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"


def test_a_browser_is_told_of_all_modules_at_once() -> None:
    (got,) = get("/")
    others = {"page/theme.js", "page/docs.js", "page/described.js"}  # these are no part of it
    modules = {f"page/{file.name}" for file in FILES.glob("*.js")} - others
    assert set(re.findall(r'rel="modulepreload" href="([^"]+)"', got.body.decode())) == modules


def test_no_script_or_style_is_inline_and_none_makes_html_of_text() -> None:
    html = (FILES / "index.html").read_text()
    assert not re.search(r"<style|<script(?![^>]* src=)| style=| on\w+=|javascript:", html)
    assert [url for url in re.findall(r'(?:src|href)="([^"]+)"', html) if ":" in url] == [
        "https://www.tradingview.com/"
    ]
    for file in FILES.glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?://", file.read_text()
        )


def test_what_a_browser_has_is_not_sent_again() -> None:
    (first,) = get("/page/main.js")
    assert first["Cache-Control"] == "no-cache"
    (again,) = get("/page/main.js", If_None_Match=first["ETag"])
    assert (again.status, again.body) == (304, b"")
    assert "Content-Security-Policy" in again
    (other,) = get("/page/main.js", If_None_Match='"something else"')
    assert other.body == first.body


def test_it_is_packed_for_who_can_unpack_it() -> None:
    (plain,) = get(page.LIBRARY)
    (packed,) = get(page.LIBRARY, Accept_Encoding="gzip, deflate")
    assert packed["Content-Encoding"] == "gzip" and "Content-Encoding" not in plain
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2


def test_the_library_is_the_wheels_file_with_its_licence_in_it() -> None:
    (got,) = get(page.LIBRARY)
    shipped = distribution("litecharts").locate_file("litecharts/js/lightweight-charts.js")
    assert got.body == Path(str(shipped)).read_bytes()
    assert b"Copyright (c) 2025 TradingView, Inc." in got.body[:500]


def test_without_the_wheel_the_rest_is_served_and_it_is_said_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page, "_LIBRARY_IN_WHEEL", ("no-wheel-of-this-name", "file.js"))
    missing, there = get(page.LIBRARY, "/")
    assert missing.status == 404 and b"pip install" in missing.body
    assert there.status == 200


def test_the_wheel_has_every_file_of_the_page(tmp_path: Path) -> None:
    wheels = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    built = next(iter(wheels.WheelBuilder(str(ROOT)).build(directory=str(tmp_path))))
    names = set(zipfile.ZipFile(built).namelist())
    files = {f"livecache/http/page/{file.name}" for file in FILES.iterdir()}
    assert len(files) > 8
    assert files <= names
    assert len(page.PageFiles().routes) == len(files) + 1, "each is served, and the library"


def test_each_limit_on_the_page_of_limits_is_the_one_in_the_code() -> None:
    limits = (ROOT / "docs/limits.md").read_text()
    told = re.findall(r"^\| .+? \| (.+?) \| `page/(\w+\.js): (\w+)` \|$", limits, re.MULTILINE)
    assert len(told) == 21
    for bound, file, name in told:
        found = re.search(rf"^const {name} = ([\d_]+);", (FILES / file).read_text(), re.MULTILINE)
        assert found and f"{int(found[1]):,}" in re.findall(r"\d[\d,]*\d", bound), name


# --- colours


def luminance(colour: str) -> float:
    """The relative luminance of `#rrggbb`, as WCAG defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


COLOURS = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", (FILES / "style.css").read_text())


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_all_text_can_be_read_on_whatever_it_lies_on(scheme: int) -> None:
    of = {name: pair[scheme] for name, *pair in COLOURS}
    for ground in ("ground", "raised", "chosen", "warned", "alarmed"):
        for text in ("text", "quiet", "accent", "good", "warn", "bad"):
            assert contrast(of[text], of[ground]) >= 4.5, (text, ground)
    for shape in ("up", "down", "empty", "warn", "edge"):
        assert contrast(of[shape], of["ground"]) >= 3, shape
