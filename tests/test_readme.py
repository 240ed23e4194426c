"""README.md, as somebody who has never seen livecache follows it."""

from __future__ import annotations

import code
import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from .e2e.support import livecache

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def fences(language: str) -> list[str]:
    """What is in the fenced blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_it_is_read_in_a_few_minutes() -> None:
    assert len(README.splitlines()) <= 180


def test_it_says_why_not_ccxt_and_a_dict_and_when_not_to_use_it() -> None:
    assert re.search(r"^#+ .*ccxt", README, re.MULTILINE)
    assert re.search(r"^#+ .*[Ww]hen not", README, re.MULTILINE)


def test_its_picture_is_small() -> None:
    pictures = re.findall(r"^!\[.+\]\((.+)\)$", README, re.MULTILINE)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).stat().st_size < 150_000


def test_what_it_says_to_paste_works_while_what_it_says_to_start_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = shlex.split(fences("sh")[0])
    demo_begins = command.index("demo")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (pasted,) = fences("python")
    # Two symbols where nobody looks at the table: the others only cost time.
    with livecache(*command[demo_begins:], "--symbols", "2", env={"XDG_DATA_HOME": str(tmp_path)}) as demo:
        demo.event("warm", 240.0)
        shown = at_the_prompt(pasted)
        demo.stop()
    assert "Error" not in shown and "Traceback" not in shown, shown
    assert re.search(r"\(<Candles: 60 of BTC-USD 5m, feed up, age \d+ ms>, [\d.]+, 'up'\)", shown), shown
    assert re.search(r"^\[([\d.]+, ){4}[\d.]+\]$", shown, re.MULTILINE), shown


def at_the_prompt(text: str) -> str:
    """What Python prints where somebody pastes that."""
    console = code.InteractiveConsole()
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        for line in [*text.splitlines(), "reader.close()"]:
            console.push(line)
    return out.getvalue()
