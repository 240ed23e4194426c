"""What the simulated Yahoo answers: charts, its cookie and its crumb; and whom it refuses."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import msgspec

from ...clock import Clock
from ...model.timeframe import Timeframe
from ..clock import MarketClock
from ..face import Ask, Counts
from ..market.market import Market
from ..trouble.faults import Answer, Faults, RequestRecord
from .chart import RANGES, Chart, Window
from .market import ShareMarket
from .oddities import odd_chart
from .options import YahooOptions

__all__ = ["CHART", "INTERVALS", "Exchange", "refused"]

CHART = "/v8/finance/chart/"
INTERVALS = {
    "1m": Timeframe.M1,
    "5m": Timeframe.M5,
    "15m": Timeframe.M15,
    "30m": Timeframe.H1,  # It answers hours.
    "60m": Timeframe.H1,
    "1h": Timeframe.H1,
    "1d": Timeframe.D1,
}
_DAY_S = 86_400
_COOKIE = "A3=d=AQABBA&S=AQAAAg"
_FOREVER = "; Max-Age=31557600; Domain=.yahoo.com; Path=/; SameSite=None; Secure; HttpOnly"
_FORM = (
    '<form action="/v2/collectConsent?sessionId=3_cc-session_x" method="post">'
    '<input type="hidden" name="csrfToken" value="Zz12">'
    '<input type="hidden" name="sessionId" value="3_cc-session_x">'
    '<input type="hidden" name="originalDoneUrl" value="https://finance.yahoo.com/">'
    '<input type="hidden" name="namespace" value="yahoo">'
    '<button name="agree" value="agree"></button></form>'
)


class Exchange:
    """Answers requests, and logs them.

    `requests` holds the newest ones in order of arrival; their `product` is the symbol as it was asked for.
    `counts` counts all; `while_banned` those that came while it refuses everything.
    """

    def __init__(
        self,
        shares: ShareMarket,
        market: Market,
        clock: MarketClock,
        options: YahooOptions,
        *,
        faults: Faults,
        host_clock: Clock,
    ) -> None:
        self.options = options
        self.symbols: Mapping[str, str] = {product: product for product in market.products()}
        self.chart = Chart(shares, market)
        self.requests: deque[RequestRecord] = deque(maxlen=options.max_requests_logged)
        self.counts = Counts()
        self.while_banned = 0
        self.bans = 0
        self._shares = shares
        self._clock = clock
        self._faults = faults
        self._host = host_clock
        self._answered_s: deque[float] = deque()  # when, in the last hour
        self._banned_until_s = -math.inf
        self._strikes = 0

    async def handle(self, ask: Ask) -> Answer | None:
        """The answer to one request, after its latency; None if a fault cuts the connection."""
        symbol = ask.path.removeprefix(CHART).upper() if ask.path.startswith(CHART) else ""
        start, end = (_seconds(ask.get(name)) for name in ("period1", "period2"))
        record = RequestRecord(
            at=self._host.monotonic(),
            path=ask.path,
            product=symbol,
            granularity=ask.get("interval"),
            start=start,
            end=end,
            timeframe=INTERVALS.get(ask.get("interval")),
        )
        self.requests.append(record)
        self.counts.requests += 1
        self.counts.candle_requests += bool(symbol)

        async def proceed() -> Answer:
            if refusal := self._refusal():
                return refusal
            if self.options.latency_s:
                await self._host.sleep(self.options.latency_s)
            return self._charted(ask, symbol) if symbol else self._other(ask)

        answer = await self._faults.rest(record, proceed)
        if answer is None:
            return None
        record.status = answer.status
        self.counts.refused += answer.status in (429, self.options.ban_status)
        # By which alone a client can tell how late it is there.
        date = formatdate(self._clock.now() / 1000, usegmt=True)
        return replace(answer, headers={"Date": date, **answer.headers})

    # --- limits

    def _refusal(self) -> Answer | None:
        """Count a request, and refuse it if that is too much; who goes on all the same is banned."""
        options, now_s = self.options, self._host.monotonic()
        if now_s < self._banned_until_s:
            self.while_banned += 1
            return self._banned()
        while self._answered_s and self._answered_s[0] <= now_s - 3_600.0:
            self._answered_s.popleft()
        most, in_hour = options.requests_per_second, options.requests_per_hour
        too_fast = 0 < most <= len(self._answered_s) and self._answered_s[-most] > now_s - 1.0
        if not too_fast and not 0 < in_hour <= len(self._answered_s):
            self._answered_s.append(now_s)
            self._strikes = 0
            return None
        self._strikes += 1
        if self._strikes > options.bans_after:
            self.bans += 1
            self._strikes, self._banned_until_s = 0, now_s + options.ban_s
            return self._banned()
        return refused(429, options.retry_after_s or None)

    def _banned(self) -> Answer:
        return refused(self.options.ban_status, None)

    # --- cookies and crumbs

    def _other(self, ask: Ask) -> Answer:
        if ask.path == "/":  # of fc.yahoo.com: nothing is there, but its cookie
            told = f"A simulated exchange. Charts are under {CHART}.\n".encode()
            return Answer(404, told, "text/plain", {"Set-Cookie": _COOKIE + _FOREVER})
        if ask.path == "/consent":
            return Answer(200, _FORM.encode(), "text/html")
        if ask.path in ("/v2/collectConsent", "/copyConsent"):
            return Answer(200, b"", "text/html", {"Set-Cookie": _COOKIE + _FOREVER})
        if ask.path == "/v1/test/getcrumb":
            if _COOKIE not in (ask.cookie or ""):
                return _unauthorized("Invalid Cookie")
            return Answer(200, self.crumb().encode(), "text/plain")
        return Answer(404, b"<html><body>Not found</body></html>", "text/html")

    def crumb(self) -> str:
        """The one that is good now."""
        return f"Ab.c/{int(self._host.monotonic() // self.options.crumb_s)}dEfG"

    # --- charts

    def _charted(self, ask: Ask, symbol: str) -> Answer:
        if ask.get("crumb") and ask.get("crumb") != self.crumb():
            return _unauthorized("Invalid Crumb")
        now = self._clock.now()
        named, options = self._known(symbol, now), self.options
        if named is None:
            return _error(404, "Not Found", "No data found, symbol may be delisted")
        interval = ask.get("interval") or "1d"
        timeframe = INTERVALS.get(interval)
        if timeframe is None or interval in options.rejected_granularities:
            valid = ", ".join(INTERVALS)
            said = f"Invalid input - interval={interval} is not supported. Valid intervals: [{valid}]"
            return _error(422, "Unprocessable Entity", said)
        behaves = self._faults.options(named, options, timeframe)
        seen = now - behaves.edge_lag_ms
        period1, period2 = self._period(ask, named, now)
        if complaint := self._complaint(interval, period1, period2, now // 1000):
            return _error(422, "Unprocessable Entity", complaint)
        listed_s = self._shares.listed(named) // 1000
        if period1 >= period2:
            said = "Invalid input - start date cannot be after end date."
            return _error(400, "Bad Request", f"{said} startDate = {period1}, endDate = {period2}")
        if period2 <= listed_s:
            said = f"Data doesn't exist for startDate = {period1}, endDate = {period2}"
            return _error(400, "Bad Request", said)
        window = Window(named, timeframe, period1 * 1000, period2 * 1000, seen)
        candles = self.chart.candles(window)
        if not behaves.forming_bucket and candles:
            grid = self._shares.calendar.grid(timeframe)
            candles = candles[:-1] if grid.end(candles[-1].time) > seen else candles
        candles = self._faults.page(named, timeframe, candles, newest=False)
        rows = self.chart.rows(window, candles)
        if "live row" in options.oddities and (live := self.chart.live(window)):
            rows.append(live)
        granularity = "1h" if timeframe is Timeframe.H1 else interval
        result = self.chart.result(window, rows, granularity=granularity, events=ask.get("events"))
        for oddity in options.oddities:
            result = odd_chart(result, oddity)
        return _json(200, {"chart": {"result": [result], "error": None}})

    def _known(self, symbol: str, now: int) -> str | None:
        """The market's name of a symbol; None if there is none now."""
        if symbol not in self._shares.shares:
            return None
        named = self._shares.share(symbol).symbol
        gone = self._shares.delisted(named, now) or not self._faults.lists(named)
        return None if gone else named

    def _period(self, ask: Ask, named: str, now: int) -> tuple[int, int]:
        """From when to when it is asked for, Unix s."""
        period1, period2 = (_seconds(ask.get(name)) for name in ("period1", "period2"))
        if period1 is not None:
            return period1, now // 1000 if period2 is None else period2
        openings, asked = self._shares.calendar.sessions.openings, ask.get("range") or "1d"
        session = self._shares.session(now)
        if asked == "max":
            return self._shares.listed(named) // 1000, now // 1000
        if asked == "ytd":
            year = datetime.fromtimestamp(now / 1000, UTC).year
            return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()), now // 1000
        if days := RANGES.get(asked, 0):
            return now // 1000 - days * _DAY_S, now // 1000
        return openings[max(0, session - (4 if asked == "5d" else 0))] // 1000, now // 1000

    def _complaint(self, interval: str, period1: int, period2: int, now_s: int) -> str:
        """Why that much is not to be had; "" if it is."""
        said = f"{interval} data not available for startTime={period1} and endTime={period2}."
        span, reach = self.options.span_days.get(interval), self.options.reach_days.get(interval)
        if reach is not None and period1 < now_s - reach * _DAY_S:
            return f"{said} The requested range must be within the last {reach} days."
        if span is not None and period2 - period1 > span * _DAY_S:
            return (
                f"{said} Only {span} days worth of {interval} granularity data are allowed to be fetched "
                "per request."
            )
        return ""


def refused(status: int, retry_after_s: int | None) -> Answer:
    """An error of that status in its words."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    if status == 429:
        return Answer(429, b"Too Many Requests\r\n", "text/html", headers)
    if status == 401:
        return _unauthorized("Invalid Crumb")
    if status in (400, 404, 422):
        return _error(status, "Bad Request", "Invalid input")
    title = "Yahoo! - 999 Unable to process request at this time -- error 999"
    body = f"<html><title>{title}</title>Will be right back...</html>".encode()
    return Answer(status, body, "text/html", headers)


def _unauthorized(said: str) -> Answer:
    return _json(401, {"finance": {"result": None, "error": {"code": "Unauthorized", "description": said}}})


def _error(status: int, code: str, said: str) -> Answer:
    return _json(status, {"chart": {"result": None, "error": {"code": code, "description": said}}})


def _json(status: int, body: Any) -> Answer:
    return Answer(status, msgspec.json.encode(body))


def _seconds(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 16 else None
