"""Who answers, and how the process is: `/api/v1`, `/api/v1/service`, and the probes."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from .fields import Reasons, RoleName, TheVenue

__all__ = [
    "AliveAnswer",
    "IndexAnswer",
    "ReadyAnswer",
    "ServiceAnswer",
    "StartedAnswer",
    "VenueStands",
    "Venues",
]


class VenueStands(msgspec.Struct, frozen=True, kw_only=True):
    """How the process serves one venue of several. Not everybody is told the instance and the origin."""

    role: RoleName
    trouble: Annotated[str, Meta(description="what its part of the service has ended by; else empty")]
    instance: str | UnsetType = UNSET
    origin: str | UnsetType = UNSET
    ready: Annotated[bool, Meta(description="whether all of its series are")] | UnsetType = UNSET


Venues = Annotated[dict[str, VenueStands], Meta(description="by their ids, where there are several")]


class ServiceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What `/api/v1/service` answers: who that is. Texts are empty while there is nothing to say yet."""

    version: str
    instance: Annotated[str, Meta(description="host, process and a random word: as in the alive keys")]
    role: RoleName
    started_at: Annotated[
        int, Meta(ge=0, description="when the process started, Unix ms of its host's clock")
    ]
    uptime_s: Annotated[float, Meta(ge=0)]
    venue: TheVenue
    venues: Venues | UnsetType = UNSET
    origin: Annotated[str, Meta(description="scheme and host that the history comes from")]
    redis: Annotated[str, Meta(description="where the candles are, without user and password")]
    prefix: str
    config: Annotated[str, Meta(description="the file, and the variables and flags that win over it")]
    orders: Annotated[bool, Meta(description="whether who asks may order work: not with a token that reads")]
    history: (
        Annotated[dict[str, str], Meta(description="of each venue whose history is kept, its trouble, or ''")]
        | UnsetType
    ) = UNSET


class IndexAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What `/api/v1` answers: what there is."""

    version: str
    paths: Annotated[dict[str, str], Meta(description="what is at each of them")]


class AliveAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `/healthz` answers. Not everybody is told the last three."""

    alive: bool
    role: RoleName
    reasons: Reasons
    version: str
    uptime_s: Annotated[float, Meta(ge=0)]
    instance: str | UnsetType = UNSET
    redis: str | UnsetType = UNSET
    config: str | UnsetType = UNSET
    venues: Venues | UnsetType = UNSET


class StartedAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `/startupz` answers. `series` where Redis had to be looked at."""

    started: bool
    role: RoleName
    reasons: Reasons
    series: int | UnsetType = UNSET
    venues: Venues | UnsetType = UNSET


class ReadyAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `/readyz` answers."""

    ready: bool
    role: RoleName
    reasons: Reasons
    series: int
    venues: Venues | UnsetType = UNSET
