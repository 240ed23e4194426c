"""What an engine is told of what is configured, where the venue and other settings have a say in it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import redis.asyncio

from livecache.app import assemble
from livecache.clock import SystemClock
from livecache.config.load import check
from livecache.config.render import Loaded
from livecache.engine.fleet import Place
from livecache.engine.limiter import Urgency
from livecache.errors import ConfigError
from livecache.http.watch.instance import Instance
from livecache.model.policy import Policy
from livecache.model.timeframe import Timeframe
from livecache.model.traits import Served
from livecache.process.reloading import Reloading
from livecache.venues.coinbase import venue
from livecache.venues.coinbase.traits import TRAITS
from tests.simulation.virtual import VirtualClock, run_virtually


def policy(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "config.toml"
    path.write_text(text)
    loaded, wrong = check(path, {})
    assert wrong == []
    engine, _ = assemble(loaded.config, redis.asyncio.Redis(), SystemClock())
    return engine.settings.policy


def test_a_bucket_settles_as_late_as_the_venue_needs_or_as_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert policy(tmp_path, "").settle_delay_ms == 10_000
    monkeypatch.setattr(venue, "TRAITS", replace(TRAITS, settle_delay_ms=30_000))
    assert policy(tmp_path, "").settle_delay_ms == 30_000
    assert policy(tmp_path, "[venues.coinbase]\nsettle_delay = 0").settle_delay_ms == 0


@pytest.mark.parametrize(
    ("text", "confirm_after_ms"),
    [
        ("", 480_000),
        ("[cache]\nmax_lag = 300", 240_000),
        ("[cache]\nmax_lag = 30", 0),
        ("[cache]\nmax_lag = 3600", 480_000),
        ("[cache]\nmax_lag = 3600\n[venues.coinbase]\nconfirm_after = 1800", 1_800_000),
        ("[venues.coinbase]\nconfirm_after = 0", 0),
    ],
)
def test_the_feeds_word_stands_for_eight_minutes_or_as_long_as_readers_wait_less_one(
    tmp_path: Path, text: str, confirm_after_ms: int
) -> None:
    assert policy(tmp_path, text).confirm_after_ms == confirm_after_ms


def test_requests_keep_to_what_the_user_says_whatever_the_venue_allows(tmp_path: Path) -> None:
    async def starts(text: str, count: int) -> list[float]:
        path = tmp_path / "config.toml"
        path.write_text(f"[venues.coinbase]\n{text}")
        engine, _ = assemble(check(path, {})[0].config, redis.asyncio.Redis(), VirtualClock(1_000.0))
        made = [(await engine.limiter.acquire(Urgency.LIVE)).started for _ in range(count)]
        told = engine.live.feed_status()
        assert int(told["requests_this_hour"]) == sum(made[-1] - 3_600 < start for start in made)
        assert told["requests_per_hour"] == ("7" if "hour" in text else "0")
        return made

    spaced = run_virtually(starts("least_delay = 2.5", 20))
    assert all(late - early >= 2.5 - 1e-6 for early, late in pairwise(spaced))
    hourly = run_virtually(starts("requests_per_hour = 7", 30))
    assert all(late - early >= 3_600 - 1e-6 for early, late in zip(hourly, hourly[7:], strict=False))
    both = run_virtually(starts("least_delay = 2.5\nrequests_per_hour = 7", 30))
    assert both[-1] - both[0] == pytest.approx(4 * 3_600 + 2.5)


def test_what_one_venue_does_not_serve_refuses_a_reload_before_anything_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        venue, "TRAITS", replace(TRAITS, served={Timeframe.H1: Served(300)}, carries=(), trades=False)
    )
    path = tmp_path / "config.toml"

    def load(timeframes: str) -> Loaded:
        """The second venue has them; the first has other symbols each time."""
        first = f'[venues.coinbase]\nsymbols = ["BTC-USD", "{len(timeframes)}-USD"]\ntimeframes = ["1h"]\n'
        path.write_text(f'{first}[venues.second]\nkind = "coinbase"\nsymbols = ["BTC-USD"]\n{timeframes}')
        loaded, wrong = check(path, {})
        assert wrong == []
        return loaded

    running, other, unserved = map(
        load, ('timeframes = ["1h"]', 'timeframes = ["4h"]', 'timeframes = ["1m"]')
    )
    instance = Instance(running.config, SystemClock())
    instance.places = {name: Place() for name in running.config.venues}
    engines = {}
    for name in instance.places:
        engines[name], instance.changes[name, None] = assemble(
            running.config, redis.asyncio.Redis(), SystemClock(), venue=name
        )
    before = {name: engine.settings for name, engine in engines.items()}
    with pytest.raises(ConfigError, match=r"^second: 1m candles are not to be had"):
        Reloading(instance, lambda: unserved).reload()
    assert instance.config is running.config
    assert {name: engine.settings for name, engine in engines.items()} == before
    Reloading(instance, lambda: other).reload()
    assert engines["second"].settings.timeframes == (Timeframe.H4,)
    assert engines["coinbase"].settings.symbols == other.config.venues["coinbase"].symbols


def test_a_service_loads_neither_an_extra_nor_another_venue_than_its_own() -> None:
    """Its start and its memory are those of what is configured."""
    script = """if True:
        import sys
        import redis.asyncio
        from livecache.app import assemble
        from livecache.clock import SystemClock
        from livecache.config.schema import Config
        from livecache.venues.registry import settings_of
        kinds = "coinbase", "binance", "deribit"
        for number, kind in enumerate(kinds):
            config = Config(venues={kind: settings_of(kind)()})
            engine, _ = assemble(config, redis.asyncio.Redis(), SystemClock())
            assert engine.venue.feeds(config.venues[kind].symbols, {}, trades=False)
            others = {f"livecache.venues.{other}" for other in (*kinds[number + 1:], "by_ccxt")}
            extras = {"ccxt", "numpy", "pandas", "polars", "sqlite3", "livecache.history"}
            print(kind, "loads:", sorted((others | extras) & set(sys.modules)))
    """
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == [f"{kind} loads: []" for kind in ("coinbase", "binance", "deribit")]


def test_a_service_that_keeps_history_loads_what_that_takes_only_once_the_cache_is_warm() -> None:
    script = """if True:
        import sys
        from livecache.history.service.log_keeper import LogKeeper
        from livecache.history.service.service import HistoryService
        print(sorted({"numpy", "sqlite3"} & set(sys.modules)))
    """
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
