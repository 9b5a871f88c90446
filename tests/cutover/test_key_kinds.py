"""H61: each kind of index a key may have, and rows that refer to themselves, with both captures and in both directions."""

from __future__ import annotations

import pytest

from swap.core.errors import RefusedError
from swap.core.sql_text import verbatim
from tests.support.cycling import Start
from tests.support.mode import Mode
from tests.support.servers import Connect, Database

pytestmark = pytest.mark.sampled(2)

KEYS = {
    "plain": "PRIMARY KEY (id)",
    "deferrable": "PRIMARY KEY (id) DEFERRABLE",
    "initially deferred": "PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED",
    "include": "PRIMARY KEY (id) INCLUDE (email)",
    "fillfactor": "PRIMARY KEY (id) WITH (fillfactor = 70)",
}
IDENTITIES = {
    "default": "", "full": "ALTER TABLE users REPLICA IDENTITY FULL", "nothing": "ALTER TABLE users REPLICA IDENTITY NOTHING",
    "index": "CREATE UNIQUE INDEX by_code ON users (code); ALTER TABLE users REPLICA IDENTITY USING INDEX by_code",
}  # fmt: skip
BOSSES = {
    "nullable": "bigint REFERENCES users",
    "not null": "bigint NOT NULL REFERENCES users",
    "deferrable": "bigint REFERENCES users DEFERRABLE INITIALLY DEFERRED",
    "not null, deferrable": "bigint NOT NULL REFERENCES users DEFERRABLE INITIALLY DEFERRED",
    "cascade": "bigint NOT NULL REFERENCES users ON DELETE CASCADE ON UPDATE CASCADE",
}
SCHEMA = """
CREATE TABLE users (id bigserial, email text, code text NOT NULL DEFAULT gen_random_uuid()::text, {boss}{key});
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint {references});
INSERT INTO users (email{filled}) SELECT 'user' || n{self} FROM generate_series(1, 9) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
{identity}
"""


def schema(*, key: str = "plain", identity: str = "default", boss: str = "") -> str:
    """No foreign key can refer to a deferrable key: there `sessions` is declared."""
    return SCHEMA.format(
        key=KEYS[key], identity=IDENTITIES[identity], boss=f"boss_id {BOSSES[boss]}, " if boss else "",
        filled=", boss_id" if boss else "", self=", n" if boss else "",
        references="" if "defer" in key else "NOT NULL REFERENCES users ON DELETE CASCADE",
    )  # fmt: skip


def cycle_through(
    start: Start, database: Database, connect: Connect, ddl: str, *, boss: str = "", declared: bool = False
) -> None:
    """There, back, and there again, with every kind of change in between: a row that refers to itself comes, changes and goes, and one
    is turned from itself to another."""
    references = [{"table": "public.sessions", "column": "user_id"}] if declared else []
    cycle = start(ddl, reference=references)
    cycle.ready()
    app = connect(database.app)

    def write(number: int, *, uuid: bool) -> None:
        key = "gen_random_uuid()" if uuid else "nextval('users_id_seq')"
        if boss:
            app.execute(verbatim(f"INSERT INTO users (id, email, boss_id) SELECT k, 'self{number}', k FROM {key} k"))
            turned = "UPDATE users SET boss_id = (SELECT id FROM users WHERE email = 'user1') WHERE email = 'user{}'"
            app.execute(verbatim(turned.format(number)))
        app.execute(
            verbatim(
                f"INSERT INTO users (email{', boss_id' * bool(boss)}) SELECT 'new{number}'{', id' * bool(boss)} FROM users LIMIT 1"
            )
        )
        app.execute(verbatim(f"UPDATE users SET email = email || '!' WHERE email IN ('self{number}', 'user2')"))
        gone = f"(SELECT id FROM users WHERE email = 'user{9 - number}')"
        app.execute(verbatim(f"DELETE FROM sessions WHERE user_id = {gone}; DELETE FROM users WHERE id = {gone}"))
        if boss and "NOT NULL" not in BOSSES[boss]:
            app.execute("UPDATE users SET boss_id = NULL WHERE email = 'user5'")

    write(1, uuid=False)
    cycle.caught_up()
    cycle.exchange("cutover")
    write(2, uuid=True)
    cycle.caught_up()
    before = app.execute("SELECT email, legacy_id FROM users ORDER BY 1").fetchall()
    cycle.exchange("revert")
    assert app.execute("SELECT email, id FROM users ORDER BY 1").fetchall() == before
    if boss:
        assert app.execute("SELECT boss_id = id FROM users WHERE email = 'self2!'").fetchone() == (True,)
    write(3, uuid=False)
    cycle.caught_up()
    cycle.exchange("cutover")


@pytest.mark.both_modes
@pytest.mark.parametrize("key", KEYS)
def test_each_kind_of_key(start: Start, database: Database, connect: Connect, capture_mode: Mode, key: str) -> None:
    """A deferrable key is no arbiter of ON CONFLICT, and no replica identity: with logical capture the application's own UPDATE would
    fail, so that is refused."""
    if capture_mode == "logical" and "defer" in key:
        with pytest.raises(RefusedError, match="no replica identity"):
            start(schema(key=key), reference=[{"table": "public.sessions", "column": "user_id"}])
        return
    cycle_through(start, database, connect, schema(key=key), declared="defer" in key)


@pytest.mark.both_modes
@pytest.mark.parametrize("identity", IDENTITIES)
def test_each_replica_identity(start: Start, database: Database, connect: Connect, capture_mode: Mode, identity: str) -> None:
    """Logical capture needs the default one, and says so."""
    if capture_mode == "logical" and identity != "default":
        with pytest.raises(RefusedError, match="default replica identity"):
            start(schema(identity=identity))
        return
    cycle_through(start, database, connect, schema(identity=identity))


@pytest.mark.both_modes
@pytest.mark.parametrize("boss", BOSSES)
def test_rows_that_refer_to_themselves(start: Start, database: Database, connect: Connect, boss: str) -> None:
    cycle_through(start, database, connect, schema(boss=boss), boss=boss)
