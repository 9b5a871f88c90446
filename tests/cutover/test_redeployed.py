"""H69: the new release brings new texts of functions over the row type. Between cutover and revert that is no drift: the revert puts
back the functions of before."""

from __future__ import annotations

import pytest

from swap.core.errors import RefusedError
from swap.core.sql_text import verbatim
from tests.support.cycling import Start
from tests.support.servers import Connect, Database

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
CREATE FUNCTION get_user(k bigint) RETURNS users LANGUAGE sql STABLE AS 'SELECT * FROM public.users WHERE id = k';
CREATE FUNCTION later_users(k bigint) RETURNS SETOF users LANGUAGE plpgsql STABLE SET work_mem = '8MB' AS
    $$ BEGIN RETURN QUERY SELECT * FROM public.users WHERE id > k; END $$;
CREATE FUNCTION how_many() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM public.users WHERE email <> ''; END;
GRANT EXECUTE ON FUNCTION get_user TO app
"""
ACCEPT = {"findings": ["trial:public.get_user(bigint)", "trial:public.later_users(bigint)"]}
NEW = """
CREATE OR REPLACE FUNCTION get_user(k bigint) RETURNS users LANGUAGE sql STABLE AS
    'SELECT * FROM public.users WHERE legacy_id = k -- owner=nobody acl=none';
CREATE OR REPLACE FUNCTION later_users(k bigint) RETURNS SETOF users LANGUAGE plpgsql STABLE ROWS 5 SET work_mem = '9MB' AS
    $$ BEGIN RETURN QUERY SELECT * FROM public.users WHERE legacy_id > k; END $$;
CREATE OR REPLACE FUNCTION how_many() RETURNS bigint BEGIN ATOMIC SELECT count(*) + 0 FROM public.users WHERE legacy_id > 0; END
"""
CALLS = "SELECT (get_user(3)).email, (SELECT count(*) FROM later_users(4)), how_many()"


def test_new_texts_after_the_cutover_and_the_old_ones_back(start: Start, database: Database, connect: Connect) -> None:
    """Given every bound function deployed anew, then `verify` is clean, a revert is possible, and the schema is that of before the
    cutover, byte for byte; and the next cutover goes the same way."""
    cycle = start(SCHEMA, accept=ACCEPT)
    owner = connect(database.owner)
    assert owner.execute(CALLS).fetchone() == ("user3", 5, 9)
    cycle.ready()
    for _ in range(2):
        cycle.cutover()
        owner.execute(verbatim(NEW))
        assert owner.execute(CALLS).fetchone() == ("user3", 5, 9)
        cycle.verified()
        cycle.revert()
        assert owner.execute(CALLS).fetchone() == ("user3", 5, 9)


def test_what_else_is_changed_of_a_function_is_drift(start: Start, database: Database, connect: Connect) -> None:
    """Its rights would be lost, and a new function that is bound could not be dropped: named, and the revert refused."""
    cycle = start(SCHEMA, accept=ACCEPT)
    cycle.ready()
    cycle.cutover()
    owner = connect(database.owner)
    changes = {
        "GRANT EXECUTE ON FUNCTION get_user TO pg_monitor": "REVOKE EXECUTE ON FUNCTION get_user FROM pg_monitor",
        "CREATE FUNCTION more() RETURNS users LANGUAGE sql AS 'SELECT NULL::users'": "DROP FUNCTION more",
    }
    for change, undo in changes.items():
        owner.execute(verbatim(change))
        with pytest.raises(RefusedError, match="The structure changed"):
            cycle.exchange("revert")
        assert cycle.verify().verdict == "different"
        owner.execute(verbatim(undo))
        cycle.verified()
    assert cycle.exchange("revert").outcome == "committed"


def test_before_the_cutover_the_text_counts(start: Start, database: Database, connect: Connect) -> None:
    """The exchange would create the recorded one in its place."""
    cycle = start(SCHEMA, accept=ACCEPT)
    cycle.ready()
    connect(database.owner).execute(verbatim(NEW.split(";", maxsplit=1)[0].replace("legacy_id", "id")))
    with pytest.raises(RefusedError, match=r"get_user\(bigint\)"):
        cycle.exchange("cutover")
