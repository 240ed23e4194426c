"""Many calls at once, each to the node that has its keys. Here alone it is known that there are nodes.

A cluster is asked by one plain pipeline a node, side by side, and each call has an outcome of its own: a node
that is away takes nothing from the others. One server is asked call by call, as any `RedisLike`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from redis.asyncio.cluster import ClusterNode, PipelineCommand
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MaxConnectionsError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    ResponseError,
    SlotNotCoveredError,
    TryAgainError,
)

from ..model.histogram import Histogram
from .cluster import AsyncCluster, learn_async, slot_of
from .refusals import ERRORS
from .scripts import RedisLike, Script, batches, cancellable

__all__ = ["NODE_S", "Call", "Many", "Spread", "grouped", "is_apart", "is_away", "run_all", "trouble_of"]

NODE_S = 1.0
"""A node that does not answer for so long is away: the socket's time limits of the client."""

_LEARN_S = 0.25  # between two looks at which nodes there are
_AGAIN_S = 0.25  # before a node that is away is tried again
_PROBE_S = 0.2  # for whether it answers then: others wait for that
_PAUSE_S = 0.05  # while keys of one slot are on their way
_ATTEMPTS = 5
_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

_KEYLESS = frozenset({"CONFIG", "INFO", "PING", "TIME"})

_AWAY = (ReadOnlyError, ClusterDownError, MasterDownError, BusyLoadingError)

_T = TypeVar("_T")
_K = TypeVar("_K", bound=Hashable)


class Call(NamedTuple):
    """A script to be run, all of whose keys have one slot in a cluster."""

    script: Script
    keys: Sequence[str]
    args: Sequence[str | int]


class Many(Protocol):
    """What takes many calls at once."""

    @property
    def apart(self) -> bool:
        """Whether keys of two symbols cannot be in one call."""
        ...

    def away(self, key: str) -> bool:
        """Whether the node that has the key is known not to answer now."""
        ...

    async def many(self, calls: Sequence[Call], *, settle: bool = False) -> list[Any]:
        """The outcome of each: its reply, or the error that it met."""
        ...


def is_apart(redis: RedisLike) -> bool:
    """Whether keys of two symbols cannot be in one call, as in a cluster."""
    return bool(getattr(redis, "apart", False))  # a check by `Many` would take ten times as long


def is_away(redis: RedisLike, key: str) -> bool:
    """Whether the node that has the key is known not to answer now."""
    return is_apart(redis) and cast(Many, redis).away(key)


def trouble_of(redis: RedisLike) -> BaseException | None:
    """What some node of a cluster fails by that is away now."""
    return cast(Spread, redis).trouble if is_apart(redis) else None


def grouped(redis: RedisLike, items: Iterable[_T], most: int, of: Callable[[_T], _K]) -> list[Sequence[_T]]:
    """The items, at most so many a call; apart for each that they are `of`, where they must."""
    if not is_apart(redis):
        return batches(list(items), most)
    groups: dict[_K, list[_T]] = {}
    for item in items:
        groups.setdefault(of(item), []).append(item)
    return [batch for group in groups.values() for batch in batches(group, most)]


async def run_all(redis: RedisLike, calls: Sequence[Call], *, settle: bool = False) -> list[Any]:
    """The outcome of each call: its reply, or the error of a node that is away while others are there.

    Raises the first error where nothing succeeds; of one server any. `settle`: what was written is to be on a
    replica, if there is one that follows, before this returns.
    """
    if not is_apart(redis):
        return [await call.script.run(redis, call.keys, call.args) for call in calls]
    outcomes = await cast(Many, redis).many(calls, settle=settle)
    failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if failed and len(failed) == len(outcomes):
        raise failed[0]
    return outcomes


class _Away(NamedTuple):
    error: BaseException
    again_s: float  # the loop's time from which it is tried again


class Spread:
    """The way to a cluster's masters, and a `RedisLike`: a single command goes where its first key is.

    The client's own ways of sending are not used: they wait for the dead, and close connections under
    whoever else uses them.
    """

    apart = True

    def __init__(self, client: AsyncCluster) -> None:
        self._client = client
        self._nodes = client.nodes_manager
        self._away: dict[str, _Away] = {}
        self._stale = True
        self._learn_at_s = float("-inf")
        self.redirects = {"moved": 0, "ask": 0}
        """Calls that were answered by the name of another node: for good, or for that call."""
        self.seconds: dict[str, Histogram] = {}
        """How long pipelines to each node took, by its host and port."""

    @property
    def trouble(self) -> BaseException | None:
        """What some node fails by that is away now; None if all are there."""
        return next((away.error for away in self._away.values()), None)

    @property
    def nodes(self) -> Mapping[str, bool]:
        """Whether each master that is known answers, by its host and port."""
        return {node.name: node.name not in self._away for node in self._client.get_primaries()}

    def away(self, key: str) -> bool:
        """Whether the node that has the key is known not to answer now."""
        if not self._away:
            return False
        node = self._node_of(key)
        found = self._away.get(node.name) if node is not None else None
        return found is not None and found.again_s > _now_s()

    async def execute_command(self, *args: Any) -> Any:
        """Send one command and return its reply, or raise what redis-py raises."""
        (outcome,) = await cancellable(self._run([args], [None], settle=False))
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def many(self, calls: Sequence[Call], *, settle: bool = False) -> list[Any]:
        """The outcome of each call, in their order; never raises for a node's sake.

        With `settle` each node's pipeline ends only once a replica has it, or after a tenth of a second.
        """
        commands = [("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args) for call in calls]
        return await cancellable(self._run(commands, [call.script for call in calls], settle=settle))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._nodes.aclose()
        await self._nodes.aclose("startup_nodes")

    # --- inside

    async def _run(
        self, commands: Sequence[Sequence[Any]], scripts: Sequence[Script | None], *, settle: bool
    ) -> list[Any]:
        outcomes: list[Any] = [None] * len(commands)
        commands = list(commands)
        asked: dict[int, ClusterNode] = {}  # whom another node has named for this call alone
        left = list(range(len(commands)))
        for attempt in range(_ATTEMPTS):
            error = await self._learn()
            pipes: dict[ClusterNode, list[int]] = {}
            for n in left:
                node = asked.get(n) or self._node_of(_key_of(commands[n]))
                if node is None:
                    outcomes[n] = error or SlotNotCoveredError("no master of the cluster has the key's slot")
                else:
                    pipes.setdefault(node, []).append(n)
            await asyncio.gather(
                *(
                    self._send(node, numbers, commands, asked, outcomes, settle)
                    for node, numbers in pipes.items()
                )
            )
            asked, again, pause = {}, [], False
            for n in left:
                match outcomes[n]:
                    case NoScriptError() if (script := scripts[n]) is not None:
                        commands[n] = ("EVAL", script.text, *commands[n][2:])
                    case MovedError() as moved if self._nodes.slots_cache:
                        self.redirects["moved"] += 1
                        self._stale = True
                        await self._nodes.move_slot(moved)
                    case AskError() as ask:
                        self.redirects["ask"] += 1
                        asked[n] = self._named(ask.host, ask.port)
                        pause = pause or attempt > 0
                    case TryAgainError():
                        pause = True
                    case _:
                        continue
                again.append(n)
            if not (left := again):
                break
            if pause:
                await asyncio.sleep(_PAUSE_S)
        return outcomes

    async def _send(
        self,
        node: ClusterNode,
        numbers: Sequence[int],
        commands: Sequence[Sequence[Any]],
        asked: dict[int, ClusterNode],
        outcomes: list[Any],
        settle: bool,
    ) -> None:
        """One pipeline to one node."""
        error: BaseException | None = None
        away = self._away.get(node.name)
        if away is not None and (away.again_s > _now_s() or not await self._answers(node)):
            error = away.error
        tried = error is None
        pipe = list(_pipe(numbers, commands, asked))
        waiting = [PipelineCommand(-1, "WAIT", 1, 100)] if settle else []
        if error is None:
            began_s = _now_s()
            try:
                await node.execute_pipeline([*pipe, *waiting])
            except ERRORS as failed:
                error = failed
            self.seconds.setdefault(node.name, Histogram(_BOUNDS_S)).observe(_now_s() - began_s)
        for command in pipe:
            if command.position >= 0:
                outcome = outcomes[command.position] = error or command.result
                if tried and isinstance(outcome, BaseException):
                    self._note(node, outcome)

    async def _answers(self, node: ClusterNode) -> bool:
        """Whether a node that was away is there again."""
        ping = PipelineCommand(0, "PING")
        try:
            async with asyncio.timeout(_PROBE_S):
                await node.execute_pipeline([ping])
        except ERRORS as error:
            ping.result = error
        if isinstance(ping.result, BaseException):
            self._note(node, ping.result)
            return False
        self._away.pop(node.name, None)
        return True

    def _note(self, node: ClusterNode, error: BaseException) -> None:
        """Take the node for away, if that is what the error says."""
        if isinstance(error, MaxConnectionsError):
            return
        if not isinstance(error, ResponseError) or isinstance(error, _AWAY):
            self._away[node.name] = _Away(error, _now_s() + _AGAIN_S)
            self._stale = True

    async def _learn(self) -> BaseException | None:
        """Learn anew which nodes there are, if that is doubted and was not done just now."""
        # Whoever knows none yet waits for whoever is learning.
        if self._nodes.slots_cache and (not self._stale or _now_s() < self._learn_at_s):
            return None
        self._learn_at_s = _now_s() + _LEARN_S
        try:
            await learn_async(self._client, next(iter(self._away), None))
        except ERRORS as error:
            return error
        masters = {node.name for node in self._client.get_primaries()}
        self._away = {name: away for name, away in self._away.items() if name in masters}
        self.seconds = {name: its for name, its in self.seconds.items() if name in masters}
        self._stale = bool(self._away)
        return None

    def _node_of(self, key: str | bytes | None) -> ClusterNode | None:
        if key is None:
            masters = self._client.get_primaries()
            return next((node for node in masters if node.name not in self._away), next(iter(masters), None))
        nodes = self._nodes.slots_cache.get(slot_of(key))
        return nodes[0] if nodes else None

    def _named(self, host: str, port: int) -> ClusterNode:
        """The node of that name; one that has no slot yet is known to nobody else."""
        node = self._client.get_node(host, port)
        if node is None:
            node = ClusterNode(host, port, **self._client.connection_kwargs)
            self._nodes.nodes_cache[node.name] = node
        return node


def _pipe(
    numbers: Sequence[int], commands: Sequence[Sequence[Any]], asked: dict[int, ClusterNode]
) -> Iterator[PipelineCommand]:
    for n in numbers:
        if n in asked:
            yield PipelineCommand(-1, "ASKING")  # which counts for what follows on the same connection
        yield PipelineCommand(n, *commands[n])


def _key_of(command: Sequence[Any]) -> str | None:
    """The first key of a command, by which it goes to a node."""
    name = str(command[0]).upper()
    if name.startswith("EVAL"):
        return command[3] if int(command[2]) else None
    return None if name in _KEYLESS else command[1]


def _now_s() -> float:
    return asyncio.get_running_loop().time()
