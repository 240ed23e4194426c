"""Errors are values: they go from process to process, and are copied, as they are."""

from __future__ import annotations

import concurrent.futures
import copy
import inspect
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from livecache import Reader, UnknownTimeframe, errors
from livecache.errors import LivecacheError, NotReady, Stale, StoreUnusable, only

WAYS: dict[str, Callable[[Any], Any]] = {
    **{f"pickle {n}": lambda e, n=n: pickle.loads(pickle.dumps(e, n)) for n in range(6)},  # type: ignore[misc]
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}

ARGUMENTS: dict[str, object] = {
    "have": 3,
    "want": 5,
    "near": ["ETH-USD", "BTC-USD"],
    "known": ["1m", "5m"],
    "suggestion": None,
}


def every_error() -> Iterator[LivecacheError]:
    """One of each class, made with whatever its constructor takes: also of those that are yet to come."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, LivecacheError):
            taken: dict[str, Any] = {
                name: ARGUMENTS.get(name, f"the {name}")
                for name in inspect.signature(kind).parameters
                if name not in ("args", "kwargs")
            }
            yield kind(**taken)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", [*every_error()], ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_in_another_process(error: LivecacheError, way: str) -> None:
    error.add_note("seen on a Sunday")
    there = WAYS[way](error)
    assert type(there) is type(error)
    assert (str(there), there.args, vars(there)) == (str(error), error.args, vars(error))


class Own(NotReady):
    """An error that somebody derives from one of ours, with arguments of its own."""

    def __init__(self, symbol: str, *, tries: int) -> None:
        super().__init__(f"{symbol}: not yet", "wait", have=1, want=2)
        self.tries = tries


@pytest.mark.parametrize("way", WAYS)
def test_so_it_is_with_one_that_is_derived_and_with_its_cause(way: str) -> None:
    error = Own("BTC-USD", tries=3)
    error.__cause__ = Stale("nobody vouches", "is it running?")
    there = WAYS[way](error)
    assert vars(there) == vars(error) and str(there) == str(error)
    assert str(there.__cause__) == "nobody vouches (is it running?)"


def test_what_several_tasks_met_alike_is_one_error_and_nothing_else_is_lost() -> None:
    full, bug = StoreUnusable("no room"), KeyError("x")
    alike = ExceptionGroup("tasks", [ExceptionGroup("more", [full]), StoreUnusable("no room")])
    assert only(ExceptionGroup("all", [alike])) is full
    told = ExceptionGroup("all", [alike, StoreUnusable("the server is away", "start it")])
    assert only(told) is full, "of one store"
    both = ExceptionGroup("tasks", [full, bug])
    assert only(ExceptionGroup("all", [both])) is both
    twice = ExceptionGroup("all", [both, ExceptionGroup("tasks", [full, ValueError("y")])])
    assert only(twice) is twice


def ask(timeframe: str) -> object:
    return Reader("redis://127.0.0.1:1").candles("BTC-USD", timeframe, 60)  # refused before it connects


def test_a_worker_of_a_pool_tells_its_parent_what_was_wrong() -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        with pytest.raises(UnknownTimeframe, match="did you mean"):
            pool.submit(ask, "7min").result(timeout=60)
        assert pool.submit(len, "abc").result(timeout=60) == 3, "and the pool goes on"
