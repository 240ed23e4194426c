"""What a user sees where the file cannot be used as it is; nothing is lost by it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from livecache.errors import NewerSchema, StoreUnusable
from livecache.history.columns import Columns
from livecache.history.sqlite.database import network_file_system
from livecache.history.sqlite.schema import SCHEMA
from livecache.history.sqlite.store import SqliteHistory

from .support import HandClock, covered, market, minute, number_of, opened, put, same


def altered(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        db.execute(statement).fetchall()
    db.close()


def test_a_history_of_a_newer_livecache_is_left_as_it_is(store: SqliteHistory, tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    altered(path, f"PRAGMA user_version = {SCHEMA + 1}")
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(NewerSchema, match="made by a newer livecache"):
            SqliteHistory.open(path, read_only=read_only)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database, but long enough to be looked at" * 99, "foreign"])
def test_what_is_no_history_is_left_as_it_is(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "history.db"
    altered(path, "CREATE TABLE theirs (x)") if isinstance(content, str) else path.write_bytes(content)
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreUnusable, match="another path"):
            SqliteHistory.open(path, read_only=read_only)
    assert path.read_bytes() == before


def test_a_missing_file_or_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="there is no history at"):
        SqliteHistory.open(tmp_path / "history.db", read_only=True)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreUnusable, match="a directory that is there"):
        SqliteHistory.open(tmp_path / "none" / "history.db")


def test_a_file_in_wal_mode_is_set_back_and_refused_while_somebody_holds_it(
    store: SqliteHistory, series: int, tmp_path: Path
) -> None:
    put(store, series, 0, 10)
    store.close()
    path = tmp_path / "history.db"
    altered(path, "PRAGMA journal_mode = WAL")
    holding = sqlite3.connect(path, isolation_level=None)
    holding.execute("BEGIN")
    holding.execute("SELECT * FROM series").fetchall()
    with pytest.raises(StoreUnusable, match="end that"):
        SqliteHistory.open(path, busy_s=0.1)
    reader = SqliteHistory.open(path, read_only=True)
    assert reader.coverage(series) == covered(0, 10)
    reader.close()
    holding.close()
    again = opened(tmp_path)
    put(again, series, 10, 20)
    assert again.one("PRAGMA journal_mode") == ("truncate",)
    assert again.one("PRAGMA synchronous") == (2,)
    again.close()


def test_a_file_that_was_moved_away_is_not_written_to(
    store: SqliteHistory, series: int, tmp_path: Path
) -> None:
    put(store, series, 0, 10)
    (tmp_path / "history.db").rename(tmp_path / "elsewhere.db")
    with pytest.raises(StoreUnusable, match="begin again with what is there"):
        put(store, series, 10, 20)
    moved = SqliteHistory.open(tmp_path / "elsewhere.db", read_only=True)
    assert moved.coverage(series) == covered(0, 10)
    moved.close()


MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
server:/export /mnt/share nfs4 rw,vers=4.2 0 0
//nas/data /mnt/with\\040space cifs rw 0 0
/dev/vdb /mnt/share/local xfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/mnt/share/history.db", "nfs4"),
        ("/mnt/shared/history.db", ""),
        ("/mnt/share/local/history.db", ""),
        ("/mnt/with space/deep/history.db", "cifs"),
        ("/var/lib/livecache/history.db", ""),
    ],
)
def test_a_network_file_system_is_known_by_the_table_of_mounts(path: str, kind: str) -> None:
    assert network_file_system(Path(path), MOUNTS) == kind
    assert network_file_system(Path(path), "") == ""


FULL = """
import resource, signal, sys
from pathlib import Path
from livecache.errors import StoreUnusable
from livecache.history.columns import Columns
from tests.history.support import number_of, opened, put

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = opened(folder)
series = number_of(store)
limit += (folder / "history.db").stat().st_size  # of an empty one
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
for page in range(1000):
    try:
        put(store, series, page * 300, page * 300 + 300)
    except StoreUnusable as error:
        print(page, str(error))
        break
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
put(store, series, page * 300, page * 300 + 300)
"""


@pytest.mark.parametrize("limit", [24_464, 32_467])
def test_a_full_disk_takes_whole_pages_or_none_and_it_goes_on_with_room(tmp_path: Path, limit: int) -> None:
    done = _python(FULL, str(tmp_path), str(limit))
    page = int(done.split(" ", 1)[0])
    assert "make room" in done
    store = opened(tmp_path)
    end = (page + 1) * 300
    assert page > 3 and store.coverage(1) == covered(0, end)
    assert same(store.read(1, minute(0), minute(end)).rows.candles(), market(0, end))
    assert list(store.verify()) == []
    store.close()


DIES_IN_A_PAGE = """
import os, signal, sys
from pathlib import Path
from livecache.history.columns import Columns
from tests.history.support import covered, market, number_of, opened, put

store = opened(Path(sys.argv[1]))
series = number_of(store)
put(store, series, 0, 3000)
store.db.execute("PRAGMA cache_size = 2")  # so that pages go to the file before the commit
with store.writing() as db:
    db.execute("UPDATE series SET listed = 7")
    db.execute("UPDATE blocks SET data = zeroblob(length(data))")
    db.execute("UPDATE coverage SET start = start - 60000")
    db.execute("CREATE TABLE more AS SELECT * FROM blocks")
    print("in it", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_is_rolled_back_by_whoever_comes_next(tmp_path: Path) -> None:
    assert _python(DIES_IN_A_PAGE, str(tmp_path), killed=True) == "in it\n"
    journal = tmp_path / "history.db-journal"
    assert journal.stat().st_size > 0, "the journal is hot"
    reader = SqliteHistory.open(tmp_path / "history.db", read_only=True)
    assert reader.coverage(1) == covered(0, 3_000)
    assert same(reader.read(1, minute(0), minute(3_000)).rows.candles(), market(0, 3_000))
    assert reader.all_series()[0].listed is None and list(reader.verify()) == []
    reader.close()


READS = """
import os, sys
from pathlib import Path
from livecache.errors import StoreUnusable
from livecache.history.sqlite.store import SqliteHistory
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    store = SqliteHistory.open(Path(sys.argv[1]), read_only=sys.argv[2] == "reader")
    print(len(store.read(1, 0, 1 << 60).rows))
except StoreUnusable as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="takes root, to become somebody else who may not write")
def test_who_may_only_read_can_and_is_told_what_only_a_writer_can_mend(tmp_path: Path) -> None:
    shared = Path("/tmp") / f"livecache-read-only-{os.getpid()}"
    shared.mkdir(mode=0o755)
    try:
        store = opened(shared, HandClock())
        put(store, number_of(store), 0, 3_000)
        store.close()
        path = shared / "history.db"
        path.chmod(0o644)
        assert int(_python(READS, str(path), "reader")) == len(market(0, 3_000))
        assert "the right to write" in _python(READS, str(path), "writer")
        path.chmod(0o666)
        assert "belongs to another user" in _python(READS, str(path), "writer")
        (shared / "history.db-journal").unlink()
        assert "the right to" in _python(READS, str(path), "writer"), "the directory takes no journal"
        path.chmod(0o644)
        path.unlink()
        _python(DIES_IN_A_PAGE, str(shared), killed=True)
        for file in shared.iterdir():
            file.chmod(0o644)
        assert "a writer was killed" in _python(READS, str(path), "reader")
        opened(shared).close()
        assert int(_python(READS, str(path), "reader")) == len(market(0, 3_000))
    finally:
        shutil.rmtree(shared)


def test_a_store_opens_again_and_again_and_is_the_same(tmp_path: Path) -> None:
    for n in range(5):
        store = opened(tmp_path)
        series = number_of(store)
        store.commit(series, Columns.of(market(n, n + 1)), covered(n, n + 1))
        store.close()
    assert (tmp_path / "history.db-journal").stat().st_size == 0
    store = opened(tmp_path)
    assert len(store.all_series()) == 1 and store.coverage(series) == covered(0, 5)
    store.close()


def _python(code: str, *arguments: str, killed: bool = False) -> str:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=root, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == (-9 if killed else 0), done.stderr
    return done.stdout


def test_a_reader_of_a_file_that_is_just_being_made_is_told_that_nothing_is_there_yet(tmp_path: Path) -> None:
    (tmp_path / "history.db").touch()
    with pytest.raises(StoreUnusable, match=r"there is no history at .* yet") as error:
        SqliteHistory.open(tmp_path / "history.db", read_only=True)
    assert error.value.hint == "livecache history fill makes it"
