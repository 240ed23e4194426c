"""No Python in what is told of a value that cannot be used."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from livecache.plainly import plainly


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=5000)] | None = None
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0
    symbols: Annotated[list[str], Meta(min_length=1)] = []
    symbol: Annotated[str, Meta(min_length=1, max_length=9)] = "BTC-USD"
    id: Annotated[str, Meta(pattern="^[0-9]+$")] = "1"
    settled: bool = False
    how: Literal["a", "b"] = "a"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"limit": "lots"}, ("it has to be a whole number", "limit")),
        ({"limit": 1.5}, ("it has to be a whole number", "limit")),
        ({"limit": 0}, ("it has to be a whole number, 1 or more", "limit")),
        ({"limit": 5001}, ("it has to be a whole number, at most 5000", "limit")),
        ({"share": 0}, ("it has to be a number, more than 0", "share")),
        ({"share": "x"}, ("it has to be a number", "share")),
        ({"symbols": "BTC-USD"}, ("it has to be a list", "symbols")),
        ({"symbols": []}, ("it has to be a list, 1 or more of them", "symbols")),
        ({"symbols": [1]}, ("it has to be text", "symbols")),
        ({"symbol": ""}, ("it has to be text, 1 or more characters", "symbol")),
        ({"symbol": "0123456789"}, ("it has to be text, at most 9 characters", "symbol")),
        ({"id": "x"}, ("it does not look as it should", "id")),
        ({"settled": 3}, ("it has to be true or false", "settled")),
        ([], ("it has to be a table", "")),
    ],
)
def test_what_a_value_has_to_be_is_said_plainly(given: Any, said: tuple[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(given, Asked)
    assert plainly(str(caught.value)) == said


@pytest.mark.parametrize("given", [{"how": "c"}, {"x": 1}])
def test_what_is_said_otherwise_keeps_its_words(given: Any) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(given, Asked)
    said, _ = plainly(str(caught.value))
    assert said[0].islower() and "`" not in said
