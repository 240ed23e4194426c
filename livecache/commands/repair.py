"""`livecache repair`: asks the running service to read a span of one series again."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from typing import Any, NamedTuple
from urllib.parse import urlencode

from ..config import Config
from ..config_schema import listen_address
from ..core.timeframe import Timeframe, iso
from ..errors import ConfigError, RepairRefused
from ..http.guard import TOKEN_VARIABLE, load_token
from .reading import moment_of

__all__ = ["Order", "repair"]

_PATH = "/api/v1/repair"
_TIMEOUT_S = 10.0
_ANSWER_BYTES = 65_536
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
    token = load_token(config.http.token_file, os.environ)
    service = _Service(order.service or _listening_at(config), token)
    answer = service.ask(_PATH, body)
    if order.wait:
        service.wait(order.symbol, timeframe)
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


def _listening_at(config: Config) -> str:
    """The URL of a service with this configuration on this machine."""
    address = listen_address(config.http.listen)
    if address is None:
        raise ConfigError("http.listen is off: the service takes no orders", "name another one by --service")
    host = _THIS_MACHINE.get(address[0], address[0])
    return f"http://[{host}]:{address[1]}" if ":" in host else f"http://{host}:{address[1]}"


_THIS_MACHINE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""What listens everywhere is reached here."""


class _Service:
    """The running service, at an `http://` or `https://` URL."""

    def __init__(self, url: str, token: str | None) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"--service {url[:80]!r} is not a URL", "such as http://127.0.0.1:8787")
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        # What listens here is this machine's or this network's: no proxy, and nowhere else by redirection.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())

    def ask(self, path: str, body: Any = None) -> dict[str, Any]:
        """The decoded answer, to a POST where there is a body. Raises RepairRefused."""
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, data=data, headers=headers)
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                return self._decoded(response.read(_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error.code, error.read(_ANSWER_BYTES)) from None
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            raise RepairRefused(
                f"no service answers at {self._url}: {str(reason)[:200]}",
                "is `livecache run` running, and is this its http.listen?",
            ) from None

    def wait(self, symbol: str, timeframe: Timeframe) -> None:
        """Return once nothing of this series' repairs is left to read, however long that takes."""
        query = urlencode({"symbol": symbol, "timeframe": timeframe.value})
        while self.ask(f"{_PATH}?{query}")["pages"]:
            time.sleep(_POLL_S)

    def _decoded(self, raw: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not isinstance(answer.get("pages"), int):
            raise RepairRefused(f"{self._url} is not a livecache service", "see http.listen")
        return answer

    def _refusal(self, status: int, raw: bytes) -> RepairRefused:
        try:
            told = json.loads(raw)
            message, hint = str(told["error"])[:500], str(told["hint"])[:500]
        except (ValueError, KeyError, TypeError):
            message, hint = f"{self._url} answered {status}", "is it a livecache service? see http.listen"
        if status in (401, 403):
            hint = f"set {TOKEN_VARIABLE} or http.token_file to the service's"
        return RepairRefused(message, hint)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None
