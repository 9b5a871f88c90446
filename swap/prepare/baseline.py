"""The structure as it was last journalled, and what differs from it (H38).

A new baseline is only ever written after the old one was compared: lines that `swap` itself changed on the way are
its own, every other difference was made by somebody else and stops the run, because the shadow does not have it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from swap.core.catalog.load import read_structure
from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.core.journal import Journal, Run
from swap.core.names import TableName
from swap.core.plan import Plan
from swap.core.statistics import build_name
from swap.prepare.compat import trigger_names
from swap.prepare.objects import CAPTURE, COMPLETE, DELETED, FENCE, GUARD, MOVED, TRUNCATE
from swap.prepare.publication import publication_name

NAME = r'("(?:[^"]|"")+"|[^\s]+)'
SUBJECT = re.compile(
    rf"^(?:column|constraint|statistics|publication) {NAME}|^index CREATE (?:UNIQUE )?INDEX {NAME} ON|^trigger CREATE (?:CONSTRAINT )?TRIGGER {NAME}"
)
VALID = re.compile(r"( NOT VALID)?( valid=[tf])?$")


def watched_tables(conn: Connection, plan: Plan) -> list[int]:
    """Oids of every table whose structure must not drift: source, references, shadow or retired table."""
    names = {plan.source, *(r.table for r in plan.references), plan.shadow, plan.retired}
    return table_oids(conn, names)


def table_oids(conn: Connection, names: Iterable[TableName]) -> list[int]:
    """In one round trip, whatever their number: this is asked under the exchange's lock. With the partitions that they have
    now: one that came since is a change like any other, for its rows have neither index nor key."""
    wanted = sorted(names)
    rows = conn.execute(
        "WITH named AS (SELECT c.oid FROM unnest(%s::text[], %s::text[]) w(schema, name)"
        " JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name)"
        " SELECT oid FROM named UNION SELECT t.relid FROM named, pg_partition_tree(named.oid) t",
        [[n.schema for n in wanted], [n.name for n in wanted]],
    ).fetchall()
    return [int(r[0]) for r in rows]


def store_baseline(conn: Connection, journal: Journal, run: Run) -> None:
    """Journal the structure as it is now: what every later gate compares with."""
    lines = read_structure(conn, watched_tables(conn, run.plan))
    journal.update_run(run.id, baseline=json.loads(json.dumps(lines)))


def drift(conn: Connection, journal: Journal, run: Run) -> list[str]:
    """What differs from the baseline, one line each (`+`: new, `-`: gone); empty when nothing does."""
    was = set(journal.baseline(run.id) or [])
    now = set(read_structure(conn, watched_tables(conn, run.plan)))
    return [f"+ {t}: {line}" for t, line in sorted(now - was)] + [f"- {t}: {line}" for t, line in sorted(was - now)]


def foreign_drift(conn: Connection, journal: Journal, run: Run) -> list[str]:
    """`drift` without what `prepare` and `sync` themselves add, and without constraints that became validated."""
    plan = run.plan
    mine = own_names(plan)
    was = {(t, VALID.sub("", line)) for t, line in journal.baseline(run.id) or []}
    now = {(t, VALID.sub("", line)) for t, line in read_structure(conn, watched_tables(conn, plan))}
    row = conn.execute("SELECT to_regclass(%s)::text", [plan.shadow.sql.as_string(conn)]).fetchone()
    shadow = row[0] if row else None
    changed = [("+", *x) for x in sorted(now - was)] + [("-", *x) for x in sorted(was - now)]
    return [f"{sign} {table}: {line}" for sign, table, line in changed if table != shadow and _subject(line) not in mine]


def own_names(plan: Plan) -> set[str]:
    """Names of everything swap puts on the source and its references before a cutover."""
    refs = plan.references
    indexes = [i for r in refs for i in (*r.indexes, *r.parts, *r.spares) if not i.adopted]
    guards = [f"{GUARD}_{r.columns.number}_{on}" for r in refs for on in ("insert", "update")]
    guards += [f"{COMPLETE}_{r.columns.number}" for r in refs]
    names = {CAPTURE, DELETED, MOVED, TRUNCATE, FENCE, f"{GUARD}_insert", f"{GUARD}_update", *guards, plan.identity}
    names |= {r.columns.uuid_column for r in refs if not r.columns.adopted} | {r.check_name for r in refs}
    names |= {i.build_name for i in indexes} | {f"swap_{plan.tag}_identity_present", publication_name(plan)}
    names |= {build_name(s).name for s in plan.catalog.statistics}
    names |= {r.columns.compat_column for r in refs if r.columns.compat_column} | trigger_names(plan)
    names |= {i.build_name for r in refs for i in r.compat_indexes}
    return names | ({plan.identity_index.build_name} if plan.identity_index else set())


def _subject(line: str) -> str:
    found = SUBJECT.match(line)
    name = next((g for g in found.groups() if g), "") if found else ""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


KEPT = "What was committed before stays; the source is untouched and capture goes on."


def refuse_drift(lines: list[str], since: str, state: str = KEPT) -> None:
    """Raises RefusedError naming the first change. `state`: what the refused command leaves behind."""
    if lines:
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise RefusedError(
            f"The structure changed since {since}: {lines[0]}{more}.",
            state=state,
            hint="Undo that change, or `swap abort` and prepare again: the shadow does not have it.",
        )
