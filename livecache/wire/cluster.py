"""Clients of a Redis Cluster: redis-py's, mended where they would fail. Loaded for a cluster's URL alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode as AsyncNode
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.cluster import ClusterNode, LoadBalancingStrategy, RedisCluster
from redis.crc import key_slot
from redis.exceptions import RedisError, ResponseError, SlotNotCoveredError

from ..redis_url import ClusterNodes
from .refusals import ERRORS

__all__ = [
    "AsyncCluster",
    "Cluster",
    "cluster_client",
    "is_cluster_client",
    "learn",
    "learn_async",
    "slot_of",
]

# redis-py knows where the keys of these are; of the others it asks one and the same node before each read.
_AS = {"EVALSHA_RO": "EVALSHA", "EVAL_RO": "EVAL"}

# What redis-py's asyncio half takes for its nodes' connections alone.
_OF_CONNECTIONS = ("redis_connect_func", "ssl_ca_path", "ssl_password")


class Cluster(RedisCluster):
    """A cluster, with threads."""

    _tells_commands = True

    def __init__(self, addresses: tuple[tuple[str, int], ...], **options: Any) -> None:
        nodes = [ClusterNode(*address) for address in addresses]  # type: ignore[no-untyped-call]
        self.addresses = addresses
        with _if_any_slot():
            super().__init__(startup_nodes=nodes, **options)

    def determine_slot(self, *args: Any) -> int | None:
        """The slot of a command's keys."""
        try:
            slot: int | None = super().determine_slot(_AS.get(args[0], args[0]), *args[1:])
        except RedisError:
            if self._tells_commands or len(args) == 1:
                raise
            slot = self.keyslot(args[1])  # type: ignore[no-untyped-call]  # Ours have their first key there.
        return slot

    def command(self, **options: Any) -> dict[str, dict[str, Any]]:
        """Which commands there are; none where the user may not ask, which no command of ours needs."""
        try:
            return super().command(**options)
        except ResponseError:
            self._tells_commands = False
            return {}


class AsyncCluster(AsyncRedisCluster):
    """A cluster, with asyncio."""

    def __init__(self, addresses: tuple[tuple[str, int], ...], **options: Any) -> None:
        connections = {name: options.pop(name) for name in _OF_CONNECTIONS if name in options}
        super().__init__(startup_nodes=[AsyncNode(*address) for address in addresses], **options)
        began = connections.get("redis_connect_func")
        if began is not None and (self.read_from_replicas or self.load_balancing_strategy):

            async def begin(connection: Any) -> None:
                await began(connection)
                await connection.send_command("READONLY")
                await connection.read_response()

            connections["redis_connect_func"] = begin
        self.addresses = addresses
        for held in (self.connection_kwargs, *(node.connection_kwargs for node in self.startup_nodes)):
            held.update(connections)

    async def initialize(
        self,
        additional_startup_nodes_info: list[tuple[str, int]] | None = None,
        last_failed_node_name: str | None = None,
    ) -> AsyncCluster:
        """Learn which nodes there are, unless that is known."""
        more = [*(additional_startup_nodes_info or ()), *self.addresses]
        with _if_any_slot():
            await super().initialize(more, last_failed_node_name)
        return self

    async def aclose(self) -> None:
        """Close all connections. redis-py closes none where it was not asked for a command itself."""
        await super().aclose()
        for which in ("nodes_cache", "startup_nodes"):
            await self.nodes_manager.aclose(which)

    async def _determine_slot(self, command: str, *args: Any) -> int:
        return await super()._determine_slot(_AS.get(command, command), *args)


class _Later:
    """A `Cluster` that is made, and so connected, when it is used first."""

    def __init__(self, make: Callable[[], Cluster], options: Mapping[str, Any]) -> None:
        self._make = make
        self._options = dict(options)
        self._client: Cluster | None = None
        self._making = threading.Lock()

    def get_connection_kwargs(self) -> dict[str, Any]:
        """What its connections are made with."""
        return self._options

    def close(self) -> None:
        """Close its connections, if it has any."""
        with self._making:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def __getattr__(self, name: str) -> Any:
        client = self._client
        if client is None:
            with self._making:
                client = self._client = self._client or self._make()
        return getattr(client, name)

    def __enter__(self) -> _Later:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@lru_cache(maxsize=65_536)
def slot_of(key: str | bytes | int) -> int:
    """The slot of a key, or of a cursor that stands in its place; the same are asked for again and again."""
    return key_slot(key if isinstance(key, bytes) else str(key).encode())


def learn(client: Any, failed: str | None = None) -> None:
    """Learn which nodes there are, whatever was known; the one that `failed` is asked last.

    Where none of those that were known answers any more, as after all have moved, those of the URL are asked.
    """
    with _if_any_slot():
        client.nodes_manager.initialize(_addresses_of(client), last_failed_node_name=failed)


async def learn_async(client: Any, failed: str | None = None) -> None:
    """As `learn`."""
    manager = client.nodes_manager
    with _if_any_slot():
        try:
            await manager.initialize(None, failed)
        except (IndexError, *ERRORS):
            # Given as `learn` does, they would be asked each time by a connection that nobody closes.
            nodes = [AsyncNode(*address, **manager.connection_kwargs) for address in _addresses_of(client)]
            more = {node.name: node for node in nodes if node.name not in manager.startup_nodes}
            if not more:
                raise
            manager.startup_nodes.update(more)
            await manager.initialize(None, failed)


def _addresses_of(client: Any) -> list[tuple[str, int]]:
    """Those of its URL; none of a client that is somebody else's."""
    return list(getattr(client, "addresses", ()))


@contextmanager
def _if_any_slot() -> Iterator[None]:
    """redis-py trips over a cluster none of whose nodes has a slot, as one that is yet to be made."""
    try:
        yield
    except IndexError as error:
        raise SlotNotCoveredError("no node of the cluster has any slot") from error


def is_cluster_client(client: Any) -> bool:
    """Whether it is one of a cluster, this or somebody else's. It connects nowhere."""
    return isinstance(client, _Later | RedisCluster | AsyncRedisCluster)


def cluster_client(nodes: ClusterNodes, library: Any, options: dict[str, Any]) -> Any:
    """A client of `library` (`redis` or `redis.asyncio`) for these nodes; nothing connects yet."""
    for name in ("host", "port", "db"):
        options.pop(name, None)
    if options.pop("connection_class", None) is not None:
        options["ssl"] = True
    options["require_full_coverage"] = False  # The slots that have a master are served.
    if nodes.from_replicas:
        options["load_balancing_strategy"] = LoadBalancingStrategy.RANDOM_REPLICA
    if library is redis.asyncio:
        return AsyncCluster(nodes.addresses, **options)
    return _Later(lambda: Cluster(nodes.addresses, **options), options)
