"""An independent witness: pages of candles through Coinbase's own SDK, which shares no code with ours.

Slower than `rest.py` and blocking, so for checks only: one request at a time, in the caller's thread, since
the SDK's threads could not be cancelled.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import coinbase.rest
import requests
from requests.adapters import HTTPAdapter

from ...model.candle import ExactCandle, rejection
from ...model.timeframe import Timeframe
from ..configured import WitnessPage
from ..net.network import is_loopback
from ..settings import VenueSettings
from ..text import one_line
from ..venue import FailureKind, FetchFailure
from .auth import ApiKey, load_key
from .pace import PUBLIC_PER_S, paced
from .pages import GRANULARITIES, refusal
from .settings import CoinbaseSettings

__all__ = ["CoinbaseWitness", "build"]


class CoinbaseWitness:
    """The SDK's REST client, at `rest_url`. `timeout_s` bounds connecting, and each wait for an answer."""

    timeframes = frozenset(GRANULARITIES)

    def __init__(
        self,
        rest_url: str,
        *,
        timeout_s: float,
        key: ApiKey | None = None,
        requests_per_s: float = PUBLIC_PER_S,
    ) -> None:
        self.requests_per_s = requests_per_s
        # Importing it has set up a logger of its own, which would print every refusal.
        logging.getLogger("coinbase.RESTClient").disabled = True
        self._client = coinbase.rest.RESTClient(
            api_key=key.name if key else None,
            api_secret=key.secret if key else None,
            timeout=timeout_s,
        )
        self._keyed = key is not None
        self._nonces = itertools.count(int(time.time() * 1000))
        self._host = urlsplit(rest_url).netloc.rpartition("@")[2]
        if rest_url.rstrip("/") != "https://api.coinbase.com":
            self._client.session.mount("https://", _Elsewhere(rest_url))

    def fetch(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> WitnessPage | FetchFailure:
        """The candles that open in `[start, end)`, Unix ms, aligned. One attempt."""
        if timeframe not in self.timeframes:
            return FetchFailure(FailureKind.UNSUPPORTED_TIMEFRAME, f"{timeframe} is not served")
        ask = self._client.get_candles if self._keyed else self._client.get_public_candles
        # The venue's edge keeps a public answer for a second; a URL it never saw passes.
        fresh = {} if self._keyed else {"_": str(next(self._nonces))}
        try:
            # Both bounds are inclusive.
            answer = ask(
                symbol,
                str(start // 1000),
                str((end - timeframe.ms) // 1000),
                GRANULARITIES[timeframe],
                **fresh,
            )
            return _page(answer["candles"], timeframe)
        except requests.HTTPError as error:
            response = error.response
            if response is None:
                raise
            retry_after = response.headers.get("Retry-After", "").strip()
            signed = self._keyed
            # The SDK signs by the host's clock, which may be off; and what is asked for here needs no key.
            self._keyed = signed and response.status_code not in (401, 403)
            return refusal(
                response.status_code,
                response.content,
                signed=signed,
                retry_after_s=float(retry_after[:9]) if retry_after.isdecimal() else None,
            )
        except requests.Timeout as error:
            return FetchFailure(FailureKind.TIMEOUT, f"no answer from {self._host}", cause=error)
        except requests.JSONDecodeError as error:
            return FetchFailure(FailureKind.MALFORMED, one_line(f"not JSON: {error}"), cause=error)
        except requests.RequestException as error:
            reason = type(error).__name__
            return FetchFailure(FailureKind.NETWORK, f"{self._host} cannot be reached: {reason}", cause=error)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # What the SDK and the lines above make of an answer of another shape.
            return FetchFailure(
                FailureKind.MALFORMED, one_line(f"not the expected answer: {error}"), cause=error
            )

    def close(self) -> None:
        """Close the connections."""
        self._client.session.close()


def _page(candles: Any, timeframe: Timeframe) -> WitnessPage:
    rows: dict[int, ExactCandle] = {}
    rejected: set[int] = set()
    for wire in candles:
        opened = int(wire["start"]) * 1000
        numbers = [wire[name] for name in ("open", "high", "low", "close", "volume")]
        if not all(isinstance(number, str) for number in numbers):
            rejected.add(opened)
            continue
        candle = ExactCandle(opened, *numbers)
        if rejection(candle, timeframe, None) or (opened in rows and not rows[opened].equals(candle)):
            rejected.add(opened)
        else:
            rows[opened] = candle
    return WitnessPage(rows, frozenset(rejected))


class _Elsewhere(HTTPAdapter):
    """Sends what the SDK means for `https://api.coinbase.com`, which it hard-codes, to another URL."""

    def __init__(self, rest_url: str) -> None:
        super().__init__()
        self._rest_url = rest_url.rstrip("/")
        self._proxied = not is_loopback(urlsplit(rest_url).hostname)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        request.url = f"{self._rest_url}{parts.path}?{parts.query}".rstrip("?")
        if not self._proxied:
            kwargs["proxies"] = {}
        return super().send(request, *args, **kwargs)


def build(venue: str, settings: VenueSettings, environ: Mapping[str, str]) -> CoinbaseWitness:
    """The witness against the venue of that id: see `venues.registry.build_witness`."""
    assert isinstance(settings, CoinbaseSettings)
    key = load_key(settings.key_file, environ, venue)
    per_s = paced(settings.requests_per_second, keyed=key is not None)
    return CoinbaseWitness(
        settings.rest_url, timeout_s=settings.request_timeout, key=key, requests_per_s=per_s
    )
