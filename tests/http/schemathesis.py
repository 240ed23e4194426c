"""An API is held to its own document, with requests that it makes up."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["checked"]

_CHECKS = (
    *("status_code_conformance", "content_type_conformance", "response_schema_conformance"),
    *("negative_data_rejection", "unsupported_method"),
)

# A body that is too long is refused whatever is in it.
_SETTINGS = '[checks.negative_data_rejection]\nexpected-statuses = ["4xx", "5xx"]\n'


def checked(url: str, folder: Path, *, left_out: str, examples: int) -> None:
    """Nothing is found that the document does not say: a 503 it says, a 500 not. Streams do not end."""
    command = shutil.which("schemathesis")
    if command is None:
        pytest.skip("schemathesis is not on the PATH; .ci/run installs it in an environment of its own")
    (folder / "schemathesis.toml").write_text(_SETTINGS)
    options = ("--exclude-path-regex", f"^/({left_out})$", "--max-examples", str(examples), "--seed", "6")
    ran = subprocess.run(
        [command, "run", f"{url}/openapi.json", "--checks", ",".join(_CHECKS), *options, "--no-color"],
        cwd=folder,  # it keeps notes
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
