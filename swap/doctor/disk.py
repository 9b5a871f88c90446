"""Room: bytes on disk, and entries in the server's lock table."""

from __future__ import annotations

import shutil
from pathlib import Path

from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.units import size
from swap.doctor.finding import Finding, Subject, blocker, ok, warning
from swap.doctor.server import Server
from swap.plan import estimate

LOCAL_HOSTS = ("", "localhost", "127.0.0.1", "::1")


def needed_bytes(subject: Subject) -> int:
    """Bytes for the shadows and their indexes, the change tables, what is filled in place, and the WAL of all that."""
    return estimate.needed_bytes(subject.catalog, subject.references)


def free_bytes(conn: Connection, data_directory: str | None, source: Table) -> int | None:
    """Free bytes where the server writes; None where this session cannot see them."""
    local = conn.info.host.startswith("/") or conn.info.host in LOCAL_HOSTS
    if data_directory is None or not local or source.tablespace:
        return None
    try:
        return shutil.disk_usage(Path(data_directory)).free
    except OSError:
        return None


def check_disk(needed: int, free: int | None) -> Finding:
    about = f"about {size(needed)} needed for the shadow, indexes, references and WAL"
    if free is None:
        hint = "Compare with the free space on the server (df), the WAL volume included."
        return warning("disk", "server", f"{about}; this session cannot see how much is free", hint)
    if free < needed:
        return blocker("disk", "server", f"{about}, {size(free)} are free", "Make room, or move to a larger volume.")
    if free < 2 * needed:
        return warning("disk", "server", f"{about}, {size(free)} are free: tight", "Make room before `prepare`.")
    return ok("disk", "server", f"{about}, {size(free)} are free")


def locks_needed(subject: Subject) -> int:
    """An estimate. The cutover locks in one transaction every table with its indexes, constraints and sequences, every object that it
    drops (keys and their four triggers each, capture), and every function that a new trigger calls. Measured: 13 for a plain reference
    in place with one index, and for a table that is rebuilt 14 and 6 for each foreign key, 2 for each index and sequence."""
    tables = [x for t in subject.catalog.tables for x in (t, *t.partitions)]
    objects = sum(2 + 3 * len(t.indexes) + len(t.checks) + len(t.sequences) for t in tables) + 6 * (
        len(tables) - len(subject.catalog.tables)
    )
    keys, views = len(subject.catalog.foreign_keys), len(subject.catalog.views)
    return objects + 6 * len(subject.references) + 10 * len(subject.rebuilt) + 6 * keys + 3 * views + 150


def check_locks(subject: Subject, server: Server) -> Finding:
    objects = locks_needed(subject)
    detail = f"a cutover takes about {objects} locks; the server has room for {server.lock_slots}"
    if objects > server.lock_slots // 2:
        hint = "Raise max_locks_per_transaction and restart the server."
        status = blocker if objects > server.lock_slots else warning
        return status("lock-table", "server", detail, hint)
    return ok("lock-table", "server", detail)
