"""`livecache ready`: may one start to read? And for an orchestrator: should this container live?"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections import Counter
from pathlib import Path

from ..cache.keyspace import Damaged, decode_lease
from ..cache.standing import left_warm, reasons_not_ready, row_of
from ..config import Config
from .reading import connect, keyspace_of, open_reader

__all__ = ["check_ready"]

# What holds nothing back, and is told all the same.
_BESIDES = {
    "short": "of them as long as the venue has",
    "unknown": "of symbols that the venue does not know",
    "halted": "of symbols that are halted",
}


def check_ready(config: Config, *, health: bool, as_json: bool) -> int:
    """Print whether all is ready and what is not; 0 if ready, else 1. Raises RedisUnavailable.

    What the venue has too little of, does not know or has halted does not hold the others back. With
    `health`, it is enough that all was ready once and that a service lives: a venue's outage is no reason
    to restart a cache.
    """
    require = config.cache.require
    with open_reader(config) as reader:
        views = reader.states()
    table = [row_of(view) for view in views]
    reasons = reasons_not_ready(table, config.redis.prefix, require)
    if health:
        writer = _writer(config)
        if writer is None:
            reasons = ["no service holds the lease: it has ended, or not begun", *reasons]
        elif _was_ready(config.redis.prefix, now=not reasons) or left_warm(views, require):
            reasons = []
    counts = Counter(row.state for row in table)
    told = [f"{counts[state]} {words}" for state, words in _BESIDES.items() if counts[state]]
    if as_json:
        print(json.dumps({"ready": not reasons, "series": len(table), "reasons": reasons}))
    elif reasons:
        print("\n".join(["not ready:", *(f"  {reason}" for reason in reasons)]))
    elif health:
        print("healthy")
    else:
        print(f"ready: {len(table)} series" + (f", {', '.join(told)}" if told else ""))
    return 1 if reasons else 0


def _writer(config: Config) -> str | None:
    """The instance that holds the lease: unlike the alive keys, it lives on while the venue is silent."""
    with connect(config) as client:
        raw = client.get(keyspace_of(config).lease)
    try:
        return decode_lease(raw).instance if isinstance(raw, bytes | str) else None
    except Damaged:
        return None


def _was_ready(prefix: str, *, now: bool) -> bool:
    """Whether all has been seen ready in this container; remembers it if it is so `now`.

    A file remembers, since health checks are processes of their own.
    """
    name = hashlib.sha256(f"{os.getuid()}\n{prefix}".encode()).hexdigest()[:16]
    mark = Path(tempfile.gettempdir()) / f"livecache-was-ready-{name}"
    if now:
        # A container without any place to write forgets: then every check counts by itself.
        with contextlib.suppress(OSError):
            mark.touch(mode=0o600)
    return now or mark.exists()
