"""What a venue allows, and how much of it we take: values that `pacing/meter.py` keeps.

A venue has several of them, by name. A request costs something in each: what its costs do not name it costs 1
in, and 0 says that it costs nothing there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

__all__ = [
    "HOUR_S",
    "NOTHING",
    "Budget",
    "Costs",
    "Hour",
    "Pool",
    "Rolling",
    "Spacing",
    "Window",
    "least_s",
    "usage_of",
]

Costs = Mapping[str, int]
"""What a request costs in each budget, by its name: 1 where it says nothing."""

HOUR_S = 3_600.0

NOTHING: Costs = MappingProxyType({})
"""Says nothing of any budget."""


class _Sized(msgspec.Struct, frozen=True):
    name: str
    size: int
    """What the venue allows, in the unit of the costs."""


class Pool(_Sized, frozen=True):
    """A pool of `size` that refills by `refill_per_s`, evenly. We use `share` of it, and all of that."""

    refill_per_s: float
    share: float = 1.0

    def __post_init__(self) -> None:
        _check(self.name, self.size, self.refill_per_s, self.share)


class Window(_Sized, frozen=True):
    """At most `size` in each full minute (`length_s`) of the venue's clock, others at our address included.

    The venue's answers say in the header `usage` how much of it is gone. Where none does, nobody knows of
    those others: then declare a `Rolling`.
    """

    usage: str
    length_s: int = 60
    share: float = 0.8

    def __post_init__(self) -> None:
        _check(self.name, self.size, self.length_s, self.share)


class Rolling(_Sized, frozen=True):
    """At most `size` within any `length_s`, whenever that begins: an hour of 1,800 requests."""

    length_s: float
    share: float = 1.0

    def __post_init__(self) -> None:
        _check(self.name, self.size, self.length_s, self.share)


class Spacing(msgspec.Struct, frozen=True):
    """Requests start evenly, at most `per_s` a second, each up to `jitter_s` later by chance.

    `yields`: after refusals they start further apart, and nearer again as they succeed: where nobody has said
    what is allowed.
    """

    name: str
    per_s: float
    jitter_s: float = 0.0
    yields: bool = False

    def __post_init__(self) -> None:
        if not (self.per_s > 0 and self.jitter_s >= 0):
            raise ValueError(f"the budget {self.name!r} needs a per_s above 0 and a jitter_s of 0 or more")


Budget = Pool | Window | Rolling | Spacing


class Hour(NamedTuple):
    """How many requests started within the last hour, and how many may; 0: nothing bounds an hour's."""

    requests: int
    most: int


def usage_of(budgets: Iterable[Budget], headers: Mapping[str, str]) -> Costs:
    """How much of its windows is used, as the headers of a venue's answer say; others are left out."""
    windows = [budget for budget in budgets if isinstance(budget, Window)]
    told = {window.name: headers.get(window.usage, "").strip()[:9] for window in windows}
    return {name: int(said) for name, said in told.items() if said.isascii() and said.isdigit()}


def least_s(budgets: Iterable[Budget], costs: Costs, requests: float, began_s: float) -> float:
    """How long so many requests take at least, from `began_s` (venue, Unix) on; nothing is used then."""
    took = 0.0
    for budget in budgets:
        used = requests * costs.get(budget.name, 1)
        if isinstance(budget, Spacing):
            took = max(took, used / budget.per_s)
        elif isinstance(budget, Pool):
            took = max(took, (used - budget.size * budget.share) / budget.refill_per_s)
        elif (turns := math.ceil(used / (budget.size * budget.share)) - 1) > 0:
            passed_s = began_s % budget.length_s if isinstance(budget, Window) else 0.0
            took = max(took, turns * budget.length_s - passed_s)
    return took


def _check(name: str, size: int, per: float, share: float) -> None:
    if not (size >= 1 and per > 0 and 0 < share <= 1):
        raise ValueError(
            f"the budget {name!r} needs a size of 1 or more, a time above 0 and a share in (0, 1]"
        )
