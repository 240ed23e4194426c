"""The embedded server starts, keeps its data, serves one run at a time, and never outlives its parent."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from livecache.embedded.server import EmbeddedServer, default_data_dir, find_url
from livecache.embedded.state import ServerState, is_running, read_state, server_info, write_state
from livecache.errors import EmbeddedError, RedisUnavailable
from livecache.reader.reader import Reader

# A service in a process of its own. It says where its server is, and waits for its end.
PARENT = """
import sys
from pathlib import Path
from livecache.embedded.server import EmbeddedServer

with EmbeddedServer(Path(sys.argv[1]) if sys.argv[1] else None, temporary=not sys.argv[1]) as server:
    print(server.url, server.data_dir, flush=True)
    sys.stdin.read()
"""


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, or needs PR_SET_PDEATHSIG")


@contextmanager
def parent(data_dir: Path | str) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """A running parent process, its server's URL and directory."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # a terminal of its own, as far as signals go
    )
    try:
        assert process.stdout is not None
        url, _, directory = process.stdout.readline().strip().partition(" ")
        yield process, url, Path(directory)
    finally:
        process.kill()
        process.communicate()


def connect(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True)


def until(condition: Callable[[], bool], seconds: float = 30.0) -> float:
    """Wait for `condition`; how long that took. Fails after `seconds`."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not happen in time"
        threading.Event().wait(0.01)
    return time.monotonic() - began


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def gone(url: str) -> bool:
    try:
        server_info(port_of(url))
    except OSError:
        return True
    return False


# --- a start and a stop


def test_it_starts_on_loopback_with_the_right_settings(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server, connect(server.url) as client:
        assert server.url.startswith("redis://127.0.0.1:")
        settings = client.config_get()
        assert isinstance(settings, dict)
        expected = {
            "bind": "127.0.0.1",
            "protected-mode": "yes",
            "dir": str(tmp_path),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "zset-max-listpack-value": "128",
        }
        assert {name: settings[name] for name in expected} == expected
    assert gone(server.url)


def test_a_restart_keeps_the_data_and_takes_another_port(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as first, connect(first.url) as client:
        client.set("greeting", "hello")
    with EmbeddedServer(tmp_path) as second, connect(second.url) as client:
        assert client.get("greeting") == "hello"
        assert second.url != first.url


def test_a_directory_with_spaces_and_accents_serves(tmp_path: Path) -> None:
    directory = tmp_path / 'un "dossier" à moi'
    with EmbeddedServer(directory) as server, connect(server.url) as client:
        client.set("a", 1)
    with EmbeddedServer(directory) as server, connect(server.url) as client:
        assert client.get("a") == "1"


def test_two_directories_are_two_servers(tmp_path: Path) -> None:
    with (
        EmbeddedServer(tmp_path / "a") as a,
        EmbeddedServer(tmp_path / "b") as b,
        connect(a.url) as in_a,
        connect(b.url) as in_b,
    ):
        in_a.set("name", "a")
        assert in_b.get("name") is None
        assert find_url(tmp_path / "a") == a.url
        assert find_url(tmp_path / "b") == b.url


def test_a_temporary_one_leaves_nothing() -> None:
    with EmbeddedServer(temporary=True) as server, connect(server.url) as client:
        client.set("a", 1)
        assert server.data_dir.is_dir()
    assert not server.data_dir.exists()


def test_stop_and_start_bring_a_dead_server_back_under_the_same_url(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        url, state = server.url, read_state(tmp_path)
        assert state is not None
        with connect(url) as client:
            client.set("a", 1)
        os.kill(state.pid, signal.SIGKILL)
        until(lambda: not server.running)
        server.stop()
        server.start()
        assert server.url == url
        with connect(url) as client:
            assert client.get("a") == "1"


def test_a_port_taken_in_the_last_moment_is_no_obstacle(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    port = port_of(server.url)
    server.stop()
    with socket.create_server(("127.0.0.1", port)):
        server.start()  # would have the same port again
        assert port_of(server.url) != port
        server.stop()


# --- its lifetime


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_is_gone_within_five_seconds_of_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    with parent(tmp_path) as (process, url, _):
        assert not gone(url)
        # To the whole group, as a terminal sends Ctrl-C.
        os.killpg(process.pid, number)
        until(lambda: gone(url), 5.0)
        with pytest.raises(RedisUnavailable):
            find_url(tmp_path)


@linux
def test_ctrl_c_in_the_terminal_does_not_reach_it_before_the_last_write(tmp_path: Path) -> None:
    with parent(tmp_path) as (_, url, _), connect(url) as client:
        pid = int(client.info("server")["process_id"])
        guard = parent_of(pid)
        for process in (pid, guard):
            assert os.getsid(process) != os.getsid(0)
        os.kill(guard, signal.SIGINT)
        os.kill(guard, signal.SIGTERM)
        client.set("last", "write")


def test_a_killed_parent_leaves_no_temporary_directory() -> None:
    with parent("") as (process, url, directory):
        assert directory.is_dir()
        process.kill()
        until(lambda: gone(url) and not directory.exists())


def test_data_survives_the_killing_of_everything(tmp_path: Path) -> None:
    with parent(tmp_path) as (process, url, _):
        with connect(url) as client:
            client.set("a", 1)
            # everysec: what is older than that is safe even from a power cut; a kill loses nothing written.
            pid = int(client.info("server")["process_id"])
        os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
        with EmbeddedServer(tmp_path) as server, connect(server.url) as client:
            assert client.get("a") == "1"


@linux
def test_it_ends_even_if_its_guard_is_killed_first(tmp_path: Path) -> None:
    with parent(tmp_path) as (process, url, _):
        with connect(url) as client:
            pid = int(client.info("server")["process_id"])
        guard = parent_of(pid)
        os.kill(guard, signal.SIGKILL)
        process.kill()
        until(lambda: gone(url))


def test_the_next_start_waits_for_what_a_killed_run_leaves(tmp_path: Path) -> None:
    with parent(tmp_path) as (process, url, _):
        with connect(url) as client:
            client.set("a", 1)
        process.kill()
        process.wait()
        with EmbeddedServer(tmp_path) as server, connect(server.url) as client:
            assert client.get("a") == "1"
            assert gone(url), "never two servers on one directory"


# --- one run at a time


def test_a_second_run_on_the_same_directory_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    with parent(tmp_path) as (process, url, _):
        began = time.monotonic()
        with pytest.raises(EmbeddedError, match=rf"in use by another livecache \(pid {process.pid}\)"):
            EmbeddedServer(tmp_path).start()
        assert time.monotonic() - began < 2.0, "there is nothing to wait for"
        assert find_url(tmp_path) == url, "the refused one has not touched the state file"
        with connect(url) as client:
            assert client.ping()


def test_a_second_server_of_the_same_process_is_refused_too(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        with pytest.raises(EmbeddedError, match=f"pid {os.getpid()}"):
            EmbeddedServer(tmp_path).start()
        assert find_url(tmp_path) == server.url


# --- how it is found


def test_the_state_file_is_private_and_removed_at_a_clean_stop(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        file = tmp_path / "server.json"
        assert file.stat().st_mode & 0o777 == 0o600
        state = json.loads(file.read_text())
        assert (state["port"], state["dir"]) == (port_of(server.url), str(tmp_path))
        assert state["pid"] == int(server_info(state["port"])["process_id"])
        assert find_url(tmp_path) == server.url
    assert not file.exists()
    with pytest.raises(RedisUnavailable) as caught:
        find_url(tmp_path)
    assert "start `livecache run`, or set LIVECACHE_REDIS_URL" in caught.value.hint


def test_a_stale_state_file_never_leads_to_another_server(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "other") as other:
        real = read_state(tmp_path / "other")
        assert real is not None
        assert is_running(real)
        mine = tmp_path / "mine"
        mine.mkdir()
        write_state(mine, ServerState(real.pid, real.port, str(mine), run_id="0" * 40))
        with pytest.raises(RedisUnavailable, match="is gone"):
            find_url(mine)
        assert other.running


def test_a_damaged_state_file_is_as_good_as_none(tmp_path: Path) -> None:
    for content in (b"", b"{", b"\xff\xfe", b'{"pid": "x"}'):
        (tmp_path / "server.json").write_bytes(content)
        with pytest.raises(RedisUnavailable, match="no embedded server runs"):
            find_url(tmp_path)


def test_whoever_listens_on_the_port_without_being_a_redis_is_not_believed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]

        def answer() -> None:
            connection, _ = stranger.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        write_state(tmp_path, ServerState(os.getpid(), port, str(tmp_path), run_id="0" * 40))
        with pytest.raises(RedisUnavailable, match="is gone"):
            find_url(tmp_path)
        thread.join()


def test_the_data_directory_follows_the_platforms_convention(tmp_path: Path) -> None:
    if sys.platform == "darwin":
        assert default_data_dir({}) == Path.home() / "Library/Application Support/livecache/valkey"
    else:
        assert default_data_dir({"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "livecache/valkey"
        assert (
            default_data_dir({"XDG_DATA_HOME": "relative"}) == Path.home() / ".local/share/livecache/valkey"
        )
        assert default_data_dir({}) == Path.home() / ".local/share/livecache/valkey"


def test_a_reader_without_a_url_follows_the_server_to_its_next_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVECACHE_REDIS_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("LIVECACHE_REDIS_URL", raising=False)
    with EmbeddedServer(tmp_path) as server:
        first = server.url
        reader = Reader()
        assert reader.series() == []
    with pytest.raises(RedisUnavailable):
        reader.series()
    with EmbeddedServer(tmp_path) as server:
        assert server.url != first
        assert reader.series() == []
    reader.close()
