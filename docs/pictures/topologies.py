"""`python -m docs.pictures.topologies`, from the checkout: what runs where, for docs/scale.md, as SVG."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import NamedTuple

__all__ = ["FOLDER", "TOPOLOGIES", "drawn"]

FOLDER = Path(__file__).parent

_FILLS = {"host": "none", "ours": "#dcebfa", "store": "#e9f5e3", "yours": "#fbf1d9", "outside": "#eee"}
_LINE, _INK, _ARROW = 17, "#123", "#567"


class Box(NamedTuple):
    """A thing that runs, or a machine that others are drawn in; `x` and `y` are its middle."""

    x: int
    y: int
    wide: int
    high: int
    kind: str
    title: str
    lines: tuple[str, ...] = ()


class Arrow(NamedTuple):
    """From box to box; what is said lies beside its middle."""

    start: str
    end: str
    said: str = ""
    both: bool = False
    dashed: bool = False


class Topology(NamedTuple):
    """One picture."""

    wide: int
    high: int
    told: str
    boxes: dict[str, Box]
    arrows: tuple[Arrow, ...]


def drawn(topology: Topology) -> str:
    """The picture, as SVG."""
    wide, high, told, boxes, arrows = topology
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" '
        f'font-size="13" text-anchor="middle" role="img"><title>{escape(told)}</title>',
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="{_ARROW}"/></marker></defs>',
        f'<rect width="{wide}" height="{high}" fill="#fff"/>',
    ]
    hosts = [box for box in boxes.values() if box.kind == "host"]
    parts += [_box(box) for box in hosts]
    parts += [_arrow(arrow, boxes) for arrow in arrows]
    parts += [_box(box) for box in boxes.values() if box.kind != "host"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _box(box: Box) -> str:
    left, top = box.x - box.wide // 2, box.y - box.high // 2
    dash = ' stroke-dasharray="5 4"' if box.kind == "host" else ""
    rect = (
        f'<rect x="{left}" y="{top}" width="{box.wide}" height="{box.high}" rx="7" '
        f'fill="{_FILLS[box.kind]}" stroke="#567"{dash}/>'
    )
    if box.kind == "host":
        return (
            f'{rect}<text x="{left + 10}" y="{top + 18}" text-anchor="start" fill="#567">{box.title}</text>'
        )
    first = box.y + 5 - len(box.lines) * _LINE // 2
    texts = [f'<text x="{box.x}" y="{first}" font-weight="bold" fill="{_INK}">{escape(box.title)}</text>']
    texts += [
        f'<text x="{box.x}" y="{first + n * _LINE}" font-size="12" fill="{_INK}">{escape(line)}</text>'
        for n, line in enumerate(box.lines, 1)
    ]
    return rect + "".join(texts)


def _arrow(arrow: Arrow, boxes: dict[str, Box]) -> str:
    start, end = boxes[arrow.start], boxes[arrow.end]
    (x, y), (to_x, to_y) = _edge(start, end), _edge(end, start)
    ends = ' marker-start="url(#a)"' if arrow.both else ""
    dash = ' stroke-dasharray="4 3"' if arrow.dashed else ""
    line = (
        f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="{_ARROW}"{dash} '
        f'marker-end="url(#a)"{ends}/>'
    )
    if not arrow.said:
        return line
    middle_x, middle_y = (x + to_x) // 2, (y + to_y) // 2
    # Beside what stands, above what lies.
    beside = abs(to_y - y) > abs(to_x - x)
    at, anchor = ((middle_x + 7, middle_y + 4), "start") if beside else ((middle_x, middle_y - 6), "middle")
    said = f'<text x="{at[0]}" y="{at[1]}" font-size="12" fill="#456" text-anchor="{anchor}">'
    return f"{line}{said}{escape(arrow.said)}</text>"


def _edge(box: Box, towards: Box) -> tuple[int, int]:
    """Where the way from its middle to the other's leaves it; straight where it can be."""
    far_x, far_y = towards.x - box.x, towards.y - box.y
    overlaps_x = abs(far_x) < (box.wide + towards.wide) // 2
    if overlaps_x:
        low = max(box.x - box.wide // 2, towards.x - towards.wide // 2)
        high = min(box.x + box.wide // 2, towards.x + towards.wide // 2)
        return (low + high) // 2, box.y + (box.high // 2 if far_y > 0 else -(box.high // 2))
    overlaps_y = abs(far_y) < (box.high + towards.high) // 2
    if overlaps_y:
        low = max(box.y - box.high // 2, towards.y - towards.high // 2)
        high = min(box.y + box.high // 2, towards.y + towards.high // 2)
        return box.x + (box.wide // 2 if far_x > 0 else -(box.wide // 2)), (low + high) // 2
    return box.x, box.y + (box.high // 2 if far_y > 0 else -(box.high // 2))


TOPOLOGIES = {
    "one-machine": Topology(
        *(760, 330, "One machine: an exchange, livecache, Redis, a file of years, and programs that read"),
        {
            "machine": Box(480, 165, 540, 310, "host", "one machine"),
            "exchange": Box(95, 110, 150, 60, "outside", "exchange", ("feed and REST",)),
            "livecache": Box(340, 110, 170, 60, "ours", "livecache run", ("page, API, metrics",)),
            "redis": Box(620, 110, 170, 60, "store", "Redis or Valkey", ("the newest candles",)),
            "file": Box(340, 255, 170, 60, "store", "history.db", ("years of candles",)),
            "program": Box(620, 255, 170, 60, "yours", "your programs", ("Reader, 0.3 ms",)),
        },
        (
            Arrow("exchange", "livecache", both=True),
            Arrow("livecache", "redis", "writes"),
            Arrow("livecache", "file", "copies, fills"),
            Arrow("redis", "program", "read"),
            Arrow("file", "program", "years"),
        ),
    ),
    "two-replicas": Topology(
        *(860, 400, "Two replicas of livecache, and Redis with a replica behind three Sentinels"),
        {
            "a": Box(200, 245, 280, 290, "host", "machine a"),
            "b": Box(520, 245, 280, 290, "host", "machine b"),
            "c": Box(765, 245, 150, 290, "host", "machine c"),
            "exchange": Box(320, 45, 400, 44, "outside", "exchange"),
            "one": Box(160, 165, 180, 56, "ours", "livecache", ("writes: has the lease",)),
            "two": Box(480, 165, 180, 56, "ours", "livecache", ("waits, and is ready",)),
            "master": Box(160, 265, 180, 56, "store", "Redis", ("the master",)),
            "replica": Box(480, 265, 180, 56, "store", "Redis", ("its replica",)),
            "sentinel-a": Box(298, 165, 76, 40, "store", "Sentinel"),
            "sentinel-b": Box(618, 165, 76, 40, "store", "Sentinel"),
            "sentinel-c": Box(765, 165, 84, 40, "store", "Sentinel"),
            "program-a": Box(160, 357, 180, 40, "yours", "your programs"),
            "program-b": Box(480, 357, 180, 40, "yours", "your programs"),
        },
        (
            Arrow("exchange", "one", both=True),
            Arrow("exchange", "two", both=True, dashed=True),
            Arrow("one", "master"),
            Arrow("master", "replica", dashed=True),
            Arrow("master", "program-a"),
            Arrow("master", "program-b"),
        ),
    ),
    "cluster": Topology(
        *(
            1000,
            560,
            "Shards of livecache over a Redis Cluster, years in PostgreSQL, and Parquet for many readers",
        ),
        {
            "exchange": Box(370, 40, 440, 44, "outside", "exchange", ("one budget for all of them",)),
            "processes": Box(370, 145, 700, 100, "host", "livecache run, with shards = 12"),
            "cluster": Box(370, 320, 700, 170, "host", "Redis Cluster or Valkey Cluster"),
            "one": Box(140, 155, 190, 60, "ours", "livecache-0", ("holds shards 0 to 3",)),
            "two": Box(370, 155, 190, 60, "ours", "livecache-1", ("holds shards 4 to 7",)),
            "three": Box(600, 155, 190, 60, "ours", "livecache-2", ("holds shards 8 to 11",)),
            "m1": Box(140, 305, 170, 50, "store", "master 1", ("slots 0 to 5460",)),
            "m2": Box(370, 305, 170, 50, "store", "master 2", ("slots 5461 to 10922",)),
            "m3": Box(600, 305, 170, 50, "store", "master 3", ("slots 10923 to 16383",)),
            "r1": Box(140, 372, 170, 34, "store", "replica"),
            "r2": Box(370, 372, 170, 34, "store", "replica"),
            "r3": Box(600, 372, 170, 34, "store", "replica"),
            "postgres": Box(880, 155, 190, 60, "store", "PostgreSQL", ("years, jobs, their log",)),
            "publish": Box(880, 305, 190, 50, "ours", "history publish", ("what has changed",)),
            "bucket": Box(880, 420, 190, 50, "store", "S3 or a directory", ("Parquet, a manifest",)),
            "programs": Box(
                370, 500, 440, 60, "yours", "your programs", ("any number, on any host: Reader, HTTP",)
            ),
            "tables": Box(880, 510, 190, 50, "yours", "DuckDB, pandas", ("polars, pyarrow",)),
        },
        (
            *(Arrow("exchange", name, both=True) for name in ("one", "two", "three")),
            *(Arrow(name, master) for name, master in (("one", "m1"), ("two", "m2"), ("three", "m3"))),
            *(Arrow(f"m{n}", f"r{n}") for n in (1, 2, 3)),
            Arrow("processes", "postgres", both=True),
            Arrow("postgres", "publish"),
            Arrow("publish", "bucket"),
            Arrow("bucket", "tables"),
            *(Arrow(f"r{n}", "programs", "read" if n == 2 else "") for n in (1, 2, 3)),
        ),
    ),
}


if __name__ == "__main__":
    for name, topology in TOPOLOGIES.items():
        (FOLDER / f"{name}.svg").write_text(drawn(topology))
