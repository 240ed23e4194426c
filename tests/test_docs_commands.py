"""Each command of README.md and docs/ is run beside a service that fills what the walk-through fills.

One simulator and one service for all of them, started as docs/walk-through.md says, only faster. What is
printed is compared where a page promises it (```console); where it shows an example (```text), or only the
command (```sh), the command has to do what it says without an error.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from livecache import Reader, ReadError
from livecache.__main__ import main
from livecache.config.load import check
from livecache.embedded.server import EmbeddedServer
from livecache.model.timeframe import moment

from .e2e.support import environment, free_port, livecache, settings, until

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]

SPEED = "15"
"""The market has the same candles at any speed."""
WAIT_S = 180.0

# --- what cannot be run here, and why

NEEDED = {
    "docker": "a Docker daemon",
    "kubectl": "a cluster",
    "sudo": "root and systemd",
    "pip": "what it installs is what the tests run from; .ci/run installs it from nothing",
    "python3": "the same",
}
"""First words of commands that are held to their syntax only, with what they need."""

ELSEWHERE = {
    "docs/keyspace.md": "tests/cache/test_documentation.py",
    "docs/equities.md": "tests/e2e/test_equities_guide.py",
    "docs/api-guide.md": "tests/e2e/test_api_guide.py",
}
"""Pages whose commands another test runs, over a store of its own."""

MEANWHILE = {"livecache run": "runs beside all of this", "livecache simulator": "that too"}
"""Commands that do not end; all that is told of them is started, once."""

OF_THE_READERS_OWN = re.compile(
    r"…|//host\b|db\.example\.com|localhost:6379|sentinel-a|LIVECACHE_REDIS_DATA_DIR"
)
"""What only the reader has, such as a server: whether the configuration is understood can be tried."""

LANGUAGES = {"sh", "console", "text", "pycon", "python", "json", "js", "sql", "toml", ""}


class Block(NamedTuple):
    page: str
    language: str
    text: str


class Example(NamedTuple):
    """A command line of a ```console block, and what it prints; `…` in there stands for anything."""

    page: str
    command: str
    output: str

    def matches(self, printed: str) -> bool:
        """Whether `printed` is what is written here, but for white space at the ends of lines."""
        return bool(re.fullmatch(re.escape(_trimmed(self.output)).replace("…", ".*"), _trimmed(printed)))


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines())


def blocks() -> Iterator[Block]:
    """Every fenced block of the pages."""
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for language, inner in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            yield Block(page, language, inner)


def sessions(language: str) -> list[Example]:
    """The command lines of the blocks of that language, with what stands below them."""
    return [
        Example(block.page, *part.split("\n", 1))
        for block in blocks()
        if block.language == language
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)
        if part
    ]


def lines() -> Iterator[tuple[str, str]]:
    """The commands of ```sh blocks that are run here, by page: continued lines joined, comments left out."""
    for block in blocks():
        if block.language != "sh" or block.page in ELSEWHERE:
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            if command := re.sub(r"(^|\s)#.*$", "", line).strip():
                yield block.page, command


CONSOLE = sessions("console")
SHELL = list(lines())


# --- what is started


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of a service that fills what the walk-through fills, and is where that ends."""
    (simulator,) = [command for _, command in SHELL if command.startswith("livecache simulator")]
    arguments = [*shlex.split(simulator)[1:], "--speed", SPEED, "--port", "0"]
    for name in [name for name in os.environ if name.startswith("LIVECACHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with EmbeddedServer(temporary=True) as server, livecache(*arguments) as exchange:
        rest, feed = (exchange.line(name).split()[1] for name in ("REST", "websocket"))
        env = settings(rest, feed, server.url, ["BTC-USD"], HTTP_LISTEN=f"127.0.0.1:{free_port()}")
        env["LIVECACHE_VENUES_COINBASE_REQUESTS_PER_SECOND"] = "9"
        with livecache("run", env=env) as service:
            service.event("warm", WAIT_S)
            with Reader(server.url) as reader:
                until("the market is held, and all before is settled", lambda: _is_held(reader), WAIT_S)
            for name, value in env.items():
                monkeypatch.setenv(name, value)
            monkeypatch.chdir(tmp_path)  # where no config.toml is
            yield env
            service.stop()
        exchange.stop()


def _is_held(reader: Reader) -> bool:
    """Whether the bucket of 12:00 is settled, and the feed vouches for the one after it."""
    with contextlib.suppress(ReadError):
        candles = reader.candles("BTC-USD", "5m", 60, forming=True)
        return len(candles) == 61 and f"{moment(candles.settled_through):%H:%M}" >= "12:05"
    return False


# --- and run


# One test, not many: each of xdist's processes would start a service of its own.
@pytest.mark.takes(30)
def test_every_command_of_the_pages_does_what_they_say(shared: dict[str, str], tmp_path: Path) -> None:
    wrong = []
    for example in CONSOLE:
        printed = _printed_by(partial(main, shlex.split(example.command)[1:]))
        if not example.matches(printed):
            wrong.append(f"{example.page}: $ {example.command}\n{printed}")
    assert wrong == [], "\n".join(["it prints", *wrong])

    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "livecache").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m livecache "$@"\n')
    (bin_dir / "livecache").chmod(0o755)
    env = {**environment(shared), "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}"}
    del env["LIVECACHE_LOG_FORMAT"]
    for page, command in [*SHELL, *((e.page, e.command) for e in sessions("text"))]:
        if _how(command) == "run" and (said := _failure(command, env)):
            wrong.append(f"{page}: $ {command}\n{said}")
    assert wrong == [], "\n".join(wrong)


def test_what_cannot_be_run_here_is_understood_at_least(tmp_path: Path) -> None:
    """By the shell; and what it configures, by livecache."""
    for _, command in SHELL:
        subprocess.run(["bash", "-n", "-c", command], check=True, timeout=60)
        if _how(command) != "configuration":
            continue
        given = command.replace("export ", "").replace("…", "a-password")
        assigned = dict(word.split("=", 1) for word in shlex.split(given) if word.startswith("LIVECACHE_"))
        flags = re.findall(r"(--redis-url|--prefix) (\S+)", given)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            for name in [name for name in os.environ if name.startswith("LIVECACHE_")]:
                patch.delenv(name)
            for name, value in assigned.items():
                patch.setenv(name, value)
            assert main(["config", "--check", *(word for pair in flags for word in pair)]) == 0, command


def test_every_block_is_of_a_kind_that_is_looked_at() -> None:
    strange = [f"{b.page}: ```{b.language}" for b in blocks() if b.language not in LANGUAGES]
    strange += [
        f"{b.page}: $ in ```{b.language}" for b in blocks() if b.text.startswith("$ ") and not b.language
    ]
    assert strange == []
    used = {command.split()[0] for _, command in SHELL}
    assert set(NEEDED) <= used, "an exception that nobody needs any more"
    assert {block.page for block in blocks() if block.language == "sh"} >= set(ELSEWHERE)


@pytest.mark.parametrize("block", [b for b in blocks() if b.language == "toml"], ids=lambda b: b.page)
def test_what_is_shown_of_a_configuration_is_understood(block: Block, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(block.text)
    shutil.copy(ROOT / "docs/examples/sp500.json", tmp_path)
    _, wrong = check(tmp_path / "config.toml", {})
    assert wrong == []


def test_the_examples_look_at_every_kind_of_key() -> None:
    keys = {word for e in CONSOLE for word in shlex.split(e.command) if word.startswith("livecache:")}
    assert {key.rpartition(":")[2] for key in keys} == {"5m", "state", "alive", "series", "closes", "feed"}


def _how(command: str) -> str:
    """Whether a command is to be `run`; else what becomes of it."""
    words = command.split()
    if words[0] in NEEDED:
        return "syntax"
    if OF_THE_READERS_OWN.search(command):
        return "configuration"
    if " ".join(words[:2]) in MEANWHILE:
        return "meanwhile"
    if words[0] == "curl" and shutil.which("curl") is None:
        return "no curl here"
    return "run"


def _failure(command: str, env: dict[str, str]) -> str:
    """What is wrong with it, run in a shell; "" if nothing is."""
    command = command.replace("127.0.0.1:8787", env["LIVECACHE_HTTP_LISTEN"])
    if command.startswith(("livecache watch", "curl -sN")):
        return _of_endless(command, env)
    if re.fullmatch(r"livecache [-\w :/.,]+", command):  # no shell is needed, which would load livecache anew
        with livecache(*command.split()[1:], env=env, cwd=Path.cwd()) as process:
            code = process.ended(WAIT_S)
            return (
                "" if code == 0 and (process.records or process.errors or process.output) else process.story()
            )
    done = subprocess.run(
        ["bash", "-c", command], env=env, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    said = f"{done.stdout}{done.stderr}"
    return "" if done.returncode == 0 and said else f"exit code {done.returncode}\n{said}"


def _of_endless(command: str, env: dict[str, str]) -> str:
    """What is wrong with a command that somebody ends who has seen enough: here with its first line."""
    shell = ["bash", "-c", f"exec {command}"]
    with subprocess.Popen(
        shell, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        hung = threading.Timer(WAIT_S, process.kill)
        hung.start()
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said = first + process.stdout.read()
    hung.cancel()
    # curl dies of the signal.
    return "" if first and process.returncode in (0, -signal.SIGINT) else f"{process.returncode}\n{said}"


def _printed_by(work: Callable[[], object]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        work()
    return out.getvalue()
