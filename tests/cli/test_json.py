"""What `--json` prints and docs/json.md says: every field is documented, and those of the contract are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.commands import ROOT
from tests.support.operator import MakeOperator

DOCS = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
NAMED = {name.removesuffix("[]") for name in re.findall(r"`([a-z_\[\].]+)`", DOCS) for name in [name.rsplit(".", 1)[-1]]}
CONTRACT = {
    "status": "phase direction mode run_id worker drift next pending_changes lag_bytes tables revert verification paused",
    "verify": "verdict tables findings checks",
    "cutover": "outcome attempts lock_wait_ms locked_ms drained_changes blocked_sessions_max snapshot",
    "revert": "outcome attempts lock_wait_ms locked_ms drained_changes blocked_sessions_max snapshot",
    "doctor": "checks",
    "plan": "phases fingerprint",
}
FINDINGS = ("ok", "warning", "blocker")


def fields(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for name, value in document.items():
            yield name
            yield from fields(value)
    elif isinstance(document, list | tuple):
        for value in document:
            yield from fields(value)


def test_every_field_is_documented(ready_operator: MakeOperator) -> None:
    op = ready_operator()
    commands = [
        "doctor",
        "plan",
        "prepare",
        "sync --once",
        "status",
        "verify",
        "cutover --dry-run",
        "cutover --yes --no-snapshot",
    ]
    commands += [
        "history",
        "check",
        "sync --once",
        "status",
        "verify",
        "revert --yes",
        "pause",
        "resume",
        "set jobs=3 throttle.max_load=off",
        "status",
        "set --reset",
        "abort --dry-run",
        "abort --yes",
        "status",
    ]
    for command in commands:
        document = op(*command.split()).json
        assert set(fields(document)) <= NAMED, command
        assert "next" in document, command
        if "dry-run" not in command:
            assert set(CONTRACT.get(command.split()[0], "").split()) <= set(document), command


def test_every_check_of_doctor_is_documented() -> None:
    said = {name for path in ("swap", "cutover") for file in (ROOT / path).rglob("*.py") for name in checks(file)}
    listed = set(re.findall(r"`([a-z-]+)`", DOCS[DOCS.index("Names: `server-version`") : DOCS.index("## plan")]))
    assert len(said) > 40
    assert said <= listed


def checks(file: Path) -> Iterator[str]:
    """Names given to what makes a finding (swap/doctor/finding.py)."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FINDINGS and node.args
        if made and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):  # type: ignore[attr-defined]
            yield node.args[0].value  # type: ignore[attr-defined]
