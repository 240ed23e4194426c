"""Who answers here: to whom how much of it is told, and never a password."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest

from livecache.config.load import load
from livecache.config.render import Loaded, source_of
from livecache.config.schema import Config
from livecache.history.service.standing import Standing
from livecache.redis_url import address_of

from .api import Served, served
from .support import ask

TOKEN = "a-token-of-thirty-two-characters"


def test_the_service_tells_its_version_name_age_redis_and_configuration(store: Any, server: Served) -> None:
    answer = ask(server.url, "/api/v1/service")
    assert answer.status == 200
    who = answer.content
    assert (who["version"], who["instance"], who["role"]) == (
        version("livecache"),
        "here-1-0aff1e",
        "writing",
    )
    assert (who["config"], who["prefix"], who["venue"]) == ("config.toml", "livecache", "coinbase")
    assert who["redis"].startswith("redis://") and "@" not in who["redis"]
    assert 0 <= who["uptime_s"] < 600 and who["started_at"] > 1_600_000_000_000


def test_an_instance_between_two_services_still_says_who_it_is(store: Any, server: Served) -> None:
    server.leave()
    who = ask(server.url, "/api/v1/service").content
    assert (who["version"], who["role"], who["instance"], who["redis"]) == (
        version("livecache"),
        "starting",
        "",
        "",
    )
    assert ask(server.url, "/healthz").content["version"] == version("livecache")


def test_health_tells_a_stranger_no_more_than_version_and_age(clean_valkey: str) -> None:
    with served(clean_valkey, token=TOKEN) as server:
        stranger = ask(server.url, "/healthz").content
        known = ask(server.url, "/healthz", Authorization=f"Bearer {TOKEN}").content
        assert ask(server.url, "/api/v1/service").status == 401
    assert set(stranger) == {"alive", "role", "version", "uptime_s", "reasons"}
    assert set(known) - set(stranger) == {"instance", "redis", "config"}


def test_health_tells_programs_of_this_machine_and_no_web_page_of_another_site(
    store: Any, server: Served
) -> None:
    assert ask(server.url, "/healthz").content["instance"] == "here-1-0aff1e"
    elsewhere = ask(server.url, "/healthz", Origin="http://evil.example").content
    assert "instance" not in elsewhere and elsewhere["alive"]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://user:s3cret@host:6379/1?password=s3cret", "redis://host:6379/1"),
        ("redis://user:s3@cret@host?password=s3@cret", "redis://host"),
        ("redis://:s3/c#r?e@t@host", ""),
        ("rediss://s3cret@[::1]:6380", "rediss://[::1]:6380"),
        ("unix://user:s3cret@/run/redis.sock?db=1&password=s3cret", "unix:///run/redis.sock"),
        (
            "redis+sentinel://u:s3cret@a:1,b:2/main/3?sentinel_password=s3cret",
            "redis+sentinel://a:1,b:2/main/3",
        ),
        ("s3cret", ""),
    ],
)
def test_an_address_never_holds_a_password(url: str, address: str) -> None:
    assert address_of(url) == address


def test_the_source_names_the_file_and_what_wins_over_it_and_no_value() -> None:
    env = {"LIVECACHE_REDIS_URL": "redis://:s3cret@host", "LIVECACHE_CACHE_CANDLES": "200"}
    told = source_of(load(None, env, {"redis.prefix": "mine"}))
    assert told.endswith(", under LIVECACHE_CACHE_CANDLES, LIVECACHE_REDIS_URL, --prefix")
    many = Loaded(
        Config(), "config.toml", {f"a.{n}": f"LIVECACHE_{n}" for n in range(9)} | {"b": "config.toml"}
    )
    assert source_of(many).endswith("LIVECACHE_2, 6 more")
    assert source_of(Loaded(Config(), "config.toml", {"b": "config.toml"})) == "config.toml"


def test_a_history_that_cannot_be_kept_is_told_and_measured(store: Any, server: Served) -> None:
    assert "history" not in ask(server.url, "/api/v1/service").content
    standing = Standing({None: "redis://u:s3cret@host/0: the disk is full"}, copied=5)
    server.keep({"coinbase": standing})
    told = ask(server.url, "/api/v1/service").content["history"]["coinbase"]
    assert told.endswith("the disk is full") and "s3cret" not in told
    server.leave()
    metrics = ask(server.url, "/metrics").content
    assert 'livecache_history_usable{venue="coinbase"} 0.0' in metrics
    assert 'livecache_history_candles_total{source="copied",venue="coinbase"} 5.0' in metrics
    standing.recovered(None)
    assert ask(server.url, "/api/v1/service").content["history"] == {"coinbase": ""}
    assert 'livecache_history_usable{venue="coinbase"} 1.0' in ask(server.url, "/metrics").content
