"""`livecache reload`: asks the running service to read its configuration again."""

from __future__ import annotations

import json
from typing import Any

from ..config.schema import Config
from ..errors import ReloadRefused
from .asking import Service

__all__ = ["reload"]

_PATH = "/api/v1/reload"


def reload(config: Config, *, service: str | None, as_json: bool) -> int:
    """Ask for it and print what has changed; 0.

    Raises ConfigError for a configuration that the service cannot use, and then nothing has changed;
    ReloadRefused if no service answers.
    """
    answer = Service(config, service, ReloadRefused, proof="applied").ask(_PATH, {})
    if as_json:
        print(json.dumps(answer))
        return 0
    print(f"read again: {answer['source']}")
    applied: list[str] = answer["applied"]
    for key in applied:
        print(f"  {key}{_told(key, answer)}")
    if not applied:
        print("  nothing is different that can be changed while it runs")
    if answer["restart"]:
        print(f"with the next start only: {', '.join(answer['restart'])}")
    return 0


def _told(key: str, answer: dict[str, Any]) -> str:
    """What came and went, of a setting that is a list."""
    lists: dict[str, Any] = answer.get("lists", {})  # A service of 0.2 that still runs has none.
    if key not in lists:
        return ""
    added, removed = lists[key]["added"], lists[key]["removed"]
    names = [*(f"+{name}" for name in added), *(f"-{name}" for name in removed)]
    return f": {' '.join(names) or 'in another order'}"
