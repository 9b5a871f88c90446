"""The differences that the tests plant, and what a verification must report: HAZARDS, section Verification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString


@dataclass(frozen=True)
class Case:
    """`sql` runs as the owner; {t} is the maintained table. `found`: (key, kind, columns) of every row that differs, in the
    order of the keys. `side`: where the difference can be planted, `shadow`, `retired` or `both`."""

    name: str
    sql: LiteralString
    found: tuple[tuple[int, str, tuple[str, ...]], ...]
    side: str = "both"

    def on(self, table: LiteralString) -> LiteralString:
        return self.sql.replace("{t}", table)


def different(key: int, *columns: str) -> tuple[tuple[int, str, tuple[str, ...]], ...]:
    return ((key, "different", columns),)


def new_row(key: LiteralString) -> LiteralString:
    return "INSERT INTO {t} (id, organization_id, email) VALUES (" + key + ", 1, 'planted@example.com')"


# Drops every unique index of the maintained table, and the constraints that use them.
NOT_UNIQUE: LiteralString = """
DO $$ DECLARE n text; BEGIN
    FOR n IN SELECT conname FROM pg_constraint WHERE conrelid = '{t}'::regclass AND contype IN ('p', 'u') LOOP
        EXECUTE format('ALTER TABLE {t} DROP CONSTRAINT %I CASCADE', n);
    END LOOP;
    FOR n IN SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = '{t}'::regclass AND indisunique LOOP
        EXECUTE 'DROP INDEX ' || n;
    END LOOP;
END $$;
"""
TWICE: LiteralString = """
DO $$ DECLARE names text; BEGIN
    SELECT string_agg(quote_ident(attname), ', ') INTO names FROM pg_attribute
    WHERE attrelid = '{t}'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
    EXECUTE format('INSERT INTO {t} (%1$s) SELECT %1$s FROM {t} WHERE id = 33', names);
END $$;
"""

CASES = (
    Case("a missing row", "DELETE FROM {t} WHERE id = 10", ((10, "missing", ()),)),
    Case("the lowest row missing", "DELETE FROM {t} WHERE id = -7", ((-7, "missing", ()),)),
    Case(
        "the highest row missing",
        "DELETE FROM {t} WHERE id = (SELECT max(id) FROM {t})",
        ((303, "missing", ()),),
    ),
    Case("an extra row in a gap", new_row("50"), ((50, "extra", ()),)),
    Case("below the lowest key", new_row("-9223372036854775808"), ((-(2**63), "extra", ()),)),
    Case("above the highest key", new_row("9223372036854775807"), ((2**63 - 1, "extra", ()),)),
    Case("key 0", "UPDATE {t} SET login_count = -1 WHERE id = 0", different(0, "login_count")),
    Case("a negative key", "UPDATE {t} SET active = NOT active WHERE id = -7", different(-7, "active")),
    Case(
        "one byte inside a TOASTed value",
        "UPDATE {t} SET bio = overlay(bio PLACING '!' FROM 3000) WHERE id = 1 AND length(bio) > 4000",
        different(1, "bio"),
    ),
    Case("NULL for ''", "UPDATE {t} SET bio = NULL WHERE id = 4 AND bio = ''", different(4, "bio")),
    Case("'' for NULL", "UPDATE {t} SET bio = '' WHERE id = 6 AND bio IS NULL", different(6, "bio")),
    Case("'NULL' for NULL", "UPDATE {t} SET bio = 'NULL' WHERE id = 6 AND bio IS NULL", different(6, "bio")),
    Case(
        "a shift across a column boundary",
        "UPDATE {t} SET handle = handle || left(referral_code, 4), referral_code = substr(referral_code, 5)"
        " WHERE id = 9 AND handle IS NOT NULL AND referral_code IS NOT NULL",
        different(9, "handle", "referral_code"),
    ),
    Case(
        "trailing spaces",
        "UPDATE {t} SET bio = rtrim(bio) WHERE id = 2 AND bio LIKE '%  '",
        different(2, "bio"),
    ),
    Case(
        "1.0 for 1.00",
        "UPDATE {t} SET score = round(score, scale(score) + 1) WHERE id = 12 AND score IS NOT NULL",
        different(12, "score"),
    ),
    Case("NaN", "UPDATE {t} SET score = 'NaN' WHERE id = 12", different(12, "score")),
    Case("a cent", "UPDATE {t} SET balance = balance + 0.01 WHERE id = 12", different(12, "balance")),
    Case(
        "equal jsonb with another number scale",
        "UPDATE {t} SET preferences = jsonb_set(preferences, '{page}', ((preferences->>'page') || '.0')::jsonb) WHERE id = 20",
        different(20, "preferences"),
    ),
    Case(
        "array bounds",
        "UPDATE {t} SET tags = ('[0:2]=' || tags::text)::text[] WHERE id = 5 AND cardinality(tags) = 3",
        different(5, "tags"),
    ),
    Case("an empty array for NULL", "UPDATE {t} SET tags = '{}' WHERE id = 2 AND tags IS NULL", different(2, "tags")),
    Case(
        "one microsecond",
        "UPDATE {t} SET created_at = created_at + interval '1 microsecond' WHERE id = 30",
        different(30, "created_at"),
    ),
    Case("infinity", "UPDATE {t} SET last_seen_at = 'infinity' WHERE id = 30", different(30, "last_seen_at")),
    Case(
        "one bit of bytea",
        "UPDATE {t} SET avatar = set_bit(avatar, 7, 1 - get_bit(avatar, 7)) WHERE id = 6 AND avatar IS NOT NULL",
        different(6, "avatar"),
    ),
    Case("an enum", "UPDATE {t} SET status = 'suspended' WHERE id = 0", different(0, "status")),
    Case(
        "case of letters, with the column generated from it unchanged",
        "UPDATE {t} SET email = upper(email) WHERE id = 40",
        different(40, "email"),
    ),
    Case(
        "payloads exchanged between two rows",
        "UPDATE {t} a SET bio = b.bio, balance = b.balance FROM {t} b WHERE (a.id, b.id) IN ((21, 22), (22, 21))",
        (*different(21, "balance", "bio"), *different(22, "balance", "bio")),
    ),
    Case(
        "keys exchanged between two rows",
        "UPDATE {t} SET id = 7000 WHERE id = 24; UPDATE {t} SET id = 24 WHERE id = 27; UPDATE {t} SET id = 27 WHERE id = 7000",
        (),
    ),
    Case(
        "uuids exchanged between two rows",
        "CREATE TEMP TABLE two AS SELECT id, uuid_id FROM {t} WHERE id IN (24, 27);"
        " UPDATE {t} SET uuid_id = '00000000-0000-0000-0000-000000000000' WHERE id = 24;"
        " UPDATE {t} SET uuid_id = (SELECT uuid_id FROM two WHERE id = 24) WHERE id = 27;"
        " UPDATE {t} SET uuid_id = (SELECT uuid_id FROM two WHERE id = 27) WHERE id = 24",
        (*different(24, "uuid_id"), *different(27, "uuid_id")),
    ),
    Case(
        "one uuid for two rows",
        NOT_UNIQUE + "UPDATE {t} SET uuid_id = (SELECT uuid_id FROM {t} WHERE id = 24) WHERE id = 27",
        different(27, "uuid_id"),
    ),
    Case("a row that is there twice", NOT_UNIQUE + TWICE, ((33, "extra", ()),)),
    Case(
        "an own reference to the wrong uuid",
        "UPDATE {t} SET invited_by_uuid_id = uuid_id WHERE id = 18 AND invited_by_uuid_id IS NOT NULL",
        different(18, "invited_by_uuid_id"),
        "shadow",
    ),
    Case(
        "an own reference without a uuid",
        "UPDATE {t} SET invited_by_uuid_id = NULL WHERE id = 18",
        different(18, "invited_by_uuid_id"),
        "shadow",
    ),
    Case(
        "an own reference that should be NULL",
        "UPDATE {t} SET invited_by_uuid_id = uuid_id WHERE id = 1",
        different(1, "invited_by_uuid_id"),
        "shadow",
    ),
    Case(
        "an own reference to the wrong integer",
        "UPDATE {t} SET invited_by_id = 1 WHERE id = 18 AND invited_by_id <> 1",
        different(18, "invited_by_id"),
        "retired",
    ),
    Case(
        "an own reference without its integer",
        "UPDATE {t} SET invited_by_id = NULL WHERE id = 18",
        different(18, "invited_by_id"),
        "retired",
    ),
)


@dataclass(frozen=True)
class ReferenceCase:
    """A reference of `table`. {int} and {uuid} are its columns, {live_int} and {live_uuid} the keys of users, by the names
    that they have in this direction. `keys`: a query for the keys of the rows that differ."""

    name: str
    table: str
    sql: LiteralString
    keys: LiteralString


WRONG: LiteralString = "SET {uuid} = (SELECT {live_uuid} FROM users WHERE {live_int} = 13) WHERE "
REFERENCES = (
    ReferenceCase("the wrong uuid", "sessions", "UPDATE sessions " + WRONG + "id = 11", "SELECT 11"),
    ReferenceCase(
        "the wrong integer",
        "sessions",
        "UPDATE sessions SET {int} = (SELECT {live_int} FROM users WHERE {live_int} = 13) WHERE id = 11",
        "SELECT 11",
    ),
    ReferenceCase(
        "two references exchanged",
        "sessions",
        "UPDATE sessions a SET {uuid} = b.{uuid} FROM sessions b WHERE (a.id, b.id) IN ((11, 40), (40, 11))",
        "SELECT unnest(ARRAY[11, 40])",
    ),
    ReferenceCase("no uuid", "partner_applications", "UPDATE partner_applications SET {uuid} = NULL WHERE id = 2", "SELECT 2"),
    ReferenceCase("no integer", "partner_applications", "UPDATE partner_applications SET {int} = NULL WHERE id = 2", "SELECT 2"),
    ReferenceCase(
        "in a primary key",
        "user_roles",
        "UPDATE user_roles " + WRONG + "({int}, role) = (20, 'admin')",
        "SELECT concat_ws(',', user_id, role) FROM user_roles WHERE ({int}, role) = (20, 'admin')",
    ),
    ReferenceCase("polymorphic", "audit_logs", "UPDATE audit_logs " + WRONG + "id = 5", "SELECT 5"),
    ReferenceCase("a uuid of no user", "audit_logs", "UPDATE audit_logs SET {uuid} = gen_random_uuid() WHERE id = 5", "SELECT 5"),
)


@dataclass(frozen=True)
class TypeCase:
    """A column of `type`, its value in the source, and another value that is planted in the shadow: often an equal one."""

    type: LiteralString
    value: LiteralString
    planted: LiteralString
    needs: LiteralString = ""


TYPES = (
    TypeCase("double precision", "0.0", "'-0'"),
    TypeCase("real", "'NaN'", "NULL"),
    TypeCase("numeric", "1.0", "1.00"),
    TypeCase("numeric(10,2)", "1.10", "1.11"),
    TypeCase("smallint", "1", "2"),
    TypeCase("integer", "0", "NULL"),
    TypeCase("bigint", "9223372036854775807", "9223372036854775806"),
    TypeCase("boolean", "false", "NULL"),
    TypeCase("money", "1.23", "1.24"),
    TypeCase('"char"', "'a'", "'b'"),
    TypeCase("name", "'a'", "'a '"),
    TypeCase("char(5)", "'a'", "'b'"),
    TypeCase("bpchar", "'a'", "'a '"),
    TypeCase("varchar(10)", "'a'", "'a '"),
    TypeCase("text COLLATE insensitive", "'Straße'", "'STRASSE'", "insensitive"),
    TypeCase("bytea", r"'\x00'", r"'\x0000'"),
    TypeCase("date", "'2020-01-01'", "'infinity'"),
    TypeCase("time", "'24:00'", "'00:00'"),
    TypeCase("timetz", "'12:00+00'", "'13:00+01'"),
    TypeCase("timestamp", "'2020-01-01'", "'2020-01-01 00:00:00.000001'"),
    TypeCase("timestamptz", "'infinity'", "'-infinity'"),
    TypeCase("interval", "'1 day'", "'24 hours'"),
    TypeCase("interval", "'1 month'", "'30 days'"),
    TypeCase("bit(4)", "B'1010'", "B'1011'"),
    TypeCase("varbit", "B'1'", "B'10'"),
    TypeCase("inet", "'10.0.0.1/24'", "'10.0.0.1'"),
    TypeCase("macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'"),
    TypeCase("cidr", "'10.0.0.0/8'", "'10.0.0.0/16'"),
    TypeCase("macaddr8", "'08:00:2b:01:02:03:04:05'", "'08:00:2b:01:02:03:04:06'"),
    TypeCase("jsonpath", "'$.a'", "'$.b'"),
    TypeCase("json", """'{"a": 1, "b": 2}'""", """'{"b": 2, "a": 1}'"""),
    TypeCase("json", """'{"a":1}'""", """'{"a": 1}'"""),
    TypeCase("jsonb", "'[1.0]'", "'[1.00]'"),
    TypeCase("xml", "'<a></a>'", "'<a/>'", "xml"),
    TypeCase("tsvector", "'a:1'", "'a:2'"),
    TypeCase("tsquery", "'a & b'", "'a | b'"),
    TypeCase("point", "'(1,2)'", "'(1,2.0000001)'"),
    TypeCase("box", "'(0,0),(1,1)'", "'(0,0),(1,1.0000001)'"),
    TypeCase("circle", "'<(0,0),1>'", "'<(1,0),1>'"),
    TypeCase("path", "'[(0,0),(1,1)]'", "'((0,0),(1,1))'"),
    TypeCase("lseg", "'[(0,0),(1,1)]'", "'[(0,0),(1,1.0000001)]'"),
    TypeCase("polygon", "'((0,0),(1,1))'", "'((1,1),(0,0))'"),
    TypeCase("line", "'{1,1,0}'", "'{2,2,0}'"),
    TypeCase("tstzrange", "'[2020-01-01Z,)'", "'(2020-01-01Z,)'"),
    TypeCase("int4multirange", "'{[1,2)}'", "'{}'"),
    TypeCase("int4range", "'[1,5)'", "'[1,6)'"),
    TypeCase("numrange", "'[1.0,2)'", "'[1.00,2)'"),
    TypeCase("nummultirange", "'{[1.0,2)}'", "'{[1.00,2)}'"),
    TypeCase("int[]", "'{1,2}'", "'[0:1]={1,2}'"),
    TypeCase("int[]", "'{1,NULL}'", "'{1,0}'"),
    TypeCase("numeric[]", "'{1.0}'", "'{1.00}'"),
    TypeCase("text[]", "'{a}'", "'{{a}}'"),
    TypeCase("text[]", """'{"NULL"}'""", "'{NULL}'"),
    TypeCase("json[]", "'{1}'", "'{1.0}'"),
    TypeCase("mood", "'sad'", "'ok'"),
    TypeCase("mood[]", "'{sad}'", "'{ok}'"),
    TypeCase("pair", "'(1.0,x)'", "'(1.00,x)'"),
    TypeCase("pair", "'(1,)'", """'(1,"")'"""),
    TypeCase("pair[]", """'{"(1.0,x)"}'""", """'{"(1.00,x)"}'"""),
    TypeCase("amount", "1.0", "1.00"),
    TypeCase("label", "'x'", "'X'"),
    TypeCase("label[]", "'{x}'", "'{X}'"),
    TypeCase("blanks", "'a'", "'a '"),
    TypeCase("oid", "1", "2"),
    TypeCase("pg_lsn", "'0/1'", "'0/2'"),
    TypeCase("uuid", "'00000000-0000-0000-0000-000000000000'", "'00000000-0000-0000-0000-000000000001'"),
    TypeCase("citext", "'x'", "'X'", "citext"),
    TypeCase("hstore", "'a=>1'", """'a=>"1 "'""", "hstore"),
)

TYPE_SETUP: LiteralString = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (amount numeric, label text);
CREATE DOMAIN amount AS numeric;
CREATE DOMAIN label AS text CHECK (VALUE <> '');
CREATE DOMAIN blanks AS bpchar;
"""
INSENSITIVE: LiteralString = "CREATE COLLATION insensitive (provider = icu, locale = 'und-u-ks-level1', deterministic = false)"
