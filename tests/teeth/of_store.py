"""Breakages of the store of deep history: what keeps a number exact, a page whole and a job one worker's."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_STORE"]

_ROOM = "livecache/history"
_PUBLISHED = ("tests/history/test_publish.py",)

OF_STORE = (
    Breakage(
        "whoever keeps years gives up once its store has failed while it was open",
        (
            Edit(
                f"{_ROOM}/service/service.py",
                """    task = asyncio.create_task(work, name=name)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task], timeout=None if left is None else STOP_S)
        if left is not None and not task.done():
            logger.bind(event="history_left").warning("the store of history is waited for no longer")
            left.add(task)
            task.add_done_callback(left.discard)
        raise
    error = task.exception() or RuntimeError(f"the {name} has ended")
""",
                """    error: BaseException = RuntimeError(f"the {name} has ended")
    try:
        await work
    except* Exception as group:
        error = group
    if (here := asyncio.current_task()) is not None and here.cancelling():
        raise asyncio.CancelledError
""",
            ),
        ),
        (
            "tests/simulation/test_history.py::test_a_store_that_fails_while_it_is_open_is_kept_again_by_itself",
        ),
    ),
    Breakage(
        "all that pages are silent about is called unlisted, where the venue tells of listings",
        (
            Edit(
                f"{_ROOM}/worker.py",
                "before := walk.left.clip(0, listed)",
                "before := found.silent.clip(0, listed and 1 << 60)",
            ),
        ),
        ("tests/history/test_worker.py",),
    ),
    Breakage(
        "a listing in the middle of a bucket ends what is known there",
        (
            Edit(
                "livecache/history/working/listings.py",
                "        first = grid.floor(listed) if",
                "        first = listed if",
            ),
        ),
        ("tests/history/test_worker.py",),
    ),
    Breakage(
        "the history is read before Redis",
        (
            Edit(
                f"{_ROOM}/answer/seam.py",
                "        hot = self.hot(series, start, end)\n"
                "        stored = self.stored(series, start, end)\n",
                "        stored = self.stored(series, start, end)\n"
                "        hot = self.hot(series, start, end)\n",
            ),
        ),
        ("tests/history/test_answer.py",),
    ),
    Breakage(
        "a bigger candle is known though the last of its parts is missing",
        (Edit(f"{_ROOM}/answer/derive.py", "grid.closed(end)) for", "grid.ceil(end)) for"),),
        ("tests/history/test_answer.py",),
    ),
    Breakage(
        "what a page of history covers is stored before its rows",
        (
            Edit(
                f"{_ROOM}/tables/writing.py",
                "            # What nobody knew is as the page says",
                "            _cover(db, series, near, near | covered)\n"
                '            db.execute("COMMIT")\n'
                '            db.execute("BEGIN IMMEDIATE")\n'
                "            # What nobody knew is as the page says",
            ),
            Edit(
                f"{_ROOM}/tables/writing.py",
                "                _cover(db, series, near, near | covered)\n                record(",
                "                record(",
            ),
        ),
        ("tests/history/test_damage.py",),
    ),
    Breakage(
        "a worker that has lost its lease stores a page",
        (Edit(f"{_ROOM}/tables/leases.py", "    if not held.rowcount:\n", "    if False:\n"),),
        ("tests/history/test_jobs.py",),
    ),
    Breakage(
        "a page that succeeds leaves the failures before it",
        (Edit(f"{_ROOM}/tables/leases.py", "pages = pages + 1, attempts = 0,", "pages = pages + 1,"),),
        ("tests/history/test_jobs.py",),
    ),
    Breakage(
        "a job succeeds while something is missing",
        (
            Edit(
                f"{_ROOM}/tables/jobs.py",
                "case Outcome.SUCCEEDED if not _missing(db, job):",
                "case Outcome.SUCCEEDED:",
            ),
        ),
        ("tests/history/test_jobs.py",),
    ),
    Breakage(
        "the checksum of a block is not looked at",
        (
            Edit(
                f"{_ROOM}/block.py",
                "if magic != _MAGIC or _checksum(header, body, series, block) != checksum:",
                "if magic != _MAGIC:",
            ),
        ),
        ("tests/history/test_block.py",),
    ),
    Breakage(
        "digits come back as doubles print them",
        (
            Edit(
                f"{_ROOM}/columns.py",
                "return [_text(each, self.scale) for each in self.scaled.tolist()]",
                "return [f'{each!r}' for each in self.floats().tolist()]",
            ),
        ),
        ("tests/history/test_columns.py",),
    ),
    Breakage(
        "doubles of long numbers are rounded twice",
        (Edit(f"{_ROOM}/columns.py", "np.abs(self.scaled) > _WHOLE", "np.abs(self.scaled) > BIG"),),
        ("tests/history/test_columns.py",),
    ),
    Breakage(
        "a span of history holds its end",
        (Edit(f"{_ROOM}/columns.py", "(at >= 0) & (times < ends[at])", "(at >= 0) & (times <= ends[at])"),),
        ("tests/history/test_columns.py",),
    ),
    Breakage(
        "rows that are distrusted are read",
        (
            Edit(
                f"{_ROOM}/tables/reading.py",
                "        if not coverage.covers(start, end):\n",
                "        if False:\n",
            ),
        ),
        ("tests/history/test_damage.py",),
    ),
    Breakage(
        "a distrusted row stays though the page that proves its stretch lacks it",
        (
            Edit(
                f"{_ROOM}/tables/writing.py",
                "self.lay(db, info, rows, decided, scales, rev)",
                "self.lay(db, info, rows, replace, scales, rev)",
            ),
        ),
        ("tests/history/test_damage.py",),
    ),
    Breakage(
        "as of a time is seen what was fetched after it",
        (
            Edit(
                f"{_ROOM}/tables/arrivals.py",
                "edge = _FAR if each.at <= time else grid.after(time - each.lag)",
                "edge = _FAR",
            ),
        ),
        ("tests/history/test_every_store.py",),
    ),
    Breakage(
        "a worker that is stopped leaves a job to wait for its lease",
        (Edit(f"{_ROOM}/worker.py", "            await self._claims.release()\n", "            pass\n"),),
        ("tests/history/test_worker.py",),
    ),
    Breakage(
        "what the live service has settled is copied once it has left Redis",
        (
            Edit(
                f"{_ROOM}/service/copying.py",
                "    covered = known.without(before.coverage)\n",
                "    covered = before.coverage.without(known)\n",
            ),
        ),
        ("tests/history/test_copying.py",),
    ),
    Breakage(
        "a copied bucket that is taken back stays known",
        (Edit(f"{_ROOM}/service/copying.py", "            if found.lost:\n", "            if False:\n"),),
        ("tests/history/test_copying.py",),
    ),
    Breakage(
        "what one witness says alone is copied into the history",
        (Edit(f"{_ROOM}/service/copying.py", "in track.proven())", "in track.coverage)"),),
        ("tests/history/test_copying.py",),
    ),
    Breakage(
        "damage that a worker meets stays where it is",
        (Edit(f"{_ROOM}/thread.py", "found = bool(self.store.heal())", "pass"),),
        ("tests/history/test_worker.py",),
    ),
    Breakage(
        "the newest candles are taken over a hole in the history",
        (
            Edit(
                "livecache/reader/newest.py",
                "if not known.coverage or known.coverage.spans[-1].end < edge:",
                "if not known.coverage:",
            ),
        ),
        ("tests/history/test_reader.py",),
    ),
    Breakage(
        "a reader goes on with a file that another one has taken the place of",
        (Edit("livecache/reader/history.py", " and not store.moved", ""),),
        ("tests/history/test_reader.py",),
    ),
    Breakage(
        "a reader that has read before does not ask who made the file",
        (Edit("livecache/reader/history.py", "            store.check()\n", ""),),
        ("tests/history/test_reader.py",),
    ),
    Breakage(
        "a file proves what it does not hold",
        (Edit(f"{_ROOM}/files/candles.py", "if covered and complete:", "if covered:"),),
        ("tests/history/test_files.py",),
    ),
    Breakage(
        "pages from the oldest on go beyond what is final",
        (
            Edit(
                f"{_ROOM}/planner.py",
                "min(beyond, _after(grid, start, most))",
                "min(_after(grid, end, shared), _after(grid, start, most))",
            ),
        ),
        ("tests/history/test_planner.py", "tests/history/test_worker.py"),
    ),
    Breakage(
        "one bucket that fails takes a short stretch with it",
        (Edit(f"{_ROOM}/planner.py", "if self._short < _ROW:", "if self._short:"),),
        ("tests/history/test_worker.py",),
    ),
    Breakage(
        "a job waits for what a clock was set back by",
        (
            Edit(
                f"{_ROOM}/tables/jobs.py",
                "NOT not_before BETWEEN :now + 1 AND :now + 10 * :lease",
                "not_before <= :now",
            ),
        ),
        ("tests/history/test_jobs.py",),
    ),
    Breakage(
        "what was taken back and came again was known all the time",
        (Edit(f"{_ROOM}/tables/arrivals.py", "    if not spans:\n        return\n", "    return\n"),),
        ("tests/history/test_store.py",),
    ),
    Breakage(
        "what was in progress when a file was written is final",
        (Edit(f"{_ROOM}/files/candles.py", "    sound &= ~early\n", ""),),
        ("tests/history/test_files.py",),
    ),
    Breakage(
        "a file with a row of nobody knows when is complete",
        (Edit(f"{_ROOM}/files/candles.py", "complete, whole = False, None", "pass"),),
        ("tests/history/test_files.py",),
    ),
    Breakage(
        "a file takes the place of what is stored",
        (
            Edit(
                "livecache/commands/files/importing.py",
                "fresh = covered if force else covered.without(known)",
                "fresh = covered",
            ),
        ),
        ("tests/history/test_files.py",),
    ),
    Breakage(
        "a check of years looks at no sums",
        (
            Edit(
                "livecache/quality/history/sums.py",
                "if not same_sum(theirs, mine):",
                "if mine.time != theirs.time:",
            ),
        ),
        ("tests/history/test_quality.py",),
    ),
    Breakage(
        "completeness counts holidays",
        (
            Edit(
                "livecache/quality/history/check.py",
                "expected = grid.count(*sure)",
                "expected = key.timeframe.grid.count(*sure)",
            ),
        ),
        ("tests/history/test_request_001_quality.py",),
    ),
    Breakage(
        "what is known is published as of a later look than the rows",
        (
            Edit(
                f"{_ROOM}/publish/publishing.py",
                "coverage = coverage.remove(*span) | answer.coverage",
                "coverage = store.coverage(info.id)",
            ),
        ),
        _PUBLISHED,
    ),
    Breakage(
        "what was published before a split is left as it is",
        (Edit(f"{_ROOM}/publish/publishing.py", "{*stale} ^ {*before.stale}", "()"),),
        _PUBLISHED,
    ),
    Breakage(
        "a split that is told of while years are read parts them",
        (Edit(f"{_ROOM}/publish/publishing.py", "if self._splits(info) == splits:", "if True:"),),
        _PUBLISHED,
    ),
    Breakage(
        "what is known no more stays published",
        (Edit(f"{_ROOM}/publish/publishing.py", " | before.known.without(coverage)", ""),),
        _PUBLISHED,
    ),
    Breakage(
        "a published file goes while somebody reads it",
        (Edit(f"{_ROOM}/publish/publishing.py", " and since <= now - KEPT_MS", ""),),
        _PUBLISHED,
    ),
    Breakage(
        "of two publishers the later one takes no notice of what the other wrote",
        (Edit(f"{_ROOM}/publish/publishing.py", "if self._target.read(MANIFEST) != raw:", "if False:"),),
        _PUBLISHED,
    ),
    Breakage(
        "on a server a page is laid over what is stored without looking at it",
        (Edit(f"{_ROOM}/postgres/rows.py", "touched.spans[-1].end)()", "touched.spans[0].start)()"),),
        ("tests/history/test_every_store.py",),
    ),
    Breakage(
        "on a server two write one series at once",
        (Edit(f"{_ROOM}/postgres/database.py", " ORDER BY id FOR NO KEY UPDATE", ""),),
        ("tests/history/test_postgres.py",),
    ),
    Breakage(
        "after a database was made anew a page goes to the series of that number",
        (Edit(f"{_ROOM}/postgres/database.py", "if self._made and", "if False and"),),
        ("tests/history/test_postgres.py",),
    ),
    Breakage(
        "behind a pooler a statement is kept by name",
        (Edit(f"{_ROOM}/postgres/database.py", "raw.prepare_threshold = None", "pass"),),
        ("tests/history/test_postgres.py",),
    ),
    Breakage(
        "on a server writers see what was there before they waited",
        (Edit(f"{_ROOM}/postgres/database.py", "BEGIN ISOLATION LEVEL READ COMMITTED", "BEGIN"),),
        ("tests/history/test_postgres.py",),
    ),
    Breakage(
        "a password with a character that should have been encoded is told",
        (Edit("livecache/keys/history_place.py", '= url.rpartition("@")', '= url.partition("@")'),),
        ("tests/history/test_asking.py",),
    ),
    Breakage(
        "a store that was made anew is published as if it were the old one",
        (
            Edit(
                "livecache/commands/files/publishing.py",
                "repr((str(place), store.identity)).encode()",
                "str(place).encode()",
            ),
        ),
        _PUBLISHED,
    ),
)
