"""Drops a clone when the rehearsal that made it is gone, however it ended: SIGKILL, a crash, the OOM killer.

The child waits at a pipe whose other end only the rehearsal holds: the kernel closes it. Its first line says where the clone is. A
second line says that the clone is dropped already.
"""

from __future__ import annotations

import json
import signal
import sys


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    told = json.loads(sys.stdin.readline())
    if sys.stdin.read():
        return
    import psycopg  # noqa: PLC0415 - only where there is something to do

    from swap.rehearse.new_database import drop_database  # noqa: PLC0415

    with psycopg.connect(told["conninfo"], autocommit=True) as conn:
        drop_database(conn, told["database"])


if __name__ == "__main__":
    main()
