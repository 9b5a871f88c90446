"""I12: a superuser who runs `swap` runs no code of a table's owner. SET ROLE would not help: what runs can take it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.support.commands import Cli, CliResult
from tests.support.migration import ROLES
from tests.support.servers import Connect, Database

# What runs makes its owner a superuser, if it can; it takes back a SET ROLE first.
TRAP = """
CREATE FUNCTION public.deed() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
    BEGIN RESET SESSION AUTHORIZATION; SET ROLE NONE; EXCEPTION WHEN OTHERS THEN END;
    BEGIN ALTER ROLE {attacker} SUPERUSER; EXCEPTION WHEN OTHERS THEN END;
    RETURN true; END $$;
CREATE FUNCTION public.trap(x text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.deed(); END $$;
CREATE FUNCTION public.fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.deed(); RETURN NEW; END $$;
CREATE DOMAIN public.trapped AS text;
CREATE TABLE public.users (id bigserial PRIMARY KEY, email text, more public.trapped, made boolean);
CREATE TABLE public.sessions (id bigserial PRIMARY KEY, user_id bigint REFERENCES public.users);
INSERT INTO public.users (email, more) SELECT 'u' || n, 'm' FROM generate_series(1, 3) n;
INSERT INTO public.sessions (user_id) VALUES (1), (2)
"""
BAITS = {
    "check": "ALTER TABLE users ADD CHECK (trap(email))",
    "check of a constant": "ALTER TABLE users ADD CHECK (trap('x'))",
    "check that is not valid": "ALTER TABLE users ADD CHECK (trap(email)) NOT VALID",
    "generated": "ALTER TABLE users ADD g boolean GENERATED ALWAYS AS (trap(email)) STORED",
    "index": "CREATE INDEX ON users ((trap(email)))",
    "index of a constant": "CREATE INDEX ON users ((trap('x')))",
    "predicate": "CREATE INDEX ON users (email) WHERE trap(email)",
    "unique": "CREATE UNIQUE INDEX ON users (email, (trap(email)))",
    "index of a reference": "CREATE INDEX ON sessions (user_id) WHERE trap(user_id::text)",
    "default": "ALTER TABLE users ALTER made SET DEFAULT deed()",
    "domain": "ALTER DOMAIN trapped ADD CHECK (trap(VALUE))",
    "trigger": "CREATE TRIGGER t BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION fires()",
    "trigger that always fires": (
        "CREATE TRIGGER t BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION fires(); ALTER TABLE users ENABLE ALWAYS TRIGGER t"
    ),
    "trigger of a reference": (
        "CREATE TRIGGER t BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION fires(); ALTER TABLE sessions ENABLE ALWAYS TRIGGER t"
    ),
    "statistics": "CREATE STATISTICS st ON (trap(email)), email FROM users; ANALYZE users",
    "view": "CREATE VIEW v AS SELECT id, trap(email) FROM users",
    "materialized view": "CREATE MATERIALIZED VIEW v AS SELECT id, trap(email) FROM users",
    "rule of a view": "CREATE VIEW v AS SELECT id FROM users; CREATE RULE r AS ON INSERT TO v DO INSTEAD SELECT deed()",
    "policy": "ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON users USING (trap(email))",
}
CONFIG = '[source]\ntable = "public.users"\n'
BEFORE = (["doctor", "--no-trial"], ["doctor"], ["plan"], ["prepare", "--dry-run"], ["prepare"])
DURING = (
    ["doctor"], ["prepare"], ["sync", "--once"], ["verify"], ["cutover", "--yes", "--no-snapshot"], ["verify", "--repair"], ["abort", "--yes"],
)  # fmt: skip


@pytest.fixture
def attacker(make_role: Callable[[], str], database: Database, connect: Connect) -> Iterator[str]:
    """Owns the tables, and is otherwise nobody."""
    name = make_role()
    admin = connect(database.superuser)
    admin.execute(ROLES)
    admin.execute(
        sql.SQL(
            "GRANT CREATE, TEMPORARY ON DATABASE {} TO {}; GRANT ALL ON SCHEMA public TO {};"
            "GRANT SET ON PARAMETER session_replication_role TO {}"
        ).format(sql.Identifier(database.dbname), *[sql.Identifier(name)] * 3)
    )
    connect(as_role(database, name)).execute(TRAP.format(attacker=name).encode())
    yield name
    admin.execute(sql.SQL("ALTER ROLE {} NOSUPERUSER").format(sql.Identifier(name)))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "swap.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def as_role(database: Database, name: str) -> str:
    return database.owner.replace("swap_owner", name)


def is_superuser(admin: psycopg.Connection[tuple[object, ...]], name: str) -> bool:
    return admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [name]).fetchone() == (True,)


def refused(result: CliResult, name: str) -> None:
    said = result.stdout + result.stderr
    assert result.code == 3, said
    assert "superuser" in said
    assert name in said


@pytest.mark.parametrize("bait", BAITS)
def test_no_code_of_the_owner_runs_before_a_run(
    attacker: str, database: Database, connect: Connect, cli: Cli, config: Path, bait: str
) -> None:
    admin = connect(database.superuser)
    connect(as_role(database, attacker)).execute(BAITS[bait].encode())
    for command in BEFORE:
        refused(cli(*command, config=config, dsn=database.superuser, check=False), attacker)
        assert not is_superuser(admin, attacker), command


@pytest.mark.trigger_only("the owner may not replicate")
def test_no_code_of_the_owner_runs_in_a_run(attacker: str, database: Database, connect: Connect, cli: Cli, config: Path) -> None:
    """Given a run of the owner, who changes the tables at any time, then a superuser's commands refuse before they touch them."""
    owner, admin = connect(as_role(database, attacker)), connect(database.superuser)
    dsn = as_role(database, attacker)
    cli("prepare", config=config, dsn=dsn)
    owner.execute("CREATE TRIGGER t BEFORE INSERT ON users_new FOR EACH ROW EXECUTE FUNCTION fires()")
    owner.execute("ALTER TABLE users_new ENABLE ALWAYS TRIGGER t; ALTER TABLE users_new ADD CHECK (trap(email))")
    for command in DURING:
        refused(cli(*command, config=config, dsn=database.superuser, check=False), attacker)
        assert not is_superuser(admin, attacker), command
    assert cli("status", "--json", config=config, dsn=database.superuser).json["phase"] == "prepared"


@pytest.mark.parametrize("how", ["SET ROLE", "SET SESSION AUTHORIZATION"])
def test_why_the_owners_role_is_not_taken_on(attacker: str, database: Database, connect: Connect, how: str) -> None:
    """What runs then takes it back: the server lets the login role have its rights again."""
    admin, session = connect(database.superuser), connect(database.superuser)
    connect(as_role(database, attacker)).execute(BAITS["check"].encode())
    session.execute(sql.SQL("{} {}").format(sql.SQL(how), sql.Identifier(attacker)))
    assert not is_superuser(admin, attacker)
    session.execute("INSERT INTO public.users (email) VALUES ('x')")
    assert is_superuser(admin, attacker)


@pytest.mark.parametrize("how", ["a member of a superuser", "SET ROLE of the login", "server files"])
def test_a_role_that_can_become_one(
    attacker: str, make_role: Callable[[], str], database: Database, connect: Connect, cli: Cli, config: Path, how: str
) -> None:
    admin, name = connect(database.superuser), make_role()
    more = {
        "a member of a superuser": "GRANT postgres TO {}",
        "SET ROLE of the login": f"GRANT postgres TO {{}}; ALTER ROLE {{}} SET role = {attacker}",
        "server files": "GRANT pg_execute_server_program TO {}",
    }[how]
    admin.execute(f"GRANT {attacker} TO {name}; {more.replace('{}', name)}".encode())
    refused(cli("prepare", config=config, dsn=as_role(database, name), check=False), attacker)


@pytest.mark.trigger_only("about who owns the tables")
def test_where_it_is_no_matter(attacker: str, database: Database, connect: Connect, cli: Cli, config: Path) -> None:
    """The owner itself runs its own code; of tables that belong to superusers, only another role's functions matter. And an operator
    may accept it by name."""
    admin, superuser = connect(database.superuser), database.superuser
    for command in (["prepare"], ["sync", "--once"], ["abort", "--yes"]):
        cli(*command, config=config, dsn=as_role(database, attacker))
    admin.execute("DROP SCHEMA swap CASCADE")
    accepted = "".join(f'"superuser:public.{t}", ' for t in ("users", "sessions"))
    config.write_text(f"{CONFIG}[accept]\nfindings = [{accepted}]\n", encoding="utf-8")
    for command in (["prepare"], ["sync", "--once"], ["verify"], ["abort", "--yes"]):
        cli(*command, config=config, dsn=superuser)
    admin.execute("DROP SCHEMA swap CASCADE")
    config.write_text(CONFIG, encoding="utf-8")
    for table in ("users", "sessions"):
        admin.execute(f"ALTER TABLE {table} OWNER TO CURRENT_USER".encode())
    admin.execute("ALTER TABLE users ADD CHECK (trap(email)) NOT VALID")
    refused(cli("prepare", config=config, dsn=superuser, check=False), "trap(text)")
    admin.execute("ALTER TABLE users DROP CONSTRAINT users_email_check")
    cli("prepare", config=config, dsn=superuser)
