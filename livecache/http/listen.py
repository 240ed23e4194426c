"""The sockets that the server listens on. Light: they are bound before anything else is loaded."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

__all__ = ["BACKLOG", "bind", "is_mistake", "url_of"]

BACKLOG = 256  # connections that wait to be accepted


def bind(host: str, port: int) -> list[socket.socket]:
    """Listen on an IP address, or on all of localhost's; `port` 0 takes a free one. Raises OSError."""
    if host != "localhost":
        return [_bind_one(host, port)]
    first = _bind_one("127.0.0.1", port)
    try:
        return [first, _bind_one("::1", first.getsockname()[1])]
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            return [first]  # A machine without IPv6.
        first.close()
        raise


def is_mistake(error: OSError) -> bool:
    """Whether waiting does not help: the address is not this machine's, or the port is not for everybody."""
    return error.errno in (errno.EACCES, errno.EPERM, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def url_of(sockets: Iterable[socket.socket]) -> str:
    """Where the first of them is to be found: `http://127.0.0.1:8787`."""
    host, port = next(iter(sockets)).getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind_one(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A port whose last connections are still being closed is free all the same.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening
