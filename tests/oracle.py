"""What a file of real candles says, read and rolled up by a few lines that share nothing with the product."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

__all__ = ["Row", "file_rows", "rolled_up", "unix_ms"]

Row = tuple[Decimal, ...]
"""Open, high, low, close, volume."""


def unix_ms(text: str) -> int:
    """The Unix milliseconds of an ISO time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def file_rows(path: Path) -> dict[int, Row]:
    """The rows of a CSV of candles by open time."""
    with path.open() as file:
        return {
            unix_ms(row["timestamp"]): tuple(
                Decimal(row[name]) for name in ("open", "high", "low", "close", "volume")
            )
            for row in csv.DictReader(file)
        }


def rolled_up(rows: dict[int, Row], width_ms: int) -> dict[int, Row]:
    """The same rows in larger buckets."""
    buckets: dict[int, list[Row]] = {}
    for time, row in sorted(rows.items()):
        buckets.setdefault(time - time % width_ms, []).append(row)
    return {
        time: (
            parts[0][0],
            max(part[1] for part in parts),
            min(part[2] for part in parts),
            parts[-1][3],
            sum((part[4] for part in parts), Decimal(0)),
        )
        for time, parts in buckets.items()
    }
