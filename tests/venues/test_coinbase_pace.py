"""The pace towards Coinbase: as configured, with room at its published limits; 401 as throttling."""

from __future__ import annotations

import pytest
from aiohttp import web

from livecache.venues.coinbase.auth import ApiKey
from livecache.venues.coinbase.pace import PRIVATE_PER_S, PUBLIC_PER_S, paced
from livecache.venues.venue import FailureKind

from .loopback import payload
from .test_coinbase_auth import NAME, PEM
from .test_coinbase_rest import REQUEST, failure_of, fetched


@pytest.mark.parametrize(("published", "keyed"), [(PUBLIC_PER_S, False), (PRIVATE_PER_S, True)])
def test_at_the_published_limit_no_second_holds_one_request_too_many_though_some_come_late(
    published: float, keyed: bool
) -> None:
    rate = paced(published, keyed=keyed)
    span_s = published / rate  # from a request to the one that must not fall into the same second
    assert span_s - 0.04 > 1.0
    assert published / rate < 1.1  # and little is given away


@pytest.mark.parametrize("rate", [0.5, 5.0, 9.0])
def test_a_lower_rate_is_kept_as_configured(rate: float) -> None:
    assert paced(rate, keyed=False) == paced(rate, keyed=True) == rate


def test_a_higher_rate_is_taken_at_its_word() -> None:
    assert paced(20.0, keyed=False) == 20.0
    assert paced(40.0, keyed=True) == 40.0


def test_a_key_that_was_accepted_is_throttled_by_401_and_wrong_only_after_many() -> None:
    answers = [200, *[401] * 25, 200, 401]

    async def answer(request: web.Request) -> web.Response:
        status = answers.pop(0)
        return web.Response(body=payload("rest_candles") if status == 200 else b"Unauthorized", status=status)

    outcomes, *_ = fetched(answer, *[REQUEST] * len(answers), key=ApiKey(NAME, PEM))
    kinds = [failure_of(outcome).kind for outcome in (*outcomes[1:26], outcomes[27])]
    assert kinds == [FailureKind.REFUSED] * 20 + [FailureKind.UNAUTHORIZED] * 5 + [FailureKind.REFUSED]
