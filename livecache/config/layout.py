"""Which settings there are: the fixed sections, and one for each venue that is named."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Container, Mapping
from functools import cached_property

from ..errors import ConfigError
from ..venues.registry import KINDS, settings_of
from ..venues.settings import VenueSettings
from .render import settings
from .schema import Config

__all__ = ["VENUE_ID", "Layout", "layout_of", "variable_of"]

# What a key in Redis, a variable's name and `venue:SYMBOL` can hold.
VENUE_ID = re.compile(r"[a-z][a-z0-9-]{0,31}")

_KIND_VARIABLE = re.compile(r"LIVECACHE_VENUES_([A-Z0-9_]+)_KIND")

_IN_FILE = "the section"

# Secrets of the service itself, and what the image sets to refuse the embedded server.
_OTHER_VARIABLES = ("LIVECACHE_EMBEDDED", "LIVECACHE_HTTP_TOKEN", "LIVECACHE_HTTP_READ_TOKEN")


def variable_of(key: str) -> str:
    """The environment variable of the setting with that dotted key."""
    return "LIVECACHE_" + re.sub(r"[.-]", "_", key.upper())


class Layout:
    """The settings that can be given. `kinds`: the struct of each venue's settings, by its id.

    `there` are the venues that have a section; the others only could be named. Of the `refused` sections it
    has been told what is wrong.
    """

    def __init__(
        self,
        kinds: Mapping[str, type[VenueSettings]],
        there: Container[str] = (),
        refused: Collection[str] = (),
    ) -> None:
        self.kinds = kinds
        self._there = there
        self.refused = refused
        everything = Config(venues={venue: kind() for venue, kind in kinds.items()})
        self.defaults = dict(settings(everything))

    @cached_property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.defaults)

    @cached_property
    def sections(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key.rpartition(".")[0] for key in self.defaults))

    @cached_property
    def variables(self) -> dict[str, str]:
        """Dotted keys, by the variables that set them."""
        return {variable_of(key): key for key in self.defaults}

    @cached_property
    def secrets(self) -> frozenset[str]:
        """Variables that are no settings."""
        venues = (
            variable_of(f"{venue}.{name}") for venue, kind in self.kinds.items() for name in kind.SECRETS
        )
        return frozenset((*_OTHER_VARIABLES, *venues))

    @cached_property
    def variables_refused(self) -> tuple[str, ...]:
        """What the variables of refused sections begin with, their secrets' too."""
        venues = [section.removeprefix("venues.") for section in self.refused]
        return tuple(variable_of(f"{head}{venue}.") for venue in venues for head in ("venues.", ""))

    def named(self, given: Mapping[str, object]) -> dict[str, type[VenueSettings]]:
        """The venues that are configured, by a section or by any of these keys."""
        by_key = {key.split(".")[1] for key in given if key.startswith("venues.")}
        return {venue: kind for venue, kind in self.kinds.items() if venue in self._there or venue in by_key}


def layout_of(sections: object, env: Mapping[str, str], source: str, wrong: list[ConfigError]) -> Layout:
    """The settings that there are with these `[venues.<id>]` in the file and these variables.

    Whatever names no kind of venue is told in `wrong`.
    """
    kinds: dict[str, type[VenueSettings]] = {}
    there: set[str] = set()
    refused: set[str] = set()
    for venue, (kind, told) in _kinds(sections if isinstance(sections, dict) else {}, env).items():
        if not VENUE_ID.fullmatch(venue):
            hint = "small letters, digits and dashes, and a letter first"
            wrong.append(ConfigError(f"{source}: venues.{venue} is no id of a venue", hint))
        elif isinstance(kind, str) and kind in KINDS:
            kinds[venue] = settings_of(kind)
            there.add(venue)
            continue
        elif told:
            where = f"{source}: venues.{venue}.kind" if told == _IN_FILE else told
            wrong.append(ConfigError(f"{where}: {kind!r} is no kind of venue", _near(str(kind))))
        else:
            hint = _near(venue, "venues.", "set its kind, ")
            wrong.append(ConfigError(f"{source}: unknown section 'venues.{venue}'", hint))
        refused.add(f"venues.{venue}")
    # Each kind can be named by a variable alone.
    more = {
        kind: settings_of(kind) for kind in KINDS if kind not in kinds and f"venues.{kind}" not in refused
    }
    return Layout({**kinds, **more}, there, refused)


def _kinds(sections: Mapping[str, object], env: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    """The kind of each venue that has a section or a variable `…_KIND`, and where it is told; "": nowhere."""
    found: dict[str, tuple[object, str]] = {}
    for venue, section in sections.items():
        if isinstance(section, dict):
            told = section.get("kind")
            found[venue] = (venue, "") if told is None else (told, _IN_FILE)
    for name in sorted(env):
        if env[name] and (match := _KIND_VARIABLE.fullmatch(name)):
            found[match[1].lower().replace("_", "-")] = (env[name], name)
    return found


def _near(name: str, head: str = "", remedy: str = "") -> str:
    """The kind that was probably meant, else those that there are."""
    if remedy and (kind := name.partition("-")[0]) in KINDS:
        return f'set its kind = "{kind}"'
    near = difflib.get_close_matches(name, KINDS, n=1)
    if near:
        return f"did you mean {head}{near[0]}?"
    return f"{remedy}one of {', '.join(KINDS)}"
