"""The server's own errors while a check ran, by SQLSTATE and statement, and the waits for locks of the whole cycle (log_lock_waits): from
its log in JSON, where there is one and the role may read it (pg_monitor and pg_read_server_files, or a superuser).

A collector writes the log, some time after the error. It writes in the order of the messages, so a message of this session's own,
before and after the check, says when everything between the two is there.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from swap.core.connection import Connection

ERRORS = ("ERROR", "FATAL", "PANIC")
LONGEST = 500
PATIENCE_S, POLL_S = 5.0, 0.02
MOST_BYTES = 8 << 20
MOST_WAITS = 100
OURS = "swap rehearse"  # its sessions only look, or try a lock: no application waits there
# src/backend/storage/lmgr/proc.c: the first line after deadlock_timeout, the second when the lock is granted.
WAITED = re.compile(r"process (\d+) (?:still waiting for|acquired) (\w+) on relation (\d+) of database \d+ after ([\d.]+) ms")


@dataclass(frozen=True)
class Position:
    """A place in the log: the file, and the bytes before it."""

    file: str
    offset: int


def mark(conn: Connection) -> Position | None:
    """A place in the log with everything of before in front of it. None where the log cannot be read."""
    token = f"swap rehearsal {secrets.token_hex(8)}"
    try:
        row = conn.execute("SELECT f, (pg_stat_file(f)).size FROM pg_current_logfile('jsonlog') f WHERE f IS NOT NULL").fetchone()
        if row is None:
            return None
        start, until = Position(row[0], row[1]), time.monotonic() + PATIENCE_S
        conn.execute(sql.SQL("DO {}").format(sql.Literal(f"BEGIN RAISE LOG '{token}'; END")))
        while time.monotonic() < until:
            found = _read(conn, start).find(token.encode())
            if found >= 0:
                return Position(start.file, start.offset + found)
            time.sleep(POLL_S)
    except psycopg.Error:
        return None
    return start


def errors_since(conn: Connection, since: Position | None, dbname: str) -> tuple[dict[str, Any], ...]:
    """Each error that other sessions of the database met: `sqlstate`, `message`, `statement`, `times`."""
    if since is None:
        return ()
    until = mark(conn)
    try:
        data = _read(conn, since)
    except psycopg.Error:
        return ()
    if until is not None and until.file == since.file:
        data = data[: until.offset - since.offset]
    text = data.decode(errors="replace")
    found = Counter(
        (e["state_code"], str(e.get("message", ""))[:LONGEST], str(e.get("statement", ""))[:LONGEST])
        for e in _entries(text)
        if e.get("error_severity") in ERRORS and e.get("dbname") == dbname and not str(e.get("application_name", "")).startswith("swap ")
        and not str(e.get("application_name", "")).startswith("rehearsal ") and "state_code" in e
    )  # fmt: skip
    return tuple(
        {"sqlstate": code, "message": message, "statement": statement, "times": times}
        for (code, message, statement), times in found.most_common()
    )


def waits_since(conn: Connection, since: Position | None, dbname: str, names: Mapping[int, str]) -> list[dict[str, Any]] | None:
    """Each wait for a table's lock that was longer than deadlock_timeout, the longest first: `application`, `mode`, `table`, `ms`,
    `statement`. `names`: of tables, by oid. None where the log cannot be read, or the server does not log waits."""
    if since is None or conn.execute("SHOW log_lock_waits").fetchone() != ("on",):
        return None
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    try:
        for e in _entries_since(conn, since):
            waited = WAITED.match(str(e.get("message", "")))
            if waited and e.get("dbname") == dbname and not str(e.get("application_name", "")).startswith(OURS):
                pid, mode, oid, ms = map(str, waited.groups())
                entry = {
                    "application": str(e.get("application_name", "")), "mode": mode, "table": names.get(int(oid), f"relation {oid}"),
                    "ms": round(float(ms), 1), "statement": str(e.get("statement", ""))[:LONGEST],
                }  # fmt: skip
                key = (pid, oid, str(entry["statement"]))
                if key not in found or found[key]["ms"] < float(ms):
                    found[key] = entry
    except psycopg.Error:
        return None
    return sorted(found.values(), key=lambda w: -w["ms"])[:MOST_WAITS]


def _entries_since(conn: Connection, since: Position) -> Iterator[dict[str, Any]]:
    """Of this file of the log, to its end: a server that rotates its log has written the rest to others."""
    offset, rest = since.offset, b""
    while data := _read(conn, Position(since.file, offset)):
        offset += len(data)
        whole, _, rest = (rest + data).rpartition(b"\n")
        yield from _entries(whole.decode(errors="replace"))


def _read(conn: Connection, since: Position) -> bytes:
    row = conn.execute("SELECT pg_read_binary_file(%s, %s, %s, true)", [since.file, since.offset, MOST_BYTES]).fetchone()
    return bytes(row[0]) if row and row[0] else b""


def _entries(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the last line may be half written
        if isinstance(entry, dict):
            yield entry
