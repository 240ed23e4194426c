"""Dashboard, alert rules and runbook: they ask for what is exported, and every alert says what to do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

ROOT = Path(__file__).parent.parent
MONITORING = ROOT / "docs/monitoring"
RUNBOOK = (ROOT / "docs/runbook.md").read_text()

# Not ours: Prometheus's own labels, and that of a histogram's buckets.
FOREIGN_LABELS = {"job", "instance", "le"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((MONITORING / "grafana.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression with where it stands; Grafana's own words are replaced by what it puts there."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield (
                panel["title"],
                target["expr"].replace("$__rate_interval", "1m").replace("$job", "livecache"),
            )


def exported() -> str:
    """docs/http.md, which names every metric; its own test keeps it equal to what is exported."""
    return (ROOT / "docs/http.md").read_text()


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_an_expression_is_promql(where: str, expression: str) -> None:
    promql_parser.parse(expression)


def test_what_is_asked_for_is_exported() -> None:
    names = set(re.findall(r"\blivecache_\w+", exported()))
    for where, expression in expressions():
        for name in re.findall(r"\b(?:livecache|process)_\w+", expression):
            plain = re.sub(r"_(bucket|sum|count)$", "", name)
            assert {name, plain} & names or name.startswith("process_"), f"{where}: {name}"


def test_labels_and_their_values_are_those_that_are_exported() -> None:
    words = set(re.findall(r"\w+", exported()))
    for where, expression in expressions():
        for label, values in re.findall(r'(\w+)=~?"([^"]*)"', expression):
            if label not in FOREIGN_LABELS:
                assert {label, *values.split("|")} <= words, f"{where}: {label} {values}"
        for grouping in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
            assert set(re.findall(r"\w+", grouping)) <= words | FOREIGN_LABELS, f"{where}: {grouping}"


def test_every_metric_that_tells_of_trouble_is_watched() -> None:
    """Whatever is lost, dropped, refused or damaged is on the dashboard; most of it has an alert as well."""
    asked = " ".join(expression for _, expression in expressions())
    troubles = re.findall(
        r"\blivecache_\w*(?:lost|dropped|damage|foreign|gaps|rejections|mismatches|errors|dead|cuts)\w*",
        exported(),
    )
    assert len(set(troubles)) > 5
    # A cut follows a refusal, which is watched by its outcome.
    assert {name for name in troubles if name not in asked} <= {"livecache_venue_rate_cuts_total"}


def test_every_alert_says_how_bad_it_is_and_its_section_says_what_to_do() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
    alerts = [rule["alert"] for rule in rules()]
    assert alerts == sorted(set(alerts), key=alerts.index)
    assert list(sections) == alerts, "each its section, in the same order, and no other"
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
        for part in ("**For candles:**", "**Look at:**", "**Do:**"):
            assert part in sections[rule["alert"]], f"{rule['alert']} lacks {part}"


def test_the_events_and_panels_that_the_runbook_points_at_are_there() -> None:
    code = "".join(path.read_text() for path in (ROOT / "livecache").rglob("*.py"))
    events = set(re.findall(r"[Ee]vents? (?:[^`\n]{0,30})?`([a-z_]+)`|`([a-z_]+)` says", RUNBOOK))
    named = {name for pair in events for name in pair if name}
    assert {"lease_wait", "feed_broken", "redis_trouble"} <= named
    assert [name for name in named if f'"{name}"' not in code] == []
    titles = {panel["title"] for panel in panels()}
    for italic in re.findall(r"\*([A-Z][^*\n]+)\*(?!\*)", RUNBOOK):
        assert italic in titles, f"no panel {italic!r}"


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """It names no data source of one Grafana, and no two panels have one number or one place."""
    dashboard = json.loads((MONITORING / "grafana.json").read_text())
    assert "id" not in dashboard
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource", "job"}
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus")
def test_the_alerts_fire_when_they_should_by_prometheus_itself() -> None:
    for arguments in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]):
        done = subprocess.run(["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
