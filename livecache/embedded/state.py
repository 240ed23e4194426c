"""Where the embedded server's data lives, and the state file by which readers find the server itself.

The file names the port, which is another one at each start, and the server's `run_id`, a random name that it
gives itself at each start and tells whoever asks: no other server can be mistaken for it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ..errors import EmbeddedError, RedisUnavailable

__all__ = [
    "DEMO",
    "REFUSE",
    "ServerState",
    "announce_demo",
    "default_data_dir",
    "find_demo",
    "find_url",
    "is_running",
    "read_state",
    "remove_state",
    "server_info",
    "server_url",
    "write_state",
]

REFUSE = "LIVECACHE_EMBEDDED"
"""Set to `refuse`, as in the Docker image, this variable forbids the embedded server."""

DEMO = "demo"
"""What is given to a reader in place of a URL for the server of a `livecache demo` that runs here."""


class ServerState(msgspec.Struct, frozen=True):
    """The state file's content. `pid` is the server's."""

    pid: int
    port: int
    dir: str
    run_id: str


def default_data_dir(env: Mapping[str, str] | None = None) -> Path:
    """Where the embedded server keeps its data unless told otherwise: in the user's data directory."""
    env = os.environ if env is None else env
    try:
        if sys.platform == "darwin":
            base = Path.home() / "Library" / "Application Support"
        else:
            # The XDG specification says that a relative path is to be ignored.
            given = Path(env.get("XDG_DATA_HOME", ""))
            base = given if given.is_absolute() else Path.home() / ".local" / "share"
    except RuntimeError:
        raise EmbeddedError("no home directory to keep data in", "set redis.data_dir or redis.url") from None
    return base / "livecache" / "valkey"


def find_url(data_dir: Path | None = None) -> str:
    """The URL of the embedded server that a `livecache run` keeps going in `data_dir`, None: the default.

    Trusts the state file only if the very server that it names answers. Raises RedisUnavailable otherwise.
    """
    hint = "start `livecache run`, or set LIVECACHE_REDIS_URL"
    if os.environ.get(REFUSE) == "refuse":
        raise RedisUnavailable("no Redis is given, and the embedded server is refused here", hint)
    directory = (data_dir or default_data_dir()).expanduser()
    state = read_state(directory)
    if state is not None and is_running(state):
        return server_url(state.port)
    what = f"no embedded server runs in {directory}"
    if state is not None:
        what = f"the embedded server of {directory} is gone"
    with contextlib.suppress(RedisUnavailable):
        find_demo()
        hint = f'a demo runs here, which only Reader("{DEMO}") reads; {hint}'
    raise RedisUnavailable(f"no Redis is given, and {what}", hint)


def find_demo() -> str:
    """The URL of the server of a `livecache demo` that runs here. Raises RedisUnavailable where none does."""
    with contextlib.suppress(EmbeddedError):  # no home directory
        state = read_state(_demo_dir())
        if state is not None and is_running(state):
            return server_url(state.port)
    raise RedisUnavailable("no demo runs here", "start `livecache demo` in another terminal")


@contextlib.contextmanager
def announce_demo(server_dir: Path) -> Iterator[bool]:
    """Let readers that ask for the demo find the server of that directory. Gives whether they do.

    The candles are made up: so nothing that the readers of a real service look for is touched. Where another
    demo runs, that one goes on being found; where nothing can be written, none is.
    """
    state, mine = read_state(server_dir), False
    with contextlib.suppress(OSError, EmbeddedError):
        directory, other = _demo_dir(), read_state(_demo_dir())
        if state is not None and (other is None or not is_running(other)):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_state(directory, state)
            mine = True
    try:
        yield mine
    finally:
        with contextlib.suppress(OSError):
            if mine and read_state(directory) == state:
                remove_state(directory)


def _demo_dir() -> Path:
    return default_data_dir().parent / DEMO


def server_url(port: int) -> str:
    """The URL of a server on that port of loopback."""
    return f"redis://127.0.0.1:{port}/0"


def is_running(state: ServerState) -> bool:
    """Whether the very server that wrote this state answers."""
    try:
        return server_info(state.port).get("run_id") == state.run_id
    except OSError:
        return False


def server_info(port: int) -> dict[str, str]:
    """What the server on that port of loopback says to INFO; {} if it is no such server. Raises OSError.

    A bare socket, since a start asks every few milliseconds, and a client library would retry on its own.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
        connection.sendall(b"INFO\r\n")
        with connection.makefile("rb") as reply:
            head = reply.readline(32)
            if not head.startswith(b"$") or not head[1:].strip().isdigit():
                return {}
            text = reply.read(min(int(head[1:]), 100_000)).decode(errors="replace")
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def read_state(directory: Path) -> ServerState | None:
    """The state file of `directory`; None if there is none, or none that makes sense."""
    try:
        return msgspec.json.decode(_state_file(directory).read_bytes(), type=ServerState)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def write_state(directory: Path, state: ServerState) -> None:
    """Write the state file, readable by its user alone, in one step: no reader sees half of it."""
    unfinished = directory / "server.json.new"
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(state) + b"\n")
    unfinished.replace(_state_file(directory))


def remove_state(directory: Path) -> None:
    """Remove the state file, if it is there."""
    _state_file(directory).unlink(missing_ok=True)


def _state_file(directory: Path) -> Path:
    return directory / "server.json"
