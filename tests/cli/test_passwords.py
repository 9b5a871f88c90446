"""A password is printed nowhere, however it was given: not by errors, not with -v, not in JSON, the journal, a process's
arguments, or a schema; the hook gets it in its environment alone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.support.commands import Cli
from tests.support.operator import MakeOperator
from tests.support.servers import Database, DatabaseServer

SECRET = "s3cret p@ss/w'ord"
ENCODED = "s3cret%20p%40ss%2Fw%27ord"
TRACES = (SECRET, ENCODED, "s3cret", SECRET.replace("'", "\\'"), SECRET.replace("'", "''"))


def by_conninfo(dsn: str, directory: Path) -> tuple[str, dict[str, str]]:
    return make_conninfo(dsn, password=SECRET), {}


def by_uri(dsn: str, directory: Path) -> tuple[str, dict[str, str]]:
    p = conninfo_to_dict(dsn)
    return f"postgresql://{p['user']}:{ENCODED}@{p['host']}:{p['port']}/{p['dbname']}", {}


def by_service(dsn: str, directory: Path) -> tuple[str, dict[str, str]]:
    lines = "".join(f"{k}={v}\n" for k, v in conninfo_to_dict(dsn).items())
    path = directory / "services"
    path.write_text(f"[it]\n{lines}password={SECRET}\n")
    return "service=it", {"PGSERVICEFILE": str(path)}


def by_environment(dsn: str, directory: Path) -> tuple[str, dict[str, str]]:
    return dsn, {"PGPASSWORD": SECRET}


def by_file(dsn: str, directory: Path) -> tuple[str, dict[str, str]]:
    path = directory / "passwords"
    path.write_text(f"*:*:*:*:{SECRET}\n")
    path.chmod(0o600)
    return dsn, {"PGPASSFILE": str(path)}


WAYS = (by_conninfo, by_uri, by_service, by_environment, by_file)
Way = Callable[[str, Path], tuple[str, dict[str, str]]]


def clean(*texts: str) -> None:
    for text in texts:
        for trace in TRACES:
            assert trace not in text


@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.__name__.removeprefix("by_"))
def test_in_no_error(way: Way, cli: Cli, database: Database, tmp_path: Path) -> None:
    """Nobody listens, no such host, no such database, no such user; an option that libpq does not know."""
    config = tmp_path / "swap.toml"
    config.write_text('[source]\ntable = "public.users"\n', encoding="utf-8")
    whole = make_conninfo("", **conninfo_to_dict(database.owner))
    wrong = [{"port": "1"}, {"host": "no-such-host.invalid"}, {"dbname": "nowhere"}, {"user": "nobody_of_that_name"}]
    for change in wrong:
        dsn, env = way(make_conninfo(whole, **change), tmp_path)
        for extra in ((), ("--json",), ("-v",)):
            result = cli("status", *extra, config=config, dsn=dsn, env=env, check=False)
            assert result.code == 9, result
            clean(result.stdout, result.stderr)
    dsn, env = way(whole, tmp_path)
    if "service" not in dsn:
        result = cli(
            "status", "-v", config=config, dsn=f"{dsn}?nonsense=1" if "://" in dsn else f"{dsn} nonsense=1", env=env, check=False
        )
        assert result.code == 2
        clean(result.stdout, result.stderr)


@pytest.mark.parametrize("way", [by_conninfo, by_environment], ids=["conninfo", "environment"])
def test_in_nothing_that_a_run_leaves(way: Way, operator: MakeOperator, server: DatabaseServer, tmp_path: Path) -> None:
    """Its output, the journal, what its processes are called, and what the hook is called with."""
    hook = tmp_path / "hook.sh"
    seen = tmp_path / "seen"
    hook.write_text(
        f'#!/bin/sh\ncat /proc/$$/cmdline /proc/$PPID/cmdline > {seen}\necho "$PGPASSWORD" >&2\necho "made $PGPASSWORD"\n'
    )
    hook.chmod(0o755)
    op = operator(settings=f'[hooks]\npre_swap_snapshot = ["{hook}"]\n', users=50)
    dsn, env = way(make_conninfo("", **conninfo_to_dict(op.db.owner)), tmp_path)
    for args in (("prepare",), ("sync", "--once"), ("verify",), ("cutover", "--yes"), ("status",)):
        result = op.cli(*args, "--json", config=op.config, dsn=dsn, env=env)
        clean(result.stdout, result.stderr)
    clean(seen.read_text())
    dump = [str(server.bindir / "pg_dump"), "--schema=swap", op.db.superuser]
    left = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    assert "hook.sh" in left
    clean(left)
