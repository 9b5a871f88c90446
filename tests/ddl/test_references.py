"""References of every shape (H19 to H25): through a whole cycle, with every flag of every foreign key as it was (I10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg
import pytest

from swap.core.errors import RefusedError
from tests.support.cycling import Cycle
from tests.support.servers import Connect, Database, DatabaseServer

USERS = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text UNIQUE, class text NOT NULL DEFAULT 'a', UNIQUE (class, id));
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 6) n;
SELECT setval('users_id_seq', 100);
"""
MakeCycle = Callable[..., Cycle]


@pytest.fixture
def cycle(server: DatabaseServer, database: Database) -> Any:
    made: list[Cycle] = []

    def make(ddl: str, **config: Any) -> Cycle:
        made.append(Cycle(server, database, ddl, **config))
        return made[-1]

    yield make
    for c in made:
        c.m.conn.close()


class Shape(NamedTuple):
    """`ddl` is added to USERS. `after` runs as the application after the cutover."""

    ddl: str
    after: str = "SELECT"
    since: int = 15
    declared: tuple[dict[str, str], ...] = ()


SHAPES = {
    "actions": Shape(
        "CREATE TABLE a (id serial PRIMARY KEY, "
        + ", ".join(
            f"u{n} bigint CONSTRAINT a{n} REFERENCES users ON DELETE {d} ON UPDATE {u}"
            for n, (d, u) in enumerate(
                [("CASCADE", "CASCADE"), ("SET NULL", "SET NULL"), ("RESTRICT", "RESTRICT"), ("NO ACTION", "NO ACTION"),
                 ("SET DEFAULT", "SET DEFAULT"), ("SET NULL", "CASCADE")]
            )
        ) + ");"
        "INSERT INTO a (u0, u1, u2, u3, u4, u5) VALUES (1, 2, 3, 4, 5, NULL), (2, 2, NULL, 4, 5, 6)"
    ),
    "timing": Shape(
        "CREATE TABLE t (id serial PRIMARY KEY, a bigint REFERENCES users DEFERRABLE INITIALLY DEFERRED,"
        " b bigint REFERENCES users DEFERRABLE, c bigint REFERENCES users NOT DEFERRABLE);"
        "INSERT INTO t (a, b, c) VALUES (1, 2, 3), (NULL, 2, NULL);"
        "COMMENT ON CONSTRAINT t_a_fkey ON t IS 'late'"
    ),
    "not-null-deferrable": Shape(
        "CREATE TABLE t (id serial PRIMARY KEY, a bigint NOT NULL REFERENCES users DEFERRABLE INITIALLY DEFERRED,"
        " b bigint NOT NULL REFERENCES users DEFERRABLE); INSERT INTO t (a, b) VALUES (1, 2), (3, 2);",
    ),
    "not-valid": Shape(
        "CREATE TABLE t (id serial PRIMARY KEY, a bigint); INSERT INTO t (a) VALUES (1), (NULL), (3);"
        "ALTER TABLE t ADD CONSTRAINT loose FOREIGN KEY (a) REFERENCES users NOT VALID"
    ),
    "not-enforced": Shape(
        "CREATE TABLE t (id serial PRIMARY KEY, a bigint REFERENCES users NOT ENFORCED); INSERT INTO t (a) VALUES (1), (NULL), (3);",
        since=18,
    ),
    "composite": Shape(
        "CREATE TABLE t (id serial PRIMARY KEY, cls text, a bigint, b bigint,"
        " CONSTRAINT full_match FOREIGN KEY (cls, a) REFERENCES users (class, id) MATCH FULL ON DELETE CASCADE ON UPDATE CASCADE,"
        " CONSTRAINT simple_match FOREIGN KEY (cls, b) REFERENCES users (class, id) ON DELETE SET NULL (b));"
        "INSERT INTO t (cls, a, b) VALUES ('a', 1, 2), (NULL, NULL, 3), ('a', 4, NULL);"
        "CREATE INDEX ON t (cls, a) INCLUDE (b)"
    ),
    "other-unique": Shape(
        "CREATE TABLE t (id serial PRIMARY KEY, mail text REFERENCES users (email) ON UPDATE CASCADE, a bigint REFERENCES users);"
        "INSERT INTO t (mail, a) VALUES ('user1', 1), ('user2', NULL)",
        "UPDATE users SET email = 'new' WHERE email = 'user1'",
    ),
    "keys": Shape(
        "CREATE TABLE t (a bigint REFERENCES users, b bigint REFERENCES users, n int, note text, PRIMARY KEY (a, b),"
        " CONSTRAINT once UNIQUE (b, n), CONSTRAINT later UNIQUE (a, n) DEFERRABLE INITIALLY DEFERRED);"
        "INSERT INTO t SELECT x.id, y.id, x.id + y.id, 'x' FROM users x, users y WHERE x.id = 1 OR (y.id = 2 AND x.id < 2);"
        "CREATE UNIQUE INDEX part ON t (a) INCLUDE (n) WHERE b = 1;".replace("b = 1", "n = 2")
        + "CREATE INDEX expr ON t ((a::text || note), b DESC NULLS LAST);"
        "COMMENT ON INDEX expr IS 'by text'; COMMENT ON CONSTRAINT once ON t IS 'one each'"
    ),
    "self": Shape(
        "ALTER TABLE users ADD boss_id bigint REFERENCES users ON DELETE SET NULL, ADD maker_id bigint REFERENCES users DEFERRABLE,"
        " ADD FOREIGN KEY (class, maker_id) REFERENCES users (class, id);"
        "UPDATE users SET boss_id = 1 WHERE id > 2; UPDATE users SET maker_id = id"
    ),
    "cycle": Shape(
        "CREATE TABLE orgs (id bigserial PRIMARY KEY, owner_id bigint NOT NULL REFERENCES users);"
        "INSERT INTO orgs (owner_id) VALUES (1), (2);"
        "ALTER TABLE users ADD org_id bigint REFERENCES orgs ON DELETE CASCADE; UPDATE users SET org_id = 1 + id % 2"
    ),
    "polymorphic-not-null": Shape(
        "CREATE TABLE t (id serial PRIMARY KEY, kind text NOT NULL, a bigint NOT NULL, UNIQUE (kind, a));"
        "INSERT INTO t (kind, a) VALUES ('User', 1), ('Robot', 1), ('User', 999)",
        declared=({"table": "public.t", "column": "a", "where": "kind = 'User'"},),
    ),
    "chain": Shape(
        "CREATE TABLE orgs (id bigserial PRIMARY KEY); INSERT INTO orgs DEFAULT VALUES; INSERT INTO orgs DEFAULT VALUES;"
        "CREATE TABLE memberships (user_id bigint REFERENCES users ON DELETE CASCADE, org_id bigint REFERENCES orgs,"
        " role text, PRIMARY KEY (user_id, org_id), CONSTRAINT by_role UNIQUE (org_id, user_id, role));"
        "INSERT INTO memberships SELECT u.id, o.id, 'r' || u.id FROM users u, orgs o;"
        "CREATE TABLE grants (id serial PRIMARY KEY, user_id bigint NOT NULL, org_id bigint NOT NULL, role text,"
        " CONSTRAINT g1 FOREIGN KEY (user_id, org_id) REFERENCES memberships ON DELETE CASCADE ON UPDATE CASCADE,"
        " CONSTRAINT g2 FOREIGN KEY (org_id, user_id, role) REFERENCES memberships (org_id, user_id, role)"
        " ON DELETE SET NULL (role) DEFERRABLE INITIALLY DEFERRED);"
        "CREATE INDEX ON grants (user_id, org_id);"
        "INSERT INTO grants (user_id, org_id, role) SELECT user_id, org_id, CASE WHEN user_id < 3 THEN role END FROM memberships;"
        "CREATE TABLE uses (grant_user bigint UNIQUE, CONSTRAINT deep FOREIGN KEY (grant_user) REFERENCES profiles);".replace(
            "CREATE TABLE uses", "CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users);"
            "INSERT INTO profiles VALUES (1), (2); CREATE TABLE uses"
        ) + "INSERT INTO uses VALUES (2), (NULL)",
        "DELETE FROM memberships WHERE role = 'r4'; INSERT INTO memberships (user_id, org_id) SELECT u.id, 1 FROM users u WHERE legacy_id = 4;"
        "INSERT INTO grants (user_id, org_id) SELECT u.id, 1 FROM users u WHERE legacy_id = 4",
    ),
    "chain-to-self": Shape(
        "CREATE TABLE memberships (user_id bigint REFERENCES users, org_id int, PRIMARY KEY (user_id, org_id));"
        "INSERT INTO memberships SELECT id, 7 FROM users; ALTER TABLE users ADD org_id int;"
        "UPDATE users SET org_id = 7 WHERE id < 4;"
        "ALTER TABLE users ADD FOREIGN KEY (id, org_id) REFERENCES memberships DEFERRABLE"
    ),
    "chain-through-the-source": Shape(
        "ALTER TABLE users ADD twin_id bigint UNIQUE REFERENCES users; UPDATE users SET twin_id = 7 - id;"
        "CREATE TABLE t (id serial PRIMARY KEY, twin bigint REFERENCES users (twin_id) ON UPDATE CASCADE);"
        "INSERT INTO t (twin) VALUES (1), (2), (NULL)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("in_place", [False, True], ids=["rebuilt", "in-place"])
def test_a_whole_cycle(cycle: MakeCycle, connect: Connect, database: Database, name: str, in_place: bool) -> None:
    """H22, H23, H46: after the cutover the foreign keys have the same flags; after a revert the whole schema is the same."""
    shape = SHAPES[name]
    if connect(database.superuser).info.server_version < shape.since * 10_000:
        pytest.skip(f"PostgreSQL {shape.since}")
    c = cycle(USERS + shape.ddl, in_place=in_place, reference=list(shape.declared))
    c.ready()
    c.cutover()
    assert c.foreign_keys() == c.flags
    connect(c.db.app).execute(shape.after.encode())
    c.caught_up()
    c.revert()
    assert c.foreign_keys() == c.flags
    c.abort()


PARTLY = """
CREATE TABLE t (id int PRIMARY KEY, cls text, a bigint, CONSTRAINT partly FOREIGN KEY (cls, a) REFERENCES users (class, id));
INSERT INTO t VALUES (1, NULL, 999), (2, 'a', 1);
"""


def test_a_foreign_key_that_looks_at_some_rows_only(cycle: MakeCycle, connect: Connect) -> None:
    """H19, H22: with MATCH SIMPLE a row with a NULL in another column may hold a key of no user: found, and no error later."""
    c = cycle(USERS + PARTLY, in_place=True)
    assert [f.detail for f in c.findings if f.label == "reference-data:public.t.a"] == [
        "1 rows refer to a key that public.users does not have: they keep the integer and get no uuid"
    ]
    c.ready()
    connect(c.db.app).execute("INSERT INTO t VALUES (3, NULL, 1000), (4, 'a', 2)")
    c.cutover()
    rows = "SELECT t.id, t.a_legacy, u.legacy_id FROM t LEFT JOIN users u ON u.id = t.a ORDER BY 1"
    found = connect(c.db.app).execute(rows.encode()).fetchall()
    assert found == [(1, 999, None), (2, 1, 1), (3, 1000, None), (4, 2, 2)]
    c.revert()
    c.abort()


def test_writes_through_a_chain(cycle: MakeCycle, connect: Connect) -> None:
    """H20, H23: given a chain, when one statement inserts user, membership and grant, or their key is cascaded, then each pair is that
    of one user, before the cutover and after it."""
    c = cycle(USERS + SHAPES["chain"].ddl, in_place=True)
    c.ready()
    app = connect(c.db.app)
    app.execute(
        "WITH u AS (INSERT INTO users (id) VALUES (50)), m AS (INSERT INTO memberships (user_id, org_id) VALUES (50, 1))"
        " INSERT INTO grants (user_id, org_id) VALUES (50, 1)"
    )
    c.m.sync()
    pair = "SELECT DISTINCT u.id FROM grants g JOIN users u ON u.uuid_id = g.user_uuid_id WHERE g.user_id = 50"
    assert app.execute(pair.encode()).fetchall() == [(50,)]
    c.cutover()
    new = "11111111-1111-4111-8111-111111111111"
    app.execute(
        f"WITH u AS (INSERT INTO users (id) VALUES ('{new}')), m AS (INSERT INTO memberships (user_id, org_id) VALUES ('{new}', 1))"
        f" INSERT INTO grants (user_id, org_id) VALUES ('{new}', 1)".encode()
    )
    c.caught_up()
    after = f"SELECT g.user_legacy_id = u.legacy_id FROM grants g JOIN users u ON u.id = g.user_id WHERE u.id = '{new}'"
    assert app.execute(after.encode()).fetchall() == [(True,)]
    c.caught_up()
    c.revert()
    c.abort()


LATE = """
CREATE TABLE t (id int PRIMARY KEY, a bigint NOT NULL REFERENCES users DEFERRABLE INITIALLY DEFERRED,
    UNIQUE (a) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE s (id int PRIMARY KEY, a bigint NOT NULL REFERENCES users DEFERRABLE);
"""


def test_a_required_child_before_its_parent_under_a_deferred_key(cycle: MakeCycle, connect: Connect) -> None:
    """H20, H23: in one transaction, before the cutover and after it. A child without a parent gets the foreign key's own error."""
    c = cycle(USERS + LATE, in_place=True)
    c.ready()
    app = connect(c.db.app)
    app.execute("BEGIN; INSERT INTO t VALUES (1, 50), (9, 59); INSERT INTO users (id) VALUES (50), (59); COMMIT")
    app.execute("WITH u AS (INSERT INTO users (id) VALUES (51)) INSERT INTO s VALUES (1, 51)")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        app.execute("BEGIN; INSERT INTO t VALUES (2, 60); COMMIT")
    app.execute("ROLLBACK")
    rows = "SELECT u.{0} FROM t JOIN users u ON u.{1} = t.{2} UNION SELECT u.{0} FROM s JOIN users u ON u.{1} = s.{2} ORDER BY 1"
    c.m.sync()
    assert app.execute(rows.format("id", "uuid_id", "a_uuid").encode()).fetchall() == [(50,), (51,), (59,)]
    c.cutover()
    new = "11111111-1111-4111-8111-111111111111"
    app.execute(
        f"BEGIN; INSERT INTO t (id, a) VALUES (3, '{new}'); INSERT INTO users (id, legacy_id) VALUES ('{new}', 70); COMMIT".encode()
    )
    c.caught_up()
    assert app.execute(rows.format("legacy_id", "legacy_id", "a_legacy").encode()).fetchall() == [(50,), (51,), (59,), (70,)]
    c.revert()
    c.abort()


@pytest.mark.parametrize("name", ["keys", "composite", "chain", "chain-to-self", "self", "timing"])
def test_the_integers_can_go(cycle: MakeCycle, name: str) -> None:
    """H45: no object of swap keeps `finalize --drop-legacy` from dropping them, and every foreign key stays."""
    c = cycle(USERS + SHAPES[name].ddl, in_place=True)
    c.ready()
    c.cutover()
    c.m.finalize(drop_legacy=True)
    assert c.foreign_keys() == c.flags
    assert "legacy" not in c.dump()
    assert "swap_" not in c.dump().replace("swap_owner", "")


BOUND = """
CREATE TABLE t (id serial PRIMARY KEY, a bigint REFERENCES users, n int, CONSTRAINT alone EXCLUDE USING btree (a WITH =),
    CONSTRAINT positive CHECK (a > 0), odd boolean GENERATED ALWAYS AS (a % 2 = 1) STORED);
CREATE STATISTICS together ON a, n FROM t;
INSERT INTO t (a) SELECT id FROM users;
"""


def test_what_stayed_on_the_integer_is_named(cycle: MakeCycle) -> None:
    """H22, H45: an exclusion constraint, a check and a generated column; not statistics that have an equivalent."""
    c = cycle(USERS + BOUND, in_place=True)
    c.ready()
    c.cutover()
    with pytest.raises(RefusedError) as refused:
        c.m.finalize(drop_legacy=True)
    assert all(name in str(refused.value) for name in ("alone", "positive", "odd"))
    assert "together" not in str(refused.value)
