"""What is published, as a reader finds it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

from livecache.history.store import HistoryDatabase
from livecache.model.coverage import Coverage

__all__ = ["FAR", "Found", "found", "kept"]

FAR = 1 << 60
NUMBERS = ("open", "high", "low", "close", "volume")

Found = dict[str, tuple[list[tuple[float, ...]], Coverage]]
"""Rows as numbers, the time first, and what is known, by the series' names."""


def found(folder: Path) -> Found:
    """What the manifest names. Every file has to be whole, and what it is said to be."""
    told: dict[str, Any] = json.loads((folder / "_manifest.json").read_bytes())
    series = {}
    for each in told["series"]:
        rows: list[tuple[float, ...]] = []
        for file in each["files"]:
            path = folder / file["path"]
            content = path.read_bytes()
            assert hashlib.sha256(content).hexdigest()[:16] in path.name and len(content) == file["bytes"]
            part = rows_of(path)
            assert [len(part), part[0][0], part[-1][0]] == [file["rows"], file["first"], file["last"]]
            rows += part
        name = f"{each['venue']}:{each['symbol']} {each['timeframe']}"
        series[name] = rows, Coverage(map(tuple, each["coverage"]))
    return series


def rows_of(path: Path) -> list[tuple[float, ...]]:
    """The candles of one file."""
    table = parquet.read_table(path, partitioning=None)
    columns = [table["time"].cast("int64").to_pylist(), *(table[name].to_pylist() for name in NUMBERS)]
    return list(zip(*columns, strict=True))


def kept(store: HistoryDatabase) -> Found:
    """The same of what a store holds."""
    series = {}
    for info in store.all_series():
        rows = store.read(info.id, -FAR, FAR).rows
        numbers = [rows.time.tolist(), *(each.floats().tolist() for each in rows.numbers)]
        name = f"{info.key.venue}:{info.key.symbol} {info.key.timeframe.value}"
        series[name] = list(zip(*numbers, strict=True)), store.coverage(info.id)
    return series
