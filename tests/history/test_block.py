"""A block comes back as it was, and what is not as it was never comes back."""

from __future__ import annotations

import struct
import zlib
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livecache.history.block import BUCKETS, block_of, decode, encode, span_of, unpack
from livecache.history.columns import Columns, Decimals
from livecache.model.candle import ExactCandle
from livecache.model.timeframe import Timeframe
from tests.sizes import examples

from .drawing import candles
from .support import MINUTE

SERIES = 7


def stored(rows: list[ExactCandle], step: int = MINUTE) -> tuple[bytes, int]:
    block = block_of(rows[0].time, step)
    return encode(Columns.of(rows), SERIES, block, step), block


def rows_in(blob: bytes, block: int, step: int = MINUTE) -> Columns:
    return decode([unpack(blob, SERIES, block)], step)


@settings(deadline=None)
@given(candles(off_grid=True))
def test_a_block_comes_back_as_it_was(drawn: list[ExactCandle]) -> None:
    blob, block = stored(drawn)
    back = rows_in(blob, block)
    assert back.time.tolist() == [row.time for row in drawn]
    for at, column in enumerate(back.numbers):
        texts = [row.numbers[at] for row in drawn]
        assert list(map(Decimal, column.texts())) == list(map(Decimal, texts))
        assert column.floats().tolist() == list(map(float, texts))


@settings(deadline=None, max_examples=examples(50))
@given(st.lists(candles(off_grid=True, most=5), min_size=1, max_size=80))
def test_many_blocks_at_once_are_what_each_of_them_is(drawn: list[list[ExactCandle]]) -> None:
    blobs = [(blob, block) for blob, block in map(stored, drawn)]
    blobs += [(encode(extremes(sign), SERIES, 0, MINUTE), 0) for sign in (1, -1, -1, 1)]
    together = decode([unpack(blob, SERIES, block) for blob, block in blobs], MINUTE)
    assert together.candles() == [row for each in blobs for row in rows_in(*each).candles()]


@settings(deadline=None)
@given(candles(off_grid=True), st.data())
def test_what_was_flipped_cut_or_misplaced_is_refused(drawn: list[ExactCandle], data: st.DataObject) -> None:
    blob, block = stored(drawn)
    at = data.draw(st.integers(0, len(blob) - 1))
    flipped = bytearray(blob)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    for wrong in (bytes(flipped), blob[:at], blob + blob[: at + 1]):
        with pytest.raises(ValueError, match=r"it is too short|its checksum|a newer livecache"):
            unpack(wrong, SERIES, block)
    for series, elsewhere in ((SERIES + 1, block), (SERIES, block + 1), (block, SERIES)):
        with pytest.raises(ValueError, match="its checksum"):
            unpack(blob, series, elsewhere)


def test_a_format_of_later_is_said_to_be_one() -> None:
    blob, block = stored([ExactCandle(0, "1", "2", "1", "2", "5")])
    with pytest.raises(ValueError, match="newer livecache"):
        unpack(b"LCB2" + blob[4:], SERIES, block)
    method = bytearray(blob)
    method[4] = 9
    size = len(blob) - len(zlib.compress(b""))
    header = bytes(method[:44])
    assert size and len(header) == 44
    place = struct.pack("<qq", SERIES, block)
    checksum = zlib.crc32(blob[48:], zlib.crc32(header, zlib.crc32(place)))
    with pytest.raises(ValueError, match="newer livecache"):
        unpack(header + struct.pack("<I", checksum) + blob[48:], SERIES, block)


@pytest.mark.parametrize("timeframe", Timeframe)
def test_the_buckets_of_every_timeframe_have_a_place(timeframe: Timeframe) -> None:
    """Weeks begin on a Monday and months where they will: a block is a stretch of time."""
    grid, step = timeframe.grid, timeframe.ms
    opens = grid.opens(*span_of(block_of(1_700_000_000_000, step), step))
    rows = [ExactCandle(time, "10.5", "11", "10", "10.5", str(n)) for n, time in enumerate(opens)]
    assert 0 < len(rows) <= BUCKETS
    assert {block_of(time, step) for time in opens} == {block_of(opens[0], step)}
    blob, block = stored(rows, step)
    assert rows_in(blob, block, step).candles() == rows


def test_a_day_of_prices_is_small_and_one_long_number_widens_no_other_block() -> None:
    rows = [
        ExactCandle(n * MINUTE, f"{100 + n % 7}.25", "110.75", "99.50", f"{100 + n % 5}.00", f"{n}.00001000")
        for n in range(BUCKETS)
    ]
    blob, _ = stored(rows)
    assert len(blob) < 4 * BUCKETS
    long = ExactCandle(BUCKETS * MINUTE, "1." + "3" * 36, "2", "1", "2", "9" * 28)
    page = Columns.of([*rows, long])
    assert page.open.wide
    assert encode(page.clip(0, BUCKETS * MINUTE), SERIES, 0, MINUTE) == blob


def test_a_block_without_a_trade_takes_no_digits_of_its_neighbour() -> None:
    still = ExactCandle(0, "1", "1", "1", "1", "0")
    page = Columns.of([still, ExactCandle(BUCKETS * MINUTE, "1", "1", "1", "1", "0." + "0" * 24 + "1")])
    assert rows_in(encode(page.clip(0, BUCKETS * MINUTE), SERIES, 0, MINUTE), 0).candles() == [still]


def extremes(sign: int = 1) -> Columns:
    """Of the longest numbers that are kept as machine numbers."""
    edge = sign * ((1 << 61) - 1)
    numbers = Decimals.fit([-edge, edge, 0, edge], 3)
    time = Columns.of(ExactCandle(n * MINUTE, *"11111") for n in range(4)).time
    return Columns(time, numbers, numbers, numbers, numbers, numbers)


def test_numbers_at_the_edge_of_what_fits_are_kept() -> None:
    rows = extremes()
    back = rows_in(encode(rows, SERIES, 0, MINUTE), 0)
    assert all(column.scaled.tolist() == rows.open.scaled.tolist() for column in back.numbers)
