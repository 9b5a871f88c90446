"""The trial build (H25, H27): the target schema, empty, is really built before anything else is, and rolled back.

One transaction makes schemas of its own, empty copies of the tables in them, and the same plan with those schemas'
names in it (`swap.doctor.trial.remap`). Then every statement of `prepare`, of the build and of the exchange runs on the
copies, each under a savepoint: what cannot be built over a uuid fails here, in the server's own words, and all of it is
reported, not the first only. No application table is locked beyond ACCESS SHARE, which a view over an untouched table
takes while it is created: statements that would touch a relation outside the trial's schemas are left out.

The tool's own triggers and functions are left out too. What takes something back (drops a view, a trigger, a grant) runs
where the copies have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import psycopg
from psycopg import errors, sql

from swap.catalog.load import load_tables, query
from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.lock_retries import local_timeout
from swap.core.names import derive, quote
from swap.core.sql_text import Query, load_sql, verbatim
from swap.core.statement import Statement, script
from swap.ddl.exchange import exchange
from swap.ddl.functions import RESET
from swap.ddl.indexes import constraint_statements, create_index, reference_indexes, shadow_indexes
from swap.ddl.phases import prepare_steps, reference_steps
from swap.ddl.security_labels import WHY as LABELS
from swap.ddl.set_aside import KEPT, followers
from swap.doctor.finding import Finding, blocker, ok
from swap.doctor.trial.functions import review
from swap.doctor.trial.partitions import some_partitions
from swap.doctor.trial.remap import Moves
from swap.doctor.trial.savepoint import tried
from swap.doctor.trial.tables import copies
from swap.plan.model import Plan

STATEMENT_MS = 30_000
LOCK_MS = 2_000
BATCH = 50
CANNOT = "cannot be built over a uuid"
HINT = (
    "Write it so that it holds for a uuid (no arithmetic, no sentinel like 0, no function of an integer), or drop it"
    " before `prepare` and create it again after the cutover."
)
EXPLAINS = {
    "42501": ("function", "ownership", "view"),  # must be superuser, must be able to SET ROLE
    "42703": ("function", "view"),  # a column that is gone after the cutover
    "42804": ("foreign-key",),  # of incompatible types
    "42830": ("foreign-key",),  # no unique constraint matching
    "55000": ("view",),  # a materialized view over one that is not populated
}
"""What the server may say against an object (SQLSTATE), and the checks that know better what to do about it."""
TWIN = "a function of a copy's row type"
PROVIDER = "Load the provider in every session (shared_preload_libraries), or SECURITY LABEL … IS NULL, and again afterwards."
GONE = "Mend what it needs first."


class _RollBack(Exception):
    """Ends the trial's transaction; nothing of it remains."""


@dataclass
class Trial:
    """What was found. `left_out`: statements that could not be tried out, with the reason; none of them builds anything."""

    findings: list[Finding] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    built: int = 0
    failed: bool = False
    known: set[tuple[str, str]] = field(default_factory=set)

    def explained(self, label: str, error: psycopg.Error) -> bool:
        """Whether a check of the catalog has said of this object why it cannot be built. Another failure of the same
        object is news: a view of another owner's that calls max(id) needs more than the membership."""
        return any((name, label) in self.known for name in EXPLAINS.get(error.sqlstate or "", ()))


def try_out(conn: Connection, plan: Plan, known: Sequence[Finding] = ()) -> list[Finding]:
    """Build everything that `plan` will build, on empty copies, and roll it back. CREATE on the database is needed.

    `known`: what the catalog has told already. A failure that it explains is not reported a second time, in the server's
    words and with a hint that does not fit.

    Raises psycopg's LockNotAvailable and QueryCanceled: a table that a view reads is locked, or the server is too busy.
    """
    trial = run_trial(conn, plan, known)
    if not trial.built or trial.failed or any(f.status == "blocker" and not f.acceptable for f in trial.findings):
        return trial.findings
    return [
        *trial.findings,
        ok("trial", plan.source, f"the target schema was built empty and rolled back: {trial.built} statements"),
    ]


def run_trial(conn: Connection, plan: Plan, known: Sequence[Finding] = ()) -> Trial:
    """`try_out` with everything that tests want to know."""
    plan = some_partitions(plan)
    plan = replace(plan, mode="trigger")  # capture is not tried out: its triggers are left out, a slot could not be undone
    trial = Trial(known={(f.name, f.object) for f in known if f.status != "ok"})
    try:
        with conn.transaction():
            conn.execute(local_timeout("statement_timeout", STATEMENT_MS))
            conn.execute(local_timeout("lock_timeout", LOCK_MS))
            _build(conn, plan, trial)
            raise _RollBack
    except _RollBack:
        pass
    except errors.InsufficientPrivilege as e:
        detail = f"the target schema could not be tried out: {e.diag.message_primary}"
        grant = f"GRANT CREATE ON DATABASE … TO {plan.catalog.role};"
        trial.findings.append(blocker("trial", plan.source, detail, grant, acceptable=True))
    return trial


def _build(conn: Connection, plan: Plan, trial: Trial) -> None:
    outside = _targets(conn, plan)
    moves = _scratch(conn, plan, outside)
    moved = replace(moves.plan(plan), state_schema=_schema(conn, "state"))
    failed: dict[str, str] = {}
    made = copies(moved, moves.plan(outside))
    tables = [s for s in made if s.text.startswith("CREATE TABLE ")]
    everything = (*tables, *_twins(conn, plan, moves), *(s for s in made if s not in tables), *_statements(moved))
    for batch in _batches(s for s in everything if _inside(s, moved, moves)):
        if len(batch) > 1 and _run(conn, script(batch)) is None:
            trial.built += len(batch)
            continue
        for statement in batch:
            error = _run(conn, _if_there(statement))
            if _optional(statement):
                continue  # what the copies never had cannot be taken off them
            if error is None:
                trial.built += 1
            elif not _creates(statement):
                trial.left_out.append(f"{statement.text}: {error.diag.message_primary}")
            else:
                label = _label(statement, moves)
                trial.failed = True
                if not trial.explained(label, error):
                    trial.findings.append(_finding(label, error, moves, failed, labelled=statement.why.startswith(LABELS)))
                failed.setdefault(label.rpartition(".")[2], label)
    trial.findings += review(conn, plan, moves)


def _batches(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    """Runs of statements for one round trip and one savepoint; where one of them fails they are run singly. 200
    references are 3000 statements. What may fail goes alone."""
    for optional, run in groupby(statements, key=_optional):
        mine = list(run)
        size = 1 if optional else BATCH
        yield from (mine[n : n + size] for n in range(0, len(mine), size))


def _optional(statement: Statement) -> bool:
    return _takes_back(statement) or statement.why == TWIN


def _twins(conn: Connection, plan: Plan, moves: Moves) -> list[Statement]:
    """Functions bound to the row type of a reference's table stay as they are, and so does their type; a view over the
    copies finds them only with the copies' types. Another signature is another function: the real one is not touched."""
    oids = [t.oid for t in plan.catalog.tables if t.name != plan.source]
    followers_ = [f.oid for f in plan.catalog.functions]
    rows = conn.execute(
        load_sql("swap.doctor.trial", "row_type_functions.sql"), {"oids": oids, "followers": followers_}
    ).fetchall()
    return [Statement(verbatim(moves.text(definition)), TWIN) for _, definition in rows]


def _statements(plan: Plan) -> Iterator[Statement]:
    """Everything that is built from `prepare` to the exchange, in that order."""
    for step in prepare_steps(plan):
        yield from step.statements
    yield create_index(plan.key_index, concurrently=False)
    for index in shadow_indexes(plan):
        yield create_index(index, concurrently=False)
    for index in plan.indexes:
        yield from constraint_statements(index)
    for ref in plan.references:
        yield from (create_index(i, concurrently=False) for i in reference_indexes(ref))
        yield from (s for step in reference_steps(ref) for s in step.statements)
    yield from exchange(plan)


def _inside(statement: Statement, plan: Plan, moves: Moves) -> bool:
    """Whether it is about something of the application's, on the copies alone."""
    if f'"{plan.state_schema}".' in statement.text or statement.why in (KEPT, RESET):
        return False  # the copies have no old views to set aside; functions that mention the tables are the application's
    if re.match(r"(ALTER|DROP|COMMENT ON) STATISTICS\b", statement.text):
        return False  # the copies have no old statistics either
    sequences = [s.name.sql.as_string(None) for s in plan.source_table.sequences]
    made = statement.text.startswith("CREATE ") and not statement.text.startswith("CREATE SEQUENCE ")
    if not made and any(s in statement.text for s in sequences):
        return False  # the real sequence, which writers draw from; a default may name it
    if statement.table is None:
        return not _takes_back(statement)
    return statement.table.schema in moves.schemas.values()


def _takes_back(statement: Statement) -> bool:
    return statement.why.startswith("undo: ")


def _if_there(statement: Statement) -> Query:
    """What the copies never had is not dropped from them, and does not fill the server's log with errors."""
    return verbatim(DROP.sub(r"\1 IF EXISTS ", statement.text, count=1)) if _takes_back(statement) else statement.sql


def _creates(statement: Statement) -> bool:
    made = r"CREATE\b|SECURITY LABEL\b|ALTER POLICY\b|ALTER TABLE (?:ONLY )?\S+ ADD CONSTRAINT\b"
    return bool(re.match(made, statement.text))


def _run(conn: Connection, text: Query) -> psycopg.Error | None:
    return tried(conn, lambda: conn.execute(text))


def _targets(conn: Connection, plan: Plan) -> tuple[Table, ...]:
    """What the source itself refers to, and tables whose policies are created again: either would lock the real table."""
    known = {t.name for t in plan.catalog.tables}
    under_policy = {b.table for b in plan.catalog.policies if b.reads_source} | {n.table for n in plan.new_policies}
    names = sorted(({fk.target for fk in plan.catalog.outgoing} | under_policy) - known)
    oids = [int(query(conn, "resolve.sql", schema=n.schema, name=n.name)[0][0]) for n in names]
    return tuple(replace(t, checks=(), triggers=()) for t in load_tables(conn, oids)) if oids else ()


def _schema(conn: Connection, part: str) -> str:
    """A schema's name that is nobody else's: two trials at a time would wait for each other on one name."""
    return derive(f"swap_trial_{conn.info.backend_pid}", f"_{part}")


def _scratch(conn: Connection, plan: Plan, outside: tuple[Table, ...]) -> Moves:
    """One schema for each one involved: two tables of one name stay two. Owners of views and functions must be able to create there."""
    tables = {plan.shadow, plan.retired, *(x.name for t in (*plan.catalog.tables, *outside) for x in (t, *t.partitions))}
    tables |= {f.name for f in followers(plan)}
    schemas = {s: _schema(conn, str(n)) for n, s in enumerate(sorted({t.schema for t in tables}))}
    for scratch in schemas.values():
        name = sql.Identifier(scratch)
        conn.execute(sql.SQL("CREATE SCHEMA {}; GRANT ALL ON SCHEMA {} TO PUBLIC").format(name, name))
    return Moves({t: schemas[t.schema] for t in tables})


DROP = re.compile(r"^((?:ALTER TABLE .* )?DROP (?:CONSTRAINT|TRIGGER|POLICY|VIEW|MATERIALIZED VIEW|FUNCTION|PROCEDURE)) (?!IF )")
NAME = r'("(?:[^"]|"")+"|[^\s(]+)'
PART_OF = re.compile(rf"\b(?:CONSTRAINT (?!TRIGGER)|TRIGGER |POLICY |INDEX ){NAME}")
ROUTINE = re.compile(r"CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE|AGGREGATE) ([^()]+\([^()]*\))")


def _label(statement: Statement, moves: Moves) -> str:
    """What `[accept]` and the reader call the object: `public.view`, `public.table.trigger`, `public.function(bigint)`."""
    text = statement.text
    if statement.why.startswith(LABELS):
        return moves.readable(statement.why.removeprefix(LABELS))
    if routine := ROUTINE.match(text):
        return moves.readable(routine.group(1))
    table = str(moves.back(statement.table)) if statement.table else ""
    head = text if re.match(r"ALTER|CREATE (?:\w+ )*(?:TRIGGER|POLICY|INDEX)\b", text) else ""
    part = PART_OF.search(head)
    if part is None:
        return table or statement.why
    name = part.group(1)
    plain = name[1:-1].replace('""', '"') if name.startswith('"') else name
    return f"{table}.{quote(plain)}"


def _finding(label: str, error: psycopg.Error, moves: Moves, failed: dict[str, str], *, labelled: bool) -> Finding:
    message = moves.readable(error.diag.message_primary or str(error))
    if labelled:
        return blocker("trial", label, f"its security label cannot be given again: {message}", PROVIDER)
    missing = re.search(r'relation "(?:.*\.)?([^".]+)"', message) if error.sqlstate == "42P01" else None
    if missing and missing.group(1) in failed:
        return blocker("trial", label, f"needs {failed[missing.group(1)]}, which {CANNOT}", GONE)
    return blocker("trial", label, f"{CANNOT}: {message}", HINT)
