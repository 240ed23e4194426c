"""`livecache redis`: one command sent to Redis, its reply printed as redis-cli prints it.

For those who have no redis-cli. redis-py connects; the reply is read here from the wire, since a client
library does not tell a status (`OK`) from a string (`"OK"`), and redis-cli's output does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple, TextIO

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..config.render import redact
from ..errors import ConfigError, RedisUnavailable
from ..wire.cluster import is_cluster_client
from ..wire.connecting import client_for
from ..wire.refusals import ERRORS, hint_on, said

__all__ = ["ErrorReply", "Reply", "Status", "format_reply", "raw_reply", "read_reply", "send"]

# These go on sending replies until the connection ends.
_ENDLESS = frozenset({"MONITOR", "PSUBSCRIBE", "SSUBSCRIBE", "SUBSCRIBE"})

# Replies that are texts for people: redis-cli prints them as they are.
_TEXTS = (("INFO",), ("CLIENT", "LIST"), ("CLIENT", "INFO"), ("CLUSTER", "INFO"), ("CLUSTER", "NODES"))

_ESCAPES = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x07: "\\a", 0x08: "\\b"}


class Status(NamedTuple):
    """A status reply, such as OK."""

    text: str


class ErrorReply(NamedTuple):
    """An error reply, such as `WRONGTYPE Operation against …`."""

    text: str


Reply = Status | ErrorReply | int | bytes | list[Any] | None
"""What Redis answers in RESP2; lists hold replies again."""


def send(
    url: str, command: Sequence[str], *, raw: bool = False, node: str = "", out: TextIO | None = None
) -> int:
    """Send `command` to the Redis at `url` and print its reply; 1 if that was an error, else 0.

    Of a cluster to the node that has its key, or to that `node` (host:port). MONITOR and the subscriptions
    print until interrupted. Raises RedisUnavailable, and ConfigError where no node is meant.
    """
    out = out or sys.stdout
    words = tuple(word.upper() for word in command)
    plain = raw or any(words[: len(text)] == text for text in _TEXTS)
    code = 0
    for reply in _replies(url, command, node, endless=words[0] in _ENDLESS):
        out.write((raw_reply(reply) if plain else format_reply(reply)) + "\n")
        out.flush()
        if isinstance(reply, ErrorReply):
            code = 1
            break
    return code


def read_reply(stream: BinaryIO) -> Reply:
    """The next RESP2 reply of `stream`. Raises EOFError where it ends."""
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise EOFError("the connection ended")
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return Status(rest.decode(errors="replace"))
        case b"-":
            return ErrorReply(rest.decode(errors="replace"))
        case b":":
            return int(rest)
        case b"$":
            if rest == b"-1":
                return None
            text = stream.read(int(rest) + 2)
            if len(text) < int(rest) + 2:
                raise EOFError("the connection ended")
            return text[:-2]
        case b"*":
            return None if rest == b"-1" else [read_reply(stream) for _ in range(int(rest))]
    raise EOFError(f"this is no Redis: it said {line[:40]!r}")


def format_reply(reply: Reply, indent: str = "") -> str:
    """The reply as redis-cli shows it on a terminal, without a line end; `indent` leads further lines."""
    match reply:
        case None:
            return "(nil)"
        case Status(text):
            return text
        case ErrorReply(text):
            return f"(error) {text}"
        case int():
            return f"(integer) {reply}"
        case bytes():
            return _quoted(reply)
        case []:
            return "(empty array)"
    width = len(str(len(reply)))
    lines: list[str] = []
    for number, item in enumerate(reply, 1):
        head = f"{number:>{width}}) "
        lines.append((indent if lines else "") + head + format_reply(item, indent + " " * len(head)))
    return "\n".join(lines)


def raw_reply(reply: Reply) -> str:
    """The reply as `redis-cli --raw` shows it: texts as they are, an array's items a line each."""
    match reply:
        case None:
            return ""
        case Status(text) | ErrorReply(text):
            return text
        case int():
            return str(reply)
        case bytes():
            return reply.decode(errors="backslashreplace")
    return "\n".join(raw_reply(item) for item in reply)


def _quoted(text: bytes) -> str:
    # Bytes beyond ASCII are escaped too, as redis-cli does: the output is the same in every locale.
    body = "".join(
        _ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in text
    )
    return f'"{body}"'


def _replies(url: str, command: Sequence[str], node: str, *, endless: bool) -> Iterator[Reply]:
    try:
        client = client_for(
            redis,
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=5.0,
            socket_timeout=5.0,  # until it is connected
        )
        connection = _server(client, command, node).connection_pool.get_connection()
    except ERRORS as error:
        raise RedisUnavailable(f"cannot connect to {redact(url)}: {said(error)}", hint_on(error)) from None
    try:
        connection.send_command(*command)
        wire = connection._get_socket()
        assert wire is not None
        wire.settimeout(None)  # A blocking command may take as long as it says.
        with wire.makefile("rb") as stream:
            yield read_reply(stream)
            while endless:
                yield read_reply(stream)
    except (*ERRORS, ValueError, RecursionError) as error:  # The last two of lengths that are none.
        raise RedisUnavailable(f"{redact(url)} broke off: {said(error)}", hint_on(error)) from None
    finally:
        client.close()


def _server(client: Any, command: Sequence[str], node: str) -> Any:
    """Whom a command is for: the server, or a node of a cluster."""
    if not is_cluster_client(client):
        if node:
            raise ConfigError("--node is for a cluster", "its URL begins with redis+cluster://")
        return client
    nodes = {one.name: one for one in client.get_nodes()}
    listed = f"--node {' or '.join(sorted(nodes))}"
    if node and node not in nodes:
        raise ConfigError(f"--node: the cluster has no node {node[:80]!r}", listed)
    if not node:
        try:
            slot = client.determine_slot(*command)
        except ERRORS:
            raise ConfigError(
                f"{command[0][:40].upper()} has no key that says which node it is for", listed
            ) from None
        node = client.nodes_manager.get_node_from_slot(slot).name
    return client.get_redis_connection(nodes[node])
