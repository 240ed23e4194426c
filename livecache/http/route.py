"""What a route is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from aiohttp import web

__all__ = ["MAY_ORDER", "PARTS", "Handler", "Requests", "Route"]

PARTS = web.RequestKey("parts", Mapping[str, str])
"""What stands in a request's path for each `{name}` of its route's."""

MAY_ORDER = web.RequestKey("may_order", bool)
"""Whether who asks may order work, too."""

Requests = Counter[tuple[str, str]]
"""By route and status. Paths that are not served count as one, so that nobody can make more."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """A method and a path. A `GET` is a `HEAD` too.

    A handler answers within `server.ANSWER_S`, unless its answer is `endless`. It raises a LivecacheError for
    what cannot be answered: see `answers.of_error`. Whoever may ask only with a token is asked for it before,
    unless the route is `public`; what `orders` work needs the one that may order.

    `retold` makes of a problem what whoever asks here can read.

    A `{name}` in the path stands for one part of it, which the handler finds in `request[PARTS]`.
    """

    method: str
    path: str
    handler: Handler
    public: bool = False
    endless: bool = False
    orders: bool = False
    retold: Callable[[web.StreamResponse], web.StreamResponse] | None = None
