"""Coinbase's REST API: the venue's time, its products, and pages of candles. One attempt a call.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/rest-api

With connection.py and tunnel.py alone it imports aiohttp; nobody above sees aiohttp's exceptions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import aiohttp

from ...model.timeframe import Timeframe
from ...quiet import logger
from ..net.network import unreachable
from ..net.tunnel import connector_for
from ..text import one_line
from ..venue import FailureKind, FetchFailure, Page, PageRequest, Product, Rejected
from .auth import ApiKey, Signing
from .pages import GRANULARITIES, decode_page, decode_products, decode_time, refusal
from .traits import TRAITS

__all__ = ["CoinbaseRest"]

_API = "/api/v3/brokerage"
_BODY_BYTES = 8 * 1024 * 1024  # The list of products is the longest body: a little over 1 MB.
_COMPLAINT_BYTES = 16 * 1024
_REJECTIONS_LOGGED = 3  # of one page

# Older texts of the venue, and most libraries, know no longer page than this one.
_CERTAIN_PAGE_LIMIT = 300

# So many answers 401 in a row to a key that was accepted before are throttling (coinbase-advanced-py#60).
_DENIALS_BELIEVED = 20
_DENIALS_MOST = 30  # After so many it goes on without the key, as at once with one that was never accepted.

# What cannot be rolled up from something smaller is never given up as unsupported.
_INDISPENSABLE = frozenset({Timeframe.M1, Timeframe.M5})

# Where no answer came. The first match counts; TimeoutError comes first because aiohttp's are both.
_TRANSPORT_FAILURES: tuple[tuple[type[Exception], FailureKind], ...] = (
    (TimeoutError, FailureKind.TIMEOUT),
    (aiohttp.ClientResponseError, FailureKind.MALFORMED),  # not HTTP
    (aiohttp.ClientError, FailureKind.NETWORK),
    (OSError, FailureKind.NETWORK),
)
_TRANSPORT_ERRORS = tuple(error for error, _ in _TRANSPORT_FAILURES)


_Parameters = Mapping[str, str] | Sequence[tuple[str, str]]


class _Answer(NamedTuple):
    status: int
    body: bytes
    retry_after_s: float | None


class CoinbaseRest:
    """A client for one `rest_url`. With a key, candles come from the private endpoint, past the edge cache.

    `now` is the venue's clock in Unix ms, None while unknown. `timeout_s` bounds a request all told.
    `first_nonce` must differ from run to run. Never raises for the venue's or the network's trouble.
    """

    def __init__(
        self,
        rest_url: str,
        *,
        now: Callable[[], int | None],
        timeout_s: float,
        page_limit: int,
        first_nonce: int,
        key: ApiKey | None = None,
    ) -> None:
        parts = urlsplit(rest_url)
        # Without user and password, which a proxy's URL may hold.
        self._host = parts.netloc.rpartition("@")[2]
        self.origin = f"{parts.scheme}://{self._host}"
        self._base_url = rest_url.rstrip("/")
        self._now = now
        self._timeout_s = timeout_s
        self.traits = TRAITS.paged(page_limit)  # with what the venue teaches
        self._nonces = itertools.count(first_nonce)
        self._signing = Signing(key, now)
        self._denials: int | None = None  # answers 401 to a key in a row; None until it was accepted once
        self._session: aiohttp.ClientSession | None = None

    def patience(self, timeout_s: float) -> None:
        """Bound each request by so many seconds from now on."""
        self._timeout_s = timeout_s

    async def time(self) -> int | FetchFailure:
        """The venue's clock, Unix ms; the edge may serve it a second late."""
        answer = await self._get(f"{_API}/time")
        return answer if isinstance(answer, FetchFailure) else decode_time(answer.body)

    async def products(self, only: Sequence[str] = ()) -> Mapping[str, Product] | FetchFailure:
        """What is listed, by id: every product, or those of `only` that there are."""
        answer = await self._get(f"{_API}/market/products", [("product_ids", name) for name in only])
        return answer if isinstance(answer, FetchFailure) else decode_products(answer.body)

    async def fetch(self, request: PageRequest) -> Page | FetchFailure:
        """The candles of one page."""
        buckets = (request.end - request.start) // request.timeframe.ms
        if buckets > (most := self.traits.page(request.timeframe)):
            # Planned before the limit fell.
            return FetchFailure(FailureKind.PAGE_TOO_LONG, f"{buckets} buckets; at most {most}")
        if request.timeframe not in self.traits.served:
            return FetchFailure(FailureKind.UNSUPPORTED_TIMEFRAME, f"no {request.timeframe} at Coinbase")
        signed = self._signing.on
        path, parameters = self._candles_path(request.symbol, signed), self._parameters(request, signed)
        answer = await self._get(path, parameters, signed=signed)
        if isinstance(answer, FetchFailure):
            return self._learned(answer, request, buckets)
        decoded = decode_page(request, answer.body, self._now())
        if isinstance(decoded, FetchFailure):
            return decoded
        if decoded.rejected:
            _log_rejected(request, decoded.rejected)
        return decoded.page

    async def aclose(self) -> None:
        """Close the connections. A later call opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _candles_path(self, symbol: str, signed: bool) -> str:
        public = "" if signed else "/market"
        return f"{_API}{public}/products/{quote(symbol, safe='')}/candles"

    def _parameters(self, request: PageRequest, signed: bool) -> dict[str, str]:
        # Both bounds are inclusive. Without them the answer may be a default window from the edge's cache.
        parameters = {
            "start": str(request.start // 1000),
            "end": str((request.end - request.timeframe.ms) // 1000),
            "granularity": GRANULARITIES[request.timeframe],
        }
        if request.fresh and not signed:
            # The edge keeps an answer for a second and ignores `cache-control`; a URL it never saw passes.
            parameters["_"] = str(next(self._nonces))
        return parameters

    def _learned(self, failure: FetchFailure, request: PageRequest, buckets: int) -> FetchFailure:
        """Take note of what the venue said about its limits."""
        if failure.kind is FailureKind.PAGE_TOO_LONG:
            limit = _CERTAIN_PAGE_LIMIT if buckets > _CERTAIN_PAGE_LIMIT else max(1, buckets // 2)
            if limit < self.traits.page(request.timeframe):  # else it was under way when it fell
                self.traits = self.traits.paged(limit)
                logger.bind(event="page_limit_lowered", page_limit=limit, refused=buckets).warning(
                    "Coinbase refused a page of {} buckets; pages have at most {} from now on", buckets, limit
                )
        elif failure.kind is FailureKind.UNSUPPORTED_TIMEFRAME:
            timeframe = request.timeframe
            if timeframe in _INDISPENSABLE:
                return FetchFailure(FailureKind.BAD_REQUEST, failure.message, failure.status)
            if timeframe in self.traits.served:
                self.traits = self.traits.without(timeframe)
                logger.bind(event="timeframe_unsupported", timeframe=timeframe.value).warning(
                    "Coinbase does not serve {}; it will be rolled up from smaller candles", timeframe.value
                )
        return failure

    async def _get(
        self, path: str, parameters: _Parameters | None = None, *, signed: bool = False
    ) -> _Answer | FetchFailure:
        """The answer 200 to one GET, or why there is none."""
        headers = {"Authorization": self._signing.bearer("GET", path)} if signed else {}
        try:
            answer = await self._ask(self._base_url + path, parameters, headers)
        except _TRANSPORT_ERRORS as error:
            kind = next(kind for known, kind in _TRANSPORT_FAILURES if isinstance(error, known))
            return FetchFailure(kind, self._reason(error), cause=error)
        if answer.status != 200:
            signed = signed and not (answer.status == 401 and self._trusts_key())
            refused = refusal(answer.status, answer.body, signed=signed, retry_after_s=answer.retry_after_s)
            if refused.kind is FailureKind.UNAUTHORIZED and (self._denials or _DENIALS_MOST) >= _DENIALS_MOST:
                self._signing.set_aside(refused.message)
            return refused
        if signed:
            self._denials = 0
        if len(answer.body) > _BODY_BYTES:
            message = f"an answer of more than {_BODY_BYTES} bytes"
            return FetchFailure(FailureKind.MALFORMED, message, answer.status)
        return answer

    def _trusts_key(self) -> bool:
        """Whether a 401 says too many requests, as the venue has done, and not that the key is wrong.

        A key that was accepted just now has not become wrong; after many denials in a row perhaps it has.
        """
        if self._denials is None:
            return False
        self._denials += 1
        return self._denials <= _DENIALS_BELIEVED

    def _reason(self, error: Exception) -> str:
        """Why no answer came, in plain words; the system's error within aiohttp's tells more."""
        if isinstance(error, aiohttp.ClientResponseError):
            return one_line(f"{self._host} does not speak HTTP as it should: {error.message}")
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return unreachable(self._host, error.certificate_error, self._timeout_s)
        if isinstance(error, aiohttp.ClientConnectorError):
            return unreachable(self._host, error.os_error, self._timeout_s)
        return unreachable(self._host, error, self._timeout_s)

    async def _ask(self, url: str, parameters: _Parameters | None, headers: dict[str, str]) -> _Answer:
        if self._session is None:
            # No cookies: the edge sets some, and nothing needs them.
            self._session = aiohttp.ClientSession(
                connector=connector_for(self._base_url, self._timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                headers={"User-Agent": "livecache", "Accept": "application/json"},
            )
        # Not redirected: a signature is for one host, and the API has no other addresses.
        async with self._session.get(
            url, params=parameters, headers=headers, allow_redirects=False
        ) as response:
            most = _BODY_BYTES if response.status == 200 else _COMPLAINT_BYTES
            body = await _read(response.content, most)
            return _Answer(response.status, body, _seconds(response.headers.get("Retry-After")))


async def _read(stream: aiohttp.StreamReader, most: int) -> bytes:
    """The body, or its beginning: one chunk more than `most` bytes at the most."""
    body = bytearray()
    async for chunk in stream.iter_any():
        body += chunk
        if len(body) > most:
            break
    return bytes(body)


def _seconds(retry_after: str | None) -> float | None:
    """Seconds to wait. The header's other form, a date, would need the venue's clock; it counts as absent."""
    if retry_after is not None and retry_after.strip().isdecimal():
        return float(retry_after[:9])
    return None


def _log_rejected(request: PageRequest, rejected: tuple[Rejected, ...]) -> None:
    told = "; ".join(f"{one.reason}: {one.payload}" for one in rejected[:_REJECTIONS_LOGGED])
    logger.bind(
        event="candles_rejected",
        symbol=request.symbol,
        timeframe=request.timeframe.value,
        count=len(rejected),
    ).warning("{} candles of a page cannot be believed: {}", len(rejected), told)
