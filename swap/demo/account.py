"""The user that runs a private server. PostgreSQL does not run as root, so root starts it as an unprivileged user."""

from __future__ import annotations

import contextlib
import os
import pwd
from dataclasses import dataclass


class ServerError(RuntimeError):
    """A server did not start, or ended. The message ends with the last lines of its log."""


@dataclass(frozen=True)
class Account:
    """The unprivileged user that runs the server, when this process is root."""

    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """`postgres`, else `nobody`; None when this process is not root. Raises ServerError when neither user exists."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise ServerError("PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody")
