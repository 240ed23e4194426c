"""Makes sp500.json, which `symbols_file` and `--symbols-file` take, from a public list of the S&P 500.

    python docs/examples/sp500.py > docs/examples/sp500.json

or with a CSV of the same columns as its argument. The list is kept at SOURCE after Wikipedia's, and in the
public domain (PDDL 1.0). It bears no date of its own: `last_updated` is that of the member added last.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.request import urlopen

SOURCE = "https://github.com/datasets/s-and-p-500-companies"
CSV = "https://raw.githubusercontent.com/datasets/s-and-p-500-companies/main/data/constituents.csv"
_MEMBERS = range(490, 521)  # 500 companies, some with two classes of shares


def listed(lines: Iterable[str]) -> dict[str, object]:
    """The file's content; Yahoo writes a class of shares with a dash, `BRK-B`."""
    rows = list(csv.DictReader(lines))
    symbols = sorted({row["Symbol"].strip().replace(".", "-") for row in rows})
    if len(symbols) not in _MEMBERS:
        raise SystemExit(f"{len(symbols)} symbols are not the S&P 500")
    return {
        "name": "S&P 500",
        "last_updated": max(row["Date added"] for row in rows),
        "source": f"{SOURCE} (PDDL 1.0)",
        "symbols": symbols,
    }


def main() -> None:
    """From the file that is named, else from the source."""
    if sys.argv[1:]:
        text = Path(sys.argv[1]).read_text("utf-8")
    else:
        with urlopen(CSV, timeout=30) as answer:
            text = answer.read(10_000_000).decode()
    json.dump(listed(text.splitlines()), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
