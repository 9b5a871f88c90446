"""The kinds of the tables, their indexes and exclusion constraints, and the columns of references. Pure."""

from __future__ import annotations

from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import TableName, parse_table, quote
from swap.core.toml_text import entry
from swap.doctor.finding import Finding, Subject, blocker, in_schema, or_ok, qualified, warning
from swap.doctor.rules import check_inheritance, check_rules
from swap.plan.model import INTEGERS, RefColumns
from swap.plan.planning import Planned

TEXTS = ("text", "varchar")

KINDS = {"p": "partitioned table", "f": "foreign table", "v": "view", "m": "materialized view"}


def check_kind(name: TableName, kind: str, *, source: bool) -> list[Finding]:
    """The source, or a table with a reference, that is no ordinary table. Nothing else of it can be examined."""
    if kind in ("r", "p"):
        return []  # a partitioned table: swap.doctor.partitioned_source, swap.doctor.partitions
    what = "the source" if source else "a reference"
    hint = (
        "Only ordinary and partitioned tables are migrated."
        if source
        else "Remove the foreign key or [[reference]], or migrate without it."
    )
    return [blocker("table-kind", name, f"{what} is a {KINDS.get(kind, 'relation of another kind')}", hint)]


def check_tables(conn: Connection, subject: Subject) -> list[Finding]:
    """Inheritance, partitions, rules, unlogged and typed tables: the source and the tables with references (H15)."""
    found = []
    for t in subject.tables:
        found += check_kind(t.name, t.kind, source=t.name == subject.source.name)
        found += _storage(t)
        if t.of_type:
            detail = f"is a table of the composite type {t.of_type}: its columns cannot be renamed"
            found.append(blocker("table-kind", t.name, detail, f"ALTER TABLE {t.name} NOT OF;"))
    found += check_inheritance(conn, subject)
    found += check_rules(conn, subject)
    return or_ok(found, "tables", subject.source.name, f"{len(subject.tables)} ordinary tables")


def _storage(t: Table) -> list[Finding]:
    if t.persistence == "p":
        return []
    what = "unlogged: a crash would empty it and not its shadow" if t.persistence == "u" else "temporary"
    return [blocker("persistence", t.name, f"the table is {what}", f"ALTER TABLE {t.name} SET LOGGED;")]


def check_exclusions(subject: Subject) -> list[Finding]:
    """An exclusion constraint is built on the shadow as any index is. On a table in use it cannot be built, since it has neither
    CONCURRENTLY nor NOT VALID."""
    found = []
    for t in subject.tables:
        columns = {r.column for r in subject.others if r.table == t.name}
        for i in t.indexes:
            if i.exclusion and columns.intersection(i.columns):
                detail = (
                    "an exclusion constraint is built under ACCESS EXCLUSIVE only: it goes on over the integer, which the guard "
                    "keeps equal to the uuid; a search by the uuid finds no index in it"
                )
                hint = "Create an index over the uuid column if searches need one; rebuild it before `finalize --drop-legacy`."
                found.append(warning("exclusion", qualified(t.name, i.name), detail, hint))
    return or_ok(found, "exclusion", subject.source.name, "no exclusion constraint contains a reference")


def check_rewrite(subject: Subject, planned: Planned) -> list[Finding]:
    """H25: index definitions that cannot hold a uuid, in the server's own words; and indexes that are not valid."""
    found = []
    given = {parse_table(i.name) for i in subject.config.index}
    for f in planned.failures:
        name = in_schema(f.table, f.index) if f.kind == "index" else f.index
        if f.kind == "index" and f.table.renamed(f.index) in given:
            found.append(blocker("index", name, f"its text of [[index]] cannot be: {f.reason}", "Correct its `definition`."))
            continue
        hint = f"DROP {f.kind.upper()} {name}; and create it again after the cutover, without integer arithmetic or sentinels."
        if f.remedy:
            hint += f" Or {entry('index', name=name, definition=f.remedy)}"
        found.append(blocker(f.kind, name, f"cannot be built over a uuid: {f.reason}", hint))
    invalid = [
        blocker(
            "index", in_schema(t.name, i.name), "is not valid: a CREATE INDEX CONCURRENTLY failed here, or still runs",
            f"REINDEX INDEX CONCURRENTLY {in_schema(t.name, i.name)}; or drop it.",
        )
        for t in subject.tables
        for i in t.indexes
        if not i.valid
    ]  # fmt: skip
    count = sum(len(t.indexes) for t in subject.tables)
    checked = or_ok([*found, *invalid], "index", subject.source.name, f"{count} indexes, each valid and possible over a uuid")
    if planned.problem is None:
        return checked
    hint = "Mend the findings about names and columns first."
    return [*checked, blocker("index", subject.source.name, planned.problem, hint)]


def check_columns(ref: RefColumns, table: Table, *, given: bool = False) -> list[Finding]:
    """The two columns of a reference: an ordinary integer, and a uuid that exists or whose name is free. `given`: [[default]] says what
    its default is after the cutover. Without that the default is looked up (swap.ddl.defaults), but for a column that goes on holding
    keys of other types."""
    where = qualified(ref.table, ref.column)
    column = table.column(ref.column)
    assert column is not None
    found = []
    if column.type not in INTEGERS and not (ref.text and column.base_type in TEXTS):
        hint = "Only integer columns hold keys; remove the [[reference]] or change the column's type."
        detail = f"is {column.type}, not smallint, integer or bigint{', text or character varying' if ref.text else ''}"
        if column.base_type in TEXTS and ref.where:
            hint = f'as = "text": the column stays a text, and holds the uuid\'s text in the rows of its `where`. Or: {hint}'
        found.append(blocker("reference", where, detail, hint))
    if column.generated or column.identity:
        detail = "is a generated column: a guard cannot write it"
        found.append(blocker("reference", where, detail, "Make it an ordinary column, with a trigger if need be."))
    elif column.default is not None and (ref.companion or (ref.text and not given)):
        hint = f"ALTER TABLE {ref.table} ALTER COLUMN {quote(ref.column)} DROP DEFAULT;"
        detail = f"its default ({column.default}) is no uuid"
        if ref.companion:
            detail = f"its default ({column.default}) would contradict a uuid that is written beside it: a guard cannot tell it from a value"
        else:
            hint += f" Or: {entry('default', table=str(ref.table), column=ref.column, definition='NULL')}"
        found.append(blocker("reference", where, detail, hint))
    uuid = table.column(ref.uuid_column)
    if uuid is not None and ref.text:
        hint = "[[reference]] uuid_column: name one that is free."
        detail = 'exists, and as = "text" needs a column of its own'
        found.append(blocker("reference", qualified(ref.table, ref.uuid_column), detail, hint))
    elif uuid is not None and uuid.type != "uuid":
        hint = "[[reference]] uuid_column: name a uuid column, or a name that is free."
        found.append(blocker("reference", qualified(ref.table, ref.uuid_column), f"exists and is {uuid.type}, not uuid", hint))
    elif uuid is not None and uuid.generated:
        hint = "[[reference]] uuid_column: name an ordinary column."
        found.append(blocker("reference", qualified(ref.table, ref.uuid_column), "is a generated column", hint))
    return found
