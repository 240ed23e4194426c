"""`livecache repair`: asks the running service to read a span of one series again."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple
from urllib.parse import urlencode

from ..config.schema import Config
from ..errors import ConfigError, RepairRefused
from ..model.timeframe import Timeframe, iso
from .asking import Service
from .reading import moment_of

__all__ = ["Order", "repair"]

_PATH = "/api/v1/repair"
_POLL_S = 0.25


class Order(NamedTuple):
    """What to read again, as it was typed."""

    symbol: str
    timeframe: str
    start: str | None = None
    end: str | None = None
    everything: bool = False
    wait: bool = False
    as_json: bool = False
    service: str | None = None  # the service's URL, if it is not at http.listen


def repair(config: Config, order: Order) -> int:
    """Ask for it and print what will be done; 0. With `wait`, return once it has been done.

    Raises ConfigError for an order that makes no sense, RepairRefused if the service refuses or none answers.
    """
    timeframe = Timeframe.parse(order.timeframe)
    if order.everything == bool(order.start or order.end):
        raise ConfigError(
            "say which span is to be read again", "--from and --to, or --all for all that is kept"
        )
    body: dict[str, Any] = {"symbol": order.symbol, "timeframe": timeframe.value}
    for name, option, text in (("start", "--from", order.start), ("end", "--to", order.end)):
        if text is not None:
            body[name] = moment_of(option, text)
    service = Service(config, order.service, RepairRefused, proof="pages")
    answer = service.ask(_PATH, body)
    if order.wait:
        _wait(service, order.symbol, timeframe)
    if order.as_json:
        print(json.dumps(answer))
        return 0
    pages = answer["pages"]
    if not pages:
        print(
            f"{order.symbol} {timeframe}: written anew; nothing from {iso(answer['start'])} to "
            f"{iso(answer['end'])} is kept, so nothing is read again"
        )
        return 0
    print(
        f"{order.symbol} {timeframe} from {iso(answer['start'])} to {iso(answer['end'])}: "
        f"{pages} page{'s' * (pages != 1)} {'read again' if order.wait else 'to be read again'}"
    )
    if not order.wait:
        print(f"{answer['waiting']} waiting in all; what is settled stays served meanwhile")
    return 0


def _wait(service: Service, symbol: str, timeframe: Timeframe) -> None:
    """Return once nothing of this series' repairs is left to read, however long that takes."""
    query = urlencode({"symbol": symbol, "timeframe": timeframe.value})
    while service.ask(f"{_PATH}?{query}")["pages"]:
        time.sleep(_POLL_S)
