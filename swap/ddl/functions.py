"""Functions in the exchange (H27).

A function that binds the tables by OID, through its signature or an SQL-standard body, is created again by
pg_get_functiondef's text. That text holds everything but owner, grants and comment.

A function with a string body binds by name and is not touched. But PL/pgSQL has compiled it in open sessions for the old
types (seen: "type of parameter 3 (uuid) does not match that when preparing the plan (bigint)", and a bigint variable of
type `users.id%TYPE` that is given a uuid). PL/pgSQL compiles it again when its row in pg_proc is a new one (fn_xmin and
fn_tid in src/backend/utils/cache/funccache.c), and any ALTER FUNCTION writes a new row. So swap gives each function the
SECURITY that it has already. That changes nothing else, its SET clauses included. Measured: 0.1 ms each.

A function that reads the rows only in dynamic SQL mentions no table, and fails in the first of these two ways. The server
makes that check when it plans an expression, and any change in pg_namespace makes every session plan everything again
(PlanCacheSysCallback in src/backend/utils/cache/plancache.c). So swap revokes a privilege on the state schema that no
role has.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import Function
from swap.core.sql_text import Query, anonymous, load_sql, verbatim
from swap.core.statement import Kind, Statement, Verb
from swap.ddl.grants import owner_rights
from swap.ddl.mentions import mentions
from swap.ddl.set_aside import in_place, routine
from swap.plan.model import Plan

RESET = "sessions compile functions that mention these tables again"


def create_function(f: Function) -> list[Statement]:
    """Create the function by its own text, with owner, grants and comment."""
    name = routine(f)
    steps: list[Query] = [verbatim(f.definition.rstrip().rstrip(";"))]
    steps.append(sql.SQL("ALTER ROUTINE {} OWNER TO {}").format(name, sql.Identifier(f.owner)))
    if f.comment:
        steps.append(sql.SQL("COMMENT ON ROUTINE {} IS {}").format(name, sql.Literal(f.comment)))
    steps.append(
        anonymous(load_sql("swap.ddl", "bare_function.sql").format(
            schema=sql.Literal(sql.Identifier(f.name.schema).as_string()), name=sql.Literal(f.name.name),
            arguments=sql.Literal(f.arguments), routine=sql.Literal(name.as_string()),
        ))
    )  # fmt: skip
    steps += owner_rights(sql.SQL("ROUTINE {}").format(name), f.owner, None if f.owner_executes else ())
    if f.restricted:
        steps.append(sql.SQL("REVOKE ALL ON ROUTINE {} FROM PUBLIC").format(name))
    for g in f.grants:
        who = sql.SQL("PUBLIC") if g.grantee is None else sql.Identifier(g.grantee)
        option = sql.SQL(" WITH GRANT OPTION" if g.grantable else "")
        steps.append(sql.SQL("GRANT EXECUTE ON ROUTINE {} TO {}").format(name, who) + option)
    drop = sql.SQL("DROP ROUTINE {}").format(name)
    return [
        Statement(
            sql.SQL("; ").join(steps), "by its own text", f.name, "", drop, kind=Kind.FUNCTION, verb=Verb.CREATE, object=f.heading,
            path=f.meaning.path,
        )
    ]  # fmt: skip


def replace_functions(plan: Plan) -> list[Statement]:
    """Give functions their text of [[function]], where they take and give the same types: the object stays, with its owner and rights."""
    out = []
    for old, new in in_place(plan):
        text, back = (verbatim(f.definition.rstrip().rstrip(";")) for f in (new, old))
        why = "the function, with the text of [[function]]"
        made = Statement(
            text, why, new.name, "", back, kind=Kind.FUNCTION, verb=Verb.CREATE, object=old.signature, path=new.meaning.path
        )
        out.append(made)
    return out


def reset_functions(plan: Plan) -> list[Statement]:
    """Make open sessions compile again the functions that mention the tables.

    The statement looks for them when the exchange runs, not when it is planned: the application may replace functions
    meanwhile.
    """
    tables = [*(t.name for t in plan.swapped), *(r.table for r in plan.references)]
    found = mentions(plan.state_schema, tables, [v.name for v in plan.catalog.views])
    reset = anonymous(load_sql("swap.ddl", "reset_functions.sql").format(mentions=found))
    return [Statement(reset, RESET, None, "", reset, kind=Kind.RECOMPILE)]


def plan_again(plan: Plan) -> Statement:
    """Write a new row in pg_namespace, and nothing else. Run it last: it discards what this session has planned, too."""
    revoke = sql.SQL("REVOKE ALL ON SCHEMA {} FROM PUBLIC").format(sql.Identifier(plan.state_schema))
    return Statement(revoke, "sessions plan every expression again, in functions that name no table too", kind=Kind.RECOMPILE)
