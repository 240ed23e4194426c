"""`livecache demo`, as somebody who has just installed it meets it."""

from __future__ import annotations

import json
import pickle
import re
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import redis

from livecache import ConfigError, Reader, RedisUnavailable
from livecache.__main__ import main
from livecache.embedded.server import EmbeddedServer
from livecache.embedded.state import announce_demo
from livecache.wire.connecting import resolve_url

from ..http.support import metrics
from .screen import on_a_terminal
from .support import livecache, until

WITHIN_S = 240.0
"""A demo of 25 markets needs a quarter of a core; a host that has none to spare takes its time."""


def answer_of(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.mark.takes(20)
def test_the_demo_warms_up_goes_live_and_sums_up() -> None:
    with livecache("demo") as demo:
        demo.line("livecache demo: 25 symbols × 5 timeframes")
        assert len(demo.output) == 1 or demo.output[0].startswith("livecache demo: "), "said before all else"
        page = re.search(r"http://127\.0\.0\.1:\d+", demo.line("see it in a browser"))
        assert page is not None
        demo.event("warm", WITHIN_S)
        # Every five seconds 25 candles of 5m close; the first are closed by history.
        until(
            "all symbols have closed a bucket live",
            lambda: metrics(page[0]).one("closes_written_total") >= 50,
            WITHIN_S,
            every_s=0.5,
        )
        demo.stop()
    match = re.fullmatch(
        r"125 of 125 series ready, warm after (\d+\.\d) s; "
        r"(\d+) candle requests, (\d+) refused; (\d+) candles closed live",
        demo.output[-3],
    )
    assert match, demo.story()
    warm_s, requests, refused, closed = (float(number) for number in match.groups())
    assert requests >= 75
    assert warm_s >= 75 / 10, "as fast as the exchange allows"
    # All of it runs in one process here, so where the machine is busy requests may bunch; never for long.
    assert refused <= requests / 5
    assert closed >= 25
    assert demo.errors == [], demo.story()


def test_on_a_small_terminal_the_address_stays_below_what_is_told(tmp_path: Path) -> None:
    # Its own folder: somebody else's demo on this machine is none of ours.
    env = {"XDG_DATA_HOME": str(tmp_path)}
    with on_a_terminal("demo", "--symbols", "2", env=env, columns=80, rows=24) as screen:
        screen.shows("filling up to 100 candles: ", WITHIN_S)
        screen.shows("warm: ", WITHIN_S)
        screen.shows("http://127.0.0.1:", WITHIN_S, below="warm: ")
        screen.shows('Reader("demo")', WITHIN_S, below="warm: ")
        screen.process.send_signal(signal.SIGINT)
        assert screen.ended(60.0) in (0, 130)


@pytest.mark.parametrize("venue", ["coinbase", "yahoo"])
def test_the_demo_ends_by_itself_when_it_is_told_after_how_many_seconds(venue: str) -> None:
    with livecache("demo", "--symbols", "1", "--seconds", "1", "--venue", venue) as demo:
        assert demo.ended() in (0, 1), demo.story()
        assert "candle requests" in demo.output[-3]
        assert demo.output[-1].startswith("Next: `livecache doctor`")


def test_the_demo_touches_nothing_that_is_configured_and_only_who_asks_for_it_reads_it(
    clean_valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = {
        "LIVECACHE_REDIS_URL": clean_valkey,
        "LIVECACHE_CACHE_CANDLES": "1000",
        "XDG_DATA_HOME": str(tmp_path),
    }
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("LIVECACHE_REDIS_URL", raising=False)
    with livecache("demo", "--symbols", "2", env=env) as demo:
        page = re.search(r"http://127\.0\.0\.1:\d+", demo.line("see it in a browser"))
        assert page is not None
        assert demo.line("read it in Python").endswith('Reader("demo")')
        assert demo.line("look into it").endswith("--redis-url demo")
        assert demo.line("scroll its chart back")
        demo.event("warm", WITHIN_S)
        with Reader("demo") as reader, pickle.loads(pickle.dumps(reader)) as again:
            assert len(reader.candles("BTC-USD", "5m", 60)) == len(again.candles("BTC-USD", "5m", 60)) == 60
        days = f"{page[0]}/api/v1/candles?symbol=BTC-USD&timeframe=1d&limit=200&partial=true"
        two_years_ago = int((time.time() - 2 * 365 * 86_400) * 1000)
        until(
            "days of two years ago are there",
            lambda: len(answer_of(f"{days}&before={two_years_ago}")["candles"]) == 200,
            WITHIN_S,
            every_s=0.5,
        )
        # A program for real money that finds its service gone gets an error, not a made-up market.
        with (
            Reader() as real,
            pytest.raises(RedisUnavailable, match=r'a demo runs here, which only Reader\("demo"'),
        ):
            real.candles("BTC-USD", "5m", 60)
        demo.stop()
        assert demo.output[-3].startswith("10 of 10 series ready")
    with redis.Redis.from_url(clean_valkey) as client:
        assert client.dbsize() == 0
    with Reader("demo") as reader, pytest.raises(RedisUnavailable, match="no demo runs here"):
        reader.candles("BTC-USD", "5m", 60)


def test_a_second_demo_leaves_the_first_one_to_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with EmbeddedServer(temporary=True) as first, EmbeddedServer(temporary=True) as second:
        with announce_demo(first.data_dir) as found:
            assert found and resolve_url("demo") == first.url
            with announce_demo(second.data_dir) as found_too:
                assert not found_too
            assert resolve_url("demo") == first.url
        with announce_demo(second.data_dir) as found:
            assert found and resolve_url("demo") == second.url
    with pytest.raises(RedisUnavailable, match="no demo runs here"):
        resolve_url("demo")


def test_nothing_but_a_reader_that_says_so_can_be_pointed_at_a_demo(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVECACHE_REDIS_URL", "demo")
    with pytest.raises(ConfigError, match="is not a URL"):
        resolve_url(None)
    assert main(["run", "--redis-url", "demo"]) == 2
    assert "the demo's Redis is its own" in capsys.readouterr().err
