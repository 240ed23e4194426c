"""The service where nobody hears it: no stderr, a full one, or one that nobody reads any more."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..http.support import ask
from ..sizes import some
from .support import free_port, settings, until

NOWHERE = "127.0.0.1:9"


@pytest.mark.parametrize(
    "redirected",
    [
        pytest.param("<&- >&- 2>&-", id="all closed"),
        pytest.param("2>&-", id="stderr closed", marks=pytest.mark.long),
        pytest.param("2>/dev/full >/dev/full", id="full"),
        pytest.param("2> >(head -c 1) > >(true)", id="its readers are gone", marks=pytest.mark.long),
        pytest.param("2> >(sleep 60)", id="nobody reads"),
    ],
)
def test_it_runs_and_ends_as_if_somebody_did(redirected: str, tmp_path: Path) -> None:
    port = free_port()
    env = settings(f"http://{NOWHERE}", f"ws://{NOWHERE}", "embedded", ["BTC-USD"])
    env |= {"LIVECACHE_HTTP_LISTEN": f"127.0.0.1:{port}", "LIVECACHE_REDIS_DATA_DIR": str(tmp_path)}
    command = f"exec {sys.executable} -m livecache run {redirected}"
    run = subprocess.Popen(["bash", "-c", command], env=env, cwd=tmp_path)
    try:

        def lives() -> bool:
            assert run.poll() is None, f"it ended with {run.returncode}"
            try:
                return ask(f"http://127.0.0.1:{port}", "/healthz").status == 200
            except OSError:
                return False

        until("it lives", lives, 60.0)
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 0
    finally:
        run.kill()
        run.wait()


@pytest.mark.parametrize(
    "redirected", some(["2>&-", "2>/dev/full", "2>&- >&-", "2> >(true)"], "2>&-", "2> >(true)")
)
def test_what_ends_at_once_ends_by_its_own_code(redirected: str, tmp_path: Path) -> None:
    command = f"exec {sys.executable} -m livecache status --redis-url redis://{NOWHERE} {redirected}"
    env = settings(f"http://{NOWHERE}", f"ws://{NOWHERE}", "embedded", ["BTC-USD"])
    assert subprocess.run(["bash", "-c", command], env=env, cwd=tmp_path, check=False).returncode == 3


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("config", 0),
        ("nonsense", 2),
    ],
)
def test_no_command_minds_who_reads_it(command: str, code: int, tmp_path: Path) -> None:
    """What was closed or is read no more is nobody's trouble; only what does not fit is told, by code 1."""
    env = settings(f"http://{NOWHERE}", f"ws://{NOWHERE}", "embedded", ["BTC-USD"])
    script = f"""
    set -u
    livecache() {{ {sys.executable} -m livecache {command}; echo $? >> codes; }}
    livecache >&- 2>> said
    livecache >&- 2>&-
    livecache 2>> said | head -c 1 > out
    livecache 2>&1 | true
    livecache 2> /dev/full >> out
    livecache > /dev/full 2>> said
    """
    subprocess.run(["bash", "-c", script], env=env, cwd=tmp_path, check=True, timeout=120)
    full = 1 if code == 0 else code
    assert (tmp_path / "codes").read_text().split() == [*[str(code)] * 5, str(full)]
    said = (tmp_path / "said").read_text()
    assert "Traceback" not in said and "Exception ignored" not in said and "a bug" not in said
    assert ("the output cannot be written: No space left on device" in said) == (code == 0)
