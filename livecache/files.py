"""Reading the small files that a configuration consists of: itself, a key's, a token's."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["read_regular", "why_not"]

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_regular(path: Path, most: int) -> bytes:
    """The first `most` bytes of a regular file, or none of /dev/null.

    OSError for anything else, which might let a running service wait for ever, and is not there to be read
    again. Its `strerror` says what is wrong.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        if stat.S_ISCHR(found.st_mode) and os.path.samestat(found, os.stat(os.devnull)):
            return b""
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, and no regular file", str(path))
    with path.open("rb") as file:
        return file.read(most)


def why_not(path: Path, error: Exception) -> tuple[str, str]:
    """Why a file could not be read, and what mends it, for people. Quotes nothing of it."""
    why = (error.strerror if isinstance(error, OSError) else "") or str(error)
    if isinstance(error, PermissionError):
        mends = (
            f"user {os.geteuid()} has to be allowed to read {path} and to enter its folders (chmod, chown)"
        )
        return why, mends
    if isinstance(error, FileNotFoundError):
        return why, f"is {path} its name here, and is what holds it mounted?"
    return why, f"{path} has to be a regular file"
