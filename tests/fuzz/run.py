"""Runs inputs through targets, and knows how to make each of them again."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .mutations import NASTY, RARE, mutated, walked
from .targets import Target, own_seeds

__all__ = ["Failure", "fuzz", "numbered", "walk"]


@dataclass(frozen=True)
class Failure:
    """An input that broke a promise, and how it did."""

    target: str
    seed: int | None  # None: an input of the walk, which needs no seed
    number: int
    data: bytes
    error: str

    def __str__(self) -> str:
        which = (
            f"{self.target}:walk:{self.number}"
            if self.seed is None
            else f"{self.target}:{self.seed}:{self.number}"
        )
        shown = repr(self.data if len(self.data) <= 300 else self.data[:300]) + f" ({len(self.data)} bytes)"
        return f"{which}\n  {self.error}\n  input: {shown}\n  replay: python -m tests.fuzz --replay {which}"


def numbered(target: Target, seed: int) -> Callable[[int], bytes]:
    """The inputs of a seed, by number: each depends on nothing but the target, the seed and its number."""
    seeds = own_seeds(target)
    return lambda number: mutated(random.Random(f"{target.name}:{seed}:{number}"), seeds)


def walk(target: Target) -> Iterator[bytes]:
    """Every value of every JSON seed of our own replaced by everything nasty; a few also by what is huge."""
    for seed in target.seeds:
        if seed[:1] in b"[{":
            yield from walked(seed, NASTY)
    yield from RARE
    yield from NASTY


def fuzz(target: Target, number: int, data: bytes, *, seed: int | None = None) -> Failure | None:
    """Run one input; what it broke, if anything."""
    try:
        target.check(data)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__}: {str(error)[:300]} (at {where.name}, line {where.lineno})"
        return Failure(target.name, seed, number, data, told)
    return None
