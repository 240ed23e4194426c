"""The URL of a Redis: what is understood, and what is told of one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from livecache.config.render import redact
from livecache.redis_url import OPTIONS, SCHEMES, parse_cluster, parse_sentinels, url_problem


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://",
        "redis://user:p%40ss@host:6380/3?client_name=me",
        "redis://[::1]:6379/0",
        "rediss://host?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=no",
        "unix:///run/redis/redis.sock?db=2",
        "unix://user:secret@/run/redis.sock",
        "redis+sentinel://one/mymaster",
        "redis+cluster://one",
        "rediss+cluster://u:p@one:6380,[::1]/0?read_from=replica&ssl_ca_certs=/ca.pem",
        "rediss+sentinel://u:p@one:26380,[::1]:26381/mymaster/2?sentinel_password=s&ssl_ca_certs=/ca.pem",
    ],
)
def test_a_url_of_each_kind_is_understood(url: str) -> None:
    assert url_problem(url) is None


@pytest.mark.parametrize(
    ("url", "what", "hint"),
    [
        ("localhost:6379", "is not a URL", "begins with redis://"),
        ("http://host", "the scheme 'http'", "redis+sentinel://"),
        ("valkey://host", "the scheme 'valkey'", "write redis://"),
        ("redis://host:port", "port is not a number", "scheme://host:port"),
        ("redis://host:70000", "port is not a number", ""),
        ("redis://[::1", "is not a URL", ""),
        ("redis://host/first", "database is not a number", "behind the last slash"),
        ("unix://run/redis.sock", "names no socket", "unix:///run"),
        ("unix://", "names no socket", "absolute"),
        ("redis+sentinel://host:26379", "does not name the master", "/master"),
        ("redis+sentinel:///mymaster", "a Sentinel without a host", "host:26379,host:26379/master"),
        ("redis+sentinel://a,,b/mymaster", "a Sentinel without a host", ""),
        ("redis+sentinel://a,b:x/mymaster", "port is not a number", ""),
        ("redis+sentinel://a/mymaster/0/1", "database is not a number", ""),
        ("redis+sentinel://a/mymaster/x", "database is not a number", ""),
        ("redis+cluster://one/1", "names a database", "leave the number out"),
        ("redis+cluster://one?db=1", "names a database", "leave the number out"),
        ("redis+cluster://one,,two", "a node without a host", "host:6379,host:6379"),
        ("redis+cluster://one:x", "port is not a number", ""),
        ("redis+cluster://one?read_from=any", "read_from is unknown", "replica"),
        ("redis://one?read_from=replica", "without a cluster", "redis+cluster://"),
        ("rediss://host?ssl_ca_cert=/ca.pem", "unknown option 'ssl_ca_cert'", "did you mean ssl_ca_certs?"),
        ("redis://host?decode_responses=1", "unknown option 'decode_responses'", "one of client_name"),
        ("redis://host?ssl_ca_certs=/ca.pem", "ssl_ca_certs without TLS", "rediss://"),
        ("redis://host?sentinel_password=x", "without Sentinels", "redis+sentinel://"),
        ("rediss://host?ssl_cert_reqs=never", "ssl_cert_reqs is unknown", "none, optional, required"),
        ("rediss://host?ssl_ca_certs=", "ssl_ca_certs is empty", "leave it out"),
    ],
)
def test_what_is_wrong_with_a_url_is_told_with_a_hint(url: str, what: str, hint: str) -> None:
    problem = url_problem(url)
    assert problem is not None
    assert what in problem[0]
    assert hint in problem[1]


def test_what_a_clusters_url_says() -> None:
    nodes = parse_cluster("rediss+cluster://u:p%40@one,[::1]:7000?read_from=replica&socket_timeout=3")
    assert nodes is not None
    assert nodes.addresses == (("one", 6379), ("::1", 7000))
    assert nodes.server_url == "rediss://u:p%40@node?socket_timeout=3"
    assert nodes.from_replicas
    assert parse_cluster("redis://one") is None


def test_no_password_is_in_what_is_told() -> None:
    for url in (
        "redis://u:s3cret@host:port",
        "redis+sentinel://u:s3cret@one:x/m",
        "redis://host/0?password=s3cret&x=s3cret",
        "redis://u:s3cret@host/db",
        "s3cret",
    ):
        problem = url_problem(url)
        assert problem is not None
        assert "s3cret" not in "".join(problem)


def test_passwords_of_every_kind_are_hidden_in_logs() -> None:
    told = redact(
        "rediss+sentinel://u:s3cret@a:1,b:2/m?sentinel_password=s3cret&ssl_password=s3cret&db=1 was away"
    )
    assert "s3cret" not in told
    assert told.endswith("&db=1 was away")


def test_a_sentinel_url_tells_whom_to_ask_and_how_to_log_in_where_they_lead() -> None:
    url = (
        "rediss+sentinel://me:p%40ss@one,two:26380,[::1]/my%20master/3"
        "?sentinel_username=it&sentinel_password=s%26s&ssl_ca_certs=/etc/a%20ca.pem"
    )
    said = parse_sentinels(url)
    assert said is not None
    assert said.addresses == (("one", 26379), ("two", 26380), ("::1", 26379))
    assert said.master == "my master"
    assert said.server_url == "rediss://me:p%40ss@master/3?ssl_ca_certs=/etc/a%20ca.pem"
    assert (said.username, said.password) == ("it", "s&s")
    assert parse_sentinels("redis://host/0") is None


def test_the_page_about_redis_names_every_kind_of_url_and_every_option() -> None:
    page = (Path(__file__).parents[1] / "docs/redis.md").read_text()
    assert [scheme for scheme in SCHEMES if f"`{scheme}://" not in page] == []
    assert [option for option in OPTIONS if f"`{option}" not in page] == []
