"""What is published is read by those who know nothing of livecache, from a directory and from a bucket."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow.fs
import pytest

from livecache.history.sqlite.store import SqliteHistory
from livecache.model.coverage import Coverage

from ..e2e.support import free_port, until
from .publications import found, kept
from .support import market, minute, number_of, put
from .test_commands import Run, run, told
from .test_publish import DAY, DAYS, NEW_YEAR, days, of_days

__all__ = ["run"]  # a fixture

_example = importlib.import_module("docs.examples.published")
candles_of, manifest_at = _example.candles_of, _example.manifest_at

KEYS = {"AWS_ACCESS_KEY_ID": "an-access-key", "AWS_SECRET_ACCESS_KEY": "a-secret-key"}
REGION = "us-east-1"


@pytest.fixture
def history(store: SqliteHistory) -> SqliteHistory:
    """Days of three years, and minutes with a gap."""
    store.commit(number_of(store, DAYS), days(-10, 800), of_days(-10, 800))
    number = number_of(store)
    put(store, number, 0, 300)
    put(store, number, 400, 700)
    return store


def test_duckdb_pandas_and_polars_read_the_files_that_the_manifest_names(
    run: Run, history: SqliteHistory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("publish", "out")[0] == 0
    (rows, _), (minutes, _) = kept(history)["venue:BTC/USD 1d"], kept(history)["venue:BTC-USD 1m"]
    folder = tmp_path / "out"
    monkeypatch.chdir(folder)
    with duckdb.connect() as db:
        page = (Path(__file__).parents[2] / "docs/history.md").read_text()
        sql = page.partition("## Publishing")[2].partition("```sql\n")[2]
        for statement in sql.partition("```")[0].split(";")[:-1]:
            answer = db.execute(statement).fetchall()
    assert [(venue, symbol, timeframe, count) for venue, symbol, timeframe, count, *_ in answer] == [
        ("venue", "BTC-USD", "1m", len(minutes)),
        ("venue", "BTC/USD", "1d", len(rows)),
    ]
    paths = [file["path"] for each in manifest_at(".")[2]["series"] for file in each["files"]]
    of_days_ = [path for path in paths if "timeframe=1d" in path]
    frame = pandas.concat(pandas.read_parquet(path, partitioning=None) for path in of_days_)
    assert frame["close"].tolist() == [row[4] for row in rows] and str(frame["time"].dt.tz) == "UTC"
    lazy = (
        polars.scan_parquet(paths, hive_partitioning=True).filter(polars.col("symbol") == "BTC/USD").collect()
    )
    assert lazy["close"].to_list() == [row[4] for row in rows]
    assert lazy["time"].dt.epoch("ms").to_list() == [row[0] for row in rows]


def test_the_example_tells_what_is_known_and_reads_no_more_than_it_has_to(
    run: Run, history: SqliteHistory, tmp_path: Path
) -> None:
    assert run("publish", "out")[0] == 0
    candles, known = candles_of("out", "BTC-USD", "1m")
    assert candles.count_rows() == len(market(0, 300)) + len(market(400, 700))
    assert known == [(minute(0), minute(300)), (minute(400), minute(700))]
    candles, _ = candles_of("out", "BTC/USD", "1d")
    (first,) = (each for each in candles.get_fragments() if "year=2021" in each.path)
    assert first.count_rows() == 10
    printed = subprocess.run(
        [sys.executable, Path(__file__).parents[2] / "docs/examples/published.py", "out", "BTC/USD", "1d"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert printed.stdout.startswith("2021-12-22 2024-03-11 is known") and "2022-02-01" in printed.stdout


# --- a bucket


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server that speaks S3, with a bucket."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env=os.environ | KEYS,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:

        def made() -> bool:
            try:
                return bool(_asked(f"{address}/candles", "PUT").status == 200)
            except OSError:
                assert server.poll() is None
                return False

        until("the server answers", made, 120, every_s=0.2)
        yield address
    finally:
        server.kill()
        server.wait()


def _asked(url: str, method: str, body: bytes = b"") -> Any:
    of_bytes = {"Content-Type": "application/octet-stream"}
    return urllib.request.urlopen(urllib.request.Request(url, body, of_bytes, method=method), timeout=30)


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The URL of a prefix that is the test's own; the environment says where the server is."""
    for name, text in {**KEYS, "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION}.items():
        monkeypatch.setenv(name, text)
    return f"s3://candles/{request.node.name}"


def pulled(bucket: str, endpoint: str, folder: Path) -> Path:
    """All that is in the bucket, in a directory."""
    url = f"{bucket}?endpoint_override={endpoint}&region={REGION}"
    files, root = pyarrow.fs.FileSystem.from_uri(url)
    pyarrow.fs.copy_files(root, str(folder), source_filesystem=files)
    return folder


def test_a_bucket_has_what_the_store_has_and_only_changed_years_are_sent(
    run: Run, history: SqliteHistory, bucket: str, endpoint: str, tmp_path: Path
) -> None:
    done = told(run("publish", bucket, "--json"))
    assert (done["written"], done["files"], done["target"]) == (5, 5, bucket)
    assert found(pulled(bucket, endpoint, tmp_path / "first")) == kept(history)
    assert told(run("publish", bucket, "--json"))["written"] == 0
    put(history, number_of(history), 300, 400)
    assert told(run("publish", bucket, "--json"))["written"] == 1
    there = pulled(bucket, endpoint, tmp_path / "second")
    assert found(there) == kept(history)
    assert len([*there.rglob("*.parquet")]) == 6, "the old one stays for whoever reads it"
    candles, known = candles_of(f"{bucket}?endpoint_override={endpoint}&region={REGION}", "BTC/USD", "1d")
    assert Coverage(known) == of_days(-10, 800)
    with duckdb.connect() as db:
        (days_, newest) = db.execute("SELECT count(*), max(time) FROM candles").fetchall()[0]
    assert candles and days_ == 810
    assert newest == datetime.fromtimestamp((NEW_YEAR + 799 * DAY) / 1000, UTC)


def test_a_bucket_that_refuses_is_told_with_what_mends_it_and_without_what_is_secret(
    run: Run, history: SqliteHistory, bucket: str, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    assert run("publish", bucket)[0] == 0
    for target, address in (("s3://no-such-bucket/x", endpoint), (bucket, "http://127.0.0.1:1")):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        code, out, err = run("publish", target)
        assert code == 8 and out == "" and f"error: {target} cannot be " in err
        assert "AWS_ENDPOINT_URL" in err and "what was published before still stands" in err
    # From now on credentials are looked at.
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    _asked(f"{endpoint}/moto-api/reset-auth", "POST", b"0")
    try:
        code, out, err = run("publish", bucket)
    finally:
        _asked(f"{endpoint}/moto-api/reset-auth", "POST", b"100000")
    assert code == 8 and "AWS_ACCESS_KEY_ID" in err
    assert not [text for text in KEYS.values() if text in out + err]
    assert json.loads(run("publish", bucket, "--json")[1])["written"] == 0
