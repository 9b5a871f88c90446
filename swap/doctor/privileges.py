"""The privileges of the role, and for each that is missing the exact statement that grants it.

A rename needs ownership, and CREATE on the schema; so does CREATE INDEX. A foreign key needs REFERENCES on its target. LOCK TABLE
in ACCESS EXCLUSIVE needs ownership, or a right to change rows. (PostgreSQL's documentation of each command.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from swap.catalog.query import find_relations
from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.doctor.finding import Finding, Subject, blocker, or_ok, qualified, read, read_values
from swap.doctor.server import Server
from swap.plan.backfill_triggers import filled_columns, touched
from swap.plan.policies import new_policies

KINDS = {"v": "VIEW", "m": "MATERIALIZED VIEW", "S": "SEQUENCE"}


class Relation(NamedTuple):
    """A relation that is changed or locked. `owned`: this role has the owner's rights. `can_become`: it may SET ROLE to the owner.
    `rls_active`: row security would filter for it. `lockable`: it may lock the relation without owning it. `owner_create`: the owner
    has CREATE on the schema."""

    oid: int
    schema: str
    relation: str
    kind: str
    owner: str
    owned: bool
    rls_active: bool
    force_rls: bool
    lockable: bool
    schema_usage: bool
    schema_create: bool
    owner_create: bool
    can_become: bool

    @property
    def name(self) -> TableName:
        return TableName(self.schema, self.relation)


class TargetColumn(NamedTuple):
    """A column that a foreign key of the source points to. `allowed`: this role may create such a foreign key."""

    target_oid: int
    constraint: str
    column: str
    allowed: bool


class Attached(NamedTuple):
    """A function, type or sequence (`kind`) that the source uses. `allowed`: this role has the `privilege`."""

    privilege: str
    kind: str
    object: str
    allowed: bool


def read_relations(conn: Connection, oids: Sequence[int]) -> list[Relation]:
    return read(conn, Relation, "relations.sql", oids=list(oids))


def read_targets(conn: Connection, rebuilt: Sequence[int]) -> list[TargetColumn]:
    """`rebuilt`: the oids of the tables that get a shadow."""
    return read(conn, TargetColumn, "targets.sql", sources=list(rebuilt))


def check_ownership(relations: Sequence[Relation], role: str) -> list[Finding]:
    """The source, tables with references, views, owned sequences, and tables whose policies read the source: each of them is altered,
    renamed or created again."""
    found = []
    for r in relations:
        kind = KINDS.get(r.kind, "TABLE")
        if not r.owned:
            hint = f"GRANT {quote(r.owner)} TO {quote(role)}; or ALTER {kind} {r.name} OWNER TO {quote(role)};"
            if kind == "SEQUENCE":  # a column owns it, and the server changes its owner with the table's alone
                hint = f"GRANT {quote(r.owner)} TO {quote(role)}; or change the owner of its table, which it follows."
            found.append(blocker("ownership", r.name, f"belongs to {r.owner}, of which {role} is no member", hint))
        elif r.owner != role and not r.can_become:
            detail = f"belongs to {r.owner}; {role} cannot give it a new table in its place"
            found.append(blocker("ownership", r.name, detail, f"GRANT {quote(r.owner)} TO {quote(role)} WITH SET TRUE;"))
    return or_ok(found, "ownership", role, f"{len(relations)} relations belong to this role, or to one it is a member of")


def check_schemas(relations: Sequence[Relation], role: str) -> list[Finding]:
    found = []
    for schema in sorted({r.schema for r in relations}):
        mine = [r for r in relations if r.schema == schema]
        if not all(r.schema_usage and r.schema_create for r in mine):
            hint = f"GRANT USAGE, CREATE ON SCHEMA {quote(schema)} TO {quote(role)};"
            found.append(blocker("schema-privileges", schema, f"{role} cannot create or rename anything in it", hint))
        for owner in sorted({r.owner for r in mine if r.owned and r.owner != role and not r.owner_create}):
            hint = f"GRANT CREATE ON SCHEMA {quote(schema)} TO {quote(owner)};"
            found.append(blocker("schema-privileges", schema, f"{owner}, the tables' owner, may not own a new table there", hint))
    return or_ok(found, "schema-privileges", role, "USAGE and CREATE on every schema involved")


def check_targets(relations: Sequence[Relation], columns: Sequence[TargetColumn], role: str) -> list[Finding]:
    """Tables that the foreign keys of rebuilt tables point to. The cutover locks them, and creates these foreign keys again."""
    by_oid = {r.oid: r for r in relations}
    found = []
    for c in columns:
        if not c.allowed:
            target = by_oid[c.target_oid].name
            hint = f"GRANT REFERENCES ({quote(c.column)}) ON {target} TO {quote(role)};"
            found.append(blocker("target-privileges", target, f"{c.constraint} could not be created again", hint))
    for r in relations:
        if not r.owned and not r.lockable:
            detail = "a cutover locks it for an instant, as its foreign key moves to the new table"
            hint = f"GRANT TRUNCATE ON {r.name} TO {quote(role)}; (LOCK TABLE asks for this, UPDATE or DELETE)"
            found.append(blocker("target-privileges", r.name, detail, hint))
    detail = f"{len(relations)} tables that the source points to can be locked and referenced"
    return or_ok(found, "target-privileges", role, detail)


def check_attached(attached: Sequence[Attached], role: str) -> list[Finding]:
    found = [
        blocker(
            "attached-privileges", a.object, f"{role} has no {a.privilege} on this {a.kind.lower()}",
            f"GRANT {a.privilege} ON {a.kind} {a.object} TO {quote(role)};",
        )
        for a in attached
        if not a.allowed
    ]  # fmt: skip
    return or_ok(found, "attached-privileges", role, "types, trigger functions and sequences of the tables can be used")


def check_row_security(relations: Sequence[Relation], role: str) -> list[Finding]:
    """H16: a comparison finds no difference where the same rows of both sides are hidden."""
    found = []
    for r in relations:
        if r.rls_active:
            hint = f"ALTER ROLE {quote(role)} BYPASSRLS;"
            if r.force_rls and r.owned:
                detail = "FORCE ROW LEVEL SECURITY hides rows from its owner too"
                hint += f" or ALTER TABLE {r.name} NO FORCE ROW LEVEL SECURITY;"
            else:
                detail = f"row security would hide rows from {role}"
            found.append(blocker("row-security", r.name, detail, hint))
    return or_ok(found, "row-security", role, "no policy hides a row from this role")


def check_backfill_triggers(subject: Subject, server: Server) -> list[Finding]:
    """H14: an UPDATE of the backfill must fire no trigger of the application, unless the operator accepts that."""
    config, replica = subject.config, server.may_set_replica
    identity = None if subject.derived else config.identity.column
    columns = filled_columns(subject.catalog, identity, subject.references)
    met = touched(subject.catalog, columns, config.names.state_schema, suppressed=replica)
    found = []
    for m in met:
        if m.fires:
            detail = f"the backfill's UPDATE of {m.table} would fire it for every row ({m.trigger.function})"
            hint = f"GRANT SET ON PARAMETER session_replication_role TO {quote(server.role)};"
            if replica:
                hint = f"ALTER TABLE {m.table} ENABLE TRIGGER {quote(m.trigger.name)}; (it is {m.state})"
            at = qualified(m.table, m.trigger.name)
            found.append(blocker("backfill-triggers", at, detail, f"{hint} Or accept it.", acceptable=True))
    quiet = ", ".join(qualified(m.table, m.trigger.name) for m in met)
    how = f"suppressed while it runs: {quiet}" if met else "there are none"
    return or_ok(found, "backfill-triggers", subject.source.name, f"the backfill fires no user trigger; {how}")


def _neighbours(conn: Connection, subject: Subject) -> list[int]:
    """The oids of tables outside whose foreign keys point at a rebuilt table: these keys are made anew."""
    known = {t.name for t in subject.catalog.tables}
    rebuilt = {t.name for t in subject.rebuilt}
    names = sorted({fk.holder for fk in subject.catalog.foreign_keys if fk.target in rebuilt} - known)
    return [found.oid for found in find_relations(conn, names).values()]


def check_privileges(conn: Connection, subject: Subject, server: Server) -> list[Finding]:
    """Every privilege that a run needs on the objects of the application. Reads the catalog only."""
    rebuilt = [t.oid for t in subject.rebuilt]
    sequences = read_values(conn, "sequences.sql", oids=rebuilt)
    views = [v.oid for v in subject.catalog.views]
    tables = [*(t.oid for t in subject.catalog.tables), *_neighbours(conn, subject)]
    changed = read_relations(conn, [*tables, *views, *sequences])
    under_policy = {p.oid for p in subject.bound_policies}
    under_policy |= {p.oid for p in new_policies(subject.catalog, subject.config)[0]}
    under_policy -= {r.oid for r in changed}
    columns = read_targets(conn, rebuilt)
    targets = read_relations(conn, sorted({c.target_oid for c in columns}))
    examined = {t.oid for t in subject.tables}
    return [
        *check_ownership([*changed, *read_relations(conn, sorted(under_policy))], server.role),
        *check_schemas(changed, server.role),
        *check_targets(targets, columns, server.role),
        *check_attached(read(conn, Attached, "attached.sql", sources=rebuilt), server.role),
        *check_row_security([r for r in changed if r.oid in examined], server.role),
        *check_backfill_triggers(subject, server),
    ]
