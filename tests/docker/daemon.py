"""Docker for the tests of the image: the daemon that answers, else one of their own, in a directory of its own.

No image can be pulled everywhere. So the bases are made here: Debian by debootstrap, and on it what stands in place of the official
images (tests/docker/*/Dockerfile).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import ROOT

HERE = ROOT / "tests" / "docker"
SUITE = "bookworm"  # of the official images that docker/Dockerfile names
NETWORK = "host"  # for builds: apt and pip
PREFIX = "swap-test"
START_S = 60.0
BRIDGE = "docker0"
FORWARDS = Path("/proc/sys/net/ipv4/ip_forward")
CHAINS = {"filter": ("INPUT", "FORWARD", "OUTPUT"), "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")}
# The newest client is not always one that can build: it may lack its plugin.
CLIENTS = [c for c in (shutil.which("docker"), "/usr/bin/docker") if c is not None and Path(c).exists()]


class Docker:
    """A client of one daemon."""

    def __init__(self, client: str, host: str | None) -> None:
        self.client = client
        self.environment = {**os.environ, "DOCKER_BUILDKIT": "1", "TESTCONTAINERS_RYUK_DISABLED": "true"}
        if host is not None:
            self.environment["DOCKER_HOST"] = host

    def __call__(self, *args: object, check: bool = True, timeout_s: float = 900) -> str:
        """Both streams. With `check` a failure is an AssertionError that shows them."""
        return self.run([self.client, *map(str, args)], check=check, timeout_s=timeout_s)

    def run(self, argv: list[str], *, check: bool = True, timeout_s: float = 900, **more: Any) -> str:
        environment = self.environment | more.pop("environment", {})
        done = subprocess.run(
            argv,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout_s,
            **more,
        )
        assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout[-6000:]}"
        return str(done.stdout)

    def compose(self) -> list[str]:
        """The words of Compose: the plugin, else the program of before."""
        probe = subprocess.run([self.client, "compose", "version"], capture_output=True, check=False)
        if probe.returncode == 0:
            return [self.client, "compose"]
        program = shutil.which("docker-compose")
        if program is None:
            pytest.skip("neither `docker compose` nor docker-compose is installed")
        return [program]

    def build(self, name: str, context: Path, dockerfile: Path | None = None, **args: str) -> str:
        """Build an image. Returns its name."""
        tag = f"{PREFIX}/{name}"
        words = [w for k, v in args.items() for w in ("--build-arg", f"{k}={v}")]
        self(
            "build",
            "--quiet",
            "--network",
            NETWORK,
            *(["--file", dockerfile] if dockerfile else []),
            *words,
            "--tag",
            tag,
            context,
        )
        return tag

    def size_mb(self, image: str) -> float:
        return int(self("image", "inspect", "--format", "{{.Size}}", image)) / 1e6


@contextmanager
def daemon(directory: Path) -> Iterator[str | None]:
    """The host to name: None for the daemon that answers already. Else a dockerd runs during the block. Skips where none can."""
    for client in CLIENTS:
        if subprocess.run([client, "info"], capture_output=True, check=False, timeout=60).returncode == 0:
            yield None
            return
    program = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or os.geteuid() != 0:
        pytest.skip("no Docker daemon answers, and none can be started: that takes root and dockerd")
    host = f"unix://{directory}/socket"
    with network_as_before(), (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [program, "--host", host, "--data-root", directory / "data", "--exec-root", directory / "exec", "--pidfile", directory / "pid"],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + START_S
            while not (directory / "socket").exists() or not answers(host):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.skip(f"dockerd does not run here: {(directory / 'log').read_text()[-600:]}")
                time.sleep(0.2)
            yield host
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def network_as_before() -> Iterator[None]:
    """dockerd leaves its bridge behind, its chains, and a machine that forwards packets: put back what was there."""
    if Path("/sys/class/net", BRIDGE).exists():  # another dockerd's
        yield
        return
    rules = {program: rules_of(program) for program in ("iptables", "ip6tables") if shutil.which(f"{program}-save")}
    forwards = FORWARDS.read_text()
    try:
        yield
    finally:
        subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True, check=False)
        for program, text in rules.items():
            subprocess.run([f"{program}-restore"], input=text, text=True, check=True)
        FORWARDS.write_text(forwards)


def rules_of(program: str) -> str:
    """For iptables-restore, which leaves a table alone that the text does not name."""
    text = subprocess.run([f"{program}-save"], capture_output=True, text=True, check=True).stdout
    for table, chains in CHAINS.items():
        if f"*{table}\n" not in text:
            text += "\n".join([f"*{table}", *(f":{chain} ACCEPT" for chain in chains), "COMMIT", ""])
    return text


def answers(host: str) -> bool:
    environment = os.environ | {"DOCKER_HOST": host}
    return subprocess.run([CLIENTS[0], "info"], env=environment, capture_output=True, check=False, timeout=60).returncode == 0


def client_that_builds(host: str | None) -> Docker:
    """Skips where no client can."""
    for client in CLIENTS:
        docker = Docker(client, host)
        if "buildx" not in docker("build", "--quiet", "/nonexistent", check=False):
            return docker
    pytest.skip("no Docker client here can build with BuildKit")


def import_base(docker: Docker, directory: Path) -> str:
    """The image of a minimal Debian."""
    program = shutil.which("debootstrap", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("debootstrap is not installed")
    root = directory / "root"
    docker.run([program, "--variant=minbase", "--include=ca-certificates", SUITE, str(root)], timeout_s=1800)
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if bundle.exists():  # what this machine trusts, the builds trust
        shutil.copy2(bundle, root / "etc/ssl/certs/ca-certificates.crt")
    name = f"{PREFIX}/base"
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
        docker.run([docker.client, "import", "-", name], stdin=tar.stdout)
    shutil.rmtree(root)
    return name
