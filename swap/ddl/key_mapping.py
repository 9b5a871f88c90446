"""The mapping between the integer and the uuid of each row of the source (I3): the derivation, the table of exceptions, and the two
functions that answer for applications.

The secret of the derivation is a large object: no publication takes it, and only its owner may read it. A statement reads it by
a sub-select, so it is never a literal or a parameter. The mapping outlives rows, a revert, a second cutover and `abort`: no uuid
that a client has seen changes. `finalize --drop-legacy` drops it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from swap.core.names import TableName, derive
from swap.core.sql_text import Query, anonymous, load_sql
from swap.core.statement import Kind, Statement, Verb
from swap.ddl.acl import bare_acl
from swap.plan.direction import Direction
from swap.plan.lookups import lookups
from swap.plan.model import Plan

WHY = "the mapping between integers and uuids"
BYTEA_IS_INTEGER = 180000  # the first version that casts bytea to bigint: a sixth less for a uuid than by way of a text
RANDOM = sql.SQL("sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))")


def create_mapping(plan: Plan) -> list[Statement]:
    """Create what is not there yet: the exceptions of an earlier run of this source are kept."""
    out = [*_exceptions(plan)]
    if plan.derived:
        out += [*_derivation(plan), _secret(plan)]
    return out


def _exceptions(plan: Plan) -> list[Statement]:
    name = plan.exceptions
    create = sql.SQL("CREATE TABLE IF NOT EXISTS {} (key bigint PRIMARY KEY, uuid uuid NOT NULL UNIQUE)").format(name.sql)
    return [
        Statement(create, f"{WHY}: those that no live row tells", name, kind=Kind.CAPTURE, verb=Verb.CREATE),
        Statement(bare_acl(name), "no grant, whatever the default privileges say", name, kind=Kind.CAPTURE),
    ]


def _derivation(plan: Plan) -> list[Statement]:
    out = []
    for function, given, wanted in (("derived_uuid", "bigint", "uuid"), ("derived_key", "uuid", "bigint")):
        name = TableName(plan.state_schema, function)
        arguments = sql.SQL("{}, bytea, bytea").format(sql.SQL(given))
        create = sql.SQL(
            "CREATE OR REPLACE FUNCTION {name}(given {given}, secret_1 bytea, secret_2 bytea) RETURNS {wanted} LANGUAGE plpgsql"
            " IMMUTABLE STRICT PARALLEL SAFE AS {body}; REVOKE ALL ON FUNCTION {name}({arguments}) FROM PUBLIC"
        ).format(
            name=name.sql, given=sql.SQL(given), wanted=sql.SQL(wanted), arguments=arguments,
            body=sql.Literal(_body(function, plan.catalog.server_version)),
        )  # fmt: skip
        out.append(Statement(create, f"{WHY}: computed", None, kind=Kind.CAPTURE, verb=Verb.CREATE))
    return out


def _body(function: str, server_version: int) -> str:
    """The body of a derivation. What it computes is the same on every version: uuids outlive an upgrade."""

    def bits(given: LiteralString, first: int = 1) -> sql.Composed:
        """64 bits of a bytea, as a bigint."""
        eight = sql.SQL("pg_catalog.substr({}, {}, 8)").format(sql.SQL(given), sql.Literal(first))
        if server_version >= BYTEA_IS_INTEGER:
            return eight + sql.SQL("::bigint")
        return sql.SQL("('x' OPERATOR(pg_catalog.||) pg_catalog.encode({}, 'hex'))::bit(64)::bigint").format(eight)

    return (
        load_sql("swap.ddl", f"{function}.sql")
        .format(
            tag=bits("pg_catalog.sha256(secret_1 OPERATOR(pg_catalog.||) pg_catalog.int8send(given))"),
            mask=bits("pg_catalog.sha256(secret_2 OPERATOR(pg_catalog.||) pg_catalog.int8send(tag))"),
            tag_of_found=bits("pg_catalog.sha256(secret_1 OPERATOR(pg_catalog.||) pg_catalog.int8send(found))"),
            high=bits("bytes"),
            low=bits("bytes", 9),
        )
        .as_string(None)
    )


def _secret(plan: Plan) -> Statement:
    insert = sql.SQL(
        "INSERT INTO {secrets} (tag, object) SELECT {tag}, lo_from_bytea(0, {random} || {random})"
        " WHERE NOT EXISTS (SELECT FROM {secrets} WHERE tag = {tag})"
    ).format(secrets=sql.Identifier(plan.state_schema, "secret"), tag=sql.Literal(plan.tag), random=RANDOM)
    return Statement(insert, f"{WHY}: the secret, which only this role can read", None, kind=Kind.CAPTURE)


def resolver_names(plan: Plan) -> tuple[TableName, TableName]:
    """The functions that give the uuid of an integer, and the integer of a uuid."""
    source = plan.source
    table = source.name if source.schema == "public" else f"{source.schema}_{source.name}"
    return TableName(plan.state_schema, derive(table, "_uuid")), TableName(plan.state_schema, derive(table, "_legacy"))


def resolver_functions(plan: Plan, direction: Direction) -> list[Statement]:
    """Create or replace the two functions by which applications resolve an old cookie or a log entry, in any phase, also of rows
    that are gone. Nobody but `[names] resolver_roles` may execute them: they answer past row security."""
    to_uuid, to_key = resolver_names(plan)
    ahead = direction is Direction.FORWARD
    return [
        *_resolver(plan, to_uuid, "bigint", "uuid", lookups(plan, forward=ahead, to_uuid=True).value(sql.SQL("$1"), None)),
        *_resolver(plan, to_key, "uuid", "bigint", lookups(plan, forward=ahead, to_uuid=False).value(sql.SQL("$1"), None)),
    ]


def _resolver(plan: Plan, name: TableName, given: str, wanted: str, value: sql.Composable) -> list[Statement]:
    return [
        Statement(resolver(name, given, wanted, value), f"{WHY}, for applications", None, kind=Kind.CAPTURE, verb=Verb.CREATE),
        *_granted(plan.state_schema, name, given, plan.resolver_roles),
    ]


def resolver(name: TableName, given: str, wanted: str, value: sql.Composable) -> sql.Composed:
    """Create or replace a function that looks one key up, past row security. Nobody but this role may execute it."""
    body = sql.SQL("SELECT {}").format(value).as_string(None)
    return sql.SQL(
        "CREATE OR REPLACE FUNCTION {name}({given}) RETURNS {wanted} LANGUAGE sql STABLE STRICT SECURITY DEFINER"
        " SET search_path = pg_catalog, pg_temp SET row_security = off AS {body}; {bare}"
    ).format(
        name=name.sql, given=sql.SQL(given), wanted=sql.SQL(wanted), body=sql.Literal(body), bare=_bare(name, given),
    )  # fmt: skip


def _bare(name: TableName, given: str) -> sql.Composed:
    routine = sql.Literal(name.sql.as_string(None) + f"({given})")
    return anonymous(load_sql("swap.ddl", "bare_routine.sql").format(routine=routine))


def _granted(schema: str, name: TableName, given: str, roles: Sequence[str]) -> list[Statement]:
    if not roles:
        return []
    who = sql.SQL(", ").join(map(sql.Identifier, roles))
    grant: Query = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}; GRANT EXECUTE ON FUNCTION {}({}) TO {}").format(
        sql.Identifier(schema), who, name.sql, sql.SQL(given), who
    )
    return [Statement(grant, "[names] resolver_roles may resolve keys", None, kind=Kind.GRANT)]


def drop_resolvers(plan: Plan) -> list[Statement]:
    """Drop the functions for applications."""
    drop = sql.SQL("DROP FUNCTION IF EXISTS {}({})")
    pairs = zip(resolver_names(plan), ("bigint", "uuid"), strict=True)
    return [
        Statement(drop.format(n.sql, sql.SQL(given)), "no run has this mapping", None, kind=Kind.CAPTURE, verb=Verb.DROP)
        for n, given in pairs
    ]


def drop_mapping(plan: Plan) -> list[Statement]:
    """Forget the mapping: the functions, the exceptions and the secret. No integer is left that it could tell."""
    secrets, tag = sql.Identifier(plan.state_schema, "secret"), sql.Literal(plan.tag)
    forget = sql.SQL("SELECT lo_unlink(object) FROM {} WHERE tag = {}; DELETE FROM {} WHERE tag = {}").format(
        secrets, tag, secrets, tag
    )
    drop = sql.SQL("DROP TABLE IF EXISTS {}").format(plan.exceptions.sql)
    return [
        *drop_resolvers(plan),
        Statement(drop, WHY, plan.exceptions, kind=Kind.CAPTURE, verb=Verb.DROP),
        Statement(forget, f"{WHY}: the secret", None, kind=Kind.CAPTURE, verb=Verb.DROP),
    ]
