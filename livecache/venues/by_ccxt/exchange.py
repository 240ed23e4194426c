"""One of ccxt's exchanges, asked over our own HTTP: one attempt a call, within our bounds, never its pace.

ccxt makes the URLs and reads the answers. Its own session is never opened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from importlib import import_module
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ...clock import Clock
from ...errors import ConfigError
from ..net.http import Answer, HttpSource, too_early
from ..stats import RequestStats
from ..venue import FetchFailure
from .answers import failure_of, refused

__all__ = ["Exchange"]

_T = TypeVar("_T")

_KIND: ContextVar[str] = ContextVar("kind")
"""As what the request under way is counted: ccxt lies between who asks and the transport."""

_OVER: ContextVar[int] = ContextVar("over", default=0)
"""When all was over that is asked for, Unix ms: where nothing else tells the time, an earlier answer is none.
"""


class _Failed(Exception):
    """Carries a failure out through ccxt, which knows no such error and so lets it pass."""

    def __init__(self, failure: FetchFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Exchange:
    """`ccxt` is the instance. With `rest_url` everything goes there, whichever host ccxt names. `now` is the
    venue's clock in Unix ms, None while unknown.
    """

    def __init__(
        self, name: str, *, rest_url: str, now: Callable[[], int | None], clock: Clock, timeout_s: float
    ) -> None:
        """Raises ConfigError where ccxt is not installed, or knows no exchange of that name."""
        try:
            library = import_module("ccxt.async_support")
        except ModuleNotFoundError:
            raise ConfigError(f"{name} needs ccxt", "pip install 'livecache[ccxt]'") from None
        if name not in library.exchanges:
            near = import_module("difflib").get_close_matches(name, library.exchanges, n=1)
            hint = f"did you mean {near[0]}?" if near else "set exchange, as ccxt names it"
            raise ConfigError(f"ccxt knows no exchange {name!r}", hint)
        self.ccxt: Any = getattr(library, name)({"enableRateLimit": False})
        if not self.ccxt.has.get("fetchOHLCV"):
            raise ConfigError(f"ccxt gets no candles of {name}", "take another exchange: docs/venues.md")
        self.tells_time = bool(self.ccxt.has.get("fetchTime"))
        # Not needed, costs a request, and wants a key at some.
        self.ccxt.has["fetchCurrencies"] = False
        self._listed = self.ccxt.options.get("fetchMarkets")
        # By which some choose where to ask.
        self.ccxt.milliseconds = lambda: now() or int(clock.wall() * 1000)
        self.ccxt.fetch = self._fetch
        self.ccxt.parse_ohlcvs = self._rows
        # Some make flat rows up for those that the exchange did not give: these would prove what nobody said.
        self.ccxt.insert_missing_candles = lambda candles, *_: candles
        self.stats = RequestStats()
        self._rest_url = rest_url
        self._clock = clock
        self._timeout_s = timeout_s
        self._sources: dict[str, HttpSource] = {}

    @property
    def origin(self) -> str:
        """Scheme and host of where its candles come from, as far as is known before it is asked."""
        parts = urlsplit(self._rest_url or next(_urls(self.ccxt.urls["api"]), ""))
        return f"{parts.scheme}://{self.ccxt.implode_hostname(parts.netloc)}"

    async def ask(self, kind: str, call: Callable[[], Awaitable[_T]], *, over: int = 0) -> _T | FetchFailure:
        """What ccxt makes of the answers, which count as of that kind. Never raises for the venue's sake.

        Where the exchange tells no time, its answers' `Date` may not be before `over` (Unix ms).
        """
        token, over_token = _KIND.set(kind), _OVER.set(0 if self.tells_time else over)
        try:
            return await call()
        except _Failed as error:
            return error.failure
        except Exception as error:  # Whatever an odd answer makes ccxt's parsers raise.
            return failure_of(error)
        finally:
            _KIND.reset(token)
            _OVER.reset(over_token)

    def narrow(self, symbols: Sequence[str]) -> None:
        """Have the list hold spot markets alone where no other is wanted: each kind costs a request."""
        told = self._listed
        kinds = told.get("types") if isinstance(told, Mapping) else told
        if isinstance(kinds, list) and "spot" in kinds and not any(":" in symbol for symbol in symbols):
            told = {**told, "types": ["spot"]} if isinstance(told, Mapping) else ["spot"]
        if told is not None:
            self.ccxt.options["fetchMarkets"] = told

    def patience(self, timeout_s: float) -> None:
        """Bound each request by so many seconds from now on."""
        self._timeout_s = timeout_s
        for source in self._sources.values():
            source.patience(timeout_s)

    async def aclose(self) -> None:
        """Close the connections."""
        for source in self._sources.values():
            await source.aclose()

    async def _fetch(
        self, url: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: Any = None
    ) -> Any:
        """In the place of ccxt's own: one request, and its body read as JSON."""

        def error_in(answer: Answer) -> tuple[Any, Exception | None]:
            try:
                text = answer.body.decode()
                said = self.ccxt.parse_json(text)
                told = answer.status, "", url, method, dict(answer.headers), text
                self.ccxt.handle_errors(*told, said, headers or {}, body)
            except Exception as error:
                return None, error
            return said, None

        def decode(answer: Answer) -> Any:
            said, error = error_in(answer)
            if error is not None:
                return failure_of(error, answer)
            if not isinstance(said, dict | list):
                return failure_of(ValueError(), answer)
            return too_early(answer, _OVER.get()) or said

        parts = urlsplit(url)
        source = self._source(self._rest_url or f"{parts.scheme}://{parts.netloc}")
        said = await source.get(
            _KIND.get(),
            parts._replace(scheme="", netloc="").geturl(),
            headers=headers,
            posted=(body or "") if method == "POST" else None,
            decode=decode,
            refused=lambda answer: refused(answer, error_in(answer)[1]),
        )
        if isinstance(said, FetchFailure):
            raise _Failed(said)
        return said

    def _source(self, url: str) -> HttpSource:
        if url not in self._sources:
            self._sources[url] = source = HttpSource(url, clock=self._clock, timeout_s=self._timeout_s)
            source.stats = self.stats
        return self._sources[url]

    def _rows(self, rows: list[Any], market: Any = None, *_: object, **__: object) -> list[Any]:
        """In the place of ccxt's own, which cuts, and turns all numbers into floats: each row by itself."""
        return [self._row(row, market) for row in rows]

    def _row(self, row: Any, market: Any) -> Any:
        # With texts its digits stay as they came; but some parsers calculate.
        for number in (str, float):
            self.ccxt.number = number
            try:
                return self.ccxt.parse_ohlcv(row, market)
            except Exception:
                continue
            finally:
                self.ccxt.number = float
        return None


def _urls(api: Any) -> Any:
    """The URLs in ccxt's table of them, however deep."""
    if isinstance(api, str):
        yield api
    elif isinstance(api, Mapping):
        for inner in api.values():
            yield from _urls(inner)
