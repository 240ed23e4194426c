"""A reader's way through a cluster: to which node each command goes, and what is tried again elsewhere.

`Routes` decides and sends nothing; `exchange` and `exchange_async` carry it out over either half of redis-py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from redis.asyncio.cluster import ClusterNode as AsyncNode
from redis.asyncio.cluster import PipelineCommand
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.cluster import ClusterNode
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MaxConnectionsError,
    MovedError,
    ReadOnlyError,
    ResponseError,
    SlotNotCoveredError,
    TimeoutError,
    TryAgainError,
)

from ..errors import AccessDenied, NodeUnavailable
from .cluster import is_cluster_client, learn, learn_async, slot_of
from .refusals import ERRORS, NO_REDIS, unavailable

__all__ = [
    "AGAIN_S",
    "AWAY_S",
    "HUNG_S",
    "LEARN_S",
    "NODE_S",
    "PAUSE_S",
    "Routes",
    "client_at",
    "exchange",
    "exchange_async",
    "key_of",
    "masters_of",
    "rests_s",
    "routes_over",
]

Commands = Sequence[tuple[Any, ...]]

NODE_S = 1.0
"""For a node's connection, and for its answer: others wait for that long."""

AWAY_S, HUNG_S = 0.5, 2.0
"""A node that refused, or did not answer, is not asked again for so long, unless others call it a master."""

LEARN_S = 0.25
"""Between two looks at which nodes there are, in seconds."""

PAUSE_S = 0.05
"""While the keys of a slot are on their way from a node to another, or nobody has it; then ever longer."""

AGAIN_S = 1.0
"""No command is tried again after so long."""

# Those may be sent to a replica: which is asked not to change anything, and whose alive key expires as well.
_FROM_REPLICAS = ("EVALSHA_RO", "EVAL_RO")

_LATER = (BusyLoadingError, ClusterDownError, MasterDownError, ReadOnlyError, SlotNotCoveredError)
_PASSING = (AskError, TryAgainError, *_LATER)


class Sent(NamedTuple):
    """One of the commands on its way to a node; `asking`: its slot is on its way there, too."""

    number: int
    command: tuple[Any, ...]
    asking: bool


class Learn(NamedTuple):
    """Ask the nodes which of them has what; that one last."""

    failed: str | None


Trips = Mapping[Any, Sequence[Sent]]
Order = Trips | Learn | float
"""Send these, to each node in one go, or learn, or wait so many seconds."""


class _Away(NamedTuple):
    error: Exception
    until_s: float


class Routes:
    """What a reader knows of a cluster's nodes: those of its client, and which of them are away."""

    def __init__(self, client: Any, now: Any = time.monotonic) -> None:
        self.client = client
        self._now_s = now
        self._away: dict[str, _Away] = {}
        self._stale = True
        self._learn_at_s = float("-inf")
        self._turns = count()  # of replicas
        self._replicas: bool | None = None

    def route(self, commands: Commands) -> Generator[Order, Any, list[Any]]:
        """Their replies, errors among them: `NodeUnavailable` for those whose node is away.

        What is yielded is sent back: the outcomes of trips by number, the error that learning met, or None.
        """
        outcomes: list[Any] = [None] * len(commands)
        named: dict[int, Any] = {}  # nodes that another one has named for a command alone
        left = list(range(len(commands)))
        began_s, pause_s = self._now_s(), PAUSE_S
        for attempt in count():
            error = None
            # Whoever knows none yet waits for whoever is learning.
            nothing_known = not self.client.nodes_manager.nodes_cache
            if nothing_known or (self._stale and self._now_s() >= self._learn_at_s):
                self._learn_at_s = self._now_s() + LEARN_S
                error = yield Learn(next(iter(self._away), None))
                self._stale = error is not None
                if error is not None and not self.client.nodes_manager.nodes_cache:
                    raise error
            trips: dict[Any, list[Sent]] = {}
            for n in left:
                node = named.get(n) or self._node_of(commands[n])
                away = None if node is None else self._away_of(node.name)
                if node is None:
                    self._stale = True
                    outcomes[n] = error or SlotNotCoveredError("no node of the cluster has that slot")
                elif away is not None:
                    self._stale, outcomes[n] = True, away
                else:
                    trips.setdefault(node, []).append(Sent(n, commands[n], n in named))
            found: Mapping[int, Any] = (yield trips) if trips else {}
            places = {sent.number: node for node, all_sent in trips.items() for sent in all_sent}
            left, named, pause = self._again(found, outcomes, places, first=attempt == 0)
            if not left or self._now_s() - began_s > AGAIN_S:
                break
            if pause:
                yield pause_s
                pause_s = min(2 * pause_s, LEARN_S)
        return [_told(outcome) for outcome in outcomes]

    def by_node(self, channels: set[str]) -> dict[str, set[str]]:
        """Channels of shards by the name of the master that has their slot; "" for those that none has."""
        found: dict[str, set[str]] = {}
        for channel in channels:
            node = self._node_of(("SSUBSCRIBE", channel))
            found.setdefault(node.name if node is not None else "", set()).add(channel)
        return found

    def node(self, name: str) -> Any:
        """The node of that name. Raises `SlotNotCoveredError` for none."""
        node = self.client.get_node(node_name=name) if name else None
        if node is None:
            raise SlotNotCoveredError("no node of the cluster has that slot")
        return node

    def doubt(self) -> None:
        """Somebody had trouble with one: which there are is asked for before the next command."""
        self._stale = True

    # --- inside

    def _again(
        self, found: Mapping[int, Any], outcomes: list[Any], places: Mapping[int, Any], *, first: bool
    ) -> tuple[list[int], dict[int, Any], bool]:
        """What is to be sent again, who was named for it, and whether to wait before."""
        again: list[int] = []
        named: dict[int, Any] = {}
        pause = False
        for n, outcome in found.items():
            outcomes[n] = outcome
            if isinstance(outcome, MovedError):
                named[n] = self._named(outcome)
                self._stale = True
            elif isinstance(outcome, AskError):
                named[n] = self._named(outcome)
                pause |= not first
            elif isinstance(outcome, _PASSING):
                self._stale |= not isinstance(outcome, TryAgainError)
                pause = True
            elif not _is_lost(outcome):
                continue
            else:
                self._stale = True
                hung = isinstance(outcome, TimeoutError)
                if not first or hung:  # The first time it may be but a connection that was closed meanwhile.
                    self._away[places[n].name] = _Away(outcome, self._now_s() + rests_s(outcome))
                    continue
            again.append(n)
        return again, named, pause

    def _away_of(self, name: str) -> Exception | None:
        away = self._away.get(name)
        if away is not None and away.until_s <= self._now_s():
            self._away.pop(name, None)  # Another thread may do so.
            return None
        return away.error if away is not None else None

    def _node_of(self, command: tuple[Any, ...]) -> Any:
        """The node for a command; for one without a key, a master that answers."""
        key = key_of(command)
        if key is None:
            masters = self.client.get_primaries()
            return next((one for one in masters if one.name not in self._away), next(iter(masters), None))
        nodes = self.client.nodes_manager.slots_cache.get(slot_of(key)) or [None]
        if len(nodes) > 1 and command[0] in _FROM_REPLICAS and self._reads_replicas:
            turn = next(self._turns)
            for offset in range(len(nodes) - 1):
                replica = nodes[1 + (turn + offset) % (len(nodes) - 1)]
                if self._away_of(replica.name) is None:
                    return replica
        return nodes[0]

    @property
    def _reads_replicas(self) -> bool:
        if self._replicas is None:
            self._replicas = bool(self.client.read_from_replicas or self.client.load_balancing_strategy)
        return self._replicas

    def _named(self, told: AskError) -> Any:
        """The node that an answer names."""
        manager = self.client.nodes_manager
        node = self.client.get_node(told.host, told.port)
        if node is None:
            if isinstance(self.client, AsyncRedisCluster):
                node = AsyncNode(told.host, told.port, **manager.connection_kwargs)
            else:
                node = ClusterNode(told.host, told.port)  # type: ignore[no-untyped-call]
            manager.nodes_cache[node.name] = node
        return node


def routes_over(client: Any) -> Routes | None:
    """The routes of a cluster's client; None for any other."""
    return Routes(client) if is_cluster_client(client) else None


def client_at(client: Any, key: str) -> Any:
    """With threads: the client of the node that has this key; of one server the client itself."""
    if not is_cluster_client(client):
        return client
    return client.get_redis_connection(client.get_node_from_key(key))


def masters_of(client: Any) -> dict[str, Any]:
    """With threads: a client for each master of a cluster, by its name; of one server itself, by none."""
    if not is_cluster_client(client):
        return {"": client}
    return {node.name: client.get_redis_connection(node) for node in client.get_primaries()}


def key_of(command: tuple[Any, ...]) -> Any:
    """The first key of a command that a reader sends; None for one without."""
    name = command[0]
    if name.startswith("EVAL"):
        return command[3]
    if name == "XREAD":
        return command[command.index("STREAMS") + 1]
    return command[1] if len(command) > 1 else None


def rests_s(error: BaseException) -> float:
    """For how long to leave a node alone that has failed by that."""
    return HUNG_S if isinstance(error, TimeoutError) else AWAY_S


def _is_lost(outcome: Any) -> bool:
    """Whether that is no answer of the node's."""
    return (
        isinstance(outcome, Exception)
        and not isinstance(outcome, ResponseError | MaxConnectionsError | TypeError)
    )  # fmt: skip


def _told(outcome: Any) -> Any:
    """What a reader is to be told: its own error for each that a node's state was in the way of."""
    if isinstance(outcome, _PASSING) or _is_lost(outcome):
        told = unavailable(outcome)
        if isinstance(told, AccessDenied):
            return outcome
        error = NodeUnavailable(told.message, told.hint)
        error.__cause__ = outcome
        return error
    return outcome


# --- with threads


def exchange(routes: Routes, commands: Commands) -> list[Any]:
    """The replies, errors among them; the nodes are asked one after the other. Raises what learning meets."""
    work = routes.route(commands)
    answer: Any = None
    try:
        while True:
            order = work.send(answer)
            answer = None
            if isinstance(order, float):
                time.sleep(order)
            elif isinstance(order, Learn):
                try:
                    learn(routes.client, order.failed)
                except ERRORS as error:
                    answer = error
            else:
                answer = {}
                for node, sent in order.items():
                    replies = _send(routes.client.get_redis_connection(node), sent)
                    answer |= {one.number: reply for one, reply in zip(sent, replies, strict=True)}
    except StopIteration as done:
        outcomes: list[Any] = done.value
        return outcomes


def _send(node: Any, sent: Sequence[Sent]) -> list[Any]:
    try:
        if len(sent) == 1 and not sent[0].asking:
            return [node.execute_command(*sent[0].command)]
        with node.pipeline(transaction=False) as pipeline:
            for one in sent:
                if one.asking:
                    pipeline.execute_command("ASKING")
                pipeline.execute_command(*one.command)
            replies = iter(pipeline.execute(raise_on_error=False))
        return [(next(replies) if one.asking else None, next(replies))[1] for one in sent]
    except (*ERRORS, *NO_REDIS) as error:
        return [error] * len(sent)


# --- with asyncio


async def exchange_async(routes: Routes, commands: Commands) -> list[Any]:
    """As `exchange`; the nodes are asked side by side."""
    work = routes.route(commands)
    answer: Any = None
    try:
        while True:
            order = work.send(answer)
            answer = None
            if isinstance(order, float):
                await asyncio.sleep(order)
            elif isinstance(order, Learn):
                try:
                    await learn_async(routes.client, order.failed)
                except ERRORS as error:
                    answer = error
            else:
                replied = await asyncio.gather(*(_send_async(*trip) for trip in order.items()))
                answer = {
                    one.number: reply
                    for sent, replies in zip(order.values(), replied, strict=True)
                    for one, reply in zip(sent, replies, strict=True)
                }
    except StopIteration as done:
        outcomes: list[Any] = done.value
        return outcomes


async def _send_async(node: Any, sent: Sequence[Sent]) -> list[Any]:
    try:
        if len(sent) == 1 and not sent[0].asking:
            return [await node.execute_command(*sent[0].command)]
        commands = [PipelineCommand(one.number, *one.command) for one in sent]
        asked = (PipelineCommand(-1, "ASKING") for _ in sent)
        pairs = zip(sent, asked, commands, strict=True)
        await node.execute_pipeline(
            [each for one, ask, command in pairs for each in ((ask, command) if one.asking else (command,))]
        )
        return [command.result for command in commands]
    except (*ERRORS, *NO_REDIS) as error:
        return [error] * len(sent)
