"""The command `livecache`, and what becomes of errors in it: one line and an exit code, never a traceback.

Only a bug prints a traceback, and ends with 70 (EX_SOFTWARE).
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys

from .errors import LivecacheError

__all__ = ["main"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_SERVICE_PACKAGES = frozenset({"aiohttp", "click", "loguru", "prometheus_client", "rich", "websockets"})


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    _prepare_output()
    try:
        return _main(arguments)
    finally:
        # What could not be said to a pipe that nobody reads any more would end the interpreter with 120.
        try:
            sys.stderr.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _main(arguments: list[str] | None) -> int:
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        # What is still buffered may meet a closed pipe: better here than in the interpreter's last breath.
        sys.stdout.flush()
        return code
    except LivecacheError as error:
        _explain(error.message, error.hint)
        return error.exit_code
    except BrokenPipeError:
        # `livecache status | head -1`: whoever reads has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.errno not in _FULL:
            return _bug()
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _explain(f"the output cannot be written: {error.strerror}", "")
        return 1
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = "history" if package == "numpy" else "service"
        if extra == "service" and package not in _SERVICE_PACKAGES:
            return _bug()
        _explain(f"the package {error.name} is not installed", f"pip install 'livecache[{extra}]'")
        return 1
    except Exception:
        return _bug()


def _prepare_output() -> None:
    """Make stdout and stderr fit to print to: they may be closed, or lack characters that we use."""
    # A socket or a file of ours would get the number of one that is closed, and what is printed there.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (it stays open to the end)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        # The command line's own machinery takes ten times as long to load as this takes to answer.
        from importlib.metadata import version

        print(f"livecache {version('livecache')}")
        return 0
    from .cli import run_command

    return run_command(arguments)


def _explain(message: str, hint: str) -> None:
    from .config.render import redact

    _print(f"livecache: error: {redact(message)}")
    if hint:
        _print(f"  hint: {redact(hint)}")


def _bug() -> int:
    import traceback

    _print(traceback.format_exc().rstrip())
    _print("livecache: this is a bug, please report it with the lines above")
    return 70


def _print(text: str) -> None:
    """Print to stderr, if anybody is there."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
