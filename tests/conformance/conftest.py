"""The venues that the suite holds to their word: a new one is one more line here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .coinbase import CoinbaseFace
from .face import Face
from .toy import ToyFace

FACES: dict[str, Callable[[int, float], Face]] = {"coinbase": CoinbaseFace, "toy": ToyFace}
"""What makes the face of each venue, of when its market begins (Unix ms) and how fast it goes."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every check that takes a `face` is made of each venue."""
    if "make" in metafunc.fixturenames:
        metafunc.parametrize("make", FACES.values(), ids=FACES)
