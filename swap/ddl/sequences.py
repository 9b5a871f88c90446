"""The sequences of the swapped tables' columns: they follow to the new table, which takes its next key from them (I6).

A serial's sequence changes its owner column. An identity's sequence cannot (ALTER SEQUENCE … OWNED BY: "cannot change
ownership of identity sequence"). So the old column gives its identity up, which drops the sequence, and the new column
gets a sequence of the same name, options, privileges, comment and position. swap reads the position once the sequence is
locked: nextval holds ROW EXCLUSIVE to the end of its transaction, so no value is given between the two. A maintained table has no identity column: replay writes every column.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import Sequence
from swap.core.names import TableName
from swap.core.sql_text import Query, verbatim
from swap.core.statement import AX, Kind, Statement, Verb
from swap.ddl.acl import bare_acl
from swap.ddl.grants import grants
from swap.ddl.keys import has_spare_keys
from swap.plan.model import Plan, SwappedTable

GENERATED = {"a": "ALWAYS", "d": "BY DEFAULT"}
SEMICOLON = sql.SQL("; ")


def release_sequences(plan: Plan) -> list[Statement]:
    """End the identities of the tables that become the retired ones, while all tables still have their old names."""
    return [make_identity(t.name, s.column, s, n).reversed() for n, t, s in _owned(plan) if s.identity]


def take_sequences(plan: Plan) -> list[Statement]:
    """Give the sequences to the new table's columns, by the names that they have after the cutover."""
    out = []
    for n, t, s in _owned(plan):
        after = {r.before: r.after for r in plan.renames_of(t)}
        column = after.get(s.column, s.column)
        plain = t.is_source and s.column == plan.key and has_spare_keys(plan)
        out.append(make_identity(t.name, column, s, n, plain=plain) if s.identity else _own(t, s, column))
    return out


def lock_sequences(plan: Plan) -> list[Query]:
    """Lock the sequences at once, or fail with LockNotAvailable: one statement, or none where there is no sequence. LOCK TABLE takes
    no sequence; ALTER … OWNER TO the owner that it has takes the lock, and changes nothing."""
    alter = [
        sql.SQL("ALTER SEQUENCE {} OWNER TO {}").format(s.name.sql, sql.Identifier(plan.table_of(t).owner))
        for _, t, s in _owned(plan)
    ]
    keep = verbatim(
        "SELECT set_config('swap.lock_timeout', current_setting('lock_timeout'), true), set_config('lock_timeout', '1ms', true)"
    )
    back = verbatim("SELECT set_config('lock_timeout', current_setting('swap.lock_timeout'), true)")
    return [SEMICOLON.join([keep, *alter, back])] if alter else []


def _owned(plan: Plan) -> list[tuple[int, SwappedTable, Sequence]]:
    """Each sequence that a column of a swapped table owns, with a number of its own."""
    return [(n, t, s) for n, (t, s) in enumerate((t, s) for t in plan.swapped for s in plan.table_of(t).sequences)]


def _own(t: SwappedTable, s: Sequence, column: str) -> Statement:
    """Change the owner column, so that dropping the retired table does not drop the sequence."""
    owned = sql.SQL("ALTER SEQUENCE {} OWNED BY {}.{}")
    there = owned.format(s.name.sql, t.name.sql, sql.Identifier(column))
    back = owned.format(s.name.sql, t.retired.sql, sql.Identifier(s.column))
    return Statement(there, "the sequence follows", s.name, "SHARE ROW EXCLUSIVE", back, kind=Kind.SEQUENCE)


def make_identity(table: TableName, column: str, s: Sequence, number: int, *, plain: bool = False) -> Statement:
    """Make the column GENERATED … AS IDENTITY. Its sequence goes on at the position that was saved under `number`.

    The undo ends the identity and saves the position. `plain`: the column owns the sequence and no more, and the guard takes
    the keys from it (swap.ddl.keys).
    """
    alter = sql.SQL("ALTER TABLE {} ALTER COLUMN {} ").format(table.sql, sql.Identifier(column))
    position = sql.Literal(f"swap.sequence_{number}")
    generated = alter + verbatim(f"ADD GENERATED {GENERATED[s.kind]} AS IDENTITY (SEQUENCE NAME ") + s.name.sql + sql.SQL(")")
    owned = sql.SQL("CREATE SEQUENCE {} OWNED BY {}.{}").format(s.name.sql, table.sql, sql.Identifier(column))
    add: list[Query] = [
        owned if plain else generated,
        _options(s),
        bare_acl(s.name),
        *(g.sql for g in grants(s.name, s.grants)),
    ]
    if s.persistence == "u":
        add.append(sql.SQL("ALTER SEQUENCE {} SET UNLOGGED").format(s.name.sql))
    if s.comment is not None:
        add.append(sql.SQL("COMMENT ON SEQUENCE {} IS {}").format(s.name.sql, sql.Literal(s.comment)))
    set_position = sql.SQL(
        "SELECT setval({}::regclass, split_part(p, ' ', 1)::bigint, split_part(p, ' ', 2)::boolean) FROM current_setting({}) p"
    )
    add.append(set_position.format(sql.Literal(s.name.sql.as_string(None)), position))
    leave = [
        sql.SQL("ALTER SEQUENCE {} CACHE {}").format(s.name.sql, sql.Literal(s.cache)),
        sql.SQL("SELECT set_config({}, last_value || ' ' || is_called, true) FROM {}").format(position, s.name.sql),
        sql.SQL("DROP SEQUENCE {}").format(s.name.sql) if plain else alter + sql.SQL("DROP IDENTITY"),
    ]
    why = f"the identity of {column}, its sequence where it was"
    return Statement(SEMICOLON.join(add), why, table, AX, SEMICOLON.join(leave), kind=Kind.SEQUENCE, verb=Verb.CREATE)


def _options(s: Sequence) -> Query:
    """Set every option in one statement: bounds that a new sequence would not allow must change together."""
    numbers = {"INCREMENT BY": s.increment, "MINVALUE": s.minimum, "MAXVALUE": s.maximum, "START WITH": s.start,
               "RESTART WITH": s.start, "CACHE": s.cache}  # fmt: skip
    options = " ".join(f"{k} {v}" for k, v in numbers.items())
    cycle = "CYCLE" if s.cycle else "NO CYCLE"
    return sql.SQL("ALTER SEQUENCE {} ").format(s.name.sql) + verbatim(f"AS {s.type} {options} {cycle}")
