"""How Coinbase's market data feed is spoken.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-overview
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..feed.dialect import Frame, Terms
from .auth import ApiKey, Signing
from .messages import CANDLES, HEARTBEATS, TRADES, FrameDecoder, subscription, unsubscription

__all__ = ["CoinbaseDialect"]

# A candles snapshot has about 15 KB a product, a trades snapshot 14 KB, and all that were asked for at once
# may come in one message. After one that was longer all the same, less is asked for at once; what is too long
# by itself is taken up to the last bound.
_FRAME_BYTES = 1024 * 1024
_PRODUCT_BYTES = 64 * 1024

_FRAMES_PER_S = 8  # from one address; so it is as well for one connection


class CoinbaseDialect:
    """`feed.dialect.Dialect` of Coinbase. `now` is the venue's clock in Unix ms, None while unknown."""

    terms = Terms(frame_bytes=_FRAME_BYTES, id_bytes=_PRODUCT_BYTES, frames_per_s=_FRAMES_PER_S)
    heartbeats = HEARTBEATS

    def __init__(self, url: str, now: Callable[[], int | None], key: ApiKey | None) -> None:
        self.url = url
        self._signing = Signing(key, now)
        self._decoder = FrameDecoder({}, now)
        self.decode: Callable[[bytes], Frame] = self._decoder.decode
        self.carry: Callable[[Mapping[str, Sequence[str]]], None] = self._decoder.carry

    def channels(self, *, trades: bool) -> tuple[str, ...]:
        """The channels of the candles and, if they are wanted, the trades."""
        return (CANDLES, TRADES) if trades else (CANDLES,)

    def opening(self) -> Sequence[str]:
        """Heartbeats first: without them the venue closes a connection on which nothing trades."""
        return [subscription(HEARTBEATS, token=self._signing.feed_token())]

    def subscribe(self, channel: str, ids: Sequence[str]) -> Sequence[str]:
        """One message, with a token of its own."""
        return [subscription(channel, ids, self._signing.feed_token())]

    def unsubscribe(self, channel: str, ids: Sequence[str]) -> Sequence[str]:
        """One message, with a token of its own."""
        return [unsubscription(channel, ids, self._signing.feed_token())]

    def keep_alive(self) -> Sequence[str]:
        """Nothing is wanted."""
        return ()

    def fatal(self, complaint: str) -> str:
        """The venue refuses the key's tokens: the next connection goes without, for it may."""
        if "authenticat" not in complaint or not self._signing.on:
            return ""
        self._signing.set_aside(complaint)
        return "its key is refused"
