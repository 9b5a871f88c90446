"""A hint can be followed to the letter (I13): its statements run, its entries are taken, and the finding is gone then."""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from swap.core.config import Config
from swap.core.connection import Database as Conninfo
from swap.doctor.examine import examine
from swap.doctor.finding import Finding
from swap.doctor.fixes import fixes
from swap.doctor.trial.build import trial_findings
from swap.doctor.undo import undo_of
from tests.support.fixture_run import FixtureRun, cases
from tests.support.hints import entries
from tests.support.servers import Database, DatabaseServer

REFUSED = [c for c in cases() if c.text("refused.txt") is not None]
FOLLOWED = {"refused_sentinels", "refused_trigger_torn", "refused_erp_sentinels", "refused_reference_default"}
"""The cases whose hints are followed in every run. SWAP_HINTS=all: those of all."""
CHOSEN = [c for c in REFUSED if c.name in FOLLOWED or os.environ.get("SWAP_HINTS") == "all"]


@pytest.mark.parametrize("case", REFUSED, ids=lambda c: c.name)
def test_no_hint_leaves_a_gap(case: Any) -> None:
    """No ellipsis, no placeholder; and every entry is one that the configuration takes."""
    text = case.text("refused.txt")
    assert "…" not in text
    for hint in re.split(r"\n(?=\S+:)", text):
        Config.model_validate({"source": {"table": "public.users"}, **entries(hint)})


@pytest.mark.parametrize("case", CHOSEN, ids=lambda c: c.name)
def test_what_a_hint_says_mends_the_finding(case: Any, database: Database, server: DatabaseServer, tmp_path: Path) -> None:
    """Each entry is taken, and there is one finding fewer of that label. The statements of `doctor --fix-sql` run in their order, the
    findings that they name are gone then, and their undo leaves the schema as it was."""
    made = FixtureRun(case, database, server, tmp_path / "swap.toml")
    if made.major < case.requires:
        pytest.skip(f"needs PostgreSQL {case.requires}")
    made.install()
    document = tomllib.loads(case.text("swap.toml") or "")
    with (
        closing(Conninfo.from_options(database.owner, "hints").connect()) as conn,
        closing(psycopg.connect(database.superuser, autocommit=True)) as superuser,
    ):
        found = _blockers(conn, document)
        labels = Counter(f.label for f in found)
        for finding in found:
            if more := entries(finding.hint):
                merged = {**document, **{k: [*document.get(k, []), *v] for k, v in more.items()}}
                left = Counter(f.label for f in _blockers(conn, merged))
                assert left[finding.label] < labels[finding.label], finding
        mends = fixes(found, document["source"]["table"])
        undo = undo_of(conn, [f.sql for f in mends])
        before = made.dump()
        for fix in mends:
            if not fix.offered:
                superuser.execute(fix.sql.encode())
            elif fix.offered == "or":
                with superuser.transaction(force_rollback=True):
                    superuser.execute(fix.sql.encode())
    with closing(Conninfo.from_options(database.owner, "hints").connect()) as conn:
        left = Counter(f.label for f in _blockers(conn, document))
    ran = [f for f in mends if not f.offered]
    assert {x for f in ran for x in f.findings if left[x] >= labels[x]} <= STILL.get(case.name, set())
    with closing(psycopg.connect(database.superuser, autocommit=True)) as superuser:
        for fix in reversed(ran):
            if fix.sql in undo:
                superuser.execute(undo[fix.sql].encode())
    if ran and all(f.sql in undo for f in ran):
        assert sorted(made.dump().splitlines()) == sorted(before.splitlines())


STILL: dict[str, set[str]] = {}
"""Findings that have more than a statement as their remedy."""


def _blockers(conn: Any, document: dict[str, Any]) -> list[Finding]:
    return [f for f in examine(conn, Config.model_validate(document), trial=trial_findings) if f.status == "blocker"]
