"""What an event trigger adds to a new table is named before anything is built, at the end of `prepare`, by `verify` and at the gate
(H55, I10)."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from swap.core.connection import Database as Conninfo
from swap.core.errors import RefusedError
from swap.doctor.examine import examine
from swap.doctor.trial.build import trial_findings
from swap.prepare.drift import store_baseline
from tests.support.migration import Driver, configuration, install
from tests.support.servers import Database

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE audit (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.audit VALUES (TG_OP); RETURN NULL; END';
INSERT INTO users (email) VALUES ('a'), ('b');
"""
EVENT = """
CREATE FUNCTION public.adds() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE t text; s text;
BEGIN
    FOR t, s IN SELECT object_identity, schema_name FROM pg_event_trigger_ddl_commands() WHERE command_tag = 'CREATE TABLE' LOOP
        IF s {where} THEN
{what}
        END IF;
    END LOOP;
END $$;
CREATE EVENT TRIGGER adds ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.adds();
"""
EVERYWHERE, IN_PUBLIC = "!~ '^pg_'", "= 'public'"
ADDED = {
    "row security": ("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", "row security is on, and off on public.users"),
    "forced": ("ALTER TABLE %s FORCE ROW LEVEL SECURITY", "forced row security is on, and off on public.users"),
    "trigger": (
        "CREATE TRIGGER twice AFTER INSERT ON %s FOR EACH ROW EXECUTE FUNCTION public.note()",
        "it has the trigger twice (O)",
    ),
    "replica identity": ("ALTER TABLE %s REPLICA IDENTITY FULL", "replica identity is f, and d on public.users"),
    "fillfactor": ("ALTER TABLE %s SET (fillfactor = 70)", "storage parameters is fillfactor=70, and not set on public.users"),
    "policy": ("CREATE POLICY mine ON %s USING (true)", "it has the policy mine"),
    "check": ("ALTER TABLE %s ADD CONSTRAINT more CHECK (email <> 'q')", "it has the check more"),
    "comment": ("COMMENT ON TABLE %s IS 'made'", "comment is made, and not set on public.users"),
    "statistics": ("ALTER TABLE %s ALTER email SET STATISTICS 7", "statistics target of email is 7, and not set on public.users"),
    "storage": ("ALTER TABLE %s ALTER email SET STORAGE EXTERNAL", "storage of email is e, and not set on public.users"),
}


def as_superuser(db: Database, statements: str) -> None:
    with closing(psycopg.connect(db.superuser, autocommit=True)) as conn:
        conn.execute(statements.encode())


def add_everything(db: Database, where: str) -> None:
    """An event trigger that does all of ADDED to every new table in schemas `where`."""
    install(db, SCHEMA)
    what = "\n".join(f"EXECUTE format($s${statement}$s$, t);" for statement, _ in ADDED.values())
    as_superuser(db, EVENT.format(what=what, where=where))


def found(db: Database) -> list[str]:
    with closing(Conninfo.from_options(db.owner, "doctor").connect()) as conn:
        return [f"{f.label}: {f.detail}" for f in examine(conn, configuration(), trial=trial_findings) if f.status == "blocker"]


def test_the_trial_finds_it(database: Database) -> None:
    """H55: before anything is built."""
    add_everything(database, EVERYWHERE)
    there = found(database)
    assert [s for _, s in ADDED.values() if f"shadow:public.users: its new table would not be like it: {s}" not in there] == []


TO_WHAT_IS_MADE = """
CREATE FUNCTION public.opens() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE o text; k text;
BEGIN
    FOR o, k IN SELECT object_identity, object_type FROM pg_event_trigger_ddl_commands() WHERE object_type IN ('view', 'function') LOOP
        IF k = 'view' THEN
            EXECUTE format('ALTER VIEW %s SET (security_invoker)', o);
        ELSIF k = 'function' AND o LIKE '%nobodys%' THEN EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', o); END IF;
    END LOOP;
END $$;
CREATE EVENT TRIGGER opens ON ddl_command_end WHEN TAG IN ('CREATE VIEW', 'GRANT', 'CREATE FUNCTION') EXECUTE FUNCTION public.opens()
"""


def test_the_trial_finds_what_it_adds_to_what_is_made_again(database: Database) -> None:
    """H55: views and functions in the trial are made as the cutover makes them."""
    install(database, SCHEMA + DEPENDENTS)
    assert [line for line in found(database) if line.startswith("dependent")] == []
    as_superuser(database, TO_WHAT_IS_MADE)
    there = [line for line in found(database) if line.startswith("dependent")]
    assert len([line for line in there if "security_invoker=true" in line and line.endswith("is new")]) == 2, there
    as_superuser(database, "ALTER EVENT TRIGGER opens DISABLE")
    assert [line for line in found(database) if line.startswith("dependent")] == []


def test_prepare_refuses_it(database: Database) -> None:
    """H55: an event trigger that knows the schema spares the trial. `prepare` says what is there; without it `prepare` goes on."""
    add_everything(database, IN_PUBLIC)
    assert found(database) == []
    with closing(Driver.begin(database)) as m:
        with pytest.raises(RefusedError) as refused:
            m.prepare()
        assert [s for _, s in ADDED.values() if s not in refused.value.message] == []
        as_superuser(database, "DROP EVENT TRIGGER adds")
        m.abort()
    with closing(Driver.begin(database)) as m:
        m.synced()
        assert m.verify().verdict == "identical"


LATER = {
    "row security": ("ALTER TABLE users_new ENABLE ROW LEVEL SECURITY", "row security is on"),
    "rule": ("CREATE RULE quiet AS ON DELETE TO users_new DO INSTEAD NOTHING", "it has rules"),
    "child": ("CREATE TABLE users_vip () INHERITS (users_new)", "it has children"),
    "index": ("CREATE INDEX more ON users_new (email)", "it has the index more"),
}


@pytest.mark.parametrize("what", LATER)
def test_verify_and_the_gate_find_it(database: Database, what: str) -> None:
    """H55: what came after `prepare`, and was recorded since as the structure that is there."""
    statement, said = LATER[what]
    install(database, SCHEMA)
    with closing(Driver.begin(database)) as m:
        m.synced()
        assert m.verify().verdict == "identical"
        with closing(psycopg.connect(database.owner, autocommit=True)) as conn:
            conn.execute(statement.encode())
        with m.conn.transaction():
            store_baseline(m)
        report = m.verify()
        assert report.verdict == "different"
        assert said in next(c.detail for c in report.checks if c.name == "structure")
        # The gate does not rely on that.
        m.journal.update_run(m.run.id, verified=report.covered)
        with m.conn.transaction():
            m.conn.execute("UPDATE swap.verification SET verdict = 'identical'")
        with pytest.raises(RefusedError, match=said):
            m.exchange("cutover")


def test_verify_finds_it_on_the_new_table(database: Database) -> None:
    """H55: an event trigger that adds in the cutover itself."""
    install(database, SCHEMA)
    with closing(Driver.begin(database)) as m:
        m.synced()
        assert m.verify().verdict == "identical"
        assert m.exchange("cutover").outcome == "committed"
        assert m.verify().verdict == "identical"
        with closing(psycopg.connect(database.owner, autocommit=True)) as conn:
            conn.execute("ALTER TABLE users ENABLE ROW LEVEL SECURITY; ALTER TABLE users ALTER email SET STATISTICS 7")
        detail = next(c.detail for c in m.verify().checks if c.name == "structure")
        assert "public.users: row security is on, and off on public.users" in detail
        assert "statistics target of email is 7" in detail


DEPENDENTS = """
CREATE VIEW emails WITH (security_barrier) AS SELECT id, email FROM users;
CREATE VIEW of_owner AS SELECT id FROM users;
CREATE FUNCTION everybody() RETURNS SETOF users LANGUAGE sql STABLE AS 'SELECT * FROM public.users';
CREATE FUNCTION nobodys() RETURNS SETOF users LANGUAGE sql STABLE AS 'SELECT * FROM public.users';
CREATE FUNCTION last_of_all() RETURNS SETOF users LANGUAGE sql STABLE AS 'SELECT * FROM public.users';
REVOKE ALL ON FUNCTION nobodys() FROM PUBLIC;
GRANT SELECT ON of_owner TO app; REVOKE ALL ON of_owner FROM app;
"""
ON_VIEWS = """
CREATE FUNCTION public.opens() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE schema_name = 'public') AND to_regclass('public.emails') IS NOT NULL
       AND to_regclass('public.of_owner') IS NOT NULL AND to_regprocedure('public.nobodys()') IS NOT NULL THEN
        {what};
    END IF;
END $$;
CREATE EVENT TRIGGER opens ON ddl_command_end WHEN TAG IN ('CREATE VIEW', 'CREATE FUNCTION') EXECUTE FUNCTION public.opens()
"""


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("GRANT SELECT ON public.of_owner TO PUBLIC", "public.of_owner: the right =r/swap_owner is new"),
        ("GRANT EXECUTE ON FUNCTION public.nobodys() TO PUBLIC", "public.nobodys(): the right =X/swap_owner is new"),
        (
            "ALTER VIEW public.emails SET (security_invoker)",
            "public.emails: options={security_barrier=true,security_invoker=true} is new",
        ),
    ],
)
def test_what_it_adds_to_what_is_made_again(database: Database, what: str, said: str) -> None:
    """H55: views and functions are made anew in the cutover, with the owner, options and rights that they had, or it rolls back."""
    install(database, SCHEMA + DEPENDENTS)
    with closing(Driver.begin(database)) as m:
        m.synced()
        assert m.verify().verdict == "identical"
        as_superuser(database, ON_VIEWS.format(what=what))
        with pytest.raises(RefusedError) as refused:
            m.exchange("cutover")
        assert said in refused.value.message
        as_superuser(database, "DROP EVENT TRIGGER opens")
        assert m.exchange("cutover").outcome == "committed"
