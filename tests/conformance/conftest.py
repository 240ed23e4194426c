"""The venues that the suite holds to their word: a new one is one more line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest

from livecache.clock import Clock
from livecache.venues._template.settings import TemplateSettings
from livecache.venues._template.venue import TemplateVenue

from .bench import Make
from .binance import BinanceFace
from .coinbase import CoinbaseFace
from .deribit import DeribitFace
from .polled import BybitFace, KrakenFace, OkxFace
from .toy import TRAITS, ToyFace
from .yahoo import YahooFace


class TemplateFace(ToyFace):
    """What is there to be copied speaks as the toy does."""

    def venue(
        self, name: str, urls: Sequence[str], now: Callable[[], int | None], clock: Clock
    ) -> TemplateVenue:
        settings = TemplateSettings(
            rest_url=urls[0], ws_url=urls[1], request_timeout=5.0, silence_timeout=2.0
        )
        return TemplateVenue(settings, name=name, now=now, clock=clock, jitter=lambda: 0.5, traits=TRAITS)


POLLED: dict[str, Make] = {"kraken": KrakenFace, "bybit": BybitFace, "okx": OkxFace, "yahoo": YahooFace}
"""Those without a feed."""

FACES: dict[str, Make] = {
    "coinbase": CoinbaseFace,
    "deribit": DeribitFace,
    "binance": BinanceFace,
    "binance-usdm": partial(BinanceFace, api="usdm"),
    "binance-us": partial(BinanceFace, api="us"),
    "toy": ToyFace,
    "template": TemplateFace,
    **POLLED,
}
"""What makes the face of each venue, of when its market begins (Unix ms), how fast it goes, and our clock."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every check that takes a `make` is made of each venue; those of feeds where there is one."""
    if "make" in metafunc.fixturenames:
        without = POLLED if metafunc.module.__name__.endswith("test_feed") else {}
        faces = {name: face for name, face in FACES.items() if name not in without}
        metafunc.parametrize("make", faces.values(), ids=faces)
