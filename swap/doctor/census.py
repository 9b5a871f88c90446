"""The census: every entry of pg_depend at the tables is of a kind that a rule here knows, else `doctor` refuses (I10).

Every other check looks for the kinds that it knows. This one looks at every entry there is. A kind of dependency that a later
version of PostgreSQL brings, or that was forgotten, is not in CLAIMS, and is found by that. A claim does nothing: it says which
module carries such an object over, or refuses it by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from swap.core.connection import Connection
from swap.doctor.finding import Finding, Subject, blocker, or_ok, read

# Objects that an expression, a definition or a column type may name. The server prints that text fully qualified, and it is run again.
NAMED = frozenset(
    [
        "pg_proc",
        "pg_operator",
        "pg_type",
        "pg_collation",
        "pg_opclass",
        "pg_opfamily",
        "pg_ts_config",
        "pg_ts_dict",
        "pg_namespace",
        "pg_class/r",
        "pg_class/p",
        "pg_class/f",
        "pg_class/v",
        "pg_class/m",
        "pg_class/S",
    ]
)
TABLE = frozenset({"pg_class/r"})
PARTITIONED = frozenset({"pg_class/p", "pg_class/I"})


@dataclass(frozen=True)
class Claim:
    """Objects of the kinds `dependents` that depend on objects of the kinds `referenced`, with one of the dependency types
    `deptypes`.

    `way`: `in`, other objects depend on the tables or their parts; `out`, these depend on other objects; both, where one end is a
    part of the other. A kind is a catalog; of a relation with its relkind. `by`: the module that carries it over, or refuses it.
    """

    way: str
    dependents: frozenset[str]
    deptypes: str
    referenced: frozenset[str]
    by: str


def _claim(way: str, dependents: str, deptypes: str, referenced: str | frozenset[str], by: str) -> Claim:
    kinds = referenced if isinstance(referenced, frozenset) else frozenset(referenced.split())
    return Claim(way, frozenset(dependents.split()), deptypes, kinds, by)


CLAIMS = (
    # The table and its own parts.
    _claim("in out", "pg_type", "i", TABLE | PARTITIONED, "the row type comes with the table"),
    _claim("in out", "pg_type", "i", "pg_type", "the array of the row type comes with it"),
    _claim("in out", "pg_class/t", "i", TABLE, "the TOAST table comes with the table; its parameters: shadow"),
    _claim("in out", "pg_class/i", "a", "pg_class/t", "the TOAST table's index"),
    _claim("out", "pg_class/r pg_class/p", "n", NAMED, "schema, column types, collations: shadow; parents: refused, inheritance"),
    _claim("out", "pg_class/r pg_class/p", "n", "pg_am", "access method: shadow"),
    _claim("in out", "pg_attrdef", "ai", TABLE | PARTITIONED, "defaults and generated columns: shadow"),
    _claim("in out", "pg_attrdef", "n", NAMED, "defaults and generated columns: shadow; of others over the row type: dependents"),
    _claim("in out", "pg_class/i", "ai", TABLE | {"pg_constraint"}, "indexes: plan, rewrite"),
    _claim("in out", "pg_class/i", "S", TABLE, "index of a partition: built like the others"),
    _claim("out", "pg_class/i", "n", NAMED | {"pg_am"}, "indexes: plan, rewrite"),
    _claim("in out", "pg_class/S", "ai", TABLE | PARTITIONED, "owned and identity sequences: exchange of sequences"),
    _claim("out", "pg_class/S", "n", NAMED, "the sequence itself stays, or is made anew by its own parameters"),
    _claim("in out", "pg_constraint", "an", TABLE | PARTITIONED, "checks, NOT NULL: shadow; keys: indexes; foreign keys: exchange"),
    _claim("in out", "pg_constraint", "n", "pg_class/i", "foreign keys: exchange"),
    _claim("out", "pg_constraint", "n", NAMED, "checks: shadow; exclusion constraints: indexes"),
    _claim("in", "pg_constraint", "n", "pg_type", "a check of others over the row type: dependents"),
    _claim("in out", "pg_constraint", "i", "pg_trigger", "constraint triggers: triggers"),
    _claim("in out", "pg_constraint", "i", "pg_constraint", "what a foreign key has for each partition of its target: with the key"),
    _claim("in out", "pg_trigger", "i", "pg_constraint", "the triggers of foreign keys come with them"),
    _claim("in out", "pg_trigger", "an", TABLE | PARTITIONED, "triggers: exchange of triggers; of others FROM the source: refused"),
    _claim("out", "pg_trigger", "n", NAMED, "triggers: exchange of triggers"),
    _claim("in out", "pg_policy", "an", TABLE | PARTITIONED, "policies: bound while names are exchanged"),
    _claim("out", "pg_policy", "n", NAMED, "policies: bound while names are exchanged"),
    _claim("in out", "pg_statistic_ext", "an", TABLE | PARTITIONED, "extended statistics: exchange, by their own text"),
    _claim("out", "pg_statistic_ext", "n", NAMED, "extended statistics: exchange, by their own text"),
    _claim("in out", "pg_publication_rel", "a", TABLE | PARTITIONED | {"pg_publication"}, "publications: exchange, or taken on by name"),
    _claim("in out", "pg_publication_rel", "n", NAMED, "row filters of publications"),
    # Others.
    _claim("in", "pg_rewrite", "n", NAMED | {"pg_constraint"}, "views: dependents; rules of other tables: refused, dependent"),
    _claim("in", "pg_rewrite", "a", TABLE, "rules of the table: refused, rules"),
    _claim("in", "pg_proc", "n", NAMED | {"pg_constraint"}, "functions bound by signature or body: dependents"),
    _claim("in", "pg_class/r pg_class/v pg_class/m pg_class/c pg_class/f pg_class/p", "n", "pg_type", "of the row type: dependents"),
    _claim("in", "pg_type pg_cast pg_operator pg_policy", "n", "pg_type", "over the row type: dependents, or refused: dependent"),
    _claim("in", "pg_trigger pg_policy pg_constraint pg_statistic_ext pg_class/i", "n", TABLE, "of other tables: by their kinds"),
    _claim("in", "pg_class/r pg_class/f", "n", TABLE, "inheritance children: refused, inheritance"),
    # Refused by name.
    _claim("in out", "pg_class/r pg_class/f pg_class/p", "ai", PARTITIONED, "partitions: references of theirs, or refused: partition, table-kind, inheritance"),
    _claim("in out", "pg_class/I pg_class/i", "aiPS", PARTITIONED | {"pg_constraint"}, "partitioned indexes: built part by part"),
    _claim("in out", "pg_constraint pg_trigger pg_class/i", "PS", TABLE | PARTITIONED | {"pg_constraint", "pg_trigger", "pg_class/i"},
           "parts of partitions: with the whole, or refused: partition"),
    _claim("out", "pg_class/r pg_class/i pg_class/S pg_class/t pg_trigger pg_type pg_statistic_ext", "ex", "pg_extension",
           "members of extensions and what depends on one: refused, extension"),
)  # fmt: skip


class Dependency(NamedTuple):
    """A kind of dependency that was found, with one example of both ends."""

    way: str
    kind: str
    deptype: str
    referenced_kind: str
    dependent: str
    referenced: str


def check_census(conn: Connection, subject: Subject) -> list[Finding]:
    """Reads the catalog only."""
    rows = read(conn, Dependency, "census.sql", oids=[t.oid for t in subject.tables])
    found = [
        blocker(
            "census", r.dependent,
            f"depends on {r.referenced} in a way that no rule here knows ({r.kind}, {r.deptype}, {r.referenced_kind})",
            "Drop the one or the other for the time of the migration, and report this line.",
        )
        for r in rows
        if claimed(r.way, r.kind, r.deptype, r.referenced_kind) is None
    ]  # fmt: skip
    return or_ok(found, "census", subject.source.name, f"{len(rows)} kinds of dependency, each known")


def claimed(way: str, kind: str, deptype: str, referenced: str) -> Claim | None:
    """The first claim to such an entry; None: no rule knows it."""
    return next(
        (
            c
            for c in CLAIMS
            if way in c.way.split() and kind in c.dependents and deptype in c.deptypes and referenced in c.referenced
        ),
        None,
    )
