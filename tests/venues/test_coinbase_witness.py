"""The SDK as a witness, against the simulator: it sees what we see, and its troubles are plain outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from livecache.model.timeframe import Timeframe
from livecache.simulator import (
    KeyRing,
    Market,
    MarketClock,
    RevisedMarket,
    ScriptedFaults,
    SeededMarket,
    Simulator,
    throwaway_key,
)
from livecache.simulator.trouble.script import FaultScript, HttpError
from livecache.venues.coinbase.auth import ApiKey
from livecache.venues.coinbase.witness import CoinbaseWitness
from livecache.venues.configured import WitnessPage
from livecache.venues.venue import FailureKind, FetchFailure

NOW = 1_791_282_309_000
M5 = Timeframe.M5


def asked(
    ask: Callable[[CoinbaseWitness, Simulator], None],
    *,
    keyed: bool = False,
    market: Market | None = None,
    **options: Any,
) -> None:
    """Run a simulator, and let the blocking witness ask it from a thread."""
    key = throwaway_key("ec")

    async def scenario() -> None:
        clock = MarketClock(NOW, 1)
        async with Simulator(market or SeededMarket(6), clock=clock, keys=KeyRing(key), **options) as sim:
            mine = ApiKey(key.name, key.secret) if keyed else None
            witness = CoinbaseWitness(sim.rest_url, timeout_s=5, key=mine)
            try:
                await asyncio.to_thread(ask, witness, sim)
            finally:
                witness.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("timeframe", [Timeframe.M5, Timeframe.D1])
def test_it_reads_the_span_that_was_asked_for(timeframe: Timeframe, keyed: bool) -> None:
    end = timeframe.floor(NOW)
    start = end - 100 * timeframe.ms

    def ask(witness: CoinbaseWitness, sim: Simulator) -> None:
        page = witness.fetch("BTC-USD", timeframe, start, end)
        assert isinstance(page, WitnessPage)
        expected = sim.market.candles("BTC-USD", timeframe, start, end, NOW)
        assert page.rows == {candle.time: candle for candle in expected}
        assert len(expected) == 100 and page.rejected == frozenset()
        (request,) = sim.exchange.requests
        assert ("/market/" in request.path) is not keyed, "with a key past the edge's cache"

    asked(ask, keyed=keyed)


def test_with_a_key_that_is_refused_it_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK signs by the host's clock, which is hours off here."""
    monkeypatch.setattr("coinbase.jwt_generator.time", SimpleNamespace(time=lambda: 1_000_000_000))
    start = M5.floor(NOW) - 10 * M5.ms

    def ask(witness: CoinbaseWitness, sim: Simulator) -> None:
        first, second = (witness.fetch("BTC-USD", M5, start, start + 5 * M5.ms) for _ in range(2))
        assert isinstance(first, FetchFailure) and first.kind is FailureKind.UNAUTHORIZED
        assert isinstance(second, WitnessPage) and len(second.rows) == 5

    asked(ask, keyed=True)


def test_an_answer_is_never_the_edges_memory_of_an_earlier_one() -> None:
    """The simulator's edge keeps what it answered for a second, as the venue's does."""
    market = RevisedMarket(SeededMarket(6))
    start = M5.floor(NOW) - 10 * M5.ms

    def ask(witness: CoinbaseWitness, sim: Simulator) -> None:
        before = witness.fetch("BTC-USD", M5, start, start + M5.ms)
        market.revise("BTC-USD", start, NOW)
        after = witness.fetch("BTC-USD", M5, start, start + M5.ms)
        assert isinstance(before, WitnessPage) and isinstance(after, WitnessPage)
        assert before.rows != after.rows

    asked(ask, market=market)


def test_what_the_venue_refuses_is_a_failure_of_its_kind(capfd: pytest.CaptureFixture[str]) -> None:
    def ask(witness: CoinbaseWitness, sim: Simulator) -> None:
        start = M5.floor(NOW) - 10 * M5.ms
        for symbol, length, kind in (
            ("NOPE-USD", 5, FailureKind.UNKNOWN_SYMBOL),
            ("BTC-USD", 400, FailureKind.PAGE_TOO_LONG),
        ):
            failure = witness.fetch(symbol, M5, start - length * M5.ms, start)
            assert isinstance(failure, FetchFailure)
            assert failure.kind is kind, failure
        kinds = [witness.fetch("BTC-USD", M5, start, start + M5.ms) for _ in range(12)]
        refused = kinds[-1]
        assert isinstance(refused, FetchFailure) and refused.kind is FailureKind.REFUSED

    asked(ask)
    assert "coinbase.RESTClient" not in capfd.readouterr().err, "its own logger is quiet"


def test_a_server_in_trouble_and_one_that_is_not_there_are_failures() -> None:
    faults = ScriptedFaults(FaultScript(faults=(HttpError(status=502, lasts=3600.0),)))

    def ask(witness: CoinbaseWitness, sim: Simulator) -> None:
        failure = witness.fetch("BTC-USD", M5, 0, M5.ms)
        assert isinstance(failure, FetchFailure)
        assert (failure.kind, failure.status) == (FailureKind.SERVER, 502)

    asked(ask, faults=faults)
    witness = CoinbaseWitness("http://127.0.0.1:9", timeout_s=1)
    try:
        failure = witness.fetch("BTC-USD", M5, 0, M5.ms)
    finally:
        witness.close()
    assert isinstance(failure, FetchFailure) and failure.kind is FailureKind.NETWORK


def test_what_the_venue_does_not_serve_is_no_answer_that_makes_no_sense() -> None:
    def ask(witness: CoinbaseWitness, sim: Simulator) -> None:
        assert Timeframe.H12 not in witness.timeframes
        failure = witness.fetch("BTC-USD", Timeframe.H12, 0, Timeframe.H12.ms)
        assert isinstance(failure, FetchFailure)
        assert failure.kind is FailureKind.UNSUPPORTED_TIMEFRAME
        assert not sim.exchange.requests, "and nobody is asked"

    asked(ask)
