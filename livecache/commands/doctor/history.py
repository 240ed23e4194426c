"""What `livecache doctor` tries of the store of years: that it is there, or may be, and can be written to."""

from __future__ import annotations

from contextlib import closing, suppress

from ...config.render import Loaded
from ...errors import LeaseLost, LivecacheError, NoHistory
from ...history.opening import open_history
from ...history.store import Lease
from ..history.opened import place_of
from .diagnosis import Diagnosis, failed, right

__all__ = ["years"]

_BUSY_S = 2.0
_NOBODYS = Lease(0, 0)


def years(loaded: Loaded) -> list[Diagnosis]:
    """Whether it can be kept; nothing where none is wanted. Nothing is made that a start would make."""
    if loaded.config.history.url == "off":
        return []
    part = "history"
    try:
        place = place_of(loaded.config, None)
        with closing(open_history(place, read_only=True, busy_s=_BUSY_S)) as store:
            series = len(store.all_series())
        with closing(open_history(place, busy_s=_BUSY_S)) as store, suppress(LeaseLost):
            store.renew(_NOBODYS)  # as whoever may work on jobs can ask, and nothing is changed by it
    except NoHistory as error:
        return [right(part, f"{error.message}: the service makes it")]
    except LivecacheError as error:
        return [failed(part, error.message, error.hint)]
    return [right(part, f"{place} can be written to, and has {series} series")]
