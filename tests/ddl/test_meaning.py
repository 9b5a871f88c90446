"""What is made again means what it was made from, operators included (H53, I10).

citext in `public` stands for every type with operators of its own. `IS DISTINCT FROM` and its like name no schema, so under another
search_path they silently compare texts, and print as before.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest

from swap.core.connection import Database as Conninfo
from swap.doctor.examine import examine
from swap.doctor.finding import Finding
from swap.doctor.trial.build import trial_findings
from tests.support.migration import configuration, install
from tests.support.servers import Database
from tests.support.whole import MakeWhole

EXTENSION = "CREATE EXTENSION citext SCHEMA public"
SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email citext, boss citext, note text DEFAULT CASE 'A'::citext WHEN 'a' THEN 'same' END,
    kind text GENERATED ALWAYS AS (CASE email WHEN 'Admin' THEN 'admin' ELSE coalesce(nullif(email, 'X')::text, 'x') END) STORED,
    CONSTRAINT no_root CHECK (email IS DISTINCT FROM 'root'), CONSTRAINT in_order CHECK (ROW(id, email) < ROW(1000000, 'zz'::citext)));
ALTER TABLE users ADD CONSTRAINT later CHECK (email IS DISTINCT FROM 'later') NOT VALID;
CREATE TABLE sessions (user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, email citext);
CREATE TABLE posts (id bigserial PRIMARY KEY, user_id bigint REFERENCES users ON DELETE CASCADE, title citext,
    kind text GENERATED ALWAYS AS (CASE title WHEN 'A' THEN 'a' ELSE 'other' END) STORED, CONSTRAINT not_bad CHECK (title IS DISTINCT FROM 'bad'));
ALTER TABLE posts ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible ON posts TO app USING (title IS DISTINCT FROM 'HIDDEN') WITH CHECK (true);
CREATE INDEX posts_some ON posts (user_id, (nullif(title, 'A'))) WHERE title IS DISTINCT FROM 'x';
CREATE TABLE domains (email citext PRIMARY KEY, said text);
CREATE TABLE log (what text, at bigserial);
CREATE UNIQUE INDEX one_boss ON users (boss) WHERE email IS DISTINCT FROM 'nobody';
CREATE INDEX by_shape ON users ((CASE email WHEN 'Admin' THEN 1 ELSE 2 END), note);
CREATE INDEX sessions_some ON sessions (user_id) WHERE email IS DISTINCT FROM 'nobody';
CREATE STATISTICS shapes (mcv) ON (nullif(email, 'X')), note FROM users;
CREATE FUNCTION note_it() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    AS 'BEGIN INSERT INTO public.log (what) VALUES (TG_ARGV[0]); RETURN NEW; END';
CREATE TRIGGER changed AFTER UPDATE ON users FOR EACH ROW WHEN (OLD.email IS DISTINCT FROM NEW.email) EXECUTE FUNCTION note_it('changed');
CREATE TRIGGER moved AFTER UPDATE OF user_id, email ON sessions FOR EACH ROW
    WHEN (OLD.email IS DISTINCT FROM NEW.email) EXECUTE FUNCTION note_it('moved');
CREATE TRIGGER retitled AFTER UPDATE ON posts FOR EACH ROW WHEN (OLD.title IS DISTINCT FROM NEW.title) EXECUTE FUNCTION note_it('retitled');
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE domains ENABLE ROW LEVEL SECURITY;
CREATE POLICY hidden ON users TO app USING (email IS DISTINCT FROM coalesce(current_setting('app.hide', true), '-')::citext) WITH CHECK (true);
CREATE POLICY known ON domains TO app USING (EXISTS (SELECT FROM users u WHERE u.email IS NOT DISTINCT FROM domains.email));
CREATE VIEW without_x AS SELECT id, nullif(email, 'B') AS email FROM users;
CREATE VIEW joined AS SELECT id, d.said FROM users JOIN domains d USING (email);
CREATE VIEW cases AS SELECT id, CASE email WHEN 'ANN' THEN 'ann' END AS who FROM users WHERE (id, email) IN (SELECT u.id, upper(u.email::text)::citext FROM users u);
CREATE MATERIALIZED VIEW kept AS SELECT id, nullif(email, 'B') AS email FROM users;
CREATE INDEX kept_some ON kept (email) WHERE email IS DISTINCT FROM 'nobody';
CREATE VIEW ruled AS SELECT id, email FROM users;
CREATE RULE ruled AS ON UPDATE TO ruled DO INSTEAD INSERT INTO log (what) SELECT 'ruled' WHERE OLD.email IS DISTINCT FROM NEW.email;
CREATE FUNCTION without_b() RETURNS SETOF citext BEGIN ATOMIC SELECT email FROM users WHERE nullif(email, 'B') IS NOT NULL; END;
INSERT INTO users (email, boss) VALUES ('Ann', 'a'), ('b', 'b'), ('admin', NULL), ('x', NULL);
INSERT INTO sessions SELECT id, email FROM users;
INSERT INTO posts (user_id, title) SELECT id, 'a' FROM users; INSERT INTO posts (title) VALUES ('hidden');
INSERT INTO domains VALUES ('ANN', 'of Ann'), ('nobody', 'of nobody');
REFRESH MATERIALIZED VIEW kept;
"""
# Each is true now and after the cutover, as `app` sees it. %s: the name of the integer key.
TRUE = {
    "policy": "SELECT count(*) = 3 FROM users",
    "policy of a reference": "SELECT count(*) = 4 FROM posts",
    "generated in a reference": "SELECT bool_and(kind = 'a') FROM posts",
    "policy elsewhere": "SELECT count(*) = 1 FROM domains",
    "nullif in a view": "SELECT count(*) = 1 FROM without_x WHERE email IS NULL",
    "using in a view": "SELECT count(*) = 1 FROM joined",
    "case and rows in a view": "SELECT bool_or(who = 'ann') FROM cases",
    "materialized view": "SELECT count(*) = 1 FROM kept WHERE email IS NULL",
    "function": "SELECT count(*) = 2 FROM without_b()",
    "generated": "SELECT array_agg(upper(kind) ORDER BY email) = '{ADMIN,ANN,B}' FROM users",
}
PLANTED = {
    "check": "INSERT INTO users (email) VALUES ('ROOT')",
    "check of a reference": "INSERT INTO posts (title) VALUES ('BAD')",
    "not valid check": "INSERT INTO users (email) VALUES ('LATER')",
}


def seen(db: Database) -> dict[str, bool]:
    with closing(psycopg.connect(db.app, autocommit=True)) as conn:
        conn.execute("SET app.hide = 'X'")
        return {what: bool(conn.execute(query.encode()).fetchall()[0][0]) for what, query in TRUE.items()}


def refused(db: Database) -> dict[str, bool]:
    out = {}
    for what, statement in PLANTED.items():
        with closing(psycopg.connect(db.app, autocommit=True)) as conn:
            try:
                conn.execute(statement.encode())
            except psycopg.errors.CheckViolation:
                out[what] = True
            else:
                out[what] = False
    return out


def logged(db: Database) -> list[str]:
    """What the triggers note when only the case of an email changes, and when it changes."""
    with closing(psycopg.connect(db.app, autocommit=True)) as conn:
        conn.execute("UPDATE users SET email = upper(email::text) WHERE email = 'ann'")
        conn.execute("UPDATE sessions SET email = upper(email::text) WHERE email = 'ann'")
        conn.execute("UPDATE posts SET title = upper(title::text) WHERE user_id IS NOT NULL")
        conn.execute("UPDATE ruled SET email = 'ANN' WHERE email = 'ann'")
        conn.execute("UPDATE sessions SET email = 'bb' WHERE email = 'b'")
        conn.execute("UPDATE sessions SET email = 'b' WHERE email = 'bb'")
    with closing(psycopg.connect(db.owner, autocommit=True)) as conn:
        return [
            r[0] for r in conn.execute("WITH gone AS (DELETE FROM log RETURNING *) SELECT what FROM gone ORDER BY at").fetchall()
        ]


def assert_meaning(db: Database) -> None:
    assert seen(db) == dict.fromkeys(TRUE, True)
    assert refused(db) == dict.fromkeys(PLANTED, True)
    assert logged(db) == ["moved", "moved"]


def test_operators_without_a_schema_keep_their_meaning(whole: MakeWhole) -> None:
    """H53: everything over citext goes on meaning citext, after the cutover and after the revert; `verify` compares it."""
    w = whole(SCHEMA, superuser=EXTENSION)
    assert_meaning(w.db)
    w.exchange("cutover")
    assert_meaning(w.db)
    w.exchange("revert")
    w.assert_dump("cutover")
    assert_meaning(w.db)
    w.abort()
    w.assert_dump("prepare")
    assert_meaning(w.db)


OPERATORS = """
CREATE SCHEMA one; CREATE SCHEMA two;
CREATE FUNCTION one.same(xml, xml) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION two.same(xml, xml) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE OPERATOR one.= (LEFTARG = xml, RIGHTARG = xml, FUNCTION = one.same);
CREATE OPERATOR two.= (LEFTARG = xml, RIGHTARG = xml, FUNCTION = two.same);
GRANT USAGE ON SCHEMA one, two TO PUBLIC;
"""
TWO = """
CREATE TABLE users (id bigserial PRIMARY KEY, a xml, b xml);
SET search_path = public, one; ALTER TABLE users ADD CONSTRAINT by_one CHECK (a IS NOT DISTINCT FROM b);
SET search_path = public, two; ALTER TABLE users ADD CONSTRAINT by_two CHECK (a IS DISTINCT FROM b);
RESET search_path;
"""


def only(findings: list[Finding], name: str) -> list[tuple[str, str]]:
    return [(f.object, f.detail) for f in findings if f.name == name and f.status == "blocker"]


def test_two_schemas_with_one_operator_are_refused_by_name(database: Database) -> None:
    """H53: no search_path serves both constraints, so the one that would change is named before anything is built."""
    run_as_superuser(database, OPERATORS)
    install(database, TWO)
    found = only(tried(database), "meaning")
    assert found == [
        (
            "public.users.by_two",
            "made again from the server's own text, it uses operator one.= where it should use operator two.=",
        )
    ]


def test_a_function_that_fits_better_is_refused_by_name(database: Database) -> None:
    """H53: with the operator's schema in the path, `concat` is that of the schema, where the text means that of pg_catalog."""
    install(database, "SELECT")
    run_as_superuser(database, EXTENSION)
    run_as_superuser(database, "CREATE FUNCTION public.num_nulls(citext) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 7'")
    install(
        database,
        "CREATE TABLE users (id bigserial PRIMARY KEY, email citext,"
        " CONSTRAINT counted CHECK (pg_catalog.num_nulls(email) = 0 OR email IS DISTINCT FROM 'x'))",
    )
    assert only(tried(database), "meaning") == [
        ("public.users.counted", "made again from the server's own text, it uses function public.num_nulls besides")
    ]


def run_as_superuser(database: Database, statements: str) -> None:
    with closing(psycopg.connect(database.superuser, autocommit=True)) as conn:
        conn.execute(statements.encode())


def tried(database: Database, **config: Any) -> list[Finding]:
    """What `swap doctor` finds."""
    with closing(Conninfo.from_options(database.owner, "doctor").connect()) as conn:
        return examine(conn, configuration(**config), trial=trial_findings)


@pytest.mark.parametrize("moment", ["shadow", "live"])
def test_verify_compares_meaning(whole: MakeWhole, moment: str) -> None:
    """H53, I10: a constraint that prints the same and compares texts makes the verification different, by its name."""
    w = whole(SCHEMA, superuser=EXTENSION)
    if moment == "live":
        w.exchange("cutover")
    w.sync()
    table = "users_new" if moment == "shadow" else "users"
    # Under pg_catalog alone, as the text of the server would be run.
    w.query(
        f"SET search_path = pg_catalog; ALTER TABLE public.{table} DROP CONSTRAINT no_root;"
        f" ALTER TABLE public.{table} ADD CONSTRAINT no_root CHECK (email IS DISTINCT FROM 'root'::public.citext)"
    )
    report = w.m.verify()
    assert report.verdict == "different"
    said = "public.users.no_root uses operator pg_catalog.= where it should use operator public.="
    assert said in next(c.detail for c in report.checks if c.name == "structure")


WHERE = """
CREATE TABLE users (id bigserial PRIMARY KEY);
CREATE TABLE audits (kind citext NOT NULL, actor_id bigint);
INSERT INTO users DEFAULT VALUES; INSERT INTO users DEFAULT VALUES;
INSERT INTO audits VALUES ('User', 1), ('user', 2), ('Order', 77);
"""


def test_the_where_of_a_reference_is_read_as_the_application_would(whole: MakeWhole) -> None:
    """H53: `=` over citext is citext's, though swap's own sessions do not find it."""
    reference = [{"table": "public.audits", "column": "actor_id", "where": "kind = 'USER'"}]
    w = whole(WHERE, superuser=EXTENSION, reference=reference)
    w.exchange("cutover")
    assert w.query("SELECT kind::text, actor_uuid_id IS NULL FROM audits ORDER BY actor_id") == [
        ("User", False), ("user", False), ("Order", True),
    ]  # fmt: skip


def test_a_where_that_its_text_does_not_say_is_refused(database: Database) -> None:
    """H53: the condition becomes a part of swap's own statements, under another search_path."""
    install(database, "SELECT")
    run_as_superuser(database, EXTENSION)
    install(database, WHERE)
    reference = [{"table": "public.audits", "column": "actor_id", "where": "kind IS DISTINCT FROM 'order'"}]
    ((label, detail),) = only(tried(database, reference=reference), "reference-where")
    assert label == "public.audits.actor_id"
    assert "an operator of public that its text cannot name" in detail


def test_the_policy_of_the_operator_is_read_as_the_application_would(whole: MakeWhole) -> None:
    """H53: [[policy]] is written as the application writes, functions and operators of its search_path included."""
    w = whole(
        SCHEMA,
        superuser=EXTENSION,
        policy=[{"table": "public.users", "name": "hidden", "using": "email IS DISTINCT FROM 'ANN'", "check": "true"}],
    )
    w.exchange("cutover")
    assert w.query("SELECT email::text FROM users ORDER BY email", role="app") == [("admin",), ("b",), ("x",)]
    w.exchange("revert")
    w.assert_dump("cutover")
