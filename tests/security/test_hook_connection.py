"""The snapshot hook reaches the server of the run, and reaches it as the run does: every option of libpq goes along."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cutover.hook import hook_environment, run_hook
from cutover.hook_output import Audience
from swap.core.connection import Database as Conninfo
from swap.core.libpq_environment import OWN, SERVICE, libpq_environment, secrets_of
from tests.support.migration import ROLES
from tests.support.operator import MakeOperator
from tests.support.servers import Database, DatabaseServer
from tests.support.standby import standby_of

# The hook of these tests: it connects as libpq does without arguments, and prints what it reached, and how.
LOOK = """
import json, os, psycopg
with psycopg.connect("") as conn:
    port, standby = conn.info.port, conn.execute("SELECT pg_is_in_recovery()").fetchone()[0]
    options = {o.keyword.decode(): o.val.decode() for o in conn.pgconn.info if o.val is not None}
print(json.dumps({"port": port, "standby": standby, "asked": os.environ["PGPORT"], "options": options}))
"""
HOOK = [sys.executable, "-c", LOOK]
# A value for each keyword that a connection over TCP without TLS can have. Each differs from the default.
OPTIONS = {
    "channel_binding": "disable", "require_auth": "none", "gssencmode": "disable", "gssdelegation": "1", "krbsrvname": "other",
    "gsslib": "gssapi", "sslmode": "allow", "sslcert": "/no/cert", "sslkey": "/no/key", "sslrootcert": "/no/root", "sslcrl": "/no/crl",
    "sslcrldir": "/no/crls", "sslsni": "0", "sslcompression": "1", "sslcertmode": "disable", "sslpassword": "hush, 'it''s me'",
    "ssl_min_protocol_version": "TLSv1.3", "ssl_max_protocol_version": "TLSv1.3", "requirepeer": "postgres",
    "options": "-c geqo=off -c work_mem=7MB", "target_session_attrs": "read-write", "load_balance_hosts": "random",
    "connect_timeout": "17", "keepalives": "0", "keepalives_idle": "33", "tcp_user_timeout": "44000", "passfile": "/no/passfile",
    "min_protocol_version": "3.0", "max_protocol_version": "3.2", "oauth_scope": "swap",
}  # fmt: skip


@pytest.fixture(autouse=True)
def roles(database: Database) -> None:
    """Roles are the whole server's, and another test may not have made them yet."""
    with psycopg.connect(database.superuser, autocommit=True) as conn:
        conn.execute(ROLES)


def known() -> set[str]:
    return {o.keyword.decode() for o in pq.Conninfo.get_defaults()}


@pytest.mark.slow
def test_of_several_hosts_the_hook_gets_the_one_in_use(
    ready_operator: MakeOperator, server: DatabaseServer, tmp_path: Path
) -> None:
    """Seen: with the standby first in the list the run went to the primary, and its snapshot was made on the standby."""
    op = ready_operator(settings=f"[hooks]\npre_swap_snapshot = {json.dumps(HOOK)}\n")
    with standby_of(server) as standby:
        hosts = {"host": "127.0.0.1,127.0.0.1", "port": f"{standby.port},{server.port}", "target_session_attrs": "read-write"}
        path = tmp_path / "services"
        path.write_text("[it]\n" + "".join(f"{k}={v}\n" for k, v in {**conninfo_to_dict(op.db.owner), **hosts}.items()))
        said = op.cli(
            "cutover", "--yes", "--json", config=op.config, dsn="service=it",
            env={"PGSERVICEFILE": str(path), "PYTHONPATH": str(Path(__file__).parents[2])},
        ).json  # fmt: skip
    assert said["outcome"] == "committed"
    reached = json.loads(said["snapshot"][: said["snapshot"].index(', "options"')] + "}")
    assert reached == {"port": server.port, "standby": False, "asked": str(server.port)}


def test_every_option_of_the_run_goes_along(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given by the DSN, the environment or a service file; with a variable of its own or without one."""
    wanted = {k: v for k, v in OPTIONS.items() if k in known()}
    target = conninfo_to_dict(database.owner)
    by_file = dict(list(wanted.items())[::3])
    by_shell = {k: wanted[k] for k in ("gssencmode", "channel_binding", "sslmode") if k not in by_file}
    by_dsn = {k: v for k, v in wanted.items() if k not in by_file | by_shell}
    path = tmp_path / "services"
    path.write_text("[it]\n" + "".join(f"{k}={v}\n" for k, v in by_file.items()))
    monkeypatch.setenv("PGSERVICEFILE", str(path))
    for keyword, value in by_shell.items():
        monkeypatch.setenv(f"PG{keyword.replace('_', '').upper()}", value)
    dsn = make_conninfo("", **target, **by_dsn, service="it")
    with Conninfo.from_options(dsn, "cutover").session() as conn:
        ours = {o.keyword.decode(): o.val.decode() for o in conn.pgconn.info if o.val is not None}
        assert {k: ours.get(k) for k in wanted} == wanted
        secrets = secrets_of(conn)
        with libpq_environment(conn) as env:
            service = Path(env["PGSERVICEFILE"])
            assert service.stat().st_mode & 0o077 == 0
            done = subprocess.run(HOOK, env=hook_environment(env), capture_output=True, text=True, check=True)
        assert not service.exists()
    theirs = json.loads(done.stdout)["options"]
    left_out = OWN | SERVICE | {"keepalives_interval", "keepalives_count", "hostaddr"}
    for keyword in known() - left_out:
        assert theirs.get(keyword) == ours.get(keyword), keyword
    assert OPTIONS["sslpassword"] in secrets


def test_the_shells_own_address_does_not_lead_the_hook_elsewhere(
    database: Database, server: DatabaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`host` of the DSN, and a PGSERVICE of the shell that says another port: the run's port counts."""
    path = tmp_path / "services"
    path.write_text("[elsewhere]\nport=1\nhost=192.0.2.1\n")
    with Conninfo.from_options(database.owner, "cutover").session() as conn, libpq_environment(conn) as env:
        monkeypatch.setenv("PGSERVICEFILE", str(path))
        monkeypatch.setenv("PGSERVICE", "elsewhere")
        monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
        said = run_hook(HOOK, env=env, timeout_s=60, cwd=tmp_path).snapshot
    assert f'"port": {server.port}' in said


def test_no_secret_in_what_the_hook_says(database: Database, tmp_path: Path) -> None:
    """A key's passphrase is as secret as the password, and either may be printed percent-encoded."""
    secrets = ["s3cret p@ss", "hush/it's me"]
    body = "s3cret%20p%40ss s3cret+p@ss hush%2fit%27s%20me s3cret p@ss; hush/it''s me"
    said = run_hook(["echo", body], env={}, timeout_s=60, cwd=tmp_path, audience=Audience(secrets=secrets))
    assert "s3cret" not in said.output + said.snapshot
    assert "hush" not in said.output + said.snapshot
    with psycopg.connect(database.owner) as conn:
        assert secrets_of(conn) == []
