"""A hint can be followed to the letter (I13): its statements run, its entries are taken, and the finding is gone then."""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from swap.core.config import Config
from swap.core.connection import Database as Conninfo
from swap.doctor.examine import examine
from swap.doctor.finding import Finding
from swap.doctor.trial.build import trial_findings
from tests.support.fixture_run import FixtureRun, cases
from tests.support.hints import entries, statements
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
    """Each statement runs, in a transaction of its own that is rolled back, and each entry is tried: one finding fewer of that label."""
    made = FixtureRun(case, database, server, tmp_path / "swap.toml")
    if made.major < case.requires:
        pytest.skip(f"needs PostgreSQL {case.requires}")
    made.install()
    document = tomllib.loads(case.text("swap.toml") or "")
    with closing(Conninfo.from_options(database.owner, "hints").connect()) as conn:
        found = [f for f in examine(conn, Config.model_validate(document), trial=trial_findings) if f.status == "blocker"]
        labels = Counter(f.label for f in found)
        for finding in found:
            if more := entries(finding.hint):
                merged = {**document, **{k: [*document.get(k, []), *v] for k, v in more.items()}}
                left = Counter(f.label for f in _blockers(conn, merged))
                assert left[finding.label] < labels[finding.label], finding
            for statement in _runnable(finding):
                with conn.transaction(force_rollback=True):
                    conn.execute(statement.encode())


def _runnable(finding: Finding) -> Iterator[str]:
    """A statement about roles needs a superuser, whom `swap` is not; one with CONCURRENTLY takes no transaction."""
    yield from (s for s in statements(finding.hint) if not s.startswith(("GRANT", "REVOKE")) and " CONCURRENTLY" not in s)


def _blockers(conn: Any, document: dict[str, Any]) -> list[Finding]:
    return [f for f in examine(conn, Config.model_validate(document), trial=trial_findings) if f.status == "blocker"]
