"""A block: what one series holds of 1,440 bucket lengths, as bytes with a checksum. Pure; needs numpy.

The layout is `LCB1`: a header, then columns compressed together. Prices are told by what they differ from:
an open from the last close, a close from its open, a high and a low from the two; each in multiples of the
tick that all have in common. These small numbers are laid out by bytes, first the lowest byte of all of
them. Columns of long numbers are text instead, a number a line. Times are a run of steps, a bitmap of steps,
or what each adds to the one before. The checksum is over all this and the block's place: no block can stand
in for another.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .columns import Array, Columns, Decimals, concat

__all__ = ["BUCKETS", "Packed", "block_of", "decode", "encode", "span_of", "unpack"]

BUCKETS = 1_440
"""A day of minutes, two months of hours, four years of days."""

_MAGIC = b"LCB1"
_ZLIB = 1
_LEVEL = 4  # half the time of 6, and the same size to half a percent
_UNPACKED = 1 << 16  # bytes of most blocks, in one go
_AT_ONCE = 16  # blocks: what is worked on stays near the processor
_HEADER = struct.Struct("<4sBBBBHBBqqqq")
_CHECKSUM = struct.Struct("<I")
_PLACE = struct.Struct("<qq")

Unsigned = npt.NDArray[np.uint64]


class _Times(IntEnum):
    """How the times of a block are told."""

    RUN = 0
    PRESENT = 1
    DELTAS = 2


def block_of(time: int, step: int) -> int:
    """The number of the block with the bucket that opens at `time`; `step` is a bucket's length in ms."""
    return time // (step * BUCKETS)


def span_of(block: int, step: int) -> tuple[int, int]:
    """From when to when its buckets open."""
    return block * step * BUCKETS, (block + 1) * step * BUCKETS


class Packed(NamedTuple):
    """A block whose checksum is right, and its columns as they are stored."""

    kind: _Times
    lines: tuple[bool, ...]
    """Which of its columns of numbers are text."""
    rows: int
    scale: int
    volume_scale: int
    start: int
    first: int
    tick: int
    lot: int
    columns: list[bytes]
    """Times, four of prices, and volumes."""

    @property
    def alike(self) -> tuple[tuple[bool, ...], int, int]:
        """Blocks that have the same are decoded at once."""
        return self.lines, self.scale, self.volume_scale


def encode(rows: Columns, series: int, block: int, step: int) -> bytes:
    """The bytes of these rows, at least one, all of which lie in that block of that series."""
    kind, times = _times(rows.time, step)
    prices = [each.least() for each in rows.numbers[:4]]
    scale = max(each.scale for each in prices)
    prices = [each.at(scale) for each in prices]
    volume = rows.volume.least()
    wide, first, tick, lot = any(each.wide for each in prices), 0, 1, 1
    if wide:
        parts = [times, *(_lines(each.scaled) for each in prices)]
    else:
        first, tick, moves = _moves(*(each.scaled for each in prices))
        parts = [times, *map(_planes, moves)]
    if volume.wide:
        parts.append(_lines(volume.scaled))
    else:
        lot = _common(volume.scaled)
        parts.append(_planes(_folded(volume.scaled // lot)))
    header = _HEADER.pack(
        *(_MAGIC, _ZLIB, kind, wide, volume.wide, len(rows), scale, volume.scale),
        *(int(rows.time[0]), first, tick, lot),
    )
    body = zlib.compress(b"".join(parts), _LEVEL)
    return header + _checksum(header, body, series, block) + body


def unpack(blob: bytes, series: int, block: int) -> Packed:
    """A block's parts. Raises ValueError, with what is wrong, if it is not what was encoded there."""
    header, checksum, body = blob[: _HEADER.size], blob[_HEADER.size : _BODY], blob[_BODY:]
    if len(checksum) < _CHECKSUM.size:
        raise ValueError("it is too short")
    magic, method, kind, wide, wide_volume, rows, scale, volume_scale, start, first, tick, lot = (
        _HEADER.unpack(header)
    )
    if magic[:3] == _MAGIC[:3] and magic != _MAGIC:
        raise ValueError("a newer livecache has written it")
    if magic != _MAGIC or _checksum(header, body, series, block) != checksum:
        raise ValueError("its checksum is another one")
    if method != _ZLIB:
        raise ValueError("a newer livecache has written it")
    kind, lines = _Times(kind), (wide,) * 4 + (wide_volume,)
    try:
        columns = _split(zlib.decompress(body, bufsize=_UNPACKED), kind, rows, lines)
    except (zlib.error, IndexError) as error:
        raise ValueError(f"it does not unpack: {error}") from None
    return Packed(kind, lines, rows, scale, volume_scale, start, first, tick, lot, columns)


def _split(raw: bytes, kind: _Times, rows: int, lines: Sequence[bool]) -> list[bytes]:
    """Its columns: times, and numbers that are lines of text or planes of bytes."""
    at = 0 if kind is _Times.RUN else BUCKETS // 8 if kind is _Times.PRESENT else 1 + raw[0] * rows
    columns = [raw[:at]]
    for text in lines:
        size = int.from_bytes(raw[at : at + 4], "little") + 4 if text else 1 + raw[at] * rows
        columns.append(raw[at : at + size])
        at += size
    if at != len(raw):
        raise ValueError("it ends too early")
    return columns


def decode(blocks: Iterable[Packed], step: int) -> Columns:
    """The rows of blocks of one series, which are in order: many at once, where they are alike."""
    alike = groupby(enumerate(blocks), lambda each: (each[0] // _AT_ONCE, each[1].alike))
    return concat(_rows([block for _, block in group], step) for _, group in alike)


def _rows(blocks: list[Packed], step: int) -> Columns:
    """Of blocks that are alike."""
    counts, like = [each.rows for each in blocks], blocks[0]
    time = np.concatenate([_read_times(each, step) for each in blocks])
    columns = zip(*(each.columns[1:] for each in blocks), strict=True)
    *prices, volume = (
        _read_lines(column) if text else _unfolded(_read_planes(column, counts))
        for column, text in zip(columns, like.lines, strict=True)
    )
    if not like.lines[0]:
        prices = _prices(prices, blocks, counts)
    if not like.lines[4] and any(each.lot > 1 for each in blocks):
        volume *= np.repeat([each.lot for each in blocks], counts)
    numbers = [*(Decimals(each, like.scale) for each in prices), Decimals(volume, like.volume_scale)]
    return Columns(time, *numbers)


_BODY = _HEADER.size + _CHECKSUM.size


def _checksum(header: bytes, body: bytes, series: int, block: int) -> bytes:
    return _CHECKSUM.pack(zlib.crc32(body, zlib.crc32(header, zlib.crc32(_PLACE.pack(series, block)))))


def _times(time: npt.NDArray[np.int64], step: int) -> tuple[_Times, bytes]:
    since = time - time[0]
    if (since % step).any():
        return _Times.DELTAS, _planes(np.diff(since, prepend=0).astype(np.uint64))
    steps = since // step
    if steps[-1] == len(time) - 1:
        return _Times.RUN, b""
    present = np.zeros(BUCKETS, np.uint8)
    present[steps] = 1
    return _Times.PRESENT, np.packbits(present).tobytes()


def _read_times(block: Packed, step: int) -> npt.NDArray[np.int64]:
    times, rows = block.columns[0], block.rows
    if block.kind is _Times.DELTAS:
        return block.start + np.cumsum(_read_planes([times], [rows]).view(np.int64))
    if block.kind is _Times.RUN:
        return np.arange(block.start, block.start + rows * step, step, dtype=np.int64)
    return block.start + np.flatnonzero(np.unpackbits(np.frombuffer(times, np.uint8))) * step


def _moves(opens: Array, highs: Array, lows: Array, closes: Array) -> tuple[int, int, list[Unsigned]]:
    """The first open and the tick; in ticks, what each price differs by."""
    tick = _common(np.concatenate((opens, highs, lows, closes)))
    if tick > 1:
        opens, highs, lows, closes = (each // tick for each in (opens, highs, lows, closes))
    gaps = np.zeros_like(opens)
    gaps[1:] = opens[1:] - closes[:-1]
    moves = [
        gaps,
        closes - opens,
        highs - np.maximum(opens, closes),
        np.minimum(opens, closes) - lows,
    ]
    return int(opens[0]), tick, [_folded(each) for each in moves]


def _prices(moves: list[Array], blocks: list[Packed], counts: list[int]) -> list[Array]:
    """Made in place of the moves: fresh memory would take as long as the sums."""
    closes, bodies, highs, lows = moves
    closes += bodies
    np.cumsum(closes, out=closes)
    # Each block begins anew. What runs over on the way comes back.
    before = np.append(0, closes[np.cumsum(counts[:-1], dtype=np.int64) - 1])
    closes += np.repeat([each.first for each in blocks] - before, counts)
    opens = np.subtract(closes, bodies, out=bodies)
    highs += np.maximum(opens, closes)
    np.subtract(np.minimum(opens, closes), lows, out=lows)
    prices = [opens, highs, lows, closes]
    if any(each.tick > 1 for each in blocks):
        ticks = np.repeat([each.tick for each in blocks], counts)
        for each in prices:
            each *= ticks
    return prices


def _common(numbers: Array) -> int:
    """What all of them are multiples of."""
    return int(np.gcd.reduce(numbers)) or 1


def _folded(numbers: Array) -> Unsigned:
    """Without a sign, so that small ones stay small: 0, -1, 1, -2 … are 0, 1, 2, 3 …"""
    return ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)


def _unfolded(numbers: Unsigned) -> Array:
    """In place."""
    signs = (numbers & np.uint64(1)).view(np.int64)
    np.negative(signs, out=signs)
    numbers >>= np.uint64(1)
    numbers ^= signs.view(np.uint64)
    return numbers.view(np.int64)


def _planes(numbers: Unsigned) -> bytes:
    """Byte by byte: how many bytes a number has, then the lowest of each, and so on."""
    width = (int(numbers.max(initial=0)).bit_length() + 7) // 8
    columns = numbers.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width]
    return bytes([width]) + np.ascontiguousarray(columns.T).tobytes()


def _read_planes(columns: Sequence[bytes], counts: Sequence[int]) -> Unsigned:
    """The numbers of a column of several blocks; in one they may have more bytes than in another."""
    each = [*zip(columns, counts, strict=True)]
    planes = [
        b"".join([column[1 + at * n : 1 + at * n + n].ljust(n, b"\0") for column, n in each])
        for at in range(max(1, *(column[0] for column in columns)))
    ]
    numbers = np.frombuffer(planes.pop(), np.uint8).astype(np.uint64)
    for plane in reversed(planes):
        numbers <<= np.uint64(8)
        numbers |= np.frombuffer(plane, np.uint8)
    return numbers


def _lines(numbers: Array) -> bytes:
    text = "\n".join(map(str, numbers.tolist())).encode()
    return len(text).to_bytes(4, "little") + text


def _read_lines(columns: Sequence[bytes]) -> Array:
    lines = [line for column in columns for line in column[4:].split(b"\n")]
    return Decimals.fit([*map(int, lines)], 0).scaled
