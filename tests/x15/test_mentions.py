from contextlib import closing

from tests.support.cycling import doctor
from tests.support.migration import *


def test_default(database):
    install(
        database,
        """CREATE TABLE users (id bigserial PRIMARY KEY, email text, me regclass DEFAULT 'users'::regclass);
    CREATE TABLE acl (rel regclass DEFAULT 'users'::regclass, CHECK (rel <> 'users'::regclass OR true), n int);
    CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint REFERENCES users, rel regclass DEFAULT 'users'::regclass);
    CREATE TABLE pol (x regclass); ALTER TABLE pol ENABLE ROW LEVEL SECURITY; CREATE POLICY pp ON pol USING (x = 'users'::regclass);
    CREATE VIEW v AS SELECT * FROM acl WHERE rel = 'users'::regclass;
    CREATE VIEW v2 AS SELECT 'users'::regclass AS t;
    CREATE INDEX ix ON acl (n) WHERE rel = 'users'::regclass;
    INSERT INTO users (email) VALUES ('a');""",
    )
    for f in doctor(database):
        if f.status != "ok":
            print(f.status, f.name, f.object, f.detail[:200])
    try:
        with closing(Driver.begin(database)) as m:
            m.synced()
            m.verify()
            m.exchange("cutover")
            m.conn.execute("SET search_path=public")
            for t in ("users", "acl", "sessions"):
                print(
                    t,
                    m.conn.execute(
                        "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid=%s::regclass", [t]
                    ).fetchall(),
                )
            print(
                m.conn.execute("SELECT pg_get_expr(polqual, polrelid) FROM pg_policy").fetchall(),
                m.conn.execute(
                    "SELECT pg_get_viewdef('v'), pg_get_viewdef('v2'), pg_get_indexdef('ix'::regclass), (SELECT array_agg(pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid='acl'::regclass)"
                ).fetchall(),
            )
    except Exception as e:
        print("ERR", repr(e)[:600])
