"""`python -m docs.pictures.rooms`, from the checkout: rooms.svg, the rooms and who imports whom, by the code.

An arrow is left out where a longer way leads there too.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.test_style import EVERYWHERE, MAY_IMPORT, MODULES, imports, room

__all__ = ["PICTURE", "drawn"]

PICTURE = Path(__file__).parent / "rooms.svg"
_LEFT_OUT = EVERYWHERE | {
    "errors",
    "clock",
    "files",
    "plainly",
    "repeats",
    "redis_url",
    "tape",
}  # the ground floor
_WIDTH, _HEIGHT, _X, _Y = 108, 34, 130, 74


def drawn() -> str:
    """The picture, as SVG: whoever stands higher imports those below."""
    rooms = [name for name in MAY_IMPORT if name not in _LEFT_OUT]
    used: dict[str, set[str]] = {name: set() for name in rooms}
    for module in MODULES:
        here = room(module.removesuffix(".py").replace("/", "."))
        for name in imports(module) if here in used else ():
            there = room(name) if name.startswith("livecache.") else here
            if there != here and there in used:
                used[here].add(there)

    @cache
    def below(name: str) -> frozenset[str]:
        return frozenset(used[name]).union(*(below(other) for other in used[name]))

    @cache
    def floor(name: str) -> int:
        return max((floor(other) + 1 for other in used[name]), default=0)

    floors = [[name for name in rooms if floor(name) == n] for n in range(max(map(floor, rooms)) + 1)]
    wide, high = max(map(len, floors)) * _X, len(floors) * _Y
    place = {
        name: ((wide - len(row) * _X) // 2 + i * _X + _X // 2, high - n * _Y - _Y // 2)
        for n, row in enumerate(floors)
        for i, name in enumerate(row)
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" '
        'font-size="14" text-anchor="middle">',
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="#678"/></marker></defs>',
        f'<rect width="{wide}" height="{high}" fill="#fff"/>',
    ]
    for name in rooms:
        for other in sorted(used[name]):
            if any(other in below(between) for between in used[name]):
                continue
            (x, y), (to_x, to_y) = place[name], place[other]
            ends = f'x1="{x}" y1="{y + _HEIGHT // 2}" x2="{to_x}" y2="{to_y - _HEIGHT // 2}"'
            parts.append(f'<line {ends} stroke="#678" marker-end="url(#a)"/>')
    for name in rooms:
        x, y = place[name]
        parts.append(
            f'<rect x="{x - _WIDTH // 2}" y="{y - _HEIGHT // 2}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
            f'fill="#eef4fa" stroke="#345"/><text x="{x}" y="{y + 5}" fill="#123">{name}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(drawn())
