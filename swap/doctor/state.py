"""The state schema and the runs in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.doctor.finding import Finding, Subject, blocker, ok, read
from swap.state.journal import Journal, Phase, Run

OVER = (Phase.FINALIZED, Phase.ABORTED)


class _Schema(NamedTuple):
    """A schema. `owned`: this role has its owner's rights."""

    owner: str
    owned: bool


@dataclass(frozen=True)
class State:
    """The state schema, and the run of this source in it, if there is one."""

    findings: tuple[Finding, ...]
    exists: bool
    run: Run | None = None

    @property
    def usable(self) -> bool:
        """It exists, and this role can read and write it."""
        return self.exists and not any(f.status == "blocker" for f in self.findings)


def check_state(conn: Connection, config: Config) -> State:
    """Whether the state schema is free, this tool's, or another's. One that is not believed is not read. Takes no lock but those
    of reading the journal."""
    schema = config.names.state_schema
    try:
        journal = Journal(conn, schema, config.source.name)
        if not journal.exists():
            return State((ok("state-schema", schema, "does not exist: `prepare` creates it"),), exists=False)
        for owner in (s.owner for s in read(conn, _Schema, "state.sql", schema=schema) if not s.owned):
            detail = f"belongs to {owner}, as the source does: this role may not read it"
            return State((blocker("state-schema", schema, detail, f"Connect as {owner}."),), exists=True)
        run = journal.current(config.source.name)
    except RefusedError as e:
        return State((blocker("state-schema", schema, e.message, e.hint),), exists=True)
    if run is None:
        return State((ok("state-schema", schema, "exists; no run of this table"),), exists=True)
    detail = f"run {run.id} of {run.source} is {_words(run.phase)}"
    if run.phase not in OVER:
        detail += ": names, key and references belong to it and are not checked again"
    return State((ok("run", run.source, detail),), exists=True, run=run)


def check_other_runs(conn: Connection, subject: Subject) -> list[Finding]:
    """H42: a column or trigger that one run adds to a table is drift to another run. So no table takes part in two runs."""
    journal = Journal(conn, subject.config.names.state_schema, subject.source.name)
    found = []
    for run in journal.unfinished() if journal.exists() else []:
        theirs = {run.plan.source, *(r.table for r in run.plan.all_references)}
        for table in sorted(theirs.intersection(t.name for t in subject.tables)):
            detail = f"takes part in the run of {run.source}, which is {_words(run.phase)}"
            found.append(blocker("run", table, detail, "One after the other: finalize or abort that one first."))
    return found


def _words(phase: Phase) -> str:
    return phase.value.replace("_", " ")
