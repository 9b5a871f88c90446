from contextlib import closing

import psycopg
from psycopg import sql

from swap.core.connection import Database as Conninfo
from swap.ddl.backfill import copy_rows
from swap.doctor.examine import examine
from swap.plan.direction import forward
from tests.support.migration import *
from tests.support.servers import Database

SCHEMA = """
CREATE FUNCTION whose() RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN current_user; END';
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL, seen text GENERATED ALWAYS AS (whose() || email) STORED);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, CHECK (whose() <> 'nobody'));
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
"""


def test_it(database: Database) -> None:
    install(database, SCHEMA)
    with closing(psycopg.connect(database.superuser, autocommit=True)) as c:
        c.execute("DROP ROLE IF EXISTS dba15")
        c.execute("CREATE ROLE dba15 LOGIN; GRANT swap_owner TO dba15; GRANT SET ON PARAMETER session_replication_role TO dba15")
        c.execute("GRANT CREATE ON DATABASE %s TO dba15" % database.dbname)
        c.execute("GRANT USAGE, CREATE ON SCHEMA public TO dba15")
    dba = database.superuser.replace("postgres@", "dba15@")
    db = Database(database.dbname, database.superuser, dba, database.app)
    with closing(Conninfo.from_options(db.owner, "doctor").connect()) as conn:
        for f in examine(conn, configuration()):
            if f.status != "ok":
                print(f.status, f.name, f.object, f.detail[:300])
    with closing(psycopg.connect(database.owner, autocommit=True)) as c:
        c.execute("ALTER TABLE users DROP seen")
    m = Driver.begin(db)
    m.prepare()
    p = m.plan
    t = p.swapped[1]
    q = copy_rows(p, forward(p, t), sql.SQL("true"))
    print(q.as_string(m.conn)[:600])
    try:
        with m.conn.transaction():
            m.conn.execute("SET LOCAL ROLE swap_owner")
            m.conn.execute(q)
            print("ok as owner")
    except psycopg.Error as e:
        print("AS OWNER:", e)
    m.sync()
    print(m.verify().verdict)
    print(m.exchange("cutover").outcome)
    with closing(psycopg.connect(database.superuser, autocommit=True)) as c:
        print(
            c.execute("SELECT nspowner::regrole, nspacl FROM pg_namespace WHERE nspname='swap'").fetchall(),
            c.execute("SELECT relname, relowner::regrole FROM pg_class WHERE relname ~ '^(users|sessions)'").fetchall(),
        )
    m.close()
