"""What is gone by of Deribit and only it can bear out: see `venues.asserted` and docs/venues.md."""

from __future__ import annotations

import asyncio

import msgspec

from ...model.timeframe import Timeframe
from ..asserted import Assertion, Differs, Sight, Untried, adds_up, stays
from ..net.http import Answer, HttpSource
from ..rows import UNDECODABLE
from ..venue import FailureKind, FetchFailure, Subscribed
from .answers import refused
from .settings import DeribitSettings
from .traits import DAYS

__all__ = ["ASSERTED"]

_AT_ONCE = 20
_SYMBOLS_MOST = 5
_ANSWERED_MS = 20_000
_OWN = {"360": 6 * Timeframe.H1.ms, "720": 12 * Timeframe.H1.ms}


async def _pace(sight: Sight) -> None:
    answers = await asyncio.gather(*(sight.venue.time() for _ in range(_AT_ONCE)))
    for answer in answers:
        if isinstance(answer, FetchFailure):
            raise (Differs if answer.kind is FailureKind.REFUSED else Untried)(answer.message)


async def _days(sight: Sight) -> None:
    for symbol in sight.symbols[:_SYMBOLS_MOST]:
        for reason in (await sight.newest(symbol, Timeframe.D1, 3)).reasons.values():
            raise Differs(f"{symbol}: {reason}")


async def _bigger(sight: Sight) -> None:
    now = await sight.time()
    source = HttpSource(sight.settings.rest_url, clock=sight.clock, timeout_s=sight.settings.request_timeout)
    try:
        for resolution, ms in _OWN.items():
            asked = {"instrument_name": sight.symbols[0], "resolution": resolution}
            asked |= {"start_timestamp": str(now - 3 * ms), "end_timestamp": str(now)}
            path = "/api/v2/public/get_tradingview_chart_data"
            told = await source.get("candles", path, asked, decode=_opens, refused=refused)
            if isinstance(told, FetchFailure):
                raise Untried(told.message)
            for tick in told:
                if (tick - DAYS.origin) % ms:
                    raise Differs(f"{resolution} minutes open at {tick // Timeframe.H1.ms % 24:02}:00 UTC")
    finally:
        await source.aclose()


class _Ticks(msgspec.Struct):
    ticks: list[int]


class _Chart(msgspec.Struct):
    result: _Ticks


def _opens(answer: Answer) -> list[int] | FetchFailure:
    try:
        return msgspec.json.decode(answer.body, type=_Chart).result.ticks
    except UNDECODABLE as error:
        return FetchFailure(FailureKind.MALFORMED, str(error))


async def _channels(sight: Sight) -> None:
    assert isinstance(sight.settings, DeribitSettings)
    trading = [name for name, product in (await sight.listed()).items() if not product.halted]
    some = trading[: sight.settings.instruments_per_connection]
    await sight.told_of(some, _ANSWERED_MS, lambda e: e.products if isinstance(e, Subscribed) else ())


ASSERTED = (
    Assertion(
        "pace",
        "an address without an account may ask 20 times a second, as one with an account",
        "set a smaller credits_share",
        _pace,
    ),
    Assertion(
        "days",
        "the days of each instrument open at 08:00 UTC",
        "rows of other days are not believed, and days are added up from hours",
        _days,
    ),
    Assertion(
        "6h and 12h",
        "the venue's own open as its days do",
        "they are added up from 2h, wherever its own open",
        _bigger,
        harmless=True,
    ),
    Assertion(
        "refusal",
        "code 10028 says how long to wait, or comes with HTTP status 429",
        "requests come ever more slowly",
    ),
    Assertion(
        "closed candles",
        "10 s after its end a minute stays as it is",
        "set a longer settle_delay",
        stays,
    ),
    Assertion(
        "channels",
        "a connection takes as many as instruments_per_connection says",
        "set fewer instruments_per_connection",
        _channels,
    ),
    Assertion(
        "locks",
        "platform_state tells when an index is locked and when no longer, by names such as btc_usd",
        "its silence passes for a dead feed, which costs a few connections",
        harmless=True,
    ),
    Assertion(
        "sums",
        "the volume of an hour is that of its minutes, but for the last digits of a float",
        "`check` tells of roll-ups that differ, and each timeframe is as the venue has it",
        adds_up,
        harmless=True,
    ),
)
