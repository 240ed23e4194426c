"""What is shipped around the package: the image and CI's script; read, not run."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from livecache.config.load import load

ROOT = Path(__file__).parent.parent
TEST_LINE = (
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest -q -n 6"
)


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in lines if line.strip()]


def argument(name: str) -> str:
    """The arguments of the last such instruction: earlier stages do not count."""
    return [rest for instruction, rest in instructions() if instruction == name][-1]


def image_environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in argument("ENV").split())


# --- the image


def test_the_image_is_slim_and_built_in_stages() -> None:
    stages = [rest for name, rest in instructions() if name == "FROM"]
    assert len(stages) == 2
    assert all("-slim" in stage for stage in stages)


def test_the_image_runs_as_an_ordinary_user_and_ends_by_sigterm() -> None:
    user = argument("USER")
    assert user.split(":")[0].isdigit(), "a number, so that Kubernetes can tell that it is not root"
    assert int(user.split(":")[0]) > 0
    assert argument("STOPSIGNAL") == "SIGTERM"
    # The exec form: a shell would not pass the signal on.
    assert (argument("ENTRYPOINT"), argument("CMD")) == ('["livecache"]', '["run"]')


def test_the_image_refuses_the_embedded_server_and_expects_a_redis() -> None:
    env = image_environment()
    assert env["LIVECACHE_EMBEDDED"] == "refuse"
    assert env["LIVECACHE_REDIS_URL"] == "redis://redis:6379/0"
    assert load(Path(os.devnull), env).config.redis.url == env["LIVECACHE_REDIS_URL"]


def test_the_image_is_healthy_by_livecache_ready_after_a_start_period() -> None:
    check = argument("HEALTHCHECK")
    assert "--start-period=" in check
    assert "--start-interval=" in check, "whoever waits for it should not wait for the usual interval"
    assert check.endswith('CMD ["livecache", "ready", "--health"]')


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert {source.removeprefix("./") for source in copied} == kept
    assert all((ROOT / source).exists() for source in copied)


# --- CI


def test_the_ci_script_is_executable_bash_that_stops_at_the_first_failure() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in script.read_text()
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_readme_and_the_ci_script_hold_the_identical_test_command() -> None:
    for file in (".ci/run", "README.md"):
        lines = [line.strip() for line in (ROOT / file).read_text().splitlines()]
        assert TEST_LINE in lines, f"{file} has another line"
