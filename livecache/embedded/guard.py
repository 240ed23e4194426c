"""The embedded server's guard: a small process that stops the server once the service is gone.

    python -I -S embedded_guard.py PARENT_PID LOCK_FD DISPOSABLE_DIRECTORY_OR_EMPTY SERVER ARGUMENTS…

The service holds the other end of this process's standard input and never writes to it. The kernel closes it
when the service ends, be it by a clean exit, a bug or kill -9: end of file is the order to stop the server.
Run as a file of its own, with the standard library only, it costs a start 10 ms.

The lock's descriptor is handed on to the server: the data directory stays locked until the last of service,
guard and server has gone.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

__all__ = ["main"]

NOT_EXECUTED = "cannot be executed"
KILLED = "the server was ended by"
"""What the log has of a server that had no last word of its own."""

TERMINATE_S = 2.0
"""A server that has not stopped so long after SIGTERM is killed: all are gone well within five seconds."""


def main(arguments: list[str]) -> int:
    """Run the server until it or the parent ends; print its pid at once. Returns the server's exit code."""
    parent, lock, disposable, *command = arguments
    # Whoever stops the service's process group must not stop the server before the service's last write.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    # The server's end wakes the wait below through this pipe.
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,  # the server's log
            pass_fds=(int(lock),),
            preexec_fn=_restore_signals,
        )
    except OSError as error:
        print(f"{command[0]} {NOT_EXECUTED}: {error.strerror}", file=sys.stderr)
        return 126
    print(server.pid, flush=True)
    while server.poll() is None:
        # A process that the service forked would keep the pipe open: then the parent's pid tells.
        readable, _, _ = select.select([0, ended], [], [], 1.0)
        if ended in readable:
            os.read(ended, 100)
        if 0 in readable or os.getppid() != int(parent):
            server.terminate()
            break
    else:
        if server.returncode < 0:
            print(f"{KILLED} {_name(-server.returncode)}", file=sys.stderr)
    try:
        code = server.wait(TERMINATE_S)
    except subprocess.TimeoutExpired:
        server.kill()
        code = server.wait()
    if disposable:
        import shutil

        shutil.rmtree(disposable, ignore_errors=True)
    return code


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # SIGRTMIN+1 and the like


def _restore_signals() -> None:
    # An ignored signal stays ignored over exec, and the server has to hear SIGTERM.
    for restored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(restored, signal.SIG_DFL)
    # Should the guard itself be killed, Linux ends the server. Elsewhere the next start does.
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) & 0xFF)
