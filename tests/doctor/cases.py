"""Small schemas, each with one object that `doctor` must find by name, and the finding.

Every case begins with BASE and runs `setup` as the tool's role (statements after `-- superuser` as superuser). It expects a finding
with this status, name and object, and with `said` in its detail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

BASE = """
CREATE TABLE users (
    id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, class text NOT NULL DEFAULT 'a',
    uuid_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
CREATE INDEX ON sessions (user_id);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 20) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
"""

IN_PLACE = {"table": "public.sessions", "column": "user_id", "strategy": "column"}


@dataclass(frozen=True)
class Case:
    """`config` is merged over `{"source": {"table": "public.users"}}`. Objects are given without `public.`."""

    id: str
    setup: str
    status: str
    name: str
    object: str
    said: str = ""
    config: dict[str, Any] = field(default_factory=dict)


def blocked(id_: str, setup: str, name: str, object_: str, said: str, **config: Any) -> Case:
    return Case(id_, setup, "blocker", name, object_, said, config)


def warned(id_: str, setup: str, name: str, object_: str, said: str, **config: Any) -> Case:
    return Case(id_, setup, "warning", name, object_, said, config)


def fine(id_: str, setup: str, name: str, object_: str, said: str = "", **config: Any) -> Case:
    return Case(id_, setup, "ok", name, object_, said, config)


LOGS = "CREATE TABLE logs (id bigserial PRIMARY KEY, actor_type text, actor_id {}); "
LOG_REFERENCE = [{"table": "public.logs", "column": "actor_id"}]

KEY = [
    blocked("no-key", "CREATE TABLE t (id bigint)", "key", "t", "no primary key", source={"table": "public.t"}),
    blocked("composite", "CREATE TABLE t (a int, b int, PRIMARY KEY (a, b))", "key", "t", "composite", source={"table": "public.t", "key": "a"}),
    blocked("text-key", "CREATE TABLE t (id text PRIMARY KEY)", "key", "t.id", "is text", source={"table": "public.t"}),
    blocked("uuid-key", "CREATE TABLE t (id uuid PRIMARY KEY)", "key", "t.id", "uuid already", source={"table": "public.t"}),
    blocked("domain-key", "CREATE DOMAIN d AS bigint; CREATE TABLE t (id d PRIMARY KEY)", "key", "t.id", "not smallint", source={"table": "public.t"}),
    blocked("wrong-key", "", "key", "users.email", "not the primary key", source={"table": "public.users", "key": "email"}),
    blocked("absent-key", "", "key", "users.nope", "no such column", source={"table": "public.users", "key": "nope"}),
    blocked("no-default", "ALTER TABLE users ALTER id DROP DEFAULT", "key", "users.id", "no default"),
    warned("odd-default", "ALTER TABLE users ALTER id SET DEFAULT 7", "key", "users.id", "not a sequence"),
    fine("identity-key", "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)", "key", "t.id", "bigint", source={"table": "public.t"}),
    fine("smallint-key", "CREATE TABLE t (id smallserial PRIMARY KEY)", "key", "t.id", "smallint", source={"table": "public.t"}),
    fine("deferrable-unique", "ALTER TABLE users ADD UNIQUE (class, id) DEFERRABLE", "index", "users"),
]  # fmt: skip

IDENTITY = [
    blocked("identity-text", "ALTER TABLE users ADD u text", "identity", "users.u", "is text", identity={"column": "u"}),
    blocked("identity-is-key", "", "identity", "users.id", "key itself", identity={"column": "id"}),
    blocked(
        "identity-generated", "ALTER TABLE users ADD u uuid GENERATED ALWAYS AS (md5(email)::uuid) STORED",
        "identity", "users.u", "generated", identity={"column": "u"},
    ),
    warned(
        "identity-nulls", "ALTER TABLE users ALTER uuid_id DROP NOT NULL; UPDATE users SET uuid_id = NULL WHERE id < 4",
        "identity-data", "users.uuid_id", "NULL in 3 rows",
    ),
    warned("identity-not-unique", "ALTER TABLE users DROP CONSTRAINT users_uuid_id_key", "identity-data", "users.uuid_id", "no unique index"),
    blocked(
        "identity-duplicates",
        "ALTER TABLE users DROP CONSTRAINT users_uuid_id_key;"
        "UPDATE users SET uuid_id = '00000000-0000-4000-8000-000000000000' WHERE id < 3",
        "identity-data", "users.uuid_id", "00000000-0000-4000-8000-000000000000 (2 rows)",
    ),
    fine("identity-added", "", "identity", "users.key_uuid", "does not exist", identity={"column": "key_uuid"}),
]  # fmt: skip

TABLES = [
    blocked("inheritance-parent", "CREATE TABLE kid () INHERITS (users)", "inheritance", "users", "children"),
    blocked("inheritance-child", "CREATE TABLE ma (); ALTER TABLE users INHERIT ma", "inheritance", "users", "child"),
    blocked("rule", "CREATE RULE r AS ON DELETE TO users DO INSTEAD NOTHING", "rules", "users.r", "not made again"),
    blocked("reference-rule-update", "CREATE RULE r AS ON UPDATE TO sessions DO INSTEAD NOTHING", "rules", "sessions.r", "the UPDATE"),
    blocked(
        "reference-rule-column",
        "CREATE RULE r AS ON INSERT TO sessions WHERE NEW.user_id = 7 DO INSTEAD NOTHING", "rules", "sessions.r", "names user_id",
    ),
    blocked(
        "reference-rule-row",
        "CREATE TABLE gone (row sessions); CREATE RULE r AS ON DELETE TO sessions DO ALSO INSERT INTO gone SELECT OLD",
        "rules", "sessions.r", "whole row",
    ),
    blocked("unlogged", "ALTER TABLE sessions SET UNLOGGED; ALTER TABLE users SET UNLOGGED", "persistence", "users", "unlogged"),
    blocked("typed", "CREATE TYPE row_of AS (id bigint); CREATE TABLE t OF row_of (id PRIMARY KEY)", "table-kind", "t", "composite type", source={"table": "public.t"}),
    blocked(
        "identity-sequence", "ALTER TABLE users ADD n bigint GENERATED ALWAYS AS IDENTITY;"
        "CREATE TABLE more (id bigint DEFAULT nextval('users_n_seq'))",
        "identity-sequence", "users.n", "used by default value for column id of table public.more",
    ),
    blocked(
        "partitioned-reference",
        "CREATE TABLE ev (id bigint, user_id bigint REFERENCES users) PARTITION BY RANGE (id);"
        "CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (9); ALTER TABLE ev ADD CONSTRAINT one UNIQUE (id, user_id) WITH (fillfactor = 70)",
        "partition", "one", "options",
    ),
    blocked(
        "partition-reference",
        "CREATE TABLE ev (id bigint, user_id bigint) PARTITION BY RANGE (id);"
        "CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (9); ALTER TABLE ev1 ADD FOREIGN KEY (user_id) REFERENCES users",
        "inheritance", "ev1", "partition", reference=[{"table": "public.ev1", "column": "user_id"}],
    ),
    blocked(
        "declared-view", "CREATE VIEW v AS SELECT 1::bigint AS user_id",
        "table-kind", "v", "view", reference=[{"table": "public.v", "column": "user_id"}],
    ),
    blocked(
        "partitioned-source", "CREATE TABLE p (id bigserial PRIMARY KEY) PARTITION BY RANGE (id)",
        "partitioned-source", "p", "no partition", source={"table": "public.p"},
    ),
]  # fmt: skip

REFERENCES = [
    fine("reference", "", "reference", "sessions.user_id", "rebuilt beside"),
    fine("reference-in-place", "", "reference", "sessions.user_id", "added", reference=[IN_PLACE]),
    fine("self-reference", "ALTER TABLE users ADD boss_id bigint REFERENCES users", "reference", "users.boss_id", "foreign key"),
    blocked("absent-column", "", "reference", "sessions.x", "no such column", reference=[{"table": "public.sessions", "column": "x"}]),
    blocked("absent-table", "", "reference", "nope", "no table", reference=[{"table": "public.nope", "column": "x"}]),
    blocked("text-reference", LOGS.format("text"), "reference", "logs.actor_id", "is text", reference=LOG_REFERENCE),
    blocked("uuid-column-text", "ALTER TABLE sessions ADD user_uuid_id text", "reference", "sessions.user_uuid_id", "is text"),
    fine("reference-default", "ALTER TABLE sessions ALTER user_id SET DEFAULT 0", "reference", "sessions.user_id", "is looked up"),
    fine(
        "session-default", "ALTER TABLE sessions ALTER user_id SET DEFAULT current_setting('app.user')::bigint",
        "reference", "sessions.user_id", "is looked up",
    ),
    blocked(
        "companion-default", LOGS.format("bigint DEFAULT 0"), "reference", "logs.actor_id", "cannot tell it from a value",
        reference=[{**LOG_REFERENCE[0], "where": "id > 0"}],
    ),
    blocked(
        "generated-reference", "CREATE TABLE g (a bigint, user_id bigint GENERATED ALWAYS AS (a + 1) STORED REFERENCES users)",
        "reference", "g.user_id", "generated",
    ),
    blocked(
        "not-null-undeclared", LOGS.format("bigint NOT NULL"), "not-null-reference", "logs.actor_id", "without a foreign key",
        reference=LOG_REFERENCE,
    ),
    fine(
        "not-null-polymorphic", LOGS.format("bigint NOT NULL"), "reference", "logs.actor_id", "declared",
        reference=[{**LOG_REFERENCE[0], "where": "actor_type = 'User'"}],
    ),
    fine(
        "not-null-deferrable", "CREATE TABLE d (user_id bigint NOT NULL REFERENCES users DEFERRABLE)",
        "reference", "d.user_id", "foreign key",
    ),
    fine(
        "not-null-deferrable-unique", "CREATE TABLE d (user_id bigint NOT NULL UNIQUE REFERENCES users DEFERRABLE)",
        "reference", "d.user_id", "is added", reference=[{"table": "public.d", "column": "user_id", "strategy": "column"}],
    ),
    blocked(
        "not-null-partly-checked", "ALTER TABLE users ADD UNIQUE (class, id);"
        "CREATE TABLE d (cls text, user_id bigint NOT NULL, FOREIGN KEY (cls, user_id) REFERENCES users (class, id))",
        "not-null-reference", "d.user_id", "checked for every row",
    ),
    blocked(
        "where-in-primary-key", "CREATE TABLE k (kind text, ref bigint, PRIMARY KEY (kind, ref))",
        "not-null-reference", "k.ref", "primary key",
        reference=[{"table": "public.k", "column": "ref", "where": "kind = 'User'", "as": "uuid"}],
    ),
    fine(
        "chain", "CREATE TABLE roles (user_id bigint REFERENCES users PRIMARY KEY);"
        "CREATE TABLE notes (role_id bigint CONSTRAINT notes_fk REFERENCES roles)",
        "reference", "notes.role_id", "foreign key",
    ),
    fine(
        "chain-from-the-key", "CREATE TABLE roles (user_id bigint REFERENCES users, n int, PRIMARY KEY (user_id, n));"
        "ALTER TABLE users ADD n int, ADD FOREIGN KEY (id, n) REFERENCES roles", "reference", "roles.user_id", "foreign key",
    ),
    blocked(
        "two-targets", "CREATE TABLE people (id bigint PRIMARY KEY);"
        "ALTER TABLE sessions ADD CONSTRAINT also FOREIGN KEY (user_id) REFERENCES people NOT VALID",
        "reference-chain", "sessions.also", "two keys",
    ),
    blocked(
        "key-is-reference", "CREATE TABLE people (id bigint PRIMARY KEY);"
        "ALTER TABLE users ADD CONSTRAINT up FOREIGN KEY (id) REFERENCES people NOT VALID",
        "foreign-key", "users.up", "key itself refers",
    ),
    fine(
        "composite-key", "ALTER TABLE users ADD UNIQUE (class, id);"
        "CREATE TABLE c (cls text, user_id bigint, FOREIGN KEY (cls, user_id) REFERENCES users (class, id))",
        "reference", "c.user_id",
    ),
    fine("other-unique", "CREATE TABLE m (mail text REFERENCES users (email))", "key", "users.id"),
]  # fmt: skip

NAMES = [
    blocked("shadow", "CREATE TABLE users_new ()", "names", "users_new", "shadow"),
    blocked("retired", "CREATE VIEW users_old AS SELECT 1 AS one", "names", "users_old", "retired"),
    blocked("shadow-type", "CREATE TYPE users_new AS ENUM ('a')", "names", "users_new", "type"),
    blocked("same", "", "names", "users_x", "same name", names={"shadow": "{table}_x", "retired": "{table}_x"}),
    blocked("too-long", "", "names", f"users_{'x' * 60}", "longer than 63", names={"shadow": "{table}_" + "x" * 60}),
    blocked("own-name", "", "names", "users", "own name", names={"retired": "users"}),
    blocked("legacy-key", "ALTER TABLE users ADD legacy_id text", "names", "users.legacy_id", "already"),
    blocked("legacy-reference", "ALTER TABLE sessions ADD user_legacy_id int", "names", "sessions.user_legacy_id", "already"),
    blocked("index", "CREATE SEQUENCE sessions_user_id_idx_new", "names", "sessions_user_id_idx_new", "index"),
    blocked("index-aside", "CREATE SEQUENCE users_pkey_old", "names", "users_pkey_old", "index"),
    blocked(
        "two-references-one-name", "ALTER TABLE sessions ADD by_id bigint REFERENCES users",
        "names", "sessions.who", "two columns",
        reference=[{"table": "public.sessions", "column": c, "uuid_column": "who"} for c in ("user_id", "by_id")],
    ),
    blocked(
        "shared-uuid-column", "ALTER TABLE sessions ADD by_id bigint REFERENCES users, ADD who uuid",
        "names", "sessions.who", "share",
        reference=[{"table": "public.sessions", "column": c, "uuid_column": "who"} for c in ("user_id", "by_id")],
    ),
    blocked("foreign-state", "CREATE SCHEMA swap", "state-schema", "swap", "not made by this tool"),
]  # fmt: skip

INDEXES = [
    blocked("sentinel", "CREATE UNIQUE INDEX zero ON sessions (COALESCE(user_id, 0))", "index", "zero", "COALESCE"),
    blocked("arithmetic", "CREATE UNIQUE INDEX odd ON sessions ((user_id % 2), id)", "index", "odd", "uuid"),
    blocked("predicate", "CREATE UNIQUE INDEX guests ON sessions (id) WHERE user_id = 0", "index", "guests", "uuid"),
    fine("stays", "CREATE INDEX guests ON sessions (id) WHERE user_id = 0", "index", "users", "possible over a uuid"),
    fine("key-stays", "CREATE UNIQUE INDEX odd ON users ((id % 2), email)", "index", "users", "possible over a uuid"),
    warned(
        "exclusion", "ALTER TABLE sessions ADD CONSTRAINT ex EXCLUDE USING gist (int8range(user_id, user_id, '[]') WITH &&)",
        "exclusion", "sessions.ex", "goes on over the integer",
    ),
]  # fmt: skip

TF = "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
DEPENDENTS = [
    fine("row-type", "CREATE FUNCTION f(users) RETURNS int LANGUAGE sql AS 'SELECT 1'", "dependents", "users", "1 functions"),
    fine(
        "sql-body", "CREATE FUNCTION h() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM users; END",
        "dependents", "users", "1 functions",
    ),
    blocked(
        "index-over-row-type", "CREATE FUNCTION f(users) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1.email';"
        "CREATE INDEX whole ON users (f(users.*))", "dependent", "index whole", "bound to it",
    ),
    blocked(
        "label-of-a-view", "CREATE VIEW v AS SELECT id FROM users;\n-- superuser\nSET allow_system_table_mods = on;"
        "INSERT INTO pg_seclabel VALUES ('v'::regclass, 'pg_class'::regclass, 0, 'p', 'x')",
        "dependent", "security label of view v", "not carried over",
    ),
    blocked(
        "trigger-of-an-extension", "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE VIEW v AS SELECT id FROM users;"
        "CREATE TRIGGER tr INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION tf();"
        "ALTER TRIGGER tr ON v DEPENDS ON EXTENSION plpgsql", "dependent", "trigger tr on view v", "extension",
    ),
    blocked(
        "recursive-body", "CREATE FUNCTION f(n int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM users; END;"
        "CREATE OR REPLACE FUNCTION f(n int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC"
        " SELECT count(*) + CASE WHEN n > 0 THEN f(n - 1) END FROM users; END",
        "dependent", "function f(integer)", "calls itself",
    ),
    blocked(
        "circle", "CREATE VIEW a AS SELECT id FROM users; CREATE VIEW b AS SELECT id FROM a; CREATE RULE r AS ON DELETE TO a"
        " DO INSTEAD DELETE FROM b WHERE id = OLD.id", "dependent", "b", "in turn",
    ),
    fine(
        "other-policy", "CREATE POLICY p ON sessions USING (EXISTS (SELECT FROM users u WHERE u.id = user_id))",
        "dependents", "users",
    ),
    blocked(
        "policy-of-a-stranger", "-- superuser\nCREATE TABLE theirs (user_id int);"
        "CREATE POLICY p ON theirs USING (EXISTS (SELECT FROM users u WHERE u.id = user_id))",
        "ownership", "theirs", "belongs to",
    ),
    warned(
        "policy-over-rows", "CREATE POLICY p ON users USING (to_jsonb(users.*) ->> 'id' = current_setting('app.user', true))",
        "policy", "users.p", "whole rows of public.users",
    ),
    warned(
        "policy-over-rows-elsewhere", "CREATE POLICY p ON sessions USING (EXISTS (SELECT FROM users u WHERE to_jsonb(u) ? 'id'))",
        "policy", "sessions.p", "whole rows of public.users",
    ),
    blocked(
        "policy-over-view", "CREATE VIEW v AS SELECT id FROM users;"
        "CREATE POLICY p ON sessions USING (EXISTS (SELECT FROM v WHERE v.id = user_id))",
        "policy", "sessions.p", "reads the view public.v",
    ),
    blocked("publication", "CREATE PUBLICATION pub FOR TABLE users", "publication", "pub of users", "subscribers get uuids"),
    blocked("publication-owner", "-- superuser\nCREATE PUBLICATION pub FOR TABLE users", "publication", "pub of users", "only its owner"),
    blocked(
        "publication-filter", "-- superuser\nCREATE PUBLICATION pub FOR TABLE users (id, email) WHERE (id > 10)",
        "publication", "pub of users", "row filter compares id",
    ),
    blocked(
        "publication-reference", "-- superuser\nCREATE PUBLICATION pub FOR TABLE sessions (id, user_id)",
        "publication", "pub of sessions", "column list",
    ),
    blocked("publication-all", "-- superuser\nCREATE PUBLICATION pub FOR ALL TABLES", "publication", "pub of users", "users_new"),
    blocked("publication-schema", "-- superuser\nCREATE PUBLICATION pub FOR TABLES IN SCHEMA public", "publication", "pub of users", "users_new"),
    blocked("statistics", "CREATE STATISTICS st ON (id % 7), email FROM users", "statistics", "st", "cannot be built over a uuid"),
    blocked("statistics-name", "CREATE STATISTICS st ON id, email FROM users; CREATE STATISTICS st_new ON class, email FROM users", "names", "st_new", "needs"),
    blocked("statistics-owner", "-- superuser\nCREATE STATISTICS st ON id, email FROM users", "ownership", "st", "belong to"),
    blocked("row-type-column", "CREATE TABLE keeps (u users)", "dependent", "column u of table keeps", "row type"),
    fine("nested-materialized", "CREATE VIEW v AS SELECT id FROM users; CREATE MATERIALIZED VIEW mv AS SELECT * FROM v", "dependents", "users", "2 views"),
    blocked(
        "unfilled", "CREATE MATERIALIZED VIEW m AS SELECT id FROM users; CREATE MATERIALIZED VIEW n AS SELECT * FROM m;"
        "REFRESH MATERIALIZED VIEW m WITH NO DATA", "view", "n", "could not be filled again",
    ),
    fine(
        "instead-of", "CREATE VIEW v AS SELECT id FROM users; CREATE RULE r AS ON DELETE TO v DO INSTEAD NOTHING",
        "dependents", "users", "1 views",
    ),
    blocked(
        "function-uuid", "CREATE FUNCTION f() RETURNS uuid LANGUAGE sql BEGIN ATOMIC SELECT uuid_id FROM users; END",
        "function", "f()", "gone after the cutover",
    ),
    blocked("view-uuid", "CREATE VIEW v AS SELECT uuid_id FROM users", "view", "v", "uuid_id"),
    blocked(
        "view-reference-uuid", "ALTER TABLE sessions ADD user_uuid_id uuid; CREATE VIEW v AS SELECT user_uuid_id FROM sessions",
        "view", "v", "user_uuid_id",
    ),
    fine("view-reference", "CREATE VIEW v AS SELECT user_id FROM sessions", "dependents", "users", "1 views"),
    fine("plain-view", "CREATE VIEW v AS SELECT id, email FROM users; CREATE VIEW w AS SELECT * FROM v", "dependents", "users", "2 views"),
    fine("self-policy", "CREATE POLICY p ON users USING (id IN (SELECT max(u.id) FROM users u))", "dependents", "users"),
    fine("plain-policy", "CREATE POLICY p ON users USING (id = current_setting('a.b', true)::bigint)", "dependents", "users"),
    fine(
        "update-of-reference", TF + "CREATE TRIGGER tr AFTER UPDATE OF user_id ON sessions FOR EACH ROW EXECUTE FUNCTION tf()",
        "dependents", "users",
    ),
    fine("update-of-key", TF + "CREATE TRIGGER tr AFTER UPDATE OF id ON users FOR EACH ROW EXECUTE FUNCTION tf()", "dependents", "users"),
    warned(
        "when-uuid", TF + "CREATE TRIGGER tr AFTER INSERT ON users FOR EACH ROW WHEN (NEW.uuid_id IS NULL) EXECUTE FUNCTION tf()",
        "trigger", "users.tr", "bound to uuid_id",
    ),
    blocked(
        "update-of-one-when-other", "ALTER TABLE sessions ADD user_uuid_id uuid;" + TF
        + "CREATE TRIGGER tr AFTER UPDATE OF user_id ON sessions FOR EACH ROW WHEN (NEW.user_uuid_id IS NULL) EXECUTE FUNCTION tf()",
        "trigger", "sessions.tr", "no text of it serves both",
    ),
    blocked(
        "two-pairs-torn", "ALTER TABLE sessions ADD by_id bigint REFERENCES users, ADD by_uuid_id uuid;" + TF
        + "CREATE TRIGGER tr AFTER UPDATE OF user_id, by_uuid_id ON sessions FOR EACH ROW EXECUTE FUNCTION tf()",
        "trigger", "sessions.tr", "names user_id",
    ),
    blocked(
        "after-the-guard", TF + "CREATE TRIGGER \"änd\" BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION tf()",
        "trigger", 'sessions."änd"', "fires after the guard",
    ),
    fine("before-the-guard", TF + "CREATE TRIGGER zz BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION tf()", "dependents", "users"),
    blocked(
        "from-source", "CREATE TABLE strangers (a int);" + TF
        + "CREATE CONSTRAINT TRIGGER tr AFTER INSERT ON strangers FROM users FOR EACH ROW EXECUTE FUNCTION tf()",
        "trigger", "strangers.tr", "dropped with it",
    ),
    blocked("owner-rights", "REVOKE TRUNCATE ON users FROM CURRENT_USER", "grants", "users", "given up TRUNCATE"),
    blocked(
        "extension", "-- superuser\nALTER EXTENSION plpgsql ADD TABLE users",
        "extension", "table users", "plpgsql",
    ),
    blocked(
        "extension-index", "-- superuser\nALTER INDEX users_email_key DEPENDS ON EXTENSION plpgsql",
        "extension", "index users_email_key", "plpgsql",
    ),
    blocked(
        "grantor", "GRANT SELECT ON users TO app WITH GRANT OPTION;\n-- superuser\n"
        "SET ROLE app; GRANT SELECT (email) ON users TO pg_monitor; RESET ROLE",
        "grants", "users", "app granted",
    ),
]  # fmt: skip

UUIDS = "ALTER TABLE sessions ADD user_uuid_id uuid; UPDATE sessions s SET user_uuid_id = u.uuid_id FROM users u WHERE u.id = s.user_id;"
DATA = [
    blocked(
        "contradiction", UUIDS + "UPDATE sessions SET user_uuid_id = gen_random_uuid() WHERE user_id = 5",
        "reference-data", "sessions.user_id", "1 rows hold a uuid that contradicts",
    ),
    fine("missing", UUIDS + "UPDATE sessions SET user_uuid_id = NULL WHERE user_id < 8", "reference-data", "sessions.user_id", "7 rows have no uuid yet"),
    fine("complete", UUIDS, "reference-data", "sessions.user_id", "no uuid contradicts"),
    warned(
        "orphans", LOGS.format("bigint") + "INSERT INTO logs (actor_id) VALUES (1), (99), (100)",
        "reference-data", "logs.actor_id", "2 rows refer to a key", reference=LOG_REFERENCE,
    ),
    warned(
        "where", LOGS.format("bigint") + "INSERT INTO logs (actor_type, actor_id) VALUES ('User', 77), ('Robot', 78)",
        "reference-data", "logs.actor_id", "1 rows refer to a key",
        reference=[{**LOG_REFERENCE[0], "where": "actor_type = 'User'"}],
    ),
    blocked("where-broken", LOGS.format("bigint"), "reference-where", "logs.actor_id", "nope", reference=[{**LOG_REFERENCE[0], "where": "nope = 1"}]),
    blocked(
        "not-null-orphans", "CREATE TABLE o (user_id bigint NOT NULL); INSERT INTO o VALUES (999);"
        "ALTER TABLE o ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID",
        "reference-data", "o.user_id", "1 rows refer",
    ),
    blocked(
        "uuid-without-integer", "CREATE TABLE n (user_id bigint REFERENCES users, user_uuid_id uuid);"
        "INSERT INTO n SELECT NULL, uuid_id FROM users LIMIT 4",
        "reference-data", "n.user_id", "4 rows have a uuid",
    ),
    blocked(
        "orphans-of-a-foreign-key", "CREATE TABLE f (user_id bigint); INSERT INTO f VALUES (1), (999);"
        "ALTER TABLE f ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID",
        "reference-data", "f.user_id", "1 rows refer to a key",
    ),
]  # fmt: skip

MANY = "INSERT INTO {} SELECT id FROM users"
DOCUMENTS = """CREATE TABLE a (d jsonb); INSERT INTO a VALUES
    ('{"user_id": 3, "session": {"userId": "4"}, "deep": {"er": {"user_id": 5, "too deep": {"user_id": 6}}}}'),
    ('{"user_id": 777, "user_ids": [1, "2"], "items": [{"user_id": 9}, {"other": 10}], "Odd key": {"user_id": 1}}')"""
FRIENDS = """CREATE TABLE a (friends json, d jsonb); INSERT INTO a SELECT json_build_array(n), jsonb_build_object('friends', ARRAY[n], 'x', n)
    FROM generate_series(1, 9) n"""
LOOK_ALIKES = [
    warned("by-name", "CREATE TABLE a (user_id int)", "look-alike", "a.user_id", "called after"),
    warned("by-ending", "CREATE TABLE a (\"createdByUserId\" bigint)", "look-alike", 'a."createdByUserId"', "called after"),
    warned("by-value", "CREATE TABLE a (author_id bigint);" + MANY.format("a"), "look-alike", "a.author_id", "20 of 20"),
    warned(
        "pair", "CREATE TABLE a (owner_type text, owner_id bigint); INSERT INTO a VALUES ('App::User', 1), ('Robot', 2)",
        "look-alike", "a.owner_id", "App::User",
    ),
    fine("pair-of-others", "CREATE TABLE a (owner_type text, owner_id bigint); INSERT INTO a VALUES ('Robot', 2)", "look-alike", "database"),
    fine("no-values", "CREATE TABLE a (author_id bigint); INSERT INTO a SELECT n + 1000 FROM generate_series(1, 9) n", "look-alike", "database"),
    fine("explained", "CREATE TABLE robots (id bigint); CREATE TABLE a (robot_id bigint);" + MANY.format("a"), "look-alike", "database"),
    fine("ignored", "CREATE TABLE a (user_id int)", "look-alike", "database", ignore=["public.a.user_id"]),
    warned("share", "CREATE TABLE a (user_id int); INSERT INTO a VALUES (1), (2), (999)", "look-alike", "a.user_id", "2 of 3 sampled values"),
    warned("array-by-name", "CREATE TABLE a (user_ids bigint[]); INSERT INTO a VALUES ('{1,2}'), ('{2,77}')", "look-alike", "a.user_ids", "2 of 3"),
    warned("array-by-value", "CREATE TABLE a (watchers int[]); INSERT INTO a SELECT ARRAY[n, 20] FROM generate_series(1, 9) n", "look-alike", "a.watchers", "10 of 10"),
    fine("array-explained", "CREATE TABLE tags (id int); CREATE TABLE a (tag_ids int[]); INSERT INTO a SELECT ARRAY[n] FROM generate_series(1, 9) n", "look-alike", "database"),
    fine("array-of-others", "CREATE TABLE a (points int[]); INSERT INTO a SELECT ARRAY[n * 1000] FROM generate_series(1, 9) n", "look-alike", "database"),
    warned("document", DOCUMENTS, "look-alike", "a.d.user_id", "1 of 2 sampled values"),
    warned("document-string", DOCUMENTS, "look-alike", 'a.d.session."userId"', "1 of 1"),
    warned("document-third-level", DOCUMENTS, "look-alike", "a.d.deep.er.user_id", "1 of 1"),
    warned("document-array", DOCUMENTS, "look-alike", "a.d.user_ids", "2 of 2"),
    warned("document-array-by-value", FRIENDS, "look-alike", "a.d.friends", "9 of 9"),
    warned("document-is-array-by-value", FRIENDS, "look-alike", "a.friends", "9 of 9"),
    warned("document-is-array", "CREATE TABLE a (user_ids jsonb); INSERT INTO a VALUES ('[7, \"8\"]')", "look-alike", "a.user_ids", "called after"),
    warned("document-objects", DOCUMENTS, "look-alike", "a.d.items.user_id", "1 of 1"),
    warned("document-odd-key", DOCUMENTS, "look-alike", 'a.d."Odd key".user_id', "1 of 1"),
    warned(
        "document-by-value", "CREATE TABLE a (d jsonb); INSERT INTO a SELECT jsonb_build_object('author_id', n) FROM generate_series(1, 9) n",
        "look-alike", "a.d.author_id", "9 of 9",
    ),
    warned("bad-document", r"""CREATE TABLE a (d json); INSERT INTO a VALUES ('{"x": "\u0000"}')""", "look-alike", "a.d", "not checked"),
    fine("document-of-others", "CREATE TABLE a (d jsonb); INSERT INTO a VALUES ('{\"id\": 3, \"tag_id\": 4, \"text\": \"5\"}'), ('[7]'), ('8')", "look-alike", "database"),
    fine("document-ignored", DOCUMENTS, "look-alike", "database", ignore=["public.a.d"]),
    fine("path-ignored", "CREATE TABLE a (d jsonb); INSERT INTO a VALUES ('{\"user_id\": 3}')", "look-alike", "database", ignore=["public.a.d.user_id"]),
    warned(
        "partitions-once", "CREATE TABLE a (user_id int, d jsonb) PARTITION BY RANGE (user_id); CREATE TABLE a1 PARTITION OF a DEFAULT",
        "look-alike", "a.user_id", "called after",
    ),
    fine("views", "CREATE TABLE a (x int); CREATE VIEW b AS SELECT x AS user_id, ARRAY[x] AS user_ids FROM a", "look-alike", "database"),
    fine("declared", "CREATE TABLE a (user_id int)", "look-alike", "database", reference=[{"table": "public.a", "column": "user_id"}]),
]  # fmt: skip

CASES = [*KEY, *IDENTITY, *TABLES, *REFERENCES, *NAMES, *INDEXES, *DEPENDENTS, *DATA, *LOOK_ALIKES]
