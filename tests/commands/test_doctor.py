"""`livecache doctor`: what is wrong is found, with what mends it; what is right too; no secret is told."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from livecache.__main__ import main
from livecache.commands.doctor.diagnosis import (
    Diagnosis,
    Outcome,
    failed,
    lines,
    noted,
    right,
    without_secrets,
)
from livecache.commands.doctor.redis import CLUSTER_COMMANDS, COMMANDS
from livecache.commands.doctor.report import examine
from livecache.config.load import load
from livecache.config.render import Loaded
from livecache.errors import ConfigError
from livecache.history.opening import open_history
from livecache.keys.keyspace import LeaseRecord, encode_lease
from livecache.model.series import SeriesId
from livecache.model.timeframe import Timeframe
from livecache.quality.findings import Options
from livecache.simulator.coinbase.auth import KeyRing, throwaway_key

from ..e2e.support import Exchange, exchange, free_port, market_of
from ..e2e.test_access import allowed, as_user, guarded
from ..history.pg import Postgres
from ..http.api import served
from .support import KEYS

pytestmark = pytest.mark.usefixtures("logs_end")


class Patient:
    """Whom the doctor sees: an environment."""

    def __init__(self, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._capsys = capsys

    def set(self, **variables: object) -> None:
        for name, value in variables.items():
            self._patch.setenv(f"LIVECACHE_{name}", str(value))

    def seen(self, *options: str) -> tuple[int, list[Diagnosis]]:
        """The exit code, and what was found."""
        code = main(["doctor", "--json", *options])
        output, errors = self._capsys.readouterr()
        assert errors == ""
        told = json.loads(output)
        assert told["ok"] == (code == 0)
        return code, [Diagnosis(**{**one, "outcome": Outcome(one["outcome"])}) for one in told["checks"]]

    def wrong(self, *options: str) -> dict[str, Diagnosis]:
        """What is wrong, by its part; at least one thing is."""
        code, found = self.seen(*options)
        bad = {one.part: one for one in found if one.outcome is Outcome.WRONG}
        assert code == 1 and bad, found
        assert all(one.message and one.remedy for one in bad.values())
        return bad


@pytest.fixture(scope="module")
def venue() -> Iterator[Exchange]:
    with exchange(market_of("BTC-USD", "ETH-USD", "THIN-USD:thin")) as running:
        yield running


@pytest.fixture
def patient(
    store: redis.Redis,
    venue: Exchange,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Patient:
    """One who lacks nothing."""
    one = Patient(monkeypatch, capsys)
    one.set(
        VENUES_COINBASE_REST_URL=venue.rest_url,
        VENUES_COINBASE_WS_URL=venue.ws_url,
        VENUES_COINBASE_SYMBOLS="BTC-USD,ETH-USD",
        HTTP_LISTEN="127.0.0.1:0",
    )
    return one


def test_where_nothing_is_wrong_every_part_says_so_and_nothing_is_written(
    patient: Patient, store: redis.Redis
) -> None:
    code, found = patient.seen()
    assert code == 0
    assert [one.part for one in found] == [
        *("configuration", "token", "port", "redis", "redis clock", "redis user", "redis settings"),
        *("keys", "rest", "clock", "key", "symbols", "feed"),
    ]
    assert {one.outcome for one in found} == {Outcome.RIGHT}
    assert "BTC-USD, ETH-USD: listed, and they trade" in [one.message for one in found]
    assert store.keys() == []


def test_an_unknown_symbol_is_named_with_its_neighbours_and_the_others_are_right(patient: Patient) -> None:
    patient.set(VENUES_COINBASE_SYMBOLS="WRONG-USD,BTC-USD,THINN-USD")
    code, found = patient.seen()
    assert code == 1
    bad = [one for one in found if one.outcome is Outcome.WRONG]
    assert [one.part for one in bad] == ["symbol", "symbol"]
    assert bad[0].message.startswith("WRONG-USD: ") and bad[1].message.startswith("THINN-USD: ")
    assert "did you mean THIN-USD?" in bad[1].remedy
    assert "BTC-USD: listed, and they trade" in [one.message for one in found]
    assert "sends candles of BTC-USD" in next(one.message for one in found if one.part == "feed")


def test_a_wrong_address_of_the_exchange_is_told_and_what_depends_on_it_is_not_called_wrong(
    patient: Patient,
) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    patient.set(VENUES_COINBASE_REST_URL=f"http://{nobody}", VENUES_COINBASE_WS_URL=f"ws://{nobody}")
    code, found = patient.seen()
    outcomes = {one.part: one.outcome for one in found}
    assert code == 1
    assert (outcomes["rest"], outcomes["symbols"], outcomes["feed"]) == ("wrong", "skipped", "wrong")
    assert (outcomes["redis"], outcomes["redis user"]) == ("right", "right"), "one hides nothing of another"


def test_an_exchange_that_has_banned_the_service_is_not_asked(patient: Patient, store: redis.Redis) -> None:
    store.set(KEYS.ban, int(time.time() * 1000) + 600_000)
    patient.set(VENUES_COINBASE_REST_URL="http://127.0.0.1:1")  # where nobody answers
    bad = patient.wrong()
    assert "banned this address until" in bad["rest"].message
    assert "symbols" not in bad and "feed" not in bad
    store.set(KEYS.ban, int(time.time() * 1000) - 1)
    assert "banned" not in patient.wrong()["rest"].message


def test_without_a_network_that_is_what_is_told(patient: Patient) -> None:
    patient.set(VENUES_COINBASE_REST_URL="https://rest.invalid", VENUES_COINBASE_WS_URL="wss://feed.invalid")
    bad = patient.wrong()
    assert set(bad) == {"network", "rest", "feed"}
    assert "no network here, or no DNS" in bad["network"].message


def test_a_key_that_the_exchange_refuses_is_told_and_never_shown(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = throwaway_key("ec"), throwaway_key("ec")
    one = Patient(monkeypatch, capsys)
    with exchange(market_of("BTC-USD"), keys=KeyRing(theirs)) as venue:
        one.set(
            VENUES_COINBASE_REST_URL=venue.rest_url,
            VENUES_COINBASE_WS_URL=venue.ws_url,
            VENUES_COINBASE_SYMBOLS="BTC-USD",
            HTTP_LISTEN="off",
            COINBASE_KEY_NAME=ours.name,
            COINBASE_KEY_SECRET=ours.secret,
        )
        bad = one.wrong()
        assert "portal.cdp.coinbase.com" in bad["key"].remedy
        assert "PRIVATE" not in repr(bad)
        one.set(COINBASE_KEY_NAME=theirs.name, COINBASE_KEY_SECRET=theirs.secret)
        code, found = one.seen()
        assert (code, next(f.outcome for f in found if f.part == "key")) == (0, Outcome.RIGHT)
        one.set(COINBASE_KEY_SECRET="hunter2-is-no-key")
        bad = one.wrong()
        assert set(bad) == {"key"} and "hunter2" not in repr(bad)


def test_a_wrong_password_or_none_is_told_without_it(patient: Patient, store: redis.Redis) -> None:
    address = os.environ["LIVECACHE_REDIS_URL"].removeprefix("redis://")
    patient.set(REDIS_URL=f"redis://somebody:s3cret@{address}")
    bad = patient.wrong()
    assert set(bad) == {"redis"} and "user and password" in bad["redis"].remedy
    assert "s3cret" not in repr(bad)
    patient.set(REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    assert set(patient.wrong()) == {"redis"}


def test_what_the_user_may_not_do_is_named_command_by_command(patient: Patient, tmp_path: Path) -> None:
    with guarded(tmp_path) as server:
        patient.set(REDIS_URL=as_user(server, "writer"), REDIS_PREFIX="livecache")
        code, found = patient.seen()
        assert code == 0, found
        patient.set(REDIS_PREFIX="elsewhere")
        assert "may not use type, get, set" in patient.wrong()["redis user"].message, "its keys are others"
        patient.set(REDIS_URL=as_user(server, "operator"), REDIS_PREFIX="livecache")
        bad = patient.wrong()["redis user"]
        for command in ("set", "hset", "zadd", "xadd", "publish", "persist"):
            assert f" {command}," in f" {bad.message}," or f"+{command}" in bad.remedy
        assert "hgetall" not in bad.message
        with redis.Redis.from_url(as_user(server, "admin")) as client:
            client.execute_command("ACL", "SETUSER", "writer", "-eval")
        patient.set(REDIS_URL=as_user(server, "writer"))
        assert "may not run scripts" in patient.wrong()["redis user"].message


def test_the_commands_that_are_asked_about_are_those_of_the_writer() -> None:
    asked = {command[0] for command in (*COMMANDS, *CLUSTER_COMMANDS)}
    known = {name.replace("cluster|slots", "cluster") for name in allowed("writer")}
    assert asked == known - {"hello", "auth", "client|setinfo"}


def test_a_server_that_evicts_or_holds_somebody_elses_keys_is_wrong(
    patient: Patient, store: redis.Redis
) -> None:
    before: Any = store.config_get("maxmemory*")
    store.config_set("maxmemory", 500_000_000)
    store.config_set("maxmemory-policy", "allkeys-lru")
    store.set(KEYS.series, "what is this?")
    try:
        bad = patient.wrong()
        assert set(bad) == {"redis settings", "keys"}
        assert bad["redis settings"].remedy == "livecache redis CONFIG SET maxmemory-policy noeviction"
        assert KEYS.series in bad["keys"].message
        told = patient.wrong("--config", os.devnull)["redis settings"].remedy
        assert told == f"livecache redis --config {os.devnull} CONFIG SET maxmemory-policy noeviction"
    finally:
        for name, value in before.items():
            store.config_set(name, value)


def test_who_writes_now_is_told(patient: Patient, store: redis.Redis) -> None:
    store.set(KEYS.lease, encode_lease(LeaseRecord("vm-7-0aff1e", 1)))
    _, found = patient.seen()
    assert "vm-7-0aff1e writes now" in next(one.message for one in found if one.part == "keys")


def test_a_taken_port_is_wrong_unless_livecache_has_it(patient: Patient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        patient.set(HTTP_LISTEN=f"127.0.0.1:{other.getsockname()[1]}")
        bad = patient.wrong()["port"]
        assert "is taken, and not by livecache" in bad.message and "LIVECACHE_HTTP_LISTEN" in bad.remedy
    url = os.environ["LIVECACHE_REDIS_URL"]
    with served(url) as server:
        patient.set(HTTP_LISTEN=server.url.removeprefix("http://"))
        code, found = patient.seen()
        port = next(one for one in found if one.part == "port")
        assert (code, port.outcome) == (0, Outcome.RIGHT)
        assert "(here-1-0aff1e) answers there already" in port.message
        patient.set(REDIS_URL=url.removesuffix("/0") + "/7")
        code, found = patient.seen()
        port = next(one for one in found if one.part == "port")
        assert (code, port.outcome) == (0, Outcome.NOTE)
        assert (
            "answers there already, and its Redis is" in port.message
            and "LIVECACHE_HTTP_LISTEN" in port.remedy
        )
    patient.set(HTTP_LISTEN="192.0.2.1:8787")
    assert "cannot listen" in patient.wrong()["port"].message


def test_a_data_directory_that_cannot_be_written_to_is_wrong(patient: Patient, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    patient.set(REDIS_URL="embedded", REDIS_DATA_DIR=file / "below")
    assert set(patient.wrong()) == {"data directory"}
    patient.set(REDIS_DATA_DIR=tmp_path / "not" / "yet")
    code, found = patient.seen()
    outcomes = {one.part: one.outcome for one in found}
    assert (code, outcomes["data directory"], outcomes["redis"]) == (0, "right", "skipped")
    assert not (tmp_path / "not").exists()
    patient.set(EMBEDDED="refuse")
    assert patient.wrong()["data directory"].remedy == "set LIVECACHE_REDIS_URL"


def test_a_mistake_in_the_configuration_hides_nothing_of_the_rest(patient: Patient) -> None:
    patient.set(CACHE_CANDLES="lots", LOG_LEVEL="LOUD")
    code, found = patient.seen()
    assert code == 1
    assert [one.part for one in found if one.outcome is Outcome.WRONG] == 2 * ["configuration"]
    assert sum(one.outcome is Outcome.RIGHT for one in found) > 8


def test_a_bad_token_is_told_without_it(patient: Patient) -> None:
    patient.set(HTTP_TOKEN="s3cret")
    bad = patient.wrong()
    assert set(bad) == {"token"} and "s3cret" not in repr(bad)


# --- how it is told


def plain_loaded() -> Loaded:
    return load(Path(os.devnull), {})


def examined(probes: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> tuple[bool, list[str]]:
    async def main() -> tuple[list[Diagnosis], bool]:
        return await examine(
            plain_loaded(), [ConfigError("a", "b")], probes, options=Options(), tell=True, within_s=0.2
        )

    _, hangs = asyncio.run(main())
    return hangs, capsys.readouterr().out.splitlines()


def test_one_that_hangs_or_fails_as_it_should_not_is_told_and_hides_nothing_of_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def hangs(_: Loaded) -> list[Diagnosis]:
        await asyncio.Event().wait()
        return []

    async def breaks(_: Loaded) -> list[Diagnosis]:
        raise ValueError("redis://u:s3cret@host")

    async def fine(_: Loaded) -> list[Diagnosis]:
        return [right("third", "here")]

    late, told = examined({"first": hangs, "second": breaks, "third": fine}, capsys)
    assert late
    assert [line.split()[1] for line in told if not line.startswith("  ")] == [
        *("configuration", "first", "second", "third")
    ]
    assert "s3cret" not in "\n".join(told)


def test_a_line_has_its_mark_and_the_remedy_stands_below() -> None:
    some = [right("a", "is"), failed("b", "is not", "do this"), noted("c", "so so")]
    assert list(lines(some, plain=False)) == [
        "✓ a              is",
        "✗ b              is not",
        "                 → do this",
        "! c              so so",
    ]
    ascii_lines = "\n".join(lines(some, plain=True))
    assert ascii_lines.isascii() and "WRONG b" in ascii_lines


def test_nothing_that_is_told_breaks_a_line_or_holds_a_password() -> None:
    told = without_secrets(failed("a", "redis://u:s3cret@h\n\tx", "see\n?password=s3cret"))
    assert "s3cret" not in repr(told) and "\n" not in told.message + told.remedy


def test_the_store_of_years_is_there_or_can_be_and_may_be_written_to(
    patient: Patient, postgres: Postgres, tmp_path: Path
) -> None:
    def told() -> str:
        code, found = patient.seen()
        assert code == 0, found
        return next(one.message for one in found if one.part == "history")

    patient.set(HISTORY_URL=f"sqlite:///{tmp_path}/history.db")
    assert "the service makes it" in told() and not list(tmp_path.iterdir())
    patient.set(HISTORY_URL=postgres.fresh("looked_at"))
    assert "the service makes it" in told() and "the service makes it" in told(), "and nobody else"
    place = postgres.place("looked_at")
    with closing(open_history(place)) as store:
        store.series(SeriesId("coinbase", "BTC-USD", Timeframe.H1), create=True)
    assert told() == f"{place} can be written to, and has 1 series"
    with psycopg.connect(place.url, autocommit=True) as db:
        db.execute("DROP ROLE IF EXISTS looker")
        db.execute("CREATE ROLE looker LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker")
        try:
            patient.set(HISTORY_URL=postgres.url("looked_at", "looker"))
            bad = patient.wrong()["history"]
            assert "permission denied" in bad.message and "history roles" in bad.remedy
        finally:
            db.execute("DROP OWNED BY looker; DROP ROLE looker")
    patient.set(HISTORY_URL=f"postgresql://me:s3cret@127.0.0.1:{free_port()}/candles")
    bad = patient.wrong()["history"]
    assert "refused" in bad.message and "s3cret" not in f"{bad.message} {bad.remedy}"
