"""Whatever a venue sends or Redis holds, decoding it gives something to believe or a bounded refusal."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from .run import Failure, fuzz, numbered, walk
from .targets import TARGETS, Target, own_seeds

RANDOM_INPUTS = 500
BY_NAME = [pytest.param(target, id=target.name) for target in TARGETS]


def told(failures: list[Failure]) -> str:
    return f"{len(failures)} inputs broke it:\n" + "\n".join(map(str, failures[:3]))


@pytest.mark.parametrize("target", BY_NAME)
def test_well_formed_inputs_break_nothing(target: Target) -> None:
    """Those written for these tests, and those captured where they are here."""
    assert own_seeds(target)
    failures = [f for n, data in enumerate(own_seeds(target)) if (f := fuzz(target, n, data))]
    assert not failures, told(failures)


@pytest.mark.parametrize("target", BY_NAME)
def test_nasty_values_in_every_place_break_nothing(target: Target) -> None:
    """Every value of every payload replaced by null, NaN, huge numbers, 10,000 nested lists and so on."""
    failures = [f for n, data in enumerate(walk(target)) if (f := fuzz(target, n, data))]
    assert not failures, told(failures)


@pytest.mark.parametrize("target", BY_NAME)
def test_random_damage_breaks_nothing(target: Target) -> None:
    """Cut, flipped, spliced, with keys doubled and missing: the same inputs at every run."""
    inputs = numbered(target, seed=0)
    failures = [f for n in range(RANDOM_INPUTS) if (f := fuzz(target, n, inputs(n), seed=0))]
    assert not failures, told(failures)


def test_a_failure_names_an_input_that_can_be_made_again() -> None:
    def picky(data: bytes) -> None:
        if b"null" in data:
            raise KeyError("null")

    target = replace(TARGETS[0], check=picky)
    first = next(f for n, data in enumerate(walk(target)) if (f := fuzz(target, n, data)))
    assert next(islice(walk(target), first.number, None)) == first.data
    inputs = numbered(target, seed=7)
    other = next(f for n in range(10_000) if (f := fuzz(target, n, inputs(n), seed=7)))
    assert numbered(target, seed=7)(other.number) == other.data
    assert f"--replay frame:7:{other.number}" in str(other)
    assert "KeyError" in str(other)


def test_the_command_tells_how_many_inputs_were_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--target", "text", "--inputs", "300", "--seed", "3"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "text" in done.stdout and "0 failures, seed 3" in done.stdout
