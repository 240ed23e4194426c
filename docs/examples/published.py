"""Reads what `livecache history publish` has written: `python published.py TARGET BTC-USD 1d`.

TARGET is a directory, or the URL of a bucket as pyarrow takes it. It needs pyarrow and duckdb, not livecache.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset
import pyarrow.fs

__all__ = ["candles_of", "manifest_at"]


def manifest_at(target: str) -> tuple[Any, str, dict[str, Any]]:
    """The file system, the directory on it, and what is published there."""
    url = target if "://" in target else Path(target).absolute().as_uri()
    files, root = pyarrow.fs.FileSystem.from_uri(url)
    with files.open_input_file(f"{root}/_manifest.json") as file:
        return files, root, json.loads(file.read())


def candles_of(target: str, symbol: str, timeframe: str) -> tuple[Any, list[tuple[int, int]]]:
    """All candles of a series, as a dataset, and what is known of it: `[start, end)` in Unix ms.

    A bucket in there without a candle was not traded in. The files that a manifest names are there for 15
    minutes after a newer one has been written: by then a reader has opened them, or reads the newer one.
    """
    files, root, manifest = manifest_at(target)
    (series,) = (
        each for each in manifest["series"] if (each["symbol"], each["timeframe"]) == (symbol, timeframe)
    )
    candles = pyarrow.dataset.dataset(
        [f"{root}/{file['path']}" for file in series["files"]],
        filesystem=files,
        format="parquet",
        partitioning=pyarrow.dataset.partitioning(flavor="hive"),
        partition_base_dir=root,
    )
    return candles, [(start, end) for start, end in series["coverage"]]


def main() -> None:
    """Print the months of a series."""
    candles, known = candles_of(*sys.argv[1:4])  # noqa: RUF059  (DuckDB finds it by its name)
    for start, end in known:
        print(*(datetime.fromtimestamp(max(0, each) / 1000, UTC).date() for each in (start, end)), "is known")
    months = duckdb.sql(
        "SELECT date_trunc('month', time) AS month, arg_min(open, time) AS open, max(high) AS high,"
        " min(low) AS low, arg_max(close, time) AS close, sum(volume) AS volume, count(*) AS candles"
        " FROM candles GROUP BY month ORDER BY month"
    )
    print(months)


if __name__ == "__main__":
    main()
