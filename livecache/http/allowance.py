"""How often the API may be asked: by all, and by one address. Pure: `now_s` comes in."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

__all__ = ["ADDRESSES_MOST", "Addresses", "Allowance", "client_of"]

ADDRESSES_MOST = 1_024
"""Of which it is known how often they have asked of late."""

_NETWORK = (1 << 64) - 1


@lru_cache(ADDRESSES_MOST)
def client_of(address: str | None) -> str:
    """Who asks from that address: it alone, or its network of 64 bits, all of which one host may have."""
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    return str(IPv6Address(int(parsed) & ~_NETWORK)) if isinstance(parsed, IPv6Address) else str(parsed)


class Allowance:
    """So many a second, and so many at once after a rest."""

    def __init__(self, per_s: float, at_once: float) -> None:
        self._per_s = per_s
        self._most = at_once
        self._left = at_once
        self._since_s = float("-inf")

    def take(self, now_s: float) -> bool:
        """Whether one more is allowed; then it is taken."""
        self._left = min(self._most, self._left + (now_s - self._since_s) * self._per_s)
        self._since_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Addresses:
    """The same for each address. Beyond `ADDRESSES_MOST` whoever has asked longest ago is forgotten."""

    def __init__(self, per_s: float, at_once: float) -> None:
        self._per_s, self._at_once = per_s, at_once
        self._of: dict[str, Allowance] = {}

    def take(self, address: str | None, now_s: float) -> bool:
        """Whether that one may ask once more; then it has."""
        client = client_of(address)
        allowance = self._of.pop(client, None) or Allowance(self._per_s, self._at_once)
        if len(self._of) >= ADDRESSES_MOST:
            del self._of[next(iter(self._of))]
        self._of[client] = allowance
        return allowance.take(now_s)
