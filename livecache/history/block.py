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
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from .columns import Array, Columns, Decimals

__all__ = ["BUCKETS", "block_of", "decode", "encode", "span_of"]

BUCKETS = 1_440
"""A day of minutes, two months of hours, four years of days."""

_MAGIC = b"LCB1"
_ZLIB = 1
_LEVEL = 4  # half the time of 6, and the same size to half a percent
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


@dataclass(slots=True)
class _Cursor:
    """Where one is in the bytes of a block."""

    raw: bytes
    at: int = 0

    def take(self, size: int) -> bytes:
        self.at += size
        if self.at > len(self.raw):
            raise ValueError("it ends too early")
        return self.raw[self.at - size : self.at]


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


def decode(blob: bytes, series: int, block: int, step: int) -> Columns:
    """The rows of a block. Raises ValueError, with what is wrong, if it is not what was encoded there."""
    header, checksum, body = blob[: _HEADER.size], blob[_HEADER.size : _BODY], blob[_BODY:]
    if len(checksum) < _CHECKSUM.size:
        raise ValueError("it is too short")
    magic, method, kind, wide, wide_volume, count, scale, volume_scale, start, first, tick, lot = (
        _HEADER.unpack(header)
    )
    if magic[:3] == _MAGIC[:3] and magic != _MAGIC:
        raise ValueError("a newer livecache has written it")
    if magic != _MAGIC or _checksum(header, body, series, block) != checksum:
        raise ValueError("its checksum is another one")
    if method != _ZLIB:
        raise ValueError("a newer livecache has written it")
    try:
        cursor = _Cursor(zlib.decompress(body))
    except zlib.error as error:
        raise ValueError(f"it does not unpack: {error}") from None
    time = _read_times(cursor, _Times(kind), start, count, step)
    if wide:
        prices = [_read_lines(cursor) for _ in range(4)]
    else:
        prices = _prices([_unfolded(_read_planes(cursor, count)) for _ in range(4)], first, tick)
    volume = _read_lines(cursor) if wide_volume else _unfolded(_read_planes(cursor, count)) * lot
    numbers = [*(Decimals(each, scale) for each in prices), Decimals(volume, volume_scale)]
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


def _read_times(cursor: _Cursor, kind: _Times, start: int, count: int, step: int) -> npt.NDArray[np.int64]:
    if kind is _Times.DELTAS:
        return start + np.cumsum(_read_planes(cursor, count).astype(np.int64))
    if kind is _Times.RUN:
        return start + np.arange(count, dtype=np.int64) * step
    present = np.unpackbits(np.frombuffer(cursor.take(BUCKETS // 8), np.uint8))
    return start + np.flatnonzero(present) * step


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


def _prices(moves: list[Array], first: int, tick: int) -> list[Array]:
    gaps, bodies, above, below = moves
    closes = first + np.cumsum(gaps + bodies)
    opens = closes - bodies
    prices = [opens, np.maximum(opens, closes) + above, np.minimum(opens, closes) - below, closes]
    return [each * tick for each in prices] if tick > 1 else prices


def _common(numbers: Array) -> int:
    """What all of them are multiples of."""
    return int(np.gcd.reduce(numbers)) or 1


def _folded(numbers: Array) -> Unsigned:
    """Without a sign, so that small ones stay small: 0, -1, 1, -2 … are 0, 1, 2, 3 …"""
    return ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)


def _unfolded(numbers: Unsigned) -> Array:
    return (numbers >> np.uint64(1)).view(np.int64) ^ -(numbers & np.uint64(1)).view(np.int64)


def _planes(numbers: Unsigned) -> bytes:
    """Byte by byte: how many bytes a number has, then the lowest of each, and so on."""
    width = (int(numbers.max(initial=0)).bit_length() + 7) // 8
    columns = numbers.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width]
    return bytes([width]) + np.ascontiguousarray(columns.T).tobytes()


def _read_planes(cursor: _Cursor, count: int) -> Unsigned:
    width = cursor.take(1)[0]
    numbers = np.zeros((count, 8), np.uint8)
    numbers[:, :width] = np.frombuffer(cursor.take(count * width), np.uint8).reshape(width, count).T
    return numbers.view("<u8").ravel()


def _lines(numbers: Array) -> bytes:
    text = "\n".join(map(str, numbers.tolist())).encode()
    return _CHECKSUM.pack(len(text)) + text


def _read_lines(cursor: _Cursor) -> Array:
    (size,) = _CHECKSUM.unpack(cursor.take(_CHECKSUM.size))
    return Decimals.fit([int(each) for each in cursor.take(size).split(b"\n")], 0).scaled
