"""What cannot work ends at once, with one clear line and an exit code of its own; or says so and goes on."""

from __future__ import annotations

import os
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from livecache.keys.keyspace import Keyspace
from livecache.model.timeframe import Timeframe

from .servers import server
from .support import Process, Record, exchange, free_port, livecache, settings, until

KEYS = Keyspace()
NOWHERE = "http://127.0.0.1:1"


def complaint(process: Process) -> str:
    """The one complaint of a command that has ended: the error, and below it the hint."""
    assert not any("Traceback" in line for line in process.errors), process.story()
    errors = [line for line in process.errors if line.startswith("livecache: error: ")]
    assert len(errors) == 1, process.story()
    hints = [line for line in process.errors if line.startswith("  hint: ")]
    assert len(process.errors) == len(errors) + len(hints), process.story()
    return "\n".join(errors + hints)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[cache]\ncandels = 100\n", ["unknown key 'cache.candels'", "did you mean cache.candles?"]),
        ('[cache]\ntimeframes = ["5min"]\n', ["unknown timeframe '5min'", "did you mean 5m?"]),
        (
            "[venues.coinbase]\nrequests_per_second = 0\n",
            ["requests_per_second: '0' cannot be", "more than 0"],
        ),
        ('[venues.coinbase]\nsymbols = ["btc-usd"]\n', ["'btc-usd'", "did you mean BTC-USD?"]),
        ('[redis]\nurl = "valkey://h"\n', ["'valkey'", "redis://"]),
        ("[cache]\ncandles = 10\n", ["10 is less than cache.min_candles"]),
        ("[cache\n", ["is not TOML"]),
        ("[cache]\n[cache]\n", ["is not TOML: Cannot declare cache twice", "may stand once"]),
        (f"x = {'[' * 5000}{']' * 5000}\n", ["is not TOML", "nested too deeply"]),
        (f"x = {'1' * 5000}\n", ["is not TOML", "4300 digits"]),
        ("x" * 2_000_000, ["is longer than 1 MB"]),
        ("[cache]\n# caf\udce9\n", ["is not UTF-8 text (line 2)", "save it as UTF-8"]),
        ("\ufeff[cache]\ncandels = 100\n", ["unknown key 'cache.candels'"]),
        ('[log]\nlevel = "loud"\n', ["none of the choices", "TRACE, DEBUG"]),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_what_was_meant(
    tmp_path: Path, text: str, said: list[str]
) -> None:
    (tmp_path / "config.toml").write_bytes(text.encode(errors="surrogateescape"))
    with livecache("run", cwd=tmp_path) as process:
        assert process.ended() == 2
        told = complaint(process)
    assert "config.toml: " in told
    for part in said:
        assert part in told


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Path.mkdir, "cannot be read: Is a directory"),
        (lambda path: path.symlink_to("nowhere"), "no such file"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"),
        (os.mkfifo, "cannot be read: it is a pipe, and no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "cannot be read: it is a device, and no regular file"),
    ],
)
def test_what_is_no_file_does_not_silently_stand_for_the_defaults(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    """Docker makes a directory where the file to be mounted is missing."""
    make(tmp_path / "config.toml")
    with livecache("run", cwd=tmp_path) as process:
        assert process.ended() == 2
        assert f"config.toml: {said}" in complaint(process)


@pytest.mark.parametrize("setting", ["LIVECACHE_VENUES_COINBASE_KEY_FILE", "LIVECACHE_HTTP_TOKEN_FILE"])
@pytest.mark.parametrize(
    ("make", "said", "remedy"),
    [
        (os.mkfifo, "it is a pipe, and no regular file", "has to be a regular file"),
        (Path.mkdir, "Is a directory", "has to be a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device", "has to be a regular file"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links", "has to be a regular file"),
        (lambda _: None, "No such file", "its name here"),
    ],
    ids=["pipe", "directory", "device", "loop", "missing"],
)
def test_a_secret_that_is_in_no_file_ends_it_at_once_with_its_name(
    tmp_path: Path, setting: str, make: Callable[[Path], None], said: str, remedy: str
) -> None:
    """A pipe that nobody writes to would be waited for, and no signal would end that."""
    path = tmp_path / "secret"
    make(path)
    env = settings(NOWHERE, NOWHERE.replace("http", "ws"), "redis://127.0.0.1:9", ["BTC-USD"])
    with livecache("run", env={**env, "LIVECACHE_HTTP_LISTEN": "127.0.0.1:0", setting: str(path)}) as process:
        assert process.ended() == 2, process.story()
        told = complaint(process)
    assert f"{path} cannot be read: {said}" in told
    hint = told.partition("hint: ")[2]
    assert str(path) in hint and remedy in hint


@pytest.mark.parametrize(
    ("command", "key", "shards"),
    [
        ("run", KEYS.candles("ETH-USD", Timeframe.H1), 1),
        ("backfill", KEYS.lease, 1),
        ("run", KEYS.lease, 3),
        ("run", KEYS.members, 3),
    ],
)
def test_a_key_that_holds_something_else_ends_it_before_anything_is_overwritten(
    clean_valkey: str, command: str, key: str, shards: int
) -> None:
    """Said at once, though the venue cannot even be reached."""
    url = f"http://127.0.0.1:{free_port()}"
    given = {"VENUES_COINBASE_SHARDS": shards}
    env = settings(url, url.replace("http", "ws"), clean_valkey, ["BTC-USD", "ETH-USD"], **given)
    with redis.Redis.from_url(clean_valkey, decode_responses=True) as client:
        client.rpush(key, "precious")
        with livecache(command, env=env) as process:
            assert process.ended() == 4, process.story()
            told = complaint(process)
        assert f"the key {key} holds a list" in told
        assert "redis.prefix" in told
        assert client.lrange(key, 0, -1) == ["precious"]
        assert set(client.scan_iter()) <= {key, KEYS.series, KEYS.feed}, "what is configured is announced"


def test_a_redis_that_is_none_is_told_and_tried_again() -> None:
    """Another service's port, as the exchange's here."""
    with exchange() as other:
        url = other.rest_url.replace("http://", "redis://")
        told = told_by_the_service(url)
        assert told["kind"] == "InvalidResponse"
        for text in (told["message"], told_by_status(url)):
            assert "is this its address?" in text


def told_by_the_service(url: str) -> Record:
    """What a service says of a Redis that it cannot use; it goes on trying."""
    with exchange() as venue, livecache("run", env=venue.settings(url)) as service:
        told = service.event("redis_trouble")
        service.stop()
        assert service.errors == [], service.story()
        return told


def told_by_status(url: str) -> str:
    """What `livecache status` complains of."""
    with livecache("status", env=settings(NOWHERE, "ws://127.0.0.1:1", url, ["BTC-USD"])) as status:
        assert status.ended() == 3
        return complaint(status)


def test_a_redis_in_protected_mode_is_told_with_the_remedy() -> None:
    """A server without a password that is asked from another machine, or another container."""
    denial = b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n"

    class Denies(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(denial)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Denies) as denying:
        threading.Thread(target=denying.serve_forever, args=(0.05,), daemon=True).start()
        url = f"redis://127.0.0.1:{denying.server_address[1]}"
        told = told_by_the_service(url)["message"], told_by_status(url)
        denying.shutdown()
    for text in told:
        assert "DENIED" in text and "give it a password" in text


def test_a_node_of_a_cluster_is_told_to_be_one_of_a_cluster() -> None:
    with server("--cluster-enabled", "yes", "--cluster-port", str(free_port())) as node:
        with node.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
            until("it serves", lambda: "cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))
        assert "redis+cluster://host:port names that" in told_by_the_service(node.url)["message"]


def test_a_data_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    under: list[str] = []
    if os.geteuid() == 0:  # Root may write everywhere, unless it gives up that privilege.
        if shutil.which("setpriv") is None:
            pytest.skip("root may write everywhere")
        under = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
    tmp_path.chmod(0o500)
    env = settings(NOWHERE, "ws://127.0.0.1:1", "embedded", ["BTC-USD"], REDIS_DATA_DIR=tmp_path / "x")
    with livecache("run", env=env, under=under) as process:
        assert process.ended() == 5
        told = complaint(process)
    assert str(tmp_path / "x") in told and "Permission denied" in told and "redis.data_dir" in told


def in_a_namespace(kind: str, *command: str) -> list[str]:
    """What runs a command where this process may break the network (`n`) or mounts (`m`) for it alone."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, f"-r{kind}", "true"], capture_output=True).returncode:
        pytest.skip("no namespaces here")
    return [unshare, f"-r{kind}", *command]


@pytest.mark.parametrize("command", [("run",), ("demo",)])
def test_a_loopback_that_is_down_is_told_at_once(tmp_path: Path, command: tuple[str, ...]) -> None:
    env = settings(NOWHERE, "ws://127.0.0.1:1", "embedded", ["BTC-USD"], REDIS_DATA_DIR=tmp_path)
    with livecache(*command, env=env, under=in_a_namespace("n")) as process:
        assert process.ended() == 5
        told = complaint(process)
    assert "127.0.0.1 cannot be reached: Network is unreachable" in told and "ip link set lo up" in told


@pytest.mark.parametrize("left", [0, 4, 8, 12])
def test_a_data_directory_on_a_full_disk_is_told(tmp_path: Path, left: int) -> None:
    """Whatever it is that finds no room: the lock, the log or the data."""
    fill = (
        f"mount -t tmpfs -o size=64k none {tmp_path} && "
        f"head -c {(64 - left) * 1024} /dev/zero > {tmp_path}/x; exec " + '"$@"'
    )
    env = settings(NOWHERE, "ws://127.0.0.1:1", "embedded", ["BTC-USD"], REDIS_DATA_DIR=tmp_path / "data")
    with livecache("run", env=env, under=in_a_namespace("m", "sh", "-c", fill, "sh")) as process:
        assert process.ended() == 5
        told = complaint(process)
    assert f"{tmp_path / 'data'}: No space left on device" in told and "make room there" in told


def test_a_data_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = settings(NOWHERE, "ws://127.0.0.1:1", "embedded", ["BTC-USD"], REDIS_DATA_DIR=tmp_path / "file")
    with livecache("run", env=env) as process:
        assert process.ended() == 5
        told = complaint(process)
    assert str(tmp_path / "file") in told and "redis.data_dir" in told


def test_a_second_run_over_one_embedded_server_is_told_of_the_first(tmp_path: Path) -> None:
    with exchange() as venue:
        env = venue.settings("embedded", REDIS_DATA_DIR=tmp_path)
        with livecache("run", env=env) as first:
            first.event("warm")
            with livecache("run", env=env) as second:
                assert second.ended() == 5
                assert f"in use by another livecache (pid {first.pid})" in complaint(second)
            first.stop()


@pytest.mark.parametrize("shards", [1, 3])
def test_a_database_that_the_server_does_not_have_ends_it(clean_valkey: str, shards: int) -> None:
    given = {"VENUES_COINBASE_SHARDS": shards}
    env = settings(NOWHERE, "ws://127.0.0.1:1", f"{clean_valkey}/99", ["BTC-USD"], **given)
    with livecache("run", env=env) as process:
        assert process.ended() == 3, process.story()
        assert "it has no such database" in complaint(process)


@pytest.mark.parametrize("shards", [1, 3])
def test_a_key_file_that_is_none_is_told(clean_valkey: str, tmp_path: Path, shards: int) -> None:
    (tmp_path / "key.json").write_text('{"name": "x"}')
    given = {"VENUES_COINBASE_KEY_FILE": "key.json", "VENUES_COINBASE_SHARDS": shards}
    with livecache(
        "run", env=settings(NOWHERE, "ws://127.0.0.1:1", clean_valkey, ["BTC-USD"], **given), cwd=tmp_path
    ) as process:
        assert process.ended() == 2, process.story()
        assert "key.json" in complaint(process)
        assert process.events("engine_ended") == []
    with redis.Redis.from_url(clean_valkey) as client:
        assert client.keys() == [], "no lease is left"
