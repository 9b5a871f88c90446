"""The workflows: valid by GitHub's schema, with targets that exist, and covering what a change has to pass."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.files import documents, strings
from tests.support.commands import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def check(schema: str, *files: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def steps(path: Path) -> list[dict[str, Any]]:
    (workflow,) = documents(path)
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_the_schema(schema: str) -> None:
    assert len(WORKFLOWS) == 2
    check(schema, *WORKFLOWS)


def test_the_schema_finds_a_mistake(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text(WORKFLOWS[0].read_text(encoding="utf-8").replace("runs-on:", "run-on:", 1))
    with pytest.raises(AssertionError, match="run-on"):
        check("vendor.github-workflows", bad)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_the_steps_run_is_there(path: Path) -> None:
    commands = [line for step in steps(path) for line in step.get("run", "").splitlines()]
    wanted = {target for line in commands for target in re.findall(r"\bmake (?:--silent )?([a-z-]+)", line)}
    assert wanted <= TARGETS
    for name in {word for line in commands for word in re.findall(r"(?<![\w/])(?:\.ci|docker)/[\w./-]+", line)}:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_action_can_change_unseen_and_no_token_can_do_more_than_it_must(path: Path) -> None:
    """An action is named by its commit, GITHUB_TOKEN reads only, and no expression is pasted into a shell."""
    (workflow,) = documents(path)
    assert workflow["permissions"] == {"contents": "read"}
    for step in steps(path):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] in (False, "false")
        assert "${{" not in step.get("run", "")


def test_what_a_change_has_to_pass() -> None:
    (workflow,) = documents(next(p for p in WORKFLOWS if p.stem == "ci"))
    jobs = workflow["jobs"]
    assert ".ci/run" in set(strings(jobs["quick"]["steps"]))
    matrix = jobs["suite"]["strategy"]["matrix"]
    assert [s.rsplit(":", 1)[-1] for s in matrix["server"]] == ["15", "16", "17", "18"]
    assert matrix["mode"] == ["trigger", "logical"]
    lines = " ".join(strings(jobs))
    assert all(f"make {target}" in lines for target in ("test-package", "image", "test-docker", "docs"))


def test_the_pythons_are_those_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {c.rsplit(" ", 1)[1] for c in project["classifiers"] if re.search(r":: Python :: 3\.\d+$", c)}
    used = {text for path in WORKFLOWS for text in strings(documents(path)) if re.fullmatch(r"3\.\d+", text)}
    assert used <= named
    assert min(named, key=lambda v: int(v.split(".")[1])) in used
