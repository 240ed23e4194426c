"""Frames and answers, spoiled. Pure: one in, another one out."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ...model.candle import ExactCandle
from .faults import Answer
from .script import AnswerForm, Form, PageForm, RowForm

__all__ = [
    "garbled",
    "odd_answer",
    "odd_page",
    "product_of",
    "refusing",
    "shifted_stamp",
    "shifted_time",
    "wired",
    "with_snapshot",
    "with_spoilt_rows",
]

_PRODUCT = re.compile(r'"product_id":"([^"]*)"')
_STAMP = re.compile(r'(?<="timestamp":")(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)')
_STALL_S = 60.0
_YEAR_2100_S = 4_102_444_800
_PAGES = {
    400: ("application/json", b'{"error":"INVALID_ARGUMENT","error_details":"invalid","message":"invalid"}'),
    401: ("text/plain", b"Unauthorized"),
    429: (
        "application/json",
        b'{"errors":[{"id":"rate_limit_exceeded","message":"Too many requests"}]}',
    ),
    500: ("application/json", b'{"error":"INTERNAL","message":"internal error"}'),
}
_HTML = "<!DOCTYPE html>\n<html><head><title>{0}</title></head><body><h1>Error {0}</h1></body></html>\n"


def product_of(text: str) -> str:
    """The first product that a frame names; an empty string if none."""
    found = _PRODUCT.search(text)
    return found[1] if found else ""


def garbled(text: str, form: Form) -> str:
    """A frame of candles as nobody wants it."""
    if form == "truncated":
        return text[: len(text) * 2 // 3]
    if form == "not_json":
        return "upstream connect error or disconnect/reset before headers"
    frame: dict[str, Any] = msgspec.json.decode(text)
    if form == "unknown_channel":
        frame["channel"] = "candles_v2"
    elif form == "unknown_type":
        # Its content has a shape of its own: what an update is worth goes by it.
        frame["events"] = [{"type": "correction", "corrections": frame["events"]}]
    for event in frame["events"]:
        for candle in event.get("candles", ()):
            _spoil(candle, form)
    return _json(frame)


def _spoil(candle: dict[str, str], form: Form) -> None:
    if form == "nan":
        candle["close"] = candle["volume"] = "NaN"
    elif form == "negative":
        candle["low"], candle["volume"] = "-" + candle["low"], "-" + candle["volume"]
    elif form == "upside_down":
        # With a volume that nothing real outdoes, so that it would stay if it were believed.
        candle["high"], candle["low"] = candle["low"], candle["high"] + "1"
        candle["volume"] = "99999999"
    elif form == "year_2100":
        candle["start"] = str(_YEAR_2100_S)
    elif form == "other_product":
        candle["product_id"] = "NOBODY-ASKED"


def with_snapshot(text: str, snapshot: str) -> str:
    """A frame of candles that brings an earlier frame's events before its own."""
    frame: dict[str, Any] = msgspec.json.decode(text)
    earlier: dict[str, Any] = msgspec.json.decode(snapshot)
    frame["events"] = [*earlier["events"], *frame["events"]]
    return _json(frame)


def shifted_stamp(text: str, seconds: float) -> str:
    """A frame stamped so much later; negative: earlier."""
    return _STAMP.sub(
        lambda found: (
            f"{datetime.fromisoformat(found[1]) + timedelta(seconds=int(seconds)):%Y-%m-%dT%H:%M:%S}"
        ),
        text,
        count=1,
    )


def shifted_time(answer: Answer, seconds: float) -> Answer:
    """An answer of GET /time that tells so much later; negative: earlier."""
    if answer.status != 200:
        return answer
    told: dict[str, str] = msgspec.json.decode(answer.body)
    now = int(told["epochMillis"]) + int(seconds * 1000)
    iso = datetime.fromtimestamp(now // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"iso": iso, "epochSeconds": str(now // 1000), "epochMillis": str(now)}
    return replace(answer, body=msgspec.json.encode(body))


def refusing(status: int, retry_after_s: int | None) -> Answer:
    """An error as the venue, or for most of 5xx the edge before it, words it."""
    kind, body = _PAGES.get(status, ("text/html", _HTML.format(status).encode()))
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return Answer(status, body, kind, headers)


def odd_answer(answer: Answer, form: AnswerForm) -> Answer:
    """What is no answer to what was asked, or not all of it."""
    gzipped = {"Content-Encoding": "gzip"}
    changes: dict[str, dict[str, Any]] = {
        "no_content": {"status": 204, "body": b""},
        "nothing": {"body": b""},
        "html": {"body": _HTML.format(200).encode(), "content_type": "text/html"},
        "other_json": {"body": b'{"data":[]}'},
        "cut_json": {"body": answer.body[: len(answer.body) * 2 // 3]},
        "cut_gzip": {"body": gzip.compress(answer.body)[:-12], "headers": gzipped},
        "no_gzip": {"headers": gzipped},
        "stall": {"cut_after": len(answer.body) // 2, "stalls_s": _STALL_S},
    }
    return replace(answer, **changes[form])


def odd_page(
    answer: Answer, form: PageForm, width_s: int, other: Sequence[ExactCandle], chance: random.Random
) -> Answer:
    """A page whose rows are in another order, there twice, under other times, or those of `other`."""
    if answer.status != 200:
        return answer
    rows: list[dict[str, Any]] = msgspec.json.decode(answer.body)["candles"]
    if form == "oldest_first":
        rows.reverse()
    elif form == "shuffled":
        chance.shuffle(rows)
    elif form == "each_twice":
        rows = [row for row in rows for _ in range(2)]
    elif form in ("other_timeframe", "other_product"):
        rows = [wired(row) for row in reversed(other)]
    else:
        times, late = {"milliseconds": (1_000, 0), "microseconds": (1_000_000, 0)}.get(form, (1, width_s))
        rows = [{**row, "start": str(int(row["start"]) * times + late)} for row in rows]
    return replace(answer, body=msgspec.json.encode({"candles": rows}))


def wired(row: ExactCandle) -> dict[str, str]:
    """A row as the venue writes it."""
    names = ("start", "open", "high", "low", "close", "volume")
    return dict(zip(names, (str(row.time // 1000), *row.numbers), strict=True))


def with_spoilt_rows(answer: Answer, form: RowForm, width_s: int, every: int) -> Answer:
    """A page of candles of which the rows of every so many-th bucket are as nobody wants them."""
    if answer.status != 200:
        return answer
    rows: list[dict[str, Any]] = msgspec.json.decode(answer.body)["candles"]
    spoilt: list[dict[str, Any]] = []
    for row in rows:
        hit = int(row["start"]) // width_s % every == 0
        spoilt += _spoilt(row, form, width_s) if hit else [row]
    return replace(answer, body=msgspec.json.encode({"candles": spoilt}))


def _spoilt(row: dict[str, Any], form: RowForm, width_s: int) -> list[dict[str, Any]]:
    if form == "missing":
        return [{name: value for name, value in row.items() if name != "close"}]
    changes: dict[str, Any] = {
        "nan": {"close": "NaN"},
        "infinity": {"high": "Infinity"},
        "exponent": {"volume": f"{row['volume']}E+00"},
        "huge": {"volume": "9" * 400},
        "negative": {"low": "-" + row["low"]},
        "open_below_low": {"open": "0.000001"},
        "wrong_time": {"start": str(int(row["start"]) - 7 * width_s)},
        "off_grid": {"start": str(int(row["start"]) + 1)},
        "twice": {},
        "null": {"open": None},
        "number": {"open": msgspec.Raw(row["open"].encode())},
        "text": {"volume": "soon"},
    }[form]
    return [{**row, **changes}] * (2 if form == "twice" else 1)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
