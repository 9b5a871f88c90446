"""Rules, and tables that inherit: the source and the tables with references (H15).

A rule rewrites statements before triggers see them. One of a reference's table is bound by number, as the table stays in its place, so
it goes on with its meaning unless it names the reference, uses the whole row, or rewrites the UPDATE that fills the uuid column.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.doctor.finding import Finding, Subject, blocker, qualified, read

UPDATE, DISABLED = "2", "D"  # pg_rewrite.ev_type, ev_enabled
SHOWN = 5


class Rule(NamedTuple):
    """A rule, as `rules.sql` reads it."""

    table_oid: int
    name: str
    event: str
    enabled: str
    columns: tuple[str, ...]
    row: bool


class Heritage(NamedTuple):
    """A parent and its child, as `inheritance.sql` reads them."""

    parent_oid: int
    child_oid: int
    parent_schema: str
    parent_name: str
    child_schema: str
    child_name: str
    partition: bool

    @property
    def parent(self) -> TableName:
        return TableName(self.parent_schema, self.parent_name)

    @property
    def parted(self) -> str:
        """The statement that makes the child a table of its own."""
        child = TableName(self.child_schema, self.child_name)
        if self.partition:
            return f"ALTER TABLE {self.parent} DETACH PARTITION {child};"
        return f"ALTER TABLE {child} NO INHERIT {self.parent};"


def check_rules(conn: Connection, subject: Subject) -> list[Finding]:
    """Reads the catalog only."""
    tables = {t.oid: t for t in subject.tables if t.has_rules}
    rules = read(conn, Rule, "rules.sql", oids=list(tables)) if tables else []
    found = []
    for r in rules:
        table = tables[r.table_oid]
        if why := _why_not(subject, table, r):
            found.append(
                blocker(
                    "rules", qualified(table.name, r.name), f"is a rule that {why}", f"DROP RULE {quote(r.name)} ON {table.name};"
                )
            )
    return found


def _why_not(subject: Subject, table: Table, rule: Rule) -> str:
    """Why a rule is not carried over; empty where it is."""
    if table.name == subject.source.name:
        return "rewrites statements before triggers see them, and is not made again on the new table"
    if rule.event == UPDATE and rule.enabled != DISABLED:
        return "rewrites the UPDATE that fills the reference's uuid"
    mine = {name for r in subject.references if r.table == table.name for name in (r.column, r.uuid_column)}
    if named := sorted(mine.intersection(rule.columns)):
        return f"names {', '.join(map(quote, named))}"
    return "uses the whole row, which gets another column" if rule.row else ""


def check_inheritance(conn: Connection, subject: Subject) -> list[Finding]:
    """Rows of a child are beyond its parent's triggers and indexes. Reads the catalog only."""
    concerned = [t for t in subject.tables if t.is_child or (t.has_children and t.kind != "p")]
    if not concerned:
        return []
    all_of_them = read(conn, Heritage, "inheritance.sql", oids=[t.oid for t in concerned])
    found = []
    for t in concerned:
        children = [h for h in all_of_them if h.parent_oid == t.oid]
        parents = [h for h in all_of_them if h.child_oid == t.oid]
        what = "has children or partitions" if children else "is a partition or an inheritance child"
        detail = f"{what}: their rows are beyond the parent's triggers and indexes"
        found.append(blocker("inheritance", t.name, detail, _remedy([*children, *parents], source=t is subject.source)))
    return found


def _remedy(both: list[Heritage], *, source: bool) -> str:
    above = next((h for h in both if h.partition), None)
    if above is not None and not source:
        return f"Name the partitioned table in [[reference]]: table = {json.dumps(str(above.parent))}"
    more = f" (and {len(both) - SHOWN} more like these)" if len(both) > SHOWN else ""
    then = "Then each is a table of its own; a column with keys and no foreign key needs a [[reference]]."
    return f"{' '.join(h.parted for h in both[:SHOWN])}{more} {then}"
