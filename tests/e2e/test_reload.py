"""The configuration read again: by the command, by SIGHUP, at any moment of a service's life."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from livecache import Candles, Reader, UnknownSeries
from livecache.keys.keyspace import Keyspace, holder_of
from livecache.simulator import ScriptedFaults
from livecache.simulator.trouble.script import Outage

from .gate import gate
from .support import ROOT, Exchange, Process, exchange, free_port, livecache, market_of, until

ALL = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD")


class Configured:
    """A directory with a configuration that is written anew, and the command in it."""

    def __init__(self, directory: Path, venue: Exchange, redis_url: str) -> None:
        self.directory = directory
        self.listen = f"127.0.0.1:{free_port()}"
        self.env = {"LIVECACHE_HTTP_LISTEN": self.listen}
        self._venue = venue
        self._redis_url = redis_url

    def write(self, *symbols: str, timeframes: tuple[str, ...] = ("5m", "1h"), **more: object) -> None:
        """`more` as `log_level="DEBUG"`: section and key."""
        sections: dict[str, dict[str, object]] = {
            "redis": {"url": self._redis_url},
            "cache": {"timeframes": timeframes},
            "venues.coinbase": {
                "symbols": symbols,
                "rest_url": self._venue.rest_url,
                "ws_url": self._venue.ws_url,
                "requests_per_second": 100,
            },
            "log": {"format": "json"},
        }
        for name, value in more.items():
            section, _, key = name.partition("_")
            sections[{"venue": "venues.coinbase"}.get(section, section)][key] = value
        lines = []
        for section, values in sections.items():
            lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        self.spoil("\n".join(lines))

    def spoil(self, text: str) -> None:
        """Write just that."""
        (self.directory / "config.toml").write_text(text)

    def reload(self, *options: str) -> subprocess.CompletedProcess[str]:
        """`livecache reload`."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LIVECACHE_")}
        return subprocess.run(
            [sys.executable, "-m", "livecache", "reload", *options],
            cwd=self.directory,
            env={**clean, **self.env, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )


def can_read(reader: Reader, *series: tuple[str, str], count: int = 60) -> bool:
    """Whether so many candles of each can be read."""
    answers = reader.many([(symbol, timeframe, count) for symbol, timeframe in series])
    return all(isinstance(answer, Candles) for answer in answers.values())


def symbols_of(reader: Reader) -> tuple[str, ...]:
    """All that is filled, in the order of the configuration."""
    return tuple(dict.fromkeys(series.symbol for series in reader.series()))


def reloads(service: Process, count: int) -> None:
    """Wait for so many reloads."""
    until(f"{count} reloads", lambda: len(service.events("reloaded")) == count)


def test_the_command_takes_over_what_it_can_names_the_rest_and_changes_nothing_by_a_bad_file(
    clean_valkey: str, tmp_path: Path
) -> None:
    with exchange(market_of(*ALL)) as venue, Reader(clean_valkey) as reader:
        it = Configured(tmp_path, venue, clean_valkey)
        it.write("BTC-USD", "ETH-USD")
        with livecache("run", cwd=tmp_path, env=it.env) as service:
            service.event("warm")
            service.event("http_listening")
            it.write("SOL-USD", "BTC-USD", timeframes=("5m", "15m"), cache_candles=120, redis_prefix="other")
            done = it.reload()
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.splitlines() == [
                "read again: config.toml, under LIVECACHE_HTTP_LISTEN, LIVECACHE_LOG_FORMAT"
                if "LIVECACHE_LOG_FORMAT" in done.stdout
                else "read again: config.toml, under LIVECACHE_HTTP_LISTEN",
                "  cache.timeframes: +15m -1h",
                "  cache.candles",
                "  venues.coinbase.symbols: +SOL-USD -ETH-USD",
                "with the next start only: redis.prefix",
            ]
            assert service.event("restart_needed")["settings"] == ["redis.prefix"]
            frames = [(s, t) for s in ("SOL-USD", "BTC-USD") for t in ("5m", "15m")]
            until("what came can be read", lambda: can_read(reader, *frames))
            until("of as many as are wanted now", lambda: len(reader.candles("BTC-USD", "5m", 120)) == 120)
            until("what went is told", lambda: service.events("series_retired"))
            for symbol, timeframe in (("ETH-USD", "5m"), ("BTC-USD", "1h")):
                with pytest.raises(UnknownSeries, match="taken out of the configuration"):
                    reader.candles(symbol, timeframe, 60)
            again = json.loads(it.reload("--json").stdout)
            assert (again["applied"], again["restart"]) == ([], ["redis.prefix"]), "it is named again"

            it.spoil("[cache]\ncandels = 3\n")
            refused = it.reload()
            assert (refused.returncode, refused.stdout) == (2, "")
            started = subprocess.run(
                [sys.executable, "-m", "livecache", "run"], cwd=tmp_path, capture_output=True, text=True,
                env={**os.environ, **it.env, "PYTHONPATH": str(ROOT)}, check=False,
            )  # fmt: skip
            assert refused.stderr == started.stderr, "with the words of a start"
            service.send(signal.SIGHUP)
            assert "candels" in service.event("reload_refused")["message"]
            (tmp_path / "config.toml").unlink()
            service.send(signal.SIGHUP)
            until("that is refused as well", lambda: len(service.events("reload_refused")) == 2)
            assert can_read(reader, *frames), "the old one goes on"
            service.stop()


def test_environment_and_flags_keep_their_precedence_and_the_level_changes(
    clean_valkey: str, tmp_path: Path
) -> None:
    with exchange(market_of(*ALL)) as venue, Reader(clean_valkey, prefix="flagged") as reader:
        it = Configured(tmp_path, venue, clean_valkey)
        it.write("BTC-USD")
        env = it.env | {"LIVECACHE_CACHE_CANDLES": "80"}
        with livecache("run", "--prefix", "flagged", cwd=tmp_path, env=env) as service:
            service.event("warm")
            it.write("BTC-USD", "ETH-USD", cache_candles=300, redis_prefix="other", log_level="DEBUG")
            service.send(signal.SIGHUP)
            assert service.event("reloaded")["changed"] == ["venues.coinbase.symbols", "log.level"]
            until("it can be read", lambda: can_read(reader, ("ETH-USD", "5m")))
            until("the log says more", lambda: [r for r in service.records if r["level"] == "DEBUG"])
            assert not service.events("restart_needed")
            service.stop()


def test_a_reload_in_mid_warm_up_and_two_in_a_row_are_sound(clean_valkey: str, tmp_path: Path) -> None:
    with exchange(market_of(*ALL), latency_s=0.3) as venue, Reader(clean_valkey) as reader:
        it = Configured(tmp_path, venue, clean_valkey)
        it.write("BTC-USD", "ETH-USD", venue_requests_per_second=4)
        with livecache("run", cwd=tmp_path, env=it.env) as service:
            until("a page is under way", lambda: venue.candle_requests)
            it.write("ETH-USD", "SOL-USD", venue_requests_per_second=4)
            service.send(signal.SIGHUP)
            reloads(service, 1)
            it.write("XRP-USD", "SOL-USD", timeframes=("5m", "15m", "1h"))
            service.send(signal.SIGHUP)
            reloads(service, 2)
            wanted = [(s, t) for s in ("XRP-USD", "SOL-USD") for t in ("5m", "15m", "1h")]
            until("all of it can be read", lambda: can_read(reader, *wanted))
            assert {(s.symbol, s.timeframe.value) for s in reader.series()} == set(wanted)
            service.stop()
            assert service.errors == []


def test_one_that_waits_takes_over_what_it_was_told_meanwhile(clean_valkey: str, tmp_path: Path) -> None:
    with exchange(market_of(*ALL)) as venue, Reader(clean_valkey) as reader:
        it = Configured(tmp_path, venue, clean_valkey)
        it.write("BTC-USD", "ETH-USD")
        with livecache("run", cwd=tmp_path) as first, livecache("run", cwd=tmp_path) as second:
            writes, waits = first, second
            until("one waits", lambda: first.events("lease_wait") or second.events("lease_wait"))
            if first.events("lease_wait"):
                writes, waits = second, first
            writes.event("warm")
            it.write("BTC-USD", "SOL-USD")
            waits.send(signal.SIGHUP)
            waits.event("reloaded")
            assert can_read(reader, ("ETH-USD", "5m")), "that one writes nothing"
            writes.stop()
            waits.event("adopted")
            until("what came can be read", lambda: can_read(reader, ("SOL-USD", "5m"), ("BTC-USD", "1h")))
            until("what went is told", lambda: waits.events("series_retired"))
            with pytest.raises(UnknownSeries):
                reader.candles("ETH-USD", "5m", 60)
            waits.stop()


def test_a_reload_while_redis_is_away_is_made_good_when_it_is_back(clean_valkey: str, tmp_path: Path) -> None:
    port = urlsplit(clean_valkey).port or 0
    with exchange(market_of(*ALL)) as venue, Reader(clean_valkey) as reader, gate(port) as way:
        it = Configured(tmp_path, venue, way.url)
        it.write("BTC-USD", "ETH-USD")
        with livecache("run", cwd=tmp_path) as service:
            service.event("warm")
            way.cut()
            service.event("redis_trouble")
            it.write("BTC-USD", "SOL-USD", timeframes=("5m", "30m"))
            service.send(signal.SIGHUP)
            service.event("reloaded")
            it.write("BTC-USD", "XRP-USD", timeframes=("5m", "30m"))
            service.send(signal.SIGHUP)
            reloads(service, 2)
            way.open()
            wanted = [(s, t) for s in ("BTC-USD", "XRP-USD") for t in ("5m", "30m")]
            until("what is wanted now can be read", lambda: can_read(reader, *wanted))
            until("what went is told", lambda: service.events("series_retired"))
            with redis.Redis.from_url(clean_valkey) as client:
                assert client.scard("livecache:{coinbase}:series") == 4
                assert not client.exists("livecache:{coinbase:SOL-USD}:5m:state"), "it was wanted in vain"
            service.stop()
            assert service.errors == []


def test_a_restart_without_a_series_tells_its_readers_too(clean_valkey: str, tmp_path: Path) -> None:
    """A daily candle would else be served as fresh for a day, since the symbol is vouched for."""
    with exchange(market_of(*ALL)) as venue, Reader(clean_valkey) as reader:
        it = Configured(tmp_path, venue, clean_valkey)
        it.write("BTC-USD", timeframes=("5m", "1d"))
        with livecache("run", cwd=tmp_path) as service:
            service.event("warm")
            service.stop()
        it.write("BTC-USD", timeframes=("5m",))
        with livecache("run", cwd=tmp_path) as service:
            service.event("series_retired")
            with pytest.raises(UnknownSeries, match="taken out"):
                reader.candles("BTC-USD", "1d", 60)
            assert can_read(reader, ("BTC-USD", "5m"))
            service.stop()
        asked = len(venue.candle_requests)
        it.write("BTC-USD", timeframes=("5m", "1d"))
        with livecache("run", cwd=tmp_path) as service:
            until("it is taken over", lambda: can_read(reader, ("BTC-USD", "1d")))
            service.stop()
        # The hours between are in memory only, and read again; the days are as good as before.
        assert "ONE_DAY" not in {request.granularity for request in venue.candle_requests[asked:]}


def test_a_symbol_that_nobody_knows_is_put_right_by_a_reload(clean_valkey: str, tmp_path: Path) -> None:
    with exchange(market_of(*ALL)) as venue, Reader(clean_valkey) as reader:
        it = Configured(tmp_path, venue, clean_valkey)
        it.write("BTC-USD", "WRNG-USD")
        with livecache("run", cwd=tmp_path) as service:
            service.event("unknown_symbol")
            service.event("warm")
            it.write("BTC-USD", "ETH-USD")
            service.send(signal.SIGHUP)
            until("the right one can be read", lambda: can_read(reader, ("ETH-USD", "5m"), ("ETH-USD", "1h")))
            it.write("BTC-USD", "ETH-USD", "WRNG-USD")
            service.send(signal.SIGHUP)
            until("it is said again", lambda: len(service.events("unknown_symbol")) == 2)
            assert can_read(reader, ("BTC-USD", "5m"), ("ETH-USD", "1h"))
            service.stop()
            assert service.errors == []


def test_a_reload_before_the_venue_has_said_a_word_counts_once_it_does(
    clean_valkey: str, tmp_path: Path
) -> None:
    faults = ScriptedFaults()
    with exchange(market_of(*ALL), faults=faults) as venue, Reader(clean_valkey) as reader:
        faults.begin(Outage(lasts=3_600.0))
        it = Configured(tmp_path, venue, clean_valkey)
        it.write("BTC-USD", "ETH-USD")
        with livecache("run", cwd=tmp_path) as service:
            service.event("lease_acquired")
            it.write("SOL-USD", timeframes=("15m",))
            service.send(signal.SIGHUP)
            service.event("reloaded")
            faults.end_all()
            until("what is wanted can be read", lambda: can_read(reader, ("SOL-USD", "15m")))
            assert [(s.symbol, s.timeframe.value) for s in reader.series()] == [("SOL-USD", "15m")]
            service.stop()
            assert service.errors == []


def test_indicators_that_come_are_warmed_up_for_and_waited_for(clean_valkey: str, tmp_path: Path) -> None:
    with exchange(market_of("BTC-USD")) as venue, Reader(clean_valkey) as reader:
        it = Configured(tmp_path, venue, clean_valkey)
        frames = [("BTC-USD", "5m"), ("BTC-USD", "1h")]
        it.write("BTC-USD", cache_indicators=["sma(110)"])
        with livecache("run", cwd=tmp_path, env=it.env) as service:
            service.event("warm")
            assert can_read(reader, *frames, count=110), "ready means so many, more than by default"
            service.event("http_listening")
            it.write("BTC-USD", cache_indicators=["sma(110)", "macd(12,26,9)"])
            done = it.reload()
            assert done.stdout.splitlines()[1:] == ["  cache.indicators: +macd(12,26,9)"]
            until("as many as MACD needs", lambda: can_read(reader, *frames, count=155))
            service.stop()


def test_processes_that_share_a_venue_take_over_what_came_and_went_one_after_the_other(
    clean_valkey: str, tmp_path: Path
) -> None:
    keys, symbols = Keyspace().of_shard(0, 8), ("BTC-USD", "ETH-USD", "SOL-USD")
    came, empty = ("XRP-USD", "ADA-USD"), set(range(8)) - {keys.shard_of(symbol) for symbol in symbols}
    assert any(keys.shard_of(symbol) in empty for symbol in came), "one comes into a shard that had none"
    with (
        exchange(market_of(*symbols, *came)) as venue,
        Reader(clean_valkey) as reader,
        redis.Redis.from_url(clean_valkey) as client,
        ExitStack() as stack,
    ):
        both = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            it = Configured(tmp_path / name, venue, clean_valkey)
            it.write(*symbols, venue_shards=8)
            both.append((it, stack.enter_context(livecache("run", cwd=it.directory, env=it.env))))

        def holders() -> list[str]:
            leases = client.mget([keys.lease_of(shard) for shard in range(8)])
            return [holder_of(lease) or "" for lease in leases]

        def even() -> bool:
            return "" not in holders() and sorted(Counter(holders()).values()) == [4, 4]

        until("both hold their part", even)
        until("all can be read", lambda: can_read(reader, *((symbol, "5m") for symbol in symbols)))
        refused: list[str] = []
        wanted = ("XRP-USD", "BTC-USD", "ADA-USD", "SOL-USD")
        before = holders()
        for it, service in both:
            it.write(*wanted, venue_shards=12)
            done = it.reload()
            assert done.returncode == 0, done.stderr
            assert "  venues.coinbase.symbols: +XRP-USD +ADA-USD -ETH-USD" in done.stdout
            assert "with the next start only: venues.coinbase.shards" in done.stdout
            assert service.event("restart_needed")["settings"] == ["venues.coinbase.shards"]
            refused += [s for s in ("BTC-USD", "SOL-USD") if not can_read(reader, (s, "5m"))]
        until("what came can be read", lambda: can_read(reader, *((symbol, "5m") for symbol in wanted)))
        refused += [s for s in ("BTC-USD", "SOL-USD") if not can_read(reader, (s, "5m"))]
        assert refused == [], "of the others nobody notices"
        until("what went is told", lambda: symbols_of(reader) == wanted)
        with pytest.raises(UnknownSeries, match="taken out of the configuration"):
            reader.candles("ETH-USD", "5m", 60)
        assert holders() == before, "nothing was moved for it"
        with livecache("check", env={"LIVECACHE_REDIS_URL": clean_valkey}) as check:
            assert check.ended() == 0, check.story()
        both[1][1].stop()
        until("the other holds all", lambda: all(f"-{both[0][1].pid}-" in holder for holder in holders()))
        until("all of it", lambda: can_read(reader, *((symbol, "5m") for symbol in wanted)))
        assert not any(service.events("engine_ended") for _, service in both)
