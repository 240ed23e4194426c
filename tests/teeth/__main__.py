"""Take away one rule at a time and see that something notices: `python -m tests.teeth [NAME…]`.

Each breakage is made in a copy of the checkout: there the seeds of every run of the suite notice it, or
the tests that it names, those that every run leaves out last. Exit code 1 if any goes unnoticed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.simulation.test_seeds import FIXED

from ..sizes import WHOLE
from .breakages import BREAKAGES, Breakage

ROOT = Path(__file__).parents[2]
_COPIED = ("livecache", "tests", "docs", "pyproject.toml", "README.md", "config.toml")


def copy(root: Path) -> None:
    """Copy what tests need of the checkout."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root / name)


def look(root: Path, breakage: Breakage, seeds: str, jobs: int) -> tuple[int, str]:
    """Run what may notice it with the checkout at `root`; the exit code and all that was said."""
    if not breakage.tests:
        return _said(root, "tests.simulation.seeds", seeds, "--stop-at-first", "--jobs", str(jobs))
    tested = ("pytest", "-q", "-x", "-p", "no:cacheprovider", *breakage.tests)
    code, said = _said(root, *tested)
    if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        code, more = _said(root, *tested, "-m", "long or hypothesis", "--hypothesis-profile", WHOLE)
        said += more
    return code, said


def _said(root: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def bite(breakage: Breakage, seeds: str, jobs: int) -> bool:
    """Whether the breakage is noticed; prints what was said of it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        copy(root)
        for edit in breakage.edits:
            if edit.found(root) != 1:
                print(f"STALE   {breakage.name}: {edit.file} has changed, {edit.found(root)} places")
                return False
            edit.apply(root)
        code, said = look(root, breakage, seeds, jobs)
    failed = [line.strip() for line in said.splitlines() if "FAILED" in line]
    caught = code == 1 and bool(failed)
    verdict = "caught" if caught else "MISSED"
    took = time.monotonic() - began
    print(f"{verdict}  {breakage.name}  ({took:.0f} s)", flush=True)
    for line in failed[:1] if caught else said.splitlines()[-15:]:
        print(f"          {line}", flush=True)
    return caught


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.teeth", description=__doc__)
    parser.add_argument("names", nargs="*", help="only breakages whose name holds one of these")
    fixed = ",".join(map(str, FIXED))
    parser.add_argument("--seeds", default=fixed, help=f"FIRST:LAST, the last one left out ({fixed})")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    chosen = [b for b in BREAKAGES if not options.names or any(n in b.name for n in options.names)]
    missed = [b for b in chosen if not bite(b, options.seeds, options.jobs)]
    print(f"{len(chosen) - len(missed)} of {len(chosen)} breakages were caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
