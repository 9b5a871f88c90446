"""`swap doctor`: every preflight check, as findings. It changes nothing: index definitions are tried out in
temporary tables of transactions that are rolled back, data is read in bounded, read-only transactions.

While a run of the source exists, its objects have the very names that would otherwise be taken, and after the
cutover the key is a uuid: then only what stays true in every phase is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import psycopg

from swap.catalog.expressions import refuse_spliced
from swap.catalog.query import find_relation
from swap.core.config import Config
from swap.core.connection import SETTINGS, Connection
from swap.core.errors import LockError, RefusedError
from swap.core.names import quote
from swap.doctor.attached import check_attached_objects
from swap.doctor.census import check_census
from swap.doctor.clients import check_clients
from swap.doctor.data import check_data
from swap.doctor.declared import check_kinds, without
from swap.doctor.dependents import check_dependents
from swap.doctor.disk import check_disk, check_locks, free_bytes, needed_bytes
from swap.doctor.finding import Finding, Subject, accept, blocker, ok, read, subject_of, warning
from swap.doctor.key import check_identity, check_identity_data, check_key
from swap.doctor.look_alikes import check_look_alikes
from swap.doctor.look_alikes_nested import look_alikes
from swap.doctor.names import check_names
from swap.doctor.not_valid import check_not_valid
from swap.doctor.partitions import check_partitions
from swap.doctor.pooler import check_pooler
from swap.doctor.privileges import (
    check_ownership,
    check_privileges,
    check_row_security,
    check_schemas,
    check_targets,
    read_relations,
    read_targets,
)
from swap.doctor.publications import check_publications
from swap.doctor.references import check_references
from swap.doctor.replication import check_logical, check_slots
from swap.doctor.server import Server, check_server, check_version, read_server
from swap.doctor.subscriptions import check_subscriptions
from swap.doctor.tables import check_exclusions, check_rewrite, check_tables
from swap.plan.assume_fixed import assume_fixed, with_key
from swap.plan.model import Plan
from swap.plan.planning import Planned, plan_for, with_dependents
from swap.plan.references import reference_columns
from swap.state.journal import Journal, Phase, Run

__all__ = ["Finding", "examine", "refuse"]

SCAN_TIMEOUT_MS = 30_000
LOCK_WAIT_MS = 5_000  # the server locks a table (ACCESS SHARE) even to print its definitions
OVER = (Phase.FINALIZED, Phase.ABORTED)
UNTRIED = {"connection", "database-privileges"}  # where these stop it, nothing can be built for a trial either

TrialBuild = Callable[[Connection, Plan, Sequence[Finding]], list[Finding]]


class StateSchema(NamedTuple):
    """`owned`: this role has the owner's rights."""

    owner: str
    owned: bool


def examine(
    conn: Connection, config: Config, *, scan_timeout_ms: int = SCAN_TIMEOUT_MS, trial: TrialBuild | None = None
) -> list[Finding]:
    """Every finding, `ok` ones included. Holds ACCESS SHARE on the tables while a scan runs (`scan_timeout_ms` each).

    `trial` builds the whole target schema and rolls it back (swap.doctor.trial.build); without it that is not tried out.

    Raises UsageError when the source does not exist at all, LockError when a table is locked against reading.
    """
    conn.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_WAIT_MS}ms"])
    try:
        return _with_accept(_examine(conn, config, scan_timeout_ms, trial), config, tried=trial is not None)
    except psycopg.errors.LockNotAvailable as e:
        hint = "Another session holds ACCESS EXCLUSIVE (DDL, VACUUM FULL): wait for it; pg_locks shows which."
        raise LockError(f"A table could not be read: {e.diag.message_primary}.", hint=hint) from None
    finally:
        if not conn.broken:
            conn.execute("SELECT set_config('lock_timeout', %s, false)", [SETTINGS["lock_timeout"]])


def refuse(findings: Sequence[Finding], config: Config) -> None:
    """Raises RefusedError (exit 3) with the first blocker that was not accepted, and the names of all the others."""
    blockers = [f for f in accept(findings, config.accept.findings) if f.status == "blocker"]
    if not blockers:
        return
    first, more = blockers[0], len(blockers) - 1
    others = f" And {more} more blocker{'s' if more > 1 else ''}: {', '.join(f.label for f in blockers[1:])}." if more else ""
    flag = " --trial" if any(f.name == "trial" for f in blockers) else ""
    hint = f"{first.hint} `swap doctor{flag}` lists every finding with its remedy."
    raise RefusedError(f"{first.name}: {first.object}: {first.detail}.{others}", hint=hint.strip())


def _with_accept(findings: list[Finding], config: Config, *, tried: bool) -> list[Finding]:
    later = ("legacy:",) if tried else ("legacy:", "trial:")  # what `finalize` finds, and what only a trial build does
    labels = [x for x in config.accept.findings if not x.startswith(later)]
    known = {f.label for f in findings}
    unused = [
        warning("accept", label, "[accept] names this finding, and there is none of that name", "Remove it.")
        for label in labels
        if label not in known
    ]
    return [*accept(findings, labels), *unused]


def _examine(conn: Connection, config: Config, scan_timeout_ms: int, trial: TrialBuild | None) -> list[Finding]:
    version = check_version(conn.info.server_version)
    if version.status == "blocker":
        return [version]
    server = read_server(conn)
    state, run, state_exists = _state(conn, config, server)
    active = run is not None and run.phase is not Phase.ABORTED
    ours = state_exists and not any(f.status == "blocker" for f in state)
    slots = check_slots(conn, config.names.state_schema, ours=ours)
    out = [*check_server(conn, server, config, state_exists=state_exists, running=active), *slots, *state]
    out += [*check_pooler(config, server.database), *check_clients(conn, config.cutover.disconnect_clients)]
    if run is not None and active:
        return out if run.phase in OVER else [*out, *_during(conn, server, run)]
    return [*out, *_before(conn, config, server, scan_timeout_ms, trial, ours=ours)]


def _state(conn: Connection, config: Config, server: Server) -> tuple[list[Finding], Run | None, bool]:
    """The state schema: free, ours, or somebody else's. The run of this source, if there is one."""
    schema = config.names.state_schema
    found = read(conn, StateSchema, "state.sql", schema=schema)
    if not found:
        return [ok("state-schema", schema, "does not exist: `prepare` creates it")], None, False
    owner, owned = found[0]
    try:
        journal = Journal(conn, schema)
        journal.exists()
        if not owned:
            hint = f"GRANT {quote(owner)} TO {quote(server.role)};"
            return [blocker("state-schema", schema, f"belongs to {owner}, who runs swap here", hint)], None, True
        run = journal.current(config.source.name)
    except RefusedError as e:
        return [blocker("state-schema", schema, e.message, e.hint)], None, True
    if run is None:
        return [ok("state-schema", schema, "exists; no run of this table")], None, True
    detail = f"run {run.id} of {run.source} is {run.phase.value.replace('_', ' ')}"
    if run.phase not in OVER:
        detail += ": names, key and references belong to it and are not checked again"
    return [ok("run", run.source, detail)], run, True


def _other_runs(conn: Connection, subject: Subject) -> list[Finding]:
    """H42: what one run adds to a table is drift to another one. Runs that share no table do not meet."""
    journal = Journal(conn, subject.config.names.state_schema)
    found = []
    for run in journal.unfinished() if journal.exists() else []:
        theirs = {run.plan.source, *(r.table for r in run.plan.references)}
        for table in sorted(theirs.intersection(t.name for t in subject.tables)):
            detail = f"takes part in the run of {run.source}, which is {run.phase.value.replace('_', ' ')}"
            found.append(blocker("run", table, detail, "One after the other: finalize or abort that one first."))
    return found


def _during(conn: Connection, server: Server, run: Run) -> list[Finding]:
    """What can still go wrong while a run exists: rights on the tables as they are now, and room."""
    plan = run.plan
    names = {plan.source, plan.shadow, plan.retired, *(r.table for r in plan.references)}
    found = {n: relation for n in sorted(names) if (relation := find_relation(conn, n))}
    relations = read_relations(conn, [relation.oid for relation in found.values()])
    columns = read_targets(conn, found[plan.source].oid) if plan.source in found else []
    targets = read_relations(conn, sorted({c.target_oid for c in columns}))
    return [
        *check_ownership(relations, server.role),
        *check_targets(targets, columns, server.role),
        *check_schemas([r for r in relations if r.owned], server.role),
        *check_row_security(relations, server.role),
        check_locks(subject_of(plan), server),
    ]


def _before(
    conn: Connection, config: Config, server: Server, scan_timeout_ms: int, trial: TrialBuild | None, *, ours: bool
) -> list[Finding]:
    """No run exists: can one begin? Goes on past what is unusable, as far as anything can be made sense of: what is mended
    first should not uncover the next blocker. `assume_fixed` gives the subject without what is in the way."""
    refuse_spliced(conn, config)
    kinds = check_kinds(conn, config)
    if any(f.object == str(config.source.name) for f in kinds):
        return [*kinds, *_untried(config, trial)]
    config, catalog, undeclared = without(conn, config, {f.object for f in kinds})
    out = [*kinds, *undeclared, *check_key(catalog.source, config)]
    out += check_identity(catalog.source, config, catalog.server_version)
    keyed = with_key(catalog.source, config)
    usable = keyed is not None and not any(f.status == "blocker" for f in out)
    config = keyed or config
    references = reference_columns(catalog, config)
    catalog = with_dependents(conn, catalog, references)
    subject = Subject(catalog, config, references)
    if ours and (other := _other_runs(conn, subject)):
        return [*out, *other]
    as_fixed = Subject(catalog, *assume_fixed(catalog, config, references))
    planned = Planned(None, {}, ())
    if keyed:
        may_try = server.may_temp and not server.standby  # without TEMP no definition can be tried
        planned = plan_for(conn, as_fixed.catalog, as_fixed.config, as_fixed.references, may_try=may_try)
    plan = planned.plan
    subject = Subject(catalog, config, references, plan)
    privileges = check_privileges(conn, subject, server)
    about = check_references(subject, planned.definitions)
    out += [
        *check_tables(subject),
        *check_logical(conn, subject),
        *privileges,
        *about,
        *(check_rewrite(as_fixed, planned) if keyed else ()),
        *check_exclusions(subject),
        *check_partitions(conn, subject),
        *check_names(conn, subject),
        *check_attached_objects(conn, subject),
        *check_publications(subject),
        *check_subscriptions(conn, subject),
        *check_dependents(conn, subject),
        *check_census(conn, subject),
        check_disk(needed_bytes(subject), free_bytes(conn, server.data_directory, catalog.source)),
        check_locks(subject, server),
    ]
    stopped = plan is None or any(f.status == "blocker" and f.name in UNTRIED for f in out)
    if trial is not None and plan is not None and not stopped:
        tried = trial(conn, plan, out)
        if kinds or undeclared or not usable or as_fixed != replace(subject, plan=None):
            detail = (
                "the target schema was tried out as if the key, the identity column, the references and their names were usable"
            )
            tried = [f for f in tried if f.status != "ok"]
            tried.append(warning("trial", catalog.source.name, detail, "Mend their blockers, and try it out again."))
        out += tried
    else:
        out += _untried(config, trial)
    if usable:
        out += _data(conn, subject, [*privileges, *about], scan_timeout_ms)
    return out


def _untried(config: Config, trial: TrialBuild | None) -> list[Finding]:
    detail = "the target schema was not tried out"
    return [warning("trial", config.source.name, detail, "Mend the blockers first.")] if trial is not None else []


def _data(conn: Connection, subject: Subject, about: list[Finding], timeout_ms: int) -> list[Finding]:
    """Checks that read rows: only where the columns are what they should be and no policy hides any."""
    if any(f.status == "blocker" and f.name in {"reference", "row-security", "ownership"} for f in about):
        return [warning("reference-data", subject.source.name, "not checked", "Mend the blockers first.")]
    config = subject.config
    found = look_alikes(conn, subject.source.name, config.source.key, config.names.state_schema)
    declared = {(r.table, r.column) for r in subject.references}
    return [
        *check_identity_data(conn, subject, timeout_ms),
        *check_data(conn, subject, timeout_ms),
        *check_not_valid(conn, subject, timeout_ms),
        *check_look_alikes(found, declared, config.ignore),
    ]
