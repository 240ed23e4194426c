"""Faults drawn at random: the same seed draws the same ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Literal

from . import script as kinds
from .script import FORMS, Fault, FaultScript

__all__ = ["random_script"]

_CALM_S = 180.0  # nothing goes wrong while a client starts
_BETWEEN_S = 240.0  # on average, from one fault to the next; they may overlap
_OUTAGE_S = 3_600.0


def random_script(seed: int, hours: float, products: Sequence[str]) -> FaultScript:
    """Faults of every kind over so many hours of market time, for a market of these products.

    Left out is what a client cannot see through while it lasts: pages without rows that exist, and a venue
    whose own clock is ahead of its candles.
    """
    chance = random.Random(f"{seed}|script")
    draws = _Draws(chance, products)
    end_s, at_s = hours * 3600, _CALM_S
    episodes: list[Fault] = []
    while at_s < end_s:
        episodes.append(draws.episode(at_s))
        at_s += chance.expovariate(1 / _BETWEEN_S)
    return FaultScript(seed, tuple(episodes))


class _Draws:
    """Draws one episode after the other."""

    def __init__(self, chance: random.Random, products: Sequence[str]) -> None:
        self._chance = chance
        self._products = list(products)
        self._kinds: tuple[Callable[[float], Fault], ...] = (
            self._close,
            self._frames,
            self._garbage,
            self._mute,
            self._stamps,
            self._requests,
            self._refusals,
            self._pages,
            self._lies,
            self._revision,
            self._gone,
        )

    def episode(self, at: float) -> Fault:
        """One that begins so many seconds after the start."""
        return self._chance.choice(self._kinds)(at)

    def _lasts(self, most_s: float = 600.0) -> float:
        return round(self._chance.uniform(5, most_s), 1)

    def _some(self) -> tuple[str, ...]:
        """All products, or one of them."""
        return (self._chance.choice(self._products),) if self._chance.random() < 0.5 else ()

    def _share(self) -> float:
        return round(self._chance.uniform(0.05, 0.5), 2)

    def _close(self, at: float) -> Fault:
        codes: tuple[int | Literal["abort"], ...] = (1000, 1001, 1008, 1011, "abort")
        behind = self._chance.random() < 0.5
        return kinds.CloseFeed(at=at, code=self._chance.choice(codes), behind=behind)

    def _frames(self, at: float) -> Fault:
        kind = self._chance.choice((kinds.Drop, kinds.Duplicate, kinds.Reorder, kinds.ReplayedSnapshot))
        return kind(at=at, lasts=self._lasts(120), products=self._some(), share=self._share())

    def _garbage(self, at: float) -> Fault:
        forms = (self._chance.choice(FORMS),)
        return kinds.Garbage(at=at, lasts=self._lasts(120), forms=forms, share=self._share())

    def _mute(self, at: float) -> Fault:
        cured = self._chance.random() < 0.5
        if self._chance.random() < 0.25:
            return kinds.SilentFeed(at=at, lasts=self._lasts(), cured=cured)
        if self._chance.random() < 0.5:
            return kinds.NoFinalUpdate(at=at, lasts=self._lasts(), products=self._some())
        return kinds.Mute(at=at, lasts=self._lasts(1200), products=self._some(), cured=cured)

    def _stamps(self, at: float) -> Fault:
        if self._chance.random() < 0.5:
            return kinds.ClockSkew(at=at, lasts=self._lasts(), seconds=-self._chance.uniform(5, 60))
        return kinds.StampAhead(at=at, lasts=self._lasts(), seconds=self._chance.uniform(61, 5_000))

    def _requests(self, at: float) -> Fault:
        lasts, products, share = self._lasts(120), self._some(), self._share()
        if self._chance.random() < 0.3:
            return kinds.Hang(at=at, lasts=lasts, products=products, share=share)
        if self._chance.random() < 0.3:
            return kinds.Reset(at=at, lasts=lasts, products=products, share=share)
        if self._chance.random() < 0.3:
            return kinds.OddAnswer(at=at, lasts=lasts, products=products, share=share)
        status = self._chance.choice((400, 401, 500, 502, 503))
        return kinds.HttpError(at=at, lasts=lasts, products=products, share=share, status=status)

    def _refusals(self, at: float) -> Fault:
        if self._chance.random() < 0.1:
            return kinds.Outage(at=at, lasts=_OUTAGE_S)
        wait = self._chance.choice((None, 0, 1, 2))
        return kinds.HttpError(at=at, lasts=self._lasts(120), share=1.0, status=429, retry_after=wait)

    def _pages(self, at: float) -> Fault:
        if self._chance.random() < 0.5:
            return kinds.NewestAbsent(at=at, lasts=self._lasts(), products=self._some())
        return kinds.EdgeLag(
            at=at, lasts=self._lasts(), products=self._some(), seconds=self._chance.uniform(1, 60)
        )

    def _lies(self, at: float) -> Fault:
        lasts, products, share = self._lasts(), self._some(), self._share()
        if self._chance.random() < 0.4:
            return kinds.EmptyPage(at=at, lasts=lasts, products=products, share=share)
        if self._chance.random() < 0.3:
            return kinds.OddPage(at=at, lasts=self._lasts(240), products=products, share=share)
        if self._chance.random() < 0.5:
            return kinds.SpoiltRow(at=at, lasts=lasts, products=products, every=self._chance.randint(5, 100))
        return kinds.EdgeLag(at=at, lasts=lasts, products=products, seconds=self._chance.uniform(60, 1_200))

    def _revision(self, at: float) -> Fault:
        return kinds.Revision(at=at, products=self._some(), back=self._chance.randint(1, 8))

    def _gone(self, at: float) -> Fault:
        if self._chance.random() < 0.3:
            product = self._chance.choice(self._products)
            return kinds.Delisted(at=at, lasts=self._lasts(1800), products=(product,))
        return kinds.Unreachable(at=at, lasts=self._lasts(300))
