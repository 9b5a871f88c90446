"""A reference's `where` means the same in every session (H54, I12): the writer's settings do not change how a trigger reads it."""

from __future__ import annotations

from contextlib import closing

import pytest

from swap.core.config import Config
from swap.core.connection import Database as Conninfo
from swap.core.errors import UsageError
from swap.plan.planning import read_plan
from tests.support.cycling import Start, doctor
from tests.support.migration import configuration, install
from tests.support.servers import Connect, Database

SCHEMA = r"""
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE logs (id bigserial PRIMARY KEY, kind text, tags text[], at timestamptz, mood text, actor_id bigint);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 4) n;
INSERT INTO logs (kind, tags, actor_id) SELECT 'App\Models\User', ARRAY[NULL, 'a'], id FROM users;
"""
OTHERWISE = {
    "standard_conforming_strings": "off", "backslash_quote": "on", "array_nulls": "off",
    "transform_null_equals": "on", "IntervalStyle": "sql_standard", "DateStyle": "SQL, DMY", "TimeZone": "Asia/Tokyo",
}  # fmt: skip
CONDITIONS = {
    "backslash": r"kind = 'App\Models\User'",
    "backslash-before-a-quote": r"kind <> 'it\''s' AND kind <> '\'''",
    "array": "tags = '{NULL,a}'",
    "interval": "at IS NULL OR at - at < '-1 day 02:00'::interval OR true",
    "moment": "at IS NULL OR at > '2020-02-01 03:04'",
}


def logs(where: str) -> list[dict[str, str]]:
    return [{"table": "public.logs", "column": "actor_id", "where": where}]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_writers_settings_do_not_change_a_condition(
    start: Start, database: Database, connect: Connect, condition: str
) -> None:
    """H54: given a session with settings in which the condition's text would be read otherwise, then its rows get the uuid before
    and after the cutover, as the backfill and `verify` say."""
    cycle = start(SCHEMA, reference=logs(CONDITIONS[condition]))
    cycle.ready()
    app = connect(database.app)
    for name, value in OTHERWISE.items():
        app.execute("SELECT set_config(%s, %s, false)", [name, value])
    made = r"INSERT INTO logs (kind, tags, actor_id) SELECT E'App\\Models\\User', tags, {} FROM logs WHERE id = 1 RETURNING id"
    (row,) = app.execute(made.format("3").encode()).fetchone() or (None,)
    assert app.execute("SELECT actor_uuid_id IS NOT NULL FROM logs WHERE id = %s", [row]).fetchone() == (True,)
    cycle.m.sync()
    assert cycle.verify().verdict == "identical"
    cycle.cutover()
    user = "(SELECT id FROM users WHERE legacy_id = 4)"
    (row,) = app.execute(made.replace("actor_id", "actor_uuid_id").format(user).encode()).fetchone() or (None,)
    assert app.execute("SELECT actor_id FROM logs WHERE id = %s", [row]).fetchone() == (4,)


@pytest.mark.parametrize(
    "where",
    [
        "at > now()",
        "at::date = '2020-01-01'",
        "kind = current_user",
        "to_char(at, 'TMDay') = 'Montag'",
        "random() < 2",
        "at::text = ''",
    ],
)
def test_a_condition_that_is_no_function_of_the_row_is_refused(database: Database, where: str) -> None:
    """H54, I3: it would hold in one session and not in another; `doctor` names it, and `prepare` refuses."""
    install(database, SCHEMA)
    (found,) = [f for f in doctor(database, reference=logs(where)) if f.name == "reference-where"]
    assert (found.status, found.object) == ("blocker", "public.logs.actor_id")
    settings: Config = configuration(reference=logs(where))
    with closing(Conninfo.from_options(database.owner, "test").connect()) as conn:
        with pytest.raises(UsageError, match="depends on more than the row"):
            read_plan(conn, settings)
        read_plan(conn, configuration(reference=logs("at > '2020-01-01' AND kind = 'User'")))
