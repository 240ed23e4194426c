"""One symbol that the exchange does not know among many that it does: it is told, and nobody else notices."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from livecache import NotTraded, Reader
from livecache.simulator import FaultScript, ScriptedFaults
from livecache.simulator.trouble.script import Halted, RefusedSubscription

from ..http.support import ask, metrics
from .support import NOON, Process, exchange, livecache, market_of, until

KNOWN = [f"P{n}-USD" for n in range(21)]
WRONG = "WRONG-USD"
HOURS = "5m,1h"


def said(*command: str, env: dict[str, str]) -> tuple[int, str]:
    """Exit code and output of a command."""
    with livecache(*command, env=env) as process:
        code = process.ended(60.0)
    return code, "\n".join(process.output)


def url_of(service: Process) -> str:
    url: str = service.event("http_listening")["url"]
    return url


def test_one_unknown_symbol_among_many_holds_nothing_back_and_is_told_everywhere(clean_valkey: str) -> None:
    """An orchestrator takes it for started and ready; an application that waits for its health begins."""
    with exchange(market_of(*KNOWN)) as venue:
        env = venue.settings(clean_valkey, [*KNOWN, WRONG], CACHE_TIMEFRAMES=HOURS, HTTP_LISTEN="127.0.0.1:0")
        with livecache("run", env=env) as service:
            url = url_of(service)
            until("it has started", lambda: ask(url, "/startupz").status == 200, 60.0)
            until("it is ready", lambda: ask(url, "/readyz").status == 200, 60.0)
            assert said("ready", "--health", env=env) == (0, "healthy")
            code, told = said("ready", env=env)
            assert code == 0 and told.startswith(
                "ready: 44 series, 2 of symbols that the venue does not know"
            )

            told = service.event("unknown_symbol")["message"]
            assert "Coinbase does not know WRONG-USD (correct venues.coinbase.symbols)" in told
            code, told = said("status", "--json", env=env)
            table = json.loads(told)
            wrong = [row for row in table["series"] if row["symbol"] == WRONG]
            assert [row["state"] for row in wrong] == ["unknown", "unknown"]
            assert all("correct venues.coinbase.symbols" in row["reason"] for row in wrong)
            rows = ask(url, "/api/v1/series").content["series"]
            assert {row["state"] for row in rows if row["symbol"] == WRONG} == {"unknown"}
            answer = ask(url, f"/api/v1/candles?symbol={WRONG}&timeframe=5m")
            assert (answer.status, answer.content["kind"]) == (404, "not_listed")
            found = metrics(url)
            assert found.one("series", "unknown") == 2
            until("the others are fed", lambda: metrics(url).one("feed_symbols", "up") == 21, 60.0)
            assert metrics(url).one("feed_symbols", "unknown") == 1

            strict = env | {"LIVECACHE_CACHE_REQUIRE": "all"}
            code, told = said("ready", env=strict)
            assert code == 1 and WRONG in told


def test_who_requires_all_is_not_ready_without_a_symbol(clean_valkey: str) -> None:
    with exchange() as venue:
        env = venue.settings(
            clean_valkey,
            ["BTC-USD", WRONG],
            CACHE_TIMEFRAMES=HOURS,
            CACHE_REQUIRE="all",
            HTTP_LISTEN="127.0.0.1:0",
        )
        with livecache("run", env=env) as service:
            url = url_of(service)
            service.event("unknown_symbol")
            until(
                "only that symbol is missing",
                lambda: all(WRONG in reason for reason in ask(url, "/readyz").content["reasons"]),
                60.0,
            )
            assert [ask(url, path).status for path in ("/startupz", "/readyz")] == [503, 503]


def test_refused_subscriptions_and_a_halt_are_told_and_the_others_are_fed(clean_valkey: str) -> None:
    """Over real sockets: the exchange refuses every list that holds one product, without saying which."""
    bad, halted, *others = KNOWN[:6]
    ten_hours_ago = datetime.fromtimestamp(NOON / 1000 - 36_000, UTC)
    faults = ScriptedFaults(
        FaultScript(
            faults=(
                RefusedSubscription(products=(bad,), lasts=86_400, named=False),
                Halted(at=ten_hours_ago, products=(halted,)),
            )
        )
    )
    with exchange(market_of(*KNOWN[:6]), faults=faults) as venue:
        env = venue.settings(clean_valkey, CACHE_TIMEFRAMES=HOURS, HTTP_LISTEN="127.0.0.1:0")
        with livecache("run", env=env) as service:
            url = url_of(service)
            assert service.event("subscription_refused", 60.0)["products"] == [bad]
            assert service.event("symbol_halted", 60.0)["symbol"] == halted
            until("it is ready", lambda: ask(url, "/readyz").status == 200, 60.0)
            until("the others are fed", lambda: metrics(url).one("feed_symbols", "up") == 5, 60.0)
            assert metrics(url).one("feed_symbols", "refused") == 1
            rows = ask(url, "/api/v1/series").content["series"]
            states = {row["symbol"]: row["state"] for row in rows}
            assert states == {bad: "ready", halted: "halted"} | dict.fromkeys(others, "ready")
            with Reader(clean_valkey) as reader:
                assert reader.candles(bad, "5m", 60).feed == "down"
                # That nothing was traded for ten hours is believed only after a while.
                ago: Any = {"max_lag": 86_400}
                assert reader.candles(halted, "5m", 60, **ago).standing == "halted"
                with pytest.raises(NotTraded, match="delisted"):
                    reader.candles(halted, "5m", 60, newest_within=3_600, **ago)
