"""Damage of every kind, done to well-formed inputs. Deterministic: all randomness comes from the caller."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

__all__ = ["NASTY", "RARE", "mutated", "walked"]

_DEEP = 10_000
_TOKEN = b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzZWNyZXQifQ.c2lnbmF0dXJl"

# JSON literals, and a few that are none, to stand where something sensible is expected.
NASTY: tuple[bytes, ...] = (
    *(
        b"null",
        b"true",
        b"false",
        b"0",
        b"-1",
        b"-0.0",
        b"0.1",
        b"1e400",
        b"-1e400",
        b"NaN",
        b"-Infinity",
        b"",
    ),
    *(b'""', b'"0"', b'"-1"', b'"NaN"', b'"Infinity"', b'"1e400"', b'"1e-99"', b'"1e99"', b'"+1"', b'" 1"'),
    *(
        b'"01"',
        b'"1."',
        b'".5"',
        b'"1_000"',
        b'"0x10"',
        b'"1\\u0000"',
        b'"1\\n2"',
        '"١٢٣"'.encode(),
        b'"null"',
    ),
    *(b"9" * 20, b"-" + b"9" * 400, b"9" * 5_000, b'"' + b"9" * 400 + b'"', b'"0.' + b"0" * 400 + b'1"'),
    *(b"9007199254740993", b"4611686018427387904", b"18446744073709551616", b'"4102444800"', b"-62135596801"),
    *(b"[]", b"{}", b"[[]]", b"[null]", b"[{}]", b'{"":null}', b'[[1,"a"],2]', b"[" * _DEEP + b"]" * _DEEP),
    *(b'"\\ud800"', b'"\xff\xfe"', b"\xc0\x80", '"\u2028\u202e"'.encode(), b'"' + b"x" * 5_000 + b'"'),
    *(b'"0001-01-01T00:00:00Z"', b'"9999-12-31T23:59:59.999999999Z"', b'"2026-02-30T00:00:00Z"'),
    *(
        b'"2026-07-15T03:41:12"',
        b'"2026-07-15T03:41:12+23:59"',
        b'"1969-12-31T23:59:59Z"',
        b'"' + _TOKEN + b'"',
    ),
)

# Too big to be tried at every place.
RARE: tuple[bytes, ...] = (
    b"9" * 1_000_000,
    b'"' + b"9" * 1_000_000 + b'"',
    b'"1.' + b"0" * 1_000_000 + b'"',
    b'"' + b"\\n" * 500_000 + b'"',
    b'"' + b"x" * 1_000_000 + b'"',
    b"[" * 500_000,
    b'{"a":' * 200_000,
    b'"' + _TOKEN * 10_000 + b'"',
)

_PIECES: tuple[bytes, ...] = (
    *(
        b'"',
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b"\\",
        b"\\u",
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
    ),
    *(
        b"null",
        b"1e9",
        b"-",
        b"e",
        b".",
        b"\n",
        b" ",
        b"<title>",
        b"</",
        b"=",
        b"," * 50,
        b"[" * 2_000,
        _TOKEN,
    ),
)

_MARK = "\x01here\x01"
_MARKED = msgspec.json.encode(_MARK)

_Path = tuple[str | int, ...]


def walked(seed: bytes, literals: Sequence[bytes]) -> Iterator[bytes]:
    """The JSON document `seed` with each value replaced by each literal, and with each key missing."""
    tree = msgspec.json.decode(seed)
    for path in _paths(tree):
        before, after = _around(tree, path)
        for literal in literals:
            yield before + literal + after
        if path and isinstance(path[-1], str):
            yield _without(tree, path)


def mutated(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds, damaged in one to four ways, or bytes from nowhere."""
    if rng.random() < 0.05:
        return rng.randbytes(rng.choice((0, 1, 8, 64, 512)))
    data = rng.choice(seeds)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        data = rng.choice(_DAMAGES)(rng, data, seeds)
    return data


# --- damage to the structure


def _one_value(rng: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Another value in one place."""
    tree = _tree(data)
    if tree is None:
        return _insert(rng, data, seeds)
    before, after = _around(tree, rng.choice(list(_paths(tree))))
    literal = rng.choice(RARE) if rng.random() < 0.002 else rng.choice(NASTY)
    return before + literal + after


def _one_key_less(rng: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    tree = _tree(data)
    keys = [path for path in _paths(tree) if path and isinstance(path[-1], str)]
    return _without(tree, rng.choice(keys)) if keys else _cut(rng, data, seeds)


def _some(rng: random.Random, tree: Any, kind: type) -> _Path | None:
    """Where an object or a list stands that is not empty; None if nowhere."""
    places = [path for path in _paths(tree) if isinstance(_at(tree, path), kind) and _at(tree, path)]
    return rng.choice(places) if places else None


def _one_key_twice(rng: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """The same key again, with another value, before or after the first."""
    tree = _tree(data)
    path = _some(rng, tree, dict)
    if path is None:
        return _repeat(rng, data, seeds)
    before, after = _around(tree, path)
    key = msgspec.json.encode(rng.choice(list(_at(tree, path))))
    pair, inside = key + b":" + rng.choice(NASTY), msgspec.json.encode(_at(tree, path))[1:-1]
    return before + b"{" + b",".join((pair, inside) if rng.random() < 0.5 else (inside, pair)) + b"}" + after


def _many_items(rng: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """A list whose items repeat many times."""
    tree = _tree(data)
    path = _some(rng, tree, list)
    if path is None:
        return _repeat(rng, data, seeds)
    before, after = _around(tree, path)
    items = msgspec.json.encode(_at(tree, path))[1:-1]
    return before + b"[" + b",".join([items] * rng.choice((2, 3, 50))) + b"]" + after


# --- damage to the bytes


def _cut(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: rng.randint(0, len(data))]


def _flip(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    flipped = bytearray(data)
    for _times in range(rng.choice((1, 1, 2, 8))):
        if flipped:
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _remove(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start = rng.randint(0, len(data))
    return data[:start] + data[start + rng.randint(1, 40) :]


def _insert(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice((*_PIECES, *NASTY)) + data[at:]


def _repeat(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start = rng.randint(0, len(data))
    end = start + rng.randint(1, 80)
    return data[:end] + data[start:end] * rng.choice((1, 2, 20)) + data[end:]


def _splice(rng: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """The beginning of one and the end of another."""
    other = rng.choice(seeds)
    return data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]


_DAMAGES = (
    *(_one_value, _one_value, _one_value, _one_key_less, _one_key_twice, _many_items),
    *(_cut, _flip, _remove, _insert, _repeat, _splice),
)


# --- trees


def _tree(data: bytes) -> Any:
    if len(data) > 20_000:
        return None
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return None


def _paths(tree: Any, path: _Path = ()) -> Iterator[_Path]:
    """The place of every value, the whole first."""
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in items:
        yield from _paths(value, (*path, name))


def _at(tree: Any, path: _Path) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def _with(tree: Any, path: _Path, value: Any) -> Any:
    if not path:
        return value
    copy = tree.copy()
    copy[path[0]] = _with(tree[path[0]], path[1:], value)
    return copy


def _around(tree: Any, path: _Path) -> tuple[bytes, bytes]:
    """The document's text before and after the value at `path`."""
    before, _, after = msgspec.json.encode(_with(tree, path, _MARK)).partition(_MARKED)
    return before, after


def _without(tree: Any, path: _Path) -> bytes:
    parent = {name: value for name, value in _at(tree, path[:-1]).items() if name != path[-1]}
    return msgspec.json.encode(_with(tree, path[:-1], parent))
