"""Which kinds of venue there are. What one needs is loaded only where it is asked for.

A kind is a package with a module `settings`, whose `SETTINGS` is its struct, and a module `venue`, whose
`VENUE` is its class, a `base.HttpVenue`; it may have a `witness`, with a function `build`, and `asserted`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from ..errors import ConfigError
from ..model.series import FIRST_VENUE
from .settings import VenueSettings

if TYPE_CHECKING:
    from ..clock import Clock
    from .asserted import Assertion
    from .configured import ConfiguredVenue, Witness

__all__ = [
    "DEFAULT",
    "KINDS",
    "asserted_of",
    "build",
    "build_witness",
    "code_of",
    "settings_named",
    "settings_of",
]

KINDS: dict[str, str] = {
    "coinbase": "livecache.venues.coinbase",
    "deribit": "livecache.venues.deribit",
    "binance": "livecache.venues.binance",
    "yahoo": "livecache.venues.yahoo",
    "ccxt": "livecache.venues.by_ccxt",
}
"""The kinds by name, as `kind` gives them, and the package of each."""

DEFAULT = FIRST_VENUE
"""The kind, and the id, of the one venue where the configuration names none."""


def settings_of(kind: str) -> type[VenueSettings]:
    """The struct of such a venue's settings. KeyError for a kind that there is not."""
    return cast("type[VenueSettings]", import_module(f"{KINDS[kind]}.settings").SETTINGS)


def settings_named(venue: str, configured: Mapping[str, VenueSettings]) -> VenueSettings:
    """Those of that id, or those that a kind of that name has by default. Raises ConfigError."""
    if venue in configured:
        return configured[venue]
    if venue in KINDS:
        return settings_of(venue)()
    known = ", ".join(dict.fromkeys([*configured, *KINDS]))
    raise ConfigError(f"--venue {venue!r} is not configured", f"one of {known}")


def asserted_of(kind: str) -> tuple[Assertion, ...]:
    """What is gone by of such a venue and only itself can bear out; nothing where it has no such list."""
    if find_spec(f"{KINDS[kind]}.asserted") is None:
        return ()
    return cast("tuple[Assertion, ...]", import_module(f"{KINDS[kind]}.asserted").ASSERTED)


def code_of(kind: str) -> Any:
    """The module `venue` of such a kind, loaded."""
    return import_module(f"{KINDS[kind]}.venue")


def build(
    venue: str,
    settings: VenueSettings,
    *,
    environ: Mapping[str, str],
    now: Callable[[], int | None],
    clock: Clock,
    jitter: Callable[[], float],
) -> ConfiguredVenue:
    """The venue of that id. Raises ConfigError for secrets that cannot be used.

    `now` is the venue's clock in Unix ms, None while unknown; `jitter` is uniform in [0, 1).
    """
    kind = code_of(settings.kind or venue).VENUE
    made = kind.build(settings, environ, name=venue, now=now, clock=clock, jitter=jitter)
    return cast("ConfiguredVenue", made)


def build_witness(venue: str, settings: VenueSettings, environ: Mapping[str, str]) -> Witness:
    """The witness against that venue. Raises ConfigError, also where its kind has none."""
    kind = settings.kind or venue
    if find_spec(f"{KINDS[kind]}.witness") is None:
        raise ConfigError(f"{venue}: there is no second client for a {kind}", "leave out --against-venue")
    return cast("Witness", import_module(f"{KINDS[kind]}.witness").build(venue, settings, environ))
