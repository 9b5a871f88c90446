"""What a command did to the application's tables, if it did anything: files, sizes, rows, counters, sequences, and the dump
(I1, H49). It is looked at just before a command and just after it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from typing import Any

from psycopg import sql

from tests.support.dump import NOISE
from tests.support.servers import DatabaseServer
from tests.support.waiting import wait_until
from tests.witness.application import Application, AppTable, Session

# With the indexes, the TOAST tables and their indexes.
FILES = """
WITH heap AS (
    SELECT oid FROM pg_class WHERE oid = ANY (%(oids)s)
    UNION SELECT reltoastrelid FROM pg_class WHERE oid = ANY (%(oids)s) AND reltoastrelid <> 0
), part AS (
    SELECT oid FROM heap UNION SELECT i.indexrelid FROM heap JOIN pg_index i ON i.indrelid = heap.oid
)
SELECT c.oid::regclass::text, pg_relation_filenode(c.oid), c.relnatts, c.relreplident::text,
    ARRAY(SELECT pg_relation_size(c.oid, fork) FROM unnest(ARRAY['main', 'fsm', 'vm', 'init']) fork)
FROM part JOIN pg_class c USING (oid) ORDER BY c.oid
"""
COUNTERS = """
SELECT relid::regclass::text, n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd, vacuum_count, analyze_count
FROM pg_stat_all_tables WHERE relid = ANY (%(oids)s) ORDER BY relid
"""
# Outside the tool's schema. A migration takes no number from any of them before the cutover.
SEQUENCES = (
    "SELECT oid, relname, relnamespace::regnamespace::text FROM pg_class WHERE relkind = 'S' AND oid = ANY (%s) ORDER BY oid"
)
ALL_SEQUENCES = """
SELECT oid FROM pg_class WHERE relkind = 'S' AND relnamespace::regnamespace::text NOT IN ('swap', 'information_schema')
    AND relnamespace::regnamespace::text !~ '^pg_'
"""
OTHERS = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"

# What capture adds, and nothing else: its triggers; a publication of its own.
CAPTURE = re.compile(
    r"^(CREATE (CONSTRAINT )?TRIGGER .* EXECUTE FUNCTION swap\.|ALTER TABLE .+ ENABLE ALWAYS TRIGGER \"?(~swap_|0swap_|swap_)"
    r"|CREATE PUBLICATION swap_\d+ |ALTER PUBLICATION swap_\d+ )"
)

Evidence = dict[str, Any]


def sequences(conn: Session) -> list[int]:
    return [r[0] for r in conn.execute(ALL_SEQUENCES)]


def settled(conn: Session) -> None:
    """No session of the command is left: what it counted is in the counters."""
    wait_until(lambda: conn.execute(OTHERS).fetchone() is None, what="the sessions of the command are gone")


def physical(conn: Session, app: Application, tables: Iterable[AppTable], sequence_oids: list[int]) -> Evidence:
    """By subject and name. `tables`: those of which nothing may change. Locks nothing that a SELECT does not."""
    oids = [t.oid for t in [*tables, *(v for v in app.views if v.kind == "m")]]
    found: Evidence = {}
    conn.execute("SELECT pg_stat_force_next_flush()")
    settled(conn)
    conn.execute("SELECT pg_stat_clear_snapshot()")
    for name, *values in conn.execute(FILES, {"oids": oids}):
        found[f"file, columns, replica identity and sizes of {name}"] = values
    for name, *values in conn.execute(COUNTERS, {"oids": oids}):
        found[f"rows inserted, updated, deleted, HOT, VACUUM, ANALYZE of {name}"] = values
    for t in tables:
        rows = sql.SQL("SELECT ctid::text, xmin::text, xmax::text FROM ONLY {} ORDER BY ctid").format(t.sql)
        found[f"ctid, xmin, xmax of the rows of {t}"] = conn.execute(rows).fetchall() if t.kind == "r" else []
    for _, name, schema in conn.execute(SEQUENCES, [sequence_oids]).fetchall():
        state = sql.SQL("SELECT last_value, log_cnt, is_called FROM {}").format(sql.Identifier(schema.strip('"'), name))
        found[f"sequence {schema}.{name}"] = conn.execute(state).fetchone()
    return found


def dump(server: DatabaseServer, dbname: str, without: Iterable[tuple[str, str]]) -> list[str]:
    """Schema and data as `pg_dump` prints them, without the schema `swap`, the tables `without`, and what capture adds."""
    excluded = [f'--exclude-table="{schema}"."{name}"' for schema, name in without]
    done = subprocess.run(
        [server.bindir / "pg_dump", "--encoding=UTF8", "--no-blobs", "--exclude-schema=swap", *excluded, server.conninfo(dbname)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line and not NOISE.match(line) and not CAPTURE.match(line)]


def changes(before: Evidence, after: Evidence) -> list[str]:
    """What is not as it was."""
    keys = dict.fromkeys([*before, *after])
    return [f"{key}: {_short(before.get(key), after.get(key))}" for key in keys if before.get(key) != after.get(key)]


def _short(before: Any, after: Any) -> str:
    if isinstance(before, list) and isinstance(after, list) and len(before) > 12:
        changed = [(b, a) for b, a in zip(before, after, strict=False) if b != a]
        return f"{len(changed)} rows, the first {changed[0] if changed else 'missing'}; {len(before)} before, {len(after)} after"
    return f"{before} before, {after} after"
