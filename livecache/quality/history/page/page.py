"""The page as a whole."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from ....model.timeframe import iso
from ..excerpts import Excerpt
from ..months import percent
from ..report import Report
from .heat import heat_map
from .markup import Markup, el
from .prices import closer_look
from .timeline import gaps_in_time
from .todo import every_finding, what_to_do

__all__ = ["as_html"]


def as_html(report: Report, excerpts: Sequence[Excerpt]) -> str:
    """The report as one file: no script, and nothing that a browser would load.

    Of 500 series of ten years it has less than 2 MB, whatever lacks in them: what is longer is cut, which the
    page says, and whole in the other forms.
    """
    style = (Path(__file__).with_name("style.css")).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    day = iso(report.checked_at)
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"Years of candles, checked {day[:10]}"),
        el("style", Markup(style)),
    )
    body = el("body", _top(report), el("main", *_sections(report, excerpts)))
    return f"<!doctype html>\n{el('html', head, body, lang='en')}\n"


def _top(report: Report) -> Markup:
    count = len(report.findings)
    verdict = "Clean" if report.clean else f"{count:,} finding{'s' * (count > 1)}"
    if report.warnings:
        verdict += f", {len(report.warnings):,} worth a look"
    return el(
        "header",
        el("h1", "Years of candles, checked"),
        el("p", verdict, cls="verdict clean" if report.clean else "verdict"),
        el("p", f"{report.path}, at {iso(report.checked_at // 1_000 * 1_000)}", cls="quiet"),
    )


def _sections(report: Report, excerpts: Sequence[Excerpt]) -> list[Markup]:
    expected = "Expected are all buckets since the listing; of an exchange with a calendar, its sessions."
    return [
        el("section", el("h2", "In numbers"), _totals(report)),
        el("section", el("h2", "What to do"), what_to_do(report)),
        el(
            "section",
            el("h2", "Completeness"),
            el("p", expected, cls="quiet"),
            heat_map(report),
        ),
        el("section", el("h2", "Gaps in time"), gaps_in_time(report)),
        el("section", el("h2", "A closer look"), closer_look(excerpts)),
        el("section", el("h2", "Every finding"), every_finding(report)),
    ]


def _totals(report: Report) -> Markup:
    def total(name: str) -> int:
        return sum(getattr(line, name) for line in report.series)

    expected = total("expected")
    tiles = [
        ("series", f"{len(report.series):,}"),
        ("candles", f"{total('rows'):,}"),
        ("expected", f"{expected:,}"),
        ("complete", f"{percent(total('complete'), expected):g} %"),
        ("missing", f"{total('missing'):,}"),
    ]
    others = (("absent", "absent"), ("nothing traded", "empty"), ("provisional", "provisional"))
    tiles += [(told, f"{total(name):,}") for told, name in others if total(name)]
    tiles += [("findings", f"{len(report.findings):,}"), ("warnings", f"{len(report.warnings):,}")]
    return el("dl", *(el("div", el("dt", name), el("dd", value)) for name, value in tiles), cls="totals")
