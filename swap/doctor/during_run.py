"""What can still go wrong while a run exists: rights on the tables as they are now, and room for locks."""

from __future__ import annotations

from swap.catalog.query import find_relations
from swap.core.connection import Connection
from swap.doctor.disk import check_locks
from swap.doctor.finding import Finding, subject_of
from swap.doctor.powers import check_powers, tables_of
from swap.doctor.privileges import (
    check_ownership,
    check_row_security,
    check_schemas,
    check_targets,
    read_relations,
    read_targets,
)
from swap.doctor.server import Server
from swap.state.journal import Run


def check_during_run(conn: Connection, server: Server, run: Run) -> list[Finding]:
    """The checks that hold in every phase. Reads the catalog only."""
    plan = run.plan
    names = {n for t in plan.swapped for n in (t.name, *t.made)} | {r.table for r in plan.references}
    found = find_relations(conn, sorted(names))
    relations = read_relations(conn, [relation.oid for relation in found.values()])
    columns = read_targets(conn, [found[t.name].oid for t in plan.swapped if t.name in found])
    targets = read_relations(conn, sorted({c.target_oid for c in columns}))
    return [
        *check_powers(conn, tables_of(plan), plan),
        *check_ownership(relations, server.role),
        *check_targets(targets, columns, server.role),
        *check_schemas([r for r in relations if r.owned], server.role),
        *check_row_security(relations, server.role),
        check_locks(subject_of(plan), server),
    ]
