"""The image, and the services around it, on bases that are made here. Only with `make test-docker`: it takes minutes, root and Docker.

What is not run: Grafana, which Debian does not have. Its dashboard's queries are asked of the real Prometheus instead.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import psycopg
import pytest

from swap import __version__, hooks
from swap.demo.server import free_port
from tests.deploy.test_prometheus import QUERIES, filled
from tests.docker.daemon import HERE, Docker, client_that_builds, daemon, import_base
from tests.support.commands import ROOT

pytestmark = pytest.mark.docker
MOST_MB = 150
HARDENED = [
    "--rm",
    "--read-only",
    "--tmpfs",
    "/tmp",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    "--network",
    "none",
]
PASSWORD = "swap"
SOURCE = "https://example.org/made/swap"
WITHOUT = {"grafana", "swap"}  # not in Debian; for use by hand
HEALTHY = {"db", "standby", "pgbouncer", "load", "sync", "watch", "prometheus"}
PATIENCE_S = 600.0
SLICE = ["tests/cli/test_check.py", "tests/faults/test_restart.py"]


@dataclass(frozen=True)
class Images:
    docker: Docker
    python: str
    postgres: str
    prometheus: str
    swap: str
    pgbouncer: str


@pytest.fixture(scope="session")
def images() -> Iterator[Images]:
    with tempfile.TemporaryDirectory(prefix="swap-docker-", ignore_cleanup_errors=True) as place:
        directory = Path(place)
        with daemon(directory) as host:
            docker = client_that_builds(host)
            base = import_base(docker, directory)
            python, postgres, prometheus = (docker.build(n, HERE / n, BASE=base) for n in ("python", "postgres", "prometheus"))
            bases = {"PYTHON_IMAGE": python, "POSTGRES_IMAGE": postgres}
            swap = docker.build(
                "swap", ROOT, ROOT / "docker/Dockerfile", **bases, VERSION=__version__, REVISION="abc", SOURCE=SOURCE
            )
            pgbouncer = docker.build("pgbouncer", ROOT, ROOT / "docker/pgbouncer/Dockerfile", POSTGRES_IMAGE=postgres)
            made = Images(docker, python, postgres, prometheus, swap, pgbouncer)
            try:
                yield made
            finally:  # a daemon that was there already keeps nothing of this
                docker("image", "rm", "--force", base, *(getattr(made, f.name) for f in fields(made) if f.name != "docker"))


def inspect(images: Images) -> Any:
    return json.loads(images.docker("image", "inspect", images.swap))[0]


def test_the_size_over_the_base(images: Images) -> None:
    more = images.docker.size_mb(images.swap) - images.docker.size_mb(images.python)
    print(f"{more:.0f} MB over the base")
    assert more <= MOST_MB


def test_what_the_image_says_of_itself(images: Images) -> None:
    config = inspect(images)["Config"]
    labels = {k.removeprefix("org.opencontainers.image."): v for k, v in config["Labels"].items()}
    assert (labels["version"], labels["revision"], labels["licenses"]) == (__version__, "abc", "MIT")
    assert labels["source"] == SOURCE
    assert config["Healthcheck"]["Test"] == ["CMD", "swap", "check"]
    assert (config["User"], config["Entrypoint"], config["WorkingDir"]) == ("10001:10001", ["swap"], "/work")


def test_it_runs_hardened(images: Images) -> None:
    """No right, no writable root, no network: help, version, hooks, completion, and the programs of the hooks."""

    def run(*command: str, entrypoint: str = "swap", check: bool = True) -> str:
        return images.docker("run", *HARDENED, "--entrypoint", entrypoint, images.swap, *command, check=check)

    assert run("--version").startswith(f"swap {__version__}\ncommit        abc\n")
    assert run("hook", "pg_dump", "--print") == hooks.script("pg_dump")
    assert run("-u", entrypoint="id").strip() == "10001"
    assert run("-c", "import jinja2, pygal", entrypoint="/opt/swap/bin/python") == "", "the HTML of `rehearse` and `report`"
    for program in ("pg_dump", "pg_restore", "psql"):
        assert "(PostgreSQL)" in run("--version", entrypoint=program)
    assert "Read-only file system" in run("-c", "touch /opt/swap/x /usr/x /work/x", entrypoint="sh", check=False)
    assert run("-c", "ls /usr/local/share/man/man1/swap-verify.1 && touch /tmp/x", entrypoint="sh")
    assert "No module named pip" in run("-m", "pip", entrypoint="/opt/swap/bin/python", check=False)


class Services:
    """Everything of the profile `demo` that can run here."""

    def __init__(self, images: Images) -> None:
        self.docker, self.compose = images.docker, images.docker.compose()
        self.ports = {"SWAP_DB_PORT": free_port(), "PROMETHEUS_PORT": free_port()}
        self.environment = {
            "COMPOSE_PROJECT_NAME": "swap-test", "POSTGRES_PASSWORD": PASSWORD,
            "SWAP_IMAGE": images.swap, "PGBOUNCER_IMAGE": images.pgbouncer, "PYTHON_IMAGE": images.python,
            "POSTGRES_IMAGE": images.postgres, "PROMETHEUS_IMAGE": images.prometheus,
            "SWAP_DEMO_PAUSE_S": "20", "SWAP_DEMO_USERS": "1000", "SWAP_DEMO_RATE": "30",
            **{k: str(v) for k, v in self.ports.items()},
        }  # fmt: skip

    def __call__(self, *args: str, timeout_s: float = 900) -> str:
        argv = [*self.compose, "--file", str(ROOT / "docker/compose.yaml"), "--profile", "demo", *args]
        return self.docker.run(argv, environment=self.environment, timeout_s=timeout_s)

    def container(self, service: str) -> str:
        return self("ps", "--quiet", service).strip() or self("ps", "--all", "--quiet", service).strip()

    def state(self, service: str) -> Any:
        return json.loads(self.docker("inspect", "--format", "{{json .State}}", self.container(service)))

    def query(self, path: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def until(self, what: str, found: Any) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not found():
            assert time.monotonic() < deadline, f"{what}\n{self('ps')}\n{self('logs', '--tail', '30')}"
            time.sleep(1)


@pytest.fixture(scope="session")
def services(images: Images) -> Iterator[Services]:
    made = Services(images)
    names = set(made("config", "--services").split()) - WITHOUT
    try:
        made("up", "--detach", "--no-build", *sorted(names))
        made.until("the cutover ends", lambda: made.state("cutover")["Status"] == "exited")
        yield made
    finally:
        made("down", "--volumes", "--timeout", "30")


def test_the_cycle_ends_with_a_cutover_through_pgbouncer(services: Services) -> None:
    said = services("logs", "cutover")
    assert services.state("cutover")["ExitCode"] == 0, said
    assert "PgBouncer held its clients for" in said
    assert said.count("verdict: identical") == 2
    assert "healthy: phase cut_over" in said
    for service in ("example", "prepare"):
        assert services.state(service)["ExitCode"] == 0


@pytest.mark.parametrize("service", sorted(HEALTHY))
def test_each_service_is_healthy(services: Services, service: str) -> None:
    services.until(f"{service} is healthy", lambda: services.state(service)["Health"]["Status"] == "healthy")


def test_the_standby_has_the_exchange(services: Services) -> None:
    ask = "SELECT pg_is_in_recovery(), atttypid::regtype FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'id'"
    shown = services("exec", "-T", "standby", "psql", "-XAtU", "postgres", "app", "-c", ask)
    assert shown.strip().splitlines()[-1] == "t|uuid"


def test_the_dump_of_the_hook_can_be_read(services: Services) -> None:
    list_it = "pg_restore --list /snapshots/*-syncing-* | grep -c 'TABLE DATA public users '"
    assert services("exec", "-T", "sync", "sh", "-c", list_it).strip().splitlines()[-1] == "1"


def test_prometheus_has_seen_the_cutover(services: Services) -> None:
    targets = services.query("targets")["activeTargets"]
    assert {t["labels"]["instance"]: t["health"] for t in targets} == {"watch:9187": "up", "load:9188": "up"}
    (seen,) = services.query("query", query="max_over_time(example_key_is_uuid[1h]) - min_over_time(example_key_is_uuid[1h])")[
        "result"
    ]
    assert seen["value"][1] == "1"
    services.until(
        "the direction after the cutover is verified",
        lambda: services.query("query", query="swap_verify_clean_pass_age_seconds < 3600")["result"],
    )
    assert services.query("query", query="max(swap_verify_differences)")["result"][0]["value"][1] == "0"
    for query in QUERIES:
        assert services.query("query", query=filled(query))["resultType"] == "vector"
    assert {r["health"] for g in services.query("rules")["groups"] for r in g["rules"]} == {"ok"}
    assert [a for a in services.query("alerts")["alerts"] if a["state"] == "firing"] == []


def test_no_write_of_the_application_was_lost(services: Services) -> None:
    """The last: it stops the load, which then compares its ledger with the rows."""
    with psycopg.connect(f"postgresql://postgres:{PASSWORD}@127.0.0.1:{services.ports['SWAP_DB_PORT']}/app") as conn:
        pooled = conn.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND application_name LIKE 'load %'")
        assert pooled.fetchone() != (0,)
    container = services.container("load")
    services.docker("stop", "--time", "60", container)
    said = services.docker("logs", container)
    assert json.loads(services.docker("inspect", "--format", "{{json .State}}", container))["ExitCode"] == 0, said
    assert "lost=0" in said


def test_the_suite_runs_on_an_image(images: Images) -> None:
    """A part of it, by testcontainers: restarts and crashes of the server too. The whole of it runs so in CI."""
    environment = images.docker.environment | {"SWAP_TEST_PG": f"docker:{images.postgres}", "SWAP_TEST_MODE": "trigger"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", "-x", "--timeout", "300", "-p", "no:cacheprovider", *SLICE],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
