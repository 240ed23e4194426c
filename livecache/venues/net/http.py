"""One way to ask a venue by HTTP: a session, bounds, proxies, failures in plain words, counted and timed.

A venue brings path and parameters of a request, what an answer 200 means, and what another one does. Nobody
above sees aiohttp's exceptions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import aiohttp

from ...clock import Clock
from ...tape import TAPE
from ..stats import RequestStats
from ..text import complaint, one_line
from ..venue import FailureKind, FetchFailure
from .network import Proxy, proxy_for, secured, unreachable
from .tunnel import led_to

__all__ = ["Answer", "HttpSource", "refusal", "too_early"]

_BODY_BYTES = 8 * 1024 * 1024
_COMPLAINT_BYTES = 16 * 1024

# Where no answer came. The first match counts; TimeoutError comes first because aiohttp's are both.
_TRANSPORT_FAILURES: tuple[tuple[type[Exception], FailureKind], ...] = (
    (TimeoutError, FailureKind.TIMEOUT),
    (aiohttp.ClientResponseError, FailureKind.MALFORMED),  # not HTTP
    (aiohttp.ClientError, FailureKind.NETWORK),
    (OSError, FailureKind.NETWORK),
)
_TRANSPORT_ERRORS = tuple(error for error, _ in _TRANSPORT_FAILURES)

_T = TypeVar("_T")

_Parameters = Mapping[str, str] | Sequence[tuple[str, str]]


class Answer(NamedTuple):
    """What a venue answered. Of a body that is no answer (any status but 200) there may be the beginning."""

    status: int
    body: bytes
    headers: Mapping[str, str]  # whatever the case of their names

    @property
    def retry_after_s(self) -> float | None:
        """What Retry-After says. A date, its other form, is so long after the answer's own."""
        said = self.headers.get("Retry-After", "").strip()
        if said.isdecimal():
            return float(said[:9])
        try:
            until, told = map(parsedate_to_datetime, (said, self.headers.get("Date", "")))
            return (until - told).total_seconds() if until > told else None
        except (ValueError, TypeError, OverflowError):
            return None


def refusal(answer: Answer) -> FetchFailure:
    """An answer other than 200 as a failure, for a venue whose statuses mean what they do elsewhere."""
    told = complaint(answer.body)
    message = f"HTTP {answer.status}: {told}" if told else f"HTTP {answer.status}"
    return FetchFailure(FailureKind.of_status(answer.status), message, answer.status, answer.retry_after_s)


def too_early(answer: Answer, over: int) -> FetchFailure | None:
    """Why an answer cannot tell of what was over by `over` (Unix ms), if its `Date` is before that.

    By a host's clock that is ahead buckets are asked for that go on; and an edge may keep an answer.
    """
    try:
        dated = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return None
    if (early_s := over / 1000 - dated) <= 0:
        return None
    said = f"answered {early_s:.0f} s before the end of what was asked for: is this machine's clock ahead?"
    return FetchFailure(FailureKind.SERVER, said, answer.status)


class HttpSource:
    """Requests below one URL, one attempt each. Never raises for the venue's or the network's trouble.

    `timeout_s` bounds a request all told. Nothing is redirected: a signature is for one host.
    """

    def __init__(self, url: str, *, clock: Clock, timeout_s: float) -> None:
        parts = urlsplit(url)
        # Without user and password, which a proxy's URL may hold.
        self._host = parts.netloc.rpartition("@")[2]
        self.origin = f"{parts.scheme}://{self._host}"
        self.stats = RequestStats()
        self._url = url.rstrip("/")
        self._clock = clock
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._tape = TAPE.get()

    def patience(self, timeout_s: float) -> None:
        """Bound each request by so many seconds from now on."""
        self._timeout_s = timeout_s

    async def get(
        self,
        kind: str,
        path: str,
        parameters: _Parameters = (),
        headers: Mapping[str, str] | None = None,
        *,
        posted: str | None = None,
        decode: Callable[[Answer], _T | FetchFailure],
        refused: Callable[[Answer], _T | FetchFailure] = refusal,
        body_bytes: int = _BODY_BYTES,
    ) -> _T | FetchFailure:
        """What `decode` makes of the answer 200 to one GET, `refused` of another one. Counted as that `kind`.

        With `posted`, a body, it is a POST. An answer of more than `body_bytes` is none.
        """
        began_s = self._clock.monotonic()
        outcome: _T | FetchFailure
        try:
            answer = await self._ask(path, parameters, headers or {}, posted, body_bytes)
        except _TRANSPORT_ERRORS as error:
            why = next(kind for known, kind in _TRANSPORT_FAILURES if isinstance(error, known))
            outcome = FetchFailure(why, self._reason(error), cause=error)
        else:
            if self._tape:
                self._tape.page(path, parameters, *answer, posted)
            if answer.status != 200:
                outcome = refused(answer)
            elif len(answer.body) > body_bytes:
                message = f"an answer of more than {body_bytes} bytes"
                outcome = FetchFailure(FailureKind.MALFORMED, message, answer.status)
            else:
                outcome = decode(answer)
        self.stats.came(kind, outcome, self._clock.monotonic() - began_s)
        return outcome

    async def aclose(self) -> None:
        """Close the connections. A later call opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self,
        path: str,
        parameters: _Parameters,
        headers: Mapping[str, str],
        posted: str | None,
        body_bytes: int,
    ) -> Answer:
        if self._session is None:
            proxy = proxy_for(self._url)
            # No cookies: the edge sets some, and nothing needs them.
            self._session = aiohttp.ClientSession(
                connector=_Tunnel(proxy, self._timeout_s) if proxy else None,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                headers={"User-Agent": "livecache", "Accept": "application/json"},
            )
        asked = self._session.get if posted is None else self._session.post
        async with asked(
            self._url + path, params=parameters, data=posted, headers=headers, allow_redirects=False
        ) as response:
            most = body_bytes if response.status == 200 else _COMPLAINT_BYTES
            return Answer(response.status, await _read(response.content, most), response.headers)

    def _reason(self, error: Exception) -> str:
        """Why no answer came, in plain words; the system's error within aiohttp's tells more."""
        if isinstance(error, aiohttp.ClientResponseError):
            return one_line(f"{self._host} does not speak HTTP as it should: {error.message}")
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return unreachable(self._host, error.certificate_error, self._timeout_s)
        if isinstance(error, aiohttp.ClientConnectorError):
            return unreachable(self._host, error.os_error, self._timeout_s)
        return unreachable(self._host, error, self._timeout_s)


async def _read(stream: aiohttp.StreamReader, most: int) -> bytes:
    """The body, or its beginning: one chunk more than `most` bytes at the most."""
    body = bytearray()
    async for chunk in stream.iter_any():
        body += chunk
        if len(body) > most:
            break
    return bytes(body)


class _Tunnel(aiohttp.BaseConnector):
    """Connects through a proxy, as the feed does.

    aiohttp asks for a tunnel only where there is TLS, and knows no ALL_PROXY.
    """

    def __init__(self, proxy: Proxy, timeout_s: float) -> None:
        super().__init__()
        self._proxy = proxy
        self._timeout_s = timeout_s

    async def _create_connection(self, req: Any, *_: Any) -> Any:
        url = req.url
        tls = {"ssl": secured(), "server_hostname": url.host} if req.is_ssl() else {}
        wire = await led_to(self._proxy, url.raw_host, url.port, self._timeout_s)
        try:
            made = await asyncio.get_running_loop().create_connection(self._factory, sock=wire, **tls)
        except BaseException:
            wire.close()
            raise
        return made[1]
