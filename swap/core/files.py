"""Files that a user names. What is no regular file is refused before it is opened: a FIFO is waited for without end, a device may
never end, and a directory holds no text."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from swap.core.errors import UsageError


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file. Raises OSError; ValueError for a zero byte in the name."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise _error(errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL, path, "it is no regular file")
        with os.fdopen(fd, "rb", closefd=False) as f:
            data = f.read(most_bytes + 1)
    finally:
        os.close(fd)
    if len(data) > most_bytes:
        raise _error(errno.EFBIG, path, f"it is larger than {most_bytes:,} bytes")
    return data


def check_writable(path: Path) -> None:
    """Raises OSError where no regular file can be written at `path`; ValueError for a name that no file has. Makes no file.

    For what is written after hours of work, or after questions to a server.
    """
    if not path.name:
        raise ValueError("the name is empty")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise _error(errno.ENOENT, path.parent) from None
        writable = os.access(path.parent, os.W_OK)
    else:
        if not stat.S_ISREG(mode):
            raise _error(errno.EISDIR, path, "it is no regular file")
        writable = os.access(path, os.W_OK)
    if not writable:
        raise _error(errno.EACCES, path)


def refuse_unwritable(files: Callable[[], Iterable[Path]]) -> None:
    """Raises UsageError before the work where its report could not be written after it. `files`: its files; it may raise ValueError
    for a path without a name."""
    try:
        for file in files():
            check_writable(file)
    except (OSError, ValueError) as e:
        why = f"{e.strerror}: {e.filename}" if isinstance(e, OSError) else str(e)
        raise UsageError(
            f"The report could not be written: {why}.", hint="Name a file that can be written with --report."
        ) from None


def write_private(path: Path, text: str) -> None:
    """For its owner alone: keys, names and errors may be in it. An existing file's mode is changed, a device's is not."""
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            os.fchmod(file.fileno(), 0o600)
        file.write(text)


def _error(number: int, path: Path, why: str = "") -> OSError:
    return OSError(number, why or os.strerror(number), str(path))
