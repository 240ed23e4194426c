"""Who wrote what: every write that a server executes, in its own order, and the address it came from."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import redis

from livecache.write.lease import LEASE_MS

from .support import until

__all__ = ["Recorder", "Write", "recorder", "unlawful"]

# `1339518083.107412 [0 127.0.0.1:60866] "SET" "key" "value"`, with `lua` for what a script calls.
_LINE = re.compile(rb'\+?(\d+\.\d+) \[\d+ ([^\]]+)\] "([^"]*)"(?: "([^"]*)")?')


class Write(NamedTuple):
    """One write, be it sent or called by a script. `at` is the server's wall clock in seconds."""

    at: float
    client: str
    command: str
    key: str


class Recorder:
    """Collects the writes of a server by MONITOR, in a thread of its own, until closed."""

    def __init__(self, url: str) -> None:
        self.writes: list[Write] = []
        self._url = url
        with redis.Redis.from_url(url, decode_responses=True) as client:
            names = client.command_list(category="write")
        # A message published is no write to the server, and yet readers hear it.
        self._changing = {str(name).upper() for name in names} | {"PUBLISH", "SPUBLISH"}
        self._marks: set[str] = set()
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 0))
        self._socket.sendall(b"MONITOR\r\n")
        self._thread = threading.Thread(target=self._listen, name="recorder")
        self._thread.start()
        self.catch_up()

    def catch_up(self) -> None:
        """Return once all is recorded that the server has executed so far."""
        mark = f"mark-{time.monotonic_ns()}"
        with redis.Redis.from_url(self._url) as client:
            client.echo(mark)
        until("the recorder has caught up", lambda: mark in self._marks)

    def close(self) -> None:
        """Stop recording; what there is stays."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def _listen(self) -> None:
        sender = ""
        with self._socket.makefile("rb") as lines:
            for line in lines:
                if (found := _LINE.match(line)) is None:
                    continue
                at, client, command, key = (part.decode() for part in found.groups(b""))
                # A script's own line comes first, and nothing comes between what it calls.
                if client != "lua":
                    sender = client
                if command.upper() in self._changing:
                    self.writes.append(Write(float(at), sender, command.upper(), key))
                elif command.upper() == "ECHO":
                    self._marks.add(key)


@contextmanager
def recorder(url: str) -> Iterator[Recorder]:
    """A recorder that listens already."""
    made = Recorder(url)
    try:
        yield made
    finally:
        made.close()


def unlawful(writes: Sequence[Write], lease: str, whose: Callable[[Write], str]) -> list[str]:
    """Every write by somebody who did not hold the lease at that moment, in words.

    `whose` names who made a write. A tenure begins when its owner sets the lease, is prolonged
    when it renews it, and ends when another sets it, when it is given up, or when it runs out.
    """
    holder, through, found = "", 0.0, []
    for write in writes:
        writer = whose(write)
        if write.key.endswith(
            ":budget:address"
        ):  # Whoever asks the venue shares that, with the lease or without.
            continue
        if write.key == lease and write.command == "SET":
            if writer != holder and write.at < through:
                found.append(f"{writer} took the lease of {holder} {through - write.at:.3f} s too early")
            holder, through = writer, write.at + LEASE_MS / 1000
        elif writer != holder or write.at > through:
            late = f"{write.at - through:.3f} s after its lease" if writer == holder else f"under {holder}"
            found.append(f"{writer} wrote {late}: {write.command} {write.key}")
        elif write.key == lease:
            through = 0.0 if write.command == "DEL" else write.at + LEASE_MS / 1000
    return found
