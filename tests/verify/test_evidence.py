"""The traces of a verification: files, the verification that a cutover's result quotes, and the gate after a repair."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.verifying import METHODS, Verified
from verify.report import Method

by_both = pytest.mark.parametrize("method", METHODS)


@by_both
@pytest.mark.parametrize("name", ["evidence.json", "evidence.md", "evidence"])
def test_the_report_is_written_for_programs_and_for_people(verified: Verified, tmp_path: Path, method: Method, name: str) -> None:
    verified.owner.execute("UPDATE users_new SET bio = 'a|b' WHERE id = 40")
    verified.op("verify", "--method", method, "--report", str(tmp_path / name), check=False)
    data = tmp_path / ("evidence" if name == "evidence" else "evidence.json")
    written = json.loads(data.read_text())
    assert written["verdict"] == "different"
    assert (written["method"], written["plan_fingerprint"]) == (method, verified.run().plan.fingerprint)
    assert written["server_version"] >= 150000
    assert written["fingerprint"]
    assert [(f["key"], f["columns"]) for f in written["findings"]] == [(40, ["bio"])]
    assert (written["ranges"][0]["low"], written["ranges"][-1]["high"]) == (None, None)
    assert sum(r["origin_rows"] for r in written["ranges"]) == written["tables"][0]["rows"] == 300
    equal = {r["origin_digest"] == r["target_digest"] for r in written["ranges"]}
    assert equal == ({True} if method == "exact" else {False})  # one range, and it differs
    (snapshot,) = written["snapshots"]
    assert (snapshot["snapshot"], snapshot["lsn"]) == (written["snapshot"], written["lsn"])
    text = (tmp_path / "evidence.md").read_text()
    assert "| verdict | **different** |" in text
    assert "| public.users | 40 | different | bio |" in text
    assert snapshot["snapshot"] in text


def test_a_report_that_cannot_be_written(verified: Verified, tmp_path: Path) -> None:
    """It is refused before the work, not after it."""
    error = verified.op.refused("verify", "--report", str(tmp_path / "nowhere" / "x.json"), code=2)
    assert error["state"] == "Nothing was changed."


def test_cutover_quotes_what_it_relied_on(verified: Verified) -> None:
    document = verified.op("verify").json
    done = verified.op("cutover", "--yes", "--no-snapshot").json
    assert done["verification"] == {
        "id": document["id"], "method": "checksum", "finished_at": done["verification"]["finished_at"],
        "rows": sum(t["rows"] for t in document["tables"]),
    }  # fmt: skip


def test_a_run_that_repaired_opens_no_gate(verified: Verified) -> None:
    """I7: the repair is printed, then queued and replayed. A cutover needs another verification after that."""
    verified.owner.execute("DELETE FROM users_new WHERE id = 10; UPDATE users_new SET bio = 'wrong' WHERE id = 11")
    printed = verified.op("verify", "--repair", "--dry-run", check=False)
    assert printed.code == 5
    (statement,) = printed.json["statements"]
    assert "'{10,11}'" in statement["sql"]
    assert verified.op.status()["pending_changes"] == 0
    repaired = verified.op("verify", "--repair", check=False)
    assert (repaired.code, repaired.json["repaired"]) == (5, 2)
    assert verified.op.status()["pending_changes"] == 2
    verified.op("sync", "--once")
    error = verified.op.refused("cutover", "--yes", "--no-snapshot", code=3)
    assert "(repaired)" in error["message"]
    assert verified.op("verify").json["verdict"] == "identical"
    assert verified.op("cutover", "--yes", "--no-snapshot").json["outcome"] == "committed"


def test_dry_run_needs_repair(verified: Verified) -> None:
    verified.op.refused("verify", "--dry-run", code=2)


def test_an_unfinished_verification_is_exit_code_5(verified: Verified) -> None:
    """I7: it opens no gate, whatever stopped it (tests/verify/test_verify.py)."""
    verified.op("verify")
    verified.owner.execute("TRUNCATE users CASCADE")
    result = verified.op("verify", check=False)
    assert result.code == 5
    assert result.json["verdict"] == "incomplete"
    assert result.json["error"]["code"] == 5
    error = verified.op.refused("cutover", "--yes", "--no-snapshot", code=3)
    assert "incomplete" in error["message"]
