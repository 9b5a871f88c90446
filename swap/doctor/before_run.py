"""No run of the source exists: can one begin?

A blocker does not end the examination: the checks go on as far as they can. Else the next blocker would show only after the first
one is fixed. So there are two subjects: the application as it is, and the application as if the blockers of key, identity column,
references and names were fixed already (swap.plan.assume_fixed). The second one is planned and tried out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from swap.catalog.application import application_settings
from swap.catalog.expressions import refuse_spliced
from swap.core.config import Config
from swap.core.connection import Connection
from swap.doctor.accept import accept
from swap.doctor.attached import check_attached_objects
from swap.doctor.census import check_census
from swap.doctor.data import check_data
from swap.doctor.declared import check_kinds, without
from swap.doctor.dependents import check_dependents
from swap.doctor.disk import check_disk, check_locks, free_bytes, needed_bytes
from swap.doctor.expressions import check_expressions
from swap.doctor.finding import Finding, Remedy, Subject, warning, with_remedies
from swap.doctor.follow import with_following
from swap.doctor.key import check_identity, check_identity_data, check_key
from swap.doctor.key_sequence import check_key_sequence
from swap.doctor.look_alikes import check_look_alikes
from swap.doctor.look_alikes_nested import look_alikes
from swap.doctor.names import check_names
from swap.doctor.not_valid import check_not_valid
from swap.doctor.partitioned_source import NAME as PARTITIONED
from swap.doctor.partitioned_source import check_key_index, check_key_twice, check_partitioned_source
from swap.doctor.partitions import check_partitions
from swap.doctor.powers import NAME as POWERS
from swap.doctor.powers import check_powers
from swap.doctor.privileges import check_privileges
from swap.doctor.publications import check_publications
from swap.doctor.references import check_references, printed_conditions
from swap.doctor.replication import check_logical
from swap.doctor.server import Server
from swap.doctor.several_types import check_types
from swap.doctor.state import State, check_other_runs
from swap.doctor.subscriptions import check_subscriptions
from swap.doctor.table_mentions import check_table_mentions
from swap.doctor.tables import check_exclusions, check_rewrite, check_tables
from swap.plan.assume_fixed import assume_fixed, with_key
from swap.plan.model import INTEGERS, Plan, RefColumns
from swap.plan.planning import Planned, plan_for, with_dependents
from swap.plan.references import reference_columns

SCAN_TIMEOUT_MS = 30_000
NOTHING_CAN_BE_BUILT = {
    "connection",
    "database-privileges",
    POWERS,
    PARTITIONED,
}  # with a blocker of these a trial build is not possible
UNREADABLE = {"reference", "row-security", "ownership", POWERS}  # with a blocker of these the rows of references cannot be read

TrialBuild = Callable[[Connection, Plan, Sequence[Finding], bool], list[Finding]]


@dataclass(frozen=True)
class Options:
    """How much is examined: the time limit of each scan, the trial build, if one is wanted, and whether the text of other
    sessions' queries is in the findings."""

    scan_timeout_ms: int = SCAN_TIMEOUT_MS
    trial: TrialBuild | None = None
    show_queries: bool = False


@dataclass(frozen=True)
class _Subjects:
    """`found`: why the configuration cannot be taken as it is. `as_is`: without the references that do not exist. `as_fixed`: as if
    its blockers were fixed. `keyed`: there is a column that can be the key. `usable`: nothing of key and identity was fixed."""

    found: list[Finding]
    as_is: Subject
    as_fixed: Subject
    keyed: bool
    usable: bool
    complete: bool
    powers: list[Finding]

    @property
    def safe(self) -> bool:
        """Nothing that is tried runs code that this session must not run (swap.doctor.powers)."""
        return not any(f.status == "blocker" for f in self.powers)

    @property
    def fixed(self) -> bool:
        """Whether anything had to be left out, or assumed to be fixed."""
        return not (self.usable and self.complete and self.as_fixed == self.as_is)


def check_before_run(conn: Connection, config: Config, server: Server, options: Options, state: State) -> list[Finding]:
    """Every check of an application that is not being migrated. Raises UsageError when the source does not exist."""
    refuse_spliced(conn, config)
    kinds = check_kinds(conn, config)
    if any(f.object == str(config.source.name) for f in kinds):
        return [*kinds, *_not_tried(config, options)]
    may_try = server.may_temp and not server.standby  # without temporary tables no definition can be tried
    subjects = _subjects(conn, config, kinds, may_try=may_try)
    if state.usable and (others := check_other_runs(conn, subjects.as_is)):
        return [*subjects.found, *others]
    powers = accept(check_powers(conn, [t.name for t in subjects.as_is.catalog.tables]), config.accept.findings)
    # Trying a definition may run code of a role that this session must not run code of.
    may_try = may_try and not any(f.status == "blocker" for f in powers)
    planned = _plan(conn, subjects, may_try=may_try)
    subject = replace(subjects.as_is, plan=planned.plan)
    privileges = check_privileges(conn, subject, server)
    references = check_references(subject, planned.definitions)
    found = [
        *subjects.found,
        *subjects.powers,
        *check_tables(conn, subject),
        *check_logical(conn, subject),
        *privileges,
        *references,
        *(check_rewrite(subjects.as_fixed, planned) if subjects.keyed else ()),
        *check_exclusions(subject),
        *check_partitions(conn, subject),
        *check_partitioned_source(conn, subject),
        *check_names(conn, subject),
        *check_attached_objects(conn, subject),
        *check_publications(subject),
        *check_subscriptions(conn, subject),
        *check_dependents(conn, subject),
        *check_census(conn, subject),
        check_disk(needed_bytes(subject), free_bytes(conn, server.data_directory, subject.source)),
        check_locks(subject, server),
    ]
    tried = _try_out(conn, subjects, planned.plan, found, options)
    found = [*with_remedies(found, tried), *(f for f in tried if not isinstance(f, Remedy))]
    if subjects.usable:
        about = [*privileges, *references, *powers]
        found += _check_rows(conn, subject, about, options.scan_timeout_ms, may_try=may_try)
    if subjects.keyed:
        found += _undeclared(conn, subjects.as_fixed, subject.references)
    return with_following(found)


def _undeclared(conn: Connection, subject: Subject, references: Sequence[RefColumns]) -> list[Finding]:
    """What looks like a reference, and what names the table, whatever else is in the way. Samples are bounded; a column that may not
    be read is listed as not checked."""
    key = subject.source.column(subject.config.source.key)
    if key is None or key.type not in INTEGERS:
        return []
    found = look_alikes(conn, subject.source.name, key.name, subject.config.names.state_schema)
    declared = {(r.table, r.column) for r in references}
    return [*check_look_alikes(found, declared, subject.config.ignore), *check_table_mentions(conn, subject)]


def _subjects(conn: Connection, config: Config, kinds: list[Finding], *, may_try: bool) -> _Subjects:
    """`may_try`: the session may create temporary tables, in which the server prints a `where`."""
    config, catalog, undeclared = without(conn, config, {f.object for f in kinds})
    found = [*kinds, *undeclared, *check_key(catalog.source, config)]
    found += check_key_index(catalog.source, config.source.key) if catalog.source.kind == "p" else ()
    found += check_identity(catalog.source, config)
    keyed = with_key(catalog.source, config)
    usable = keyed is not None and not any(f.status == "blocker" for f in found)
    config = keyed or config
    references = reference_columns(catalog, config)
    powers = accept(check_powers(conn, [t.name for t in catalog.tables]), config.accept.findings)
    if may_try and not any(f.status == "blocker" for f in powers):
        references, unnamed = printed_conditions(conn, catalog, config, references)
        found += unnamed
    catalog = with_dependents(conn, catalog, config, references)
    as_is = Subject(catalog, config, references)
    as_fixed = Subject(catalog, *assume_fixed(catalog, config, references))
    return _Subjects(found, as_is, as_fixed, keyed is not None, usable, complete=not (kinds or undeclared), powers=powers)


def _plan(conn: Connection, subjects: _Subjects, *, may_try: bool) -> Planned:
    if not subjects.keyed:
        return Planned(None, {}, ())
    fixed = subjects.as_fixed
    return plan_for(conn, fixed.catalog, fixed.config, fixed.references, may_try=may_try)


def _try_out(conn: Connection, subjects: _Subjects, plan: Plan | None, found: list[Finding], options: Options) -> list[Finding]:
    """The trial build, if one is wanted and possible."""
    impossible = any(f.status == "blocker" and f.name in NOTHING_CAN_BE_BUILT for f in found)
    if options.trial is None or plan is None or impossible:
        return _not_tried(subjects.as_is.config, options)
    tried = options.trial(conn, plan, found, subjects.as_is.config.application.fire_triggers)
    if not subjects.fixed:
        return tried
    detail = "the target schema was tried out as if the key, the identity column, the references and their names were usable"
    note = warning("trial", subjects.as_is.source.name, detail, "Mend their blockers, and try it out again.")
    return [*(f for f in tried if f.status != "ok"), note]


def _not_tried(config: Config, options: Options) -> list[Finding]:
    if options.trial is None:
        return []
    return [warning("trial", config.source.name, "the target schema was not tried out", "Mend the blockers first.")]


def _check_rows(
    conn: Connection, subject: Subject, about: list[Finding], timeout_ms: int, *, may_try: bool
) -> list[Finding]:  # fmt: skip
    """The checks that read rows. They need columns of the right types, and no policy that hides rows: `about` says so."""
    if any(f.status == "blocker" and f.name in UNREADABLE for f in about):
        return [warning("reference-data", subject.source.name, "not checked", "Mend the blockers first.")]
    config = subject.config
    settings = application_settings(conn, subject.source.owner, config.application.settings)
    expressions = check_expressions(conn, subject, settings, timeout_ms, may_try=may_try)
    if any(f.status == "blocker" and f.name == "index" for f in expressions):  # before 17 the table cannot be read then
        return [*expressions, warning("reference-data", subject.source.name, "not checked", "Mend the blockers first.")]
    return [
        *check_key_sequence(conn, subject, timeout_ms),
        *check_key_twice(conn, subject, timeout_ms),
        *check_identity_data(conn, subject, timeout_ms),
        *check_data(conn, subject, timeout_ms),
        *check_types(conn, subject, timeout_ms),
        *check_not_valid(conn, subject, timeout_ms),
        *expressions,
    ]
