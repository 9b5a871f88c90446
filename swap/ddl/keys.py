"""The keys of new rows: where a uuid comes from, and legacy keys when the old sequence has given its last one (H43, I6).

A table whose integers run out is a reason to migrate. Its application must not fail on them after the cutover, and a row
without a legacy key would have no place in the retired table, so that no revert could keep it. So the guard takes the
next key from the unused end of the old type's range: from the lowest value upward, where the application's own sequence
counts up from 1. With `[source] legacy_overflow = "refuse"` INSERTs fail, as they would have without a migration.

For an identity column the executor evaluates nextval() before any trigger fires, so the guard could not step in. On the
new table such a column has a plain sequence and the guard (swap.ddl.sequences).
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import Sequence
from swap.core.names import TableName, derive
from swap.core.sql_text import Query, load_sql, verbatim
from swap.core.statement import Kind, Statement, Verb
from swap.ddl.acl import bare_acl
from swap.plan.model import INTEGERS, UUIDV7_SINCE, Plan

BITS = dict(zip(INTEGERS, (15, 31, 63), strict=True))


def own_sequence(plan: Plan) -> Sequence | None:
    """The sequence that the key's column owns, be it a serial's or an identity's."""
    return next((s for s in plan.source_table.sequences if s.column == plan.key), None)


def has_spare_keys(plan: Plan) -> bool:
    """Whether the key can run out, so that spare legacy keys are needed.

    A bigint of its own unbounded sequence cannot. There the guard needs no exception block, which is a subtransaction.
    """
    column, s = plan.source_table.column(plan.key), own_sequence(plan)
    if plan.legacy_overflow == "refuse" or column is None:
        return False
    endless = s is not None and (s.maximum >= 2**63 - 1 if s.increment > 0 else s.minimum <= -(2**63))
    return column.type != "bigint" or not endless


def spare_sequence(plan: Plan) -> TableName:
    """The name of the sequence of spare legacy keys."""
    return plan.state("spare_key")


def spare_range(plan: Plan) -> tuple[int, int]:
    """The first and the last spare key: within what the key and every reference to it can hold."""
    types = [plan.source_table.column(plan.key), *(plan.catalog.table(r.table).column(r.column) for r in plan.all_references)]
    # No integer at all: `doctor` refuses such a key, but the trial tries its target schema all the same.
    bits = min((BITS[c.type] for c in types if c is not None and c.type in BITS), default=BITS["bigint"])
    s = own_sequence(plan)
    return (2**bits - 1, -(2**bits)) if s is not None and s.increment < 0 else (-(2**bits), 2**bits - 1)


def create_spare_sequence(plan: Plan) -> list[Statement]:
    """Create the sequence of spare legacy keys, where the key can run out."""
    if not has_spare_keys(plan):
        return []
    first, last = spare_range(plan)
    create = sql.SQL("CREATE SEQUENCE IF NOT EXISTS {} INCREMENT {} MINVALUE {} MAXVALUE {} START {}").format(
        spare_sequence(plan).sql,
        *(sql.Literal(n) for n in (1 if first < last else -1, min(first, last), max(first, last), first)),
    )
    why = "legacy keys for rows born when the key's own sequence has ended"
    bare = Statement(bare_acl(spare_sequence(plan)), "no grant, whatever the default privileges say", kind=Kind.CAPTURE)
    return [Statement(create, why, undo=_drop(plan), kind=Kind.CAPTURE, verb=Verb.CREATE), bare]


def drop_spare_sequence(plan: Plan) -> list[Statement]:
    """Drop the sequence of spare legacy keys."""
    if not has_spare_keys(plan):
        return []
    return [Statement(_drop(plan), "nothing takes a key from it any more", kind=Kind.CAPTURE, verb=Verb.DROP)]


def _drop(plan: Plan) -> sql.Composed:
    return sql.SQL("DROP SEQUENCE IF EXISTS {}").format(spare_sequence(plan).sql)


def give_legacy_key(plan: Plan, default: Query) -> Query:
    """The guard's statement that gives a new row its legacy key. `default`: the old key's own default."""
    column = sql.Identifier(plan.legacy_key)
    if not has_spare_keys(plan):
        return sql.SQL("NEW.{} := {};").format(column, default)
    spare = sql.Literal(spare_sequence(plan).sql.as_string(None))
    return load_sql("swap.ddl", "legacy_key.sql").format(column=column, default=default, live=plan.source.sql, spare=spare)


def generator(plan: Plan) -> Query:
    """The expression that gives a row its uuid: the column's own default where the application has one."""
    column = plan.source_table.column(plan.identity)
    if column is not None and column.default:
        return verbatim(column.default)
    if plan.generate != "uuidv7":
        return sql.SQL("gen_random_uuid()")
    return sql.SQL("{}()").format(uuidv7_function(plan).sql) if makes_uuidv7(plan) else sql.SQL("uuidv7()")


def makes_uuidv7(plan: Plan) -> bool:
    """Whether new rows get a uuid of version 7 from a function of swap's: the server has none before 18, and no default of the
    application's goes first."""
    column = plan.source_table.column(plan.identity)
    own = column is not None and bool(column.default)
    return plan.generate == "uuidv7" and not own and plan.catalog.server_version < UUIDV7_SINCE


def uuidv7_function(plan: Plan) -> TableName:
    """It stands beside the table and stays: the default of the new key calls it."""
    return plan.source.renamed(derive(plan.source.name, "_uuidv7"))


def create_uuidv7(plan: Plan) -> list[Statement]:
    """Create the function, where one is needed. Undo: DROP FUNCTION."""
    if not makes_uuidv7(plan):
        return []
    name, owner = uuidv7_function(plan).sql, sql.Identifier(plan.source_table.owner)
    create = sql.SQL(
        "CREATE OR REPLACE FUNCTION {name}() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS {body};"
        " ALTER FUNCTION {name}() OWNER TO {owner}; GRANT EXECUTE ON FUNCTION {name}() TO PUBLIC"
    ).format(name=name, owner=owner, body=sql.Literal(load_sql("swap.ddl", "uuidv7.sql").as_string(None)))
    drop = sql.SQL("DROP FUNCTION IF EXISTS {}()").format(name)
    why = "new rows get a uuid of version 7 after the cutover; this server has no function for it"
    return [Statement(create, why, undo=drop, kind=Kind.FUNCTION, verb=Verb.CREATE, object=f"{uuidv7_function(plan)}()")]


def drop_uuidv7(plan: Plan) -> list[Statement]:
    """For `abort`, after the shadow, whose default calls it."""
    return [s.reversed() for s in create_uuidv7(plan)]


def legacy_generator(plan: Plan) -> Query:
    """The old key's own default: nextval of its sequence, so that a row created after the cutover can go back (invariant 6).

    An identity column fills itself, without any privilege on its sequence. Only an explicit NULL gets here.
    """
    for s in plan.source_table.sequences:
        if s.identity and s.column == plan.key:
            return sql.SQL("nextval({}::regclass)").format(sql.Literal(s.name.sql.as_string(None)))
    column = plan.source_table.column(plan.key)
    return verbatim(column.default) if column is not None and column.default else sql.SQL("NULL")
