"""REQUIRED. What such a venue can be configured with, beside what all venues can."""

from __future__ import annotations

from ..settings import FedSettings

__all__ = ["SETTINGS", "TemplateSettings"]


class TemplateSettings(FedSettings, frozen=True, forbid_unknown_fields=True):
    """See docs/configuration.md: each setting is to be told there.

    OPTIONAL: `symbol_problem`, where not any text can be a symbol; `SECRETS` and `KEY_REMEDY`, where it takes
    a key; `LIVE`, where a setting of its own may change while it runs; `VenueSettings` to
    derive from, where it has no feed.
    """

    rest_url: str = "https://api.venue.example"
    ws_url: str = "wss://feed.venue.example"


SETTINGS = TemplateSettings
