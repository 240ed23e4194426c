"""`livecache cluster`: the nodes of a Redis Cluster, and what of this cache each of them has."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ...config.schema import Config
from ...errors import ConfigError
from ...model.series import SeriesId
from ...read.reading import READ
from ...wire.cluster import is_cluster_client
from ...wire.refusals import ERRORS, said
from ..reading import connect, keyspace_of, open_reader

__all__ = ["NodeView", "show_cluster"]

_SLOTS = 16_384

_ASKED = {"COMMAND": ("COMMAND COUNT",), "CONFIG": ("CONFIG GET", "maxmemory"), "WAIT": ("WAIT", 0, 1)}
"""What managed services refuse, and livecache does without."""


@dataclass(slots=True)
class NodeView:
    """One node as it tells of itself."""

    node: str
    role: str  # "primary" or "replica", as the cluster has it
    of: str = ""  # a replica's master
    slots: int = 0
    symbols: int = 0
    series: int = 0
    version: str = ""
    script: bool | None = None  # whether it knows the one that reads; None: it does not say
    lag: int | None = None  # bytes that a replica is behind; None of a master, or where none is told
    refuses: list[str] = field(default_factory=list)
    error: str = ""  # why it could not be asked; "" if it answers


def show_cluster(config: Config, *, as_json: bool) -> int:
    """Print the nodes; 0 if every slot has a master that answers, else 1.

    Raises RedisUnavailable, ConfigError where it is no cluster.
    """
    with open_reader(config) as reader, connect(config) as client:
        if not is_cluster_client(client):
            raise ConfigError(
                "that Redis is one server, no cluster", "a cluster's URL begins with redis+cluster://"
            )
        views = list(_views(client, config, reader.series()))
    served = sum(view.slots for view in views if not view.error)
    if as_json:
        print(json.dumps({"slots_served": served, "nodes": [asdict(view) for view in views]}))
    else:
        print("\n".join(_lines(views)))
        print(f"{served} of {_SLOTS} slots are served")
    return 0 if served == _SLOTS else 1


def _views(client: Any, config: Config, series: Sequence[SeriesId]) -> Iterator[NodeView]:
    """Each master, its replicas after it."""
    slots = client.nodes_manager.slots_cache
    kept: Counter[str] = Counter()
    symbols: Counter[str] = Counter()
    for venue, symbol in {(one.venue, one.symbol) for one in series}:
        node = client.get_node_from_key(keyspace_of(config, venue).alive(symbol)).name
        symbols[node] += 1
        kept[node] += sum(one[:2] == (venue, symbol) for one in series)
    owned = Counter(nodes[0].name for nodes in slots.values())
    masters = {nodes[0].name: nodes for nodes in slots.values()}
    for name in sorted(masters):
        written = None  # how many bytes the master has passed on
        for node in masters[name]:
            view = NodeView(node.name, node.server_type)
            if node.name == name:
                view.slots, view.symbols, view.series = owned[name], symbols[name], kept[name]
            else:
                view.of = name
            told = _ask(client.get_redis_connection(node), view)
            if not view.of:
                written = told.get("master_repl_offset")
            elif written is not None and "slave_repl_offset" in told:
                view.lag = max(0, written - told["slave_repl_offset"])
            yield view


def _ask(server: Any, view: NodeView) -> dict[str, Any]:
    """What it tells of itself, into the view; its INFO, {} where that is refused."""
    try:
        server.ping()
    except ERRORS as error:
        view.error = said(error)
        return {}
    told: Any = _told(server, view, "INFO", "INFO")
    info: dict[str, Any] = told if isinstance(told, dict) else {}
    view.version = str(info.get("valkey_version") or info.get("redis_version") or "")
    if info.get("role") == "slave" and info.get("master_link_status") != "up":
        view.error = "it does not follow its master"
    known: Any = _told(server, view, "SCRIPT", "SCRIPT EXISTS", READ.sha)
    view.script = bool(known[0]) if isinstance(known, list) else None
    for name, command in _ASKED.items():
        if name != "WAIT" or not view.of:  # which no replica takes
            _told(server, view, name, *command)
    return info


def _told(server: Any, view: NodeView, name: str, *command: Any) -> Any:
    """What it answers; None where it refuses, which is noted."""
    try:
        return server.execute_command(*command)
    except ERRORS:
        view.refuses.append(name)
        return None


def _lines(views: Sequence[NodeView]) -> Iterator[str]:
    heads = ("NODE", "ROLE", "SLOTS", "SYMBOLS", "SERIES", "VERSION", "SCRIPT", "BEHIND", "REFUSES")
    rows = [heads, *map(_row, views)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    for row, error in zip(rows, ["", *(view.error for view in views)], strict=True):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        yield f"{line}  ✗ {error}" if error else line


def _row(view: NodeView) -> tuple[str, ...]:
    role = f"replica of {view.of}" if view.of else view.role
    counts = ("", "", "") if view.of else tuple(map(str, (view.slots, view.symbols, view.series)))
    script = {True: "yes", False: "not yet", None: "?"}[view.script]
    lag = "" if view.lag is None else f"{view.lag} B"
    return view.node, role, *counts, view.version or "?", script, lag, ", ".join(view.refuses) or "-"
