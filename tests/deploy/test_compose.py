"""The image's recipe and the services, as files: valid, pinned, hardened. `make test-docker` builds and runs them."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from tests.deploy.files import assert_a_command_of_swap, documents, words
from tests.deploy.test_workflows import check
from tests.support.commands import ROOT
from tools import dist

DOCKER = ROOT / "docker"
COMPOSE = DOCKER / "compose.yaml"
DOCKERFILES = [DOCKER / "Dockerfile", DOCKER / "pgbouncer" / "Dockerfile"]


(DOCUMENT,) = documents(COMPOSE)
SERVICES = DOCUMENT["services"]
OURS = {name: s for name, s in SERVICES.items() if "SWAP_IMAGE" in s["image"]}


def test_the_schema() -> None:
    check("vendor.compose-spec", COMPOSE)


def test_the_profiles() -> None:
    by_profile = {p: {n for n, s in SERVICES.items() if p in s.get("profiles", [])} for p in ("tools", "standby", "demo")}
    assert {n for n, s in SERVICES.items() if "profiles" not in s} == {"db"}
    assert by_profile["tools"] == {"swap"}
    assert by_profile["standby"] == {"standby"}
    assert by_profile["demo"] == set(SERVICES) - {"db", "swap"}
    assert {"pgbouncer", "prometheus", "grafana", "load", "standby"} <= by_profile["demo"]


@pytest.mark.parametrize("name", OURS)
def test_swap_runs_without_rights_and_with_a_read_only_root(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] in (True, "true")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]


@pytest.mark.parametrize("name", [n for n, s in OURS.items() if s.get("command") and "entrypoint" not in s])
def test_the_commands_are_commands_of_swap(name: str) -> None:
    assert_a_command_of_swap(list(map(str, OURS[name]["command"])))


@pytest.mark.parametrize("script", sorted((DOCKER / "demo").glob("*.sh")), ids=lambda p: p.stem)
def test_the_scripts_run_commands_of_swap(script: Any) -> None:
    lines = [words(line) for line in script.read_text(encoding="utf-8").splitlines() if line.startswith("swap ")]
    assert lines
    for _, *arguments in lines:
        assert_a_command_of_swap(arguments)


def test_every_image_of_others_is_pinned_and_the_same_everywhere() -> None:
    text = "".join(p.read_text(encoding="utf-8") for p in [COMPOSE, *DOCKERFILES])
    pinned = re.findall(r"(?:[A-Z]+_IMAGE:-|^ARG [A-Z]+_IMAGE=)([\w./-]+:[\w.-]+)(@sha256:[0-9a-f]{64})?", text, re.MULTILINE)
    others = {(name, digest) for name, digest in pinned if not name.startswith("pg-uuid-swap")}
    assert len({name for name, _ in others}) == len(others) == 4, "one digest for each image"
    assert all(digest for _, digest in others)
    for dockerfile in DOCKERFILES:
        assert set(re.findall(r"^FROM (\S+)", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)) <= {
            "${PYTHON_IMAGE}", "${POSTGRES_IMAGE}",
        }  # fmt: skip


def test_what_the_services_mount_is_there() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DOCKER / source).resolve().exists(), (name, volume)
            elif not source.startswith("$"):
                assert source in DOCUMENT["volumes"], (name, volume)


def test_the_image_installs_what_its_lock_names_and_nothing_else() -> None:
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    installs = re.findall(r"-m pip .*?install ((?:[^&]|\\\n)*)", text)
    assert len(installs) == 3
    assert all("--require-hashes" in i or ("--no-index" in i and "--no-deps" in i) for i in installs)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {re.split(r"[\[<>=!~; ]", d)[0].lower().replace("_", "-") for d in project["dependencies"]}
    lock = (ROOT / "requirements" / "image.lock").read_text(encoding="utf-8")
    assert wanted <= {n.lower().replace("_", "-") for n in re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE)}
    tested = (ROOT / "requirements" / "test.lock").read_text(encoding="utf-8")
    assert pins(lock) <= pins(tested), "the image has versions that the suite does not try: make lock"


def pins(lock: str) -> set[str]:
    return set(re.findall(r"^\S+==[^\s;]+", lock, re.MULTILINE))


def test_no_file_says_where_it_is_published_and_a_publisher_can() -> None:
    """An address that is not there misleads. So package, image and site get it from those who publish."""
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "urls" not in tomllib.loads(pyproject)["project"]
    named = tomllib.loads(pyproject + dist.urls("https://example.org/a/"))["project"]["urls"]
    assert {"https://example.org/a", "https://example.org/a/issues"} <= set(named.values())
    assert "https://" not in (DOCKER / "Dockerfile").read_text(encoding="utf-8").partition("LABEL")[2]
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert re.findall(r"^(?:site|repo)_url: (\S+)", site, re.MULTILINE) == ["!ENV", "!ENV"]
    assert 'make dist REPOSITORY="$GITHUB_SERVER_URL/$GITHUB_REPOSITORY"' in (ROOT / ".github/workflows/release.yml").read_text()
