"""Whether a shadow, or the new table, has what its source has and nothing besides (I10, H55).

An event trigger of the application's may add to whatever is created: row security, so that the application sees no rows; a trigger;
a storage parameter; a replica identity. None of this is in a statement of swap's, nor a difference of rows. So the table as it is
now is compared with the plan: by the trial, at the end of `prepare`, by each verification and at the gate. Pure.

Left to others: expressions (swap.plan.meanings), the columns and rows (verify), swap's own triggers (verify.capture).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum, auto

from swap.catalog.model import Column, Table
from swap.core.names import quote
from swap.ddl.shadow import column_comments, column_options, column_targets
from swap.plan.model import Plan, SwappedPartition, SwappedTable
from swap.plan.texts import DEFAULT

WORDS = {True: "on", False: "off"}


class Stage(Enum):
    """How far the table is. EMPTY: a shadow without indexes. BUILT: a shadow that `sync` keeps. LIVE: the new table. RESTORED: the source
    itself after a revert; only its partitions are looked at."""

    EMPTY = auto()
    BUILT = auto()
    LIVE = auto()
    RESTORED = auto()


def unlike(plan: Plan, t: SwappedTable, table: Table, stage: Stage) -> list[str]:
    """What `table`, the shadow of `t` or the new table, has, or has not, other than `t` had at `prepare`. One line each, without the
    table's name."""
    found = [*_flags(plan, t, table, stage), *_parts(plan, t, table, stage), *_columns(plan, t, table, stage)]
    return [*found, *(partitions_unlike(plan, t, table, stage) if t.partitioned else ())]


def _flags(plan: Plan, t: SwappedTable, table: Table, stage: Stage) -> Iterator[str]:
    source = plan.table_of(t)
    compared = _settings(source, table)
    if stage is not Stage.EMPTY and not (stage is Stage.LIVE and plan.mode == "logical"):  # there it is capture's
        compared.append(("replica identity", source.replident, table.replident))
    elif stage is Stage.EMPTY:
        compared.append(("replica identity", "d", table.replident))
    for what, wanted, found in compared:
        if wanted != found:
            yield f"{what} is {_shown(found)}, and {_shown(wanted)} on {t.name}"
    children = table.has_children and not t.partitioned
    for what, there in (("rules", table.has_rules), ("children", children), ("a parent", table.is_child)):
        if there:
            yield f"it has {what}, and {t.name} has not"


def _settings(source: Table, table: Table) -> list[tuple[str, object, object]]:
    return [
        ("owner", source.owner, table.owner),
        ("row security", WORDS[source.rls], WORDS[table.rls]),
        ("forced row security", WORDS[source.force_rls], WORDS[table.force_rls]),
        ("storage parameters", _listed(source.options), _listed(table.options)),
        ("storage parameters of TOAST", _listed(source.toast_options), _listed(table.toast_options)),
        ("persistence", source.persistence, table.persistence),
        ("tablespace", source.tablespace, table.tablespace),
        ("access method", source.access_method, table.access_method),
        ("comment", source.comment, table.comment),
    ]


def partitions_unlike(plan: Plan, t: SwappedTable, table: Table, stage: Stage) -> Iterator[str]:
    """What the partitions have, or have not, other than those of `t`. By their plain names: the trial's are in other schemas."""
    live, own = stage in (Stage.LIVE, Stage.RESTORED), f"{quote(plan.state_schema)}."
    there = {p.name.name: p for p in table.partitions}
    wanted = {(p.name if live else p.shadow).name: p for p in t.partitions}
    yield from _names("partition", set(wanted), set(there))
    for name in sorted(wanted.keys() & there.keys()):
        was, now = plan.catalog.table(wanted[name].name), there[name]
        compared = [*_settings(was, now), ("bound", was.bound, now.bound), ("replica identity", was.replident, now.replident)]
        yield from (f"{what} of {name} is {_shown(b)}, and {_shown(a)} on {was.name}" for what, a, b in compared if a != b)
        triggers = {g.name for g in now.triggers if not g.function.startswith(own)} - {g.name for g in table.triggers}
        yield from _names(f"trigger on {name}", set(), triggers)
        yield from _names(f"policy on {name}", set(), {p.name for p in now.policies})
        if stage is not Stage.EMPTY:
            yield from _names(f"index on {name}", *_indexes_of(t, wanted[name], now, stage))
            yield from _names(
                f"check on {name}", {c.name for c in was.checks if c.validated or live}, {c.name for c in now.checks}
            )


def _indexes_of(t: SwappedTable, p: SwappedPartition, now: Table, stage: Stage) -> tuple[set[str], set[str]]:
    """The names of a partition's indexes, wanted and found. They follow after an exchange (swap.sync.index_names): until then they are
    those of the other side."""
    if stage is Stage.RESTORED:
        other, indexes = {r.after: r.before for r in p.retired_indexes}, {r.before for r in p.retired_indexes}
    else:
        mine = [i for i in t.parts if i.table.name == p.shadow.name]
        other, indexes = {i.final_name: i.build_name for i in mine if i.final_name}, {i.build_name for i in mine}
    return indexes, {other.get(i.name, i.name) for i in now.indexes}


def _listed(options: Iterable[str]) -> str:
    return ", ".join(sorted(options))


def _shown(value: object) -> str:
    return str(value) if value not in (None, "") else "not set"


def _parts(plan: Plan, t: SwappedTable, table: Table, stage: Stage) -> Iterator[str]:
    source, live = plan.table_of(t), stage is Stage.LIVE
    own = f"{quote(plan.state_schema)}."
    triggers = {f"{g.name} ({g.enabled})" for g in table.triggers if not g.function.startswith(own)}
    # A guard that an earlier run left calls a function of the state schema too: verify.capture judges those.
    were = {f"{g.name} ({g.enabled})" for g in source.triggers if not g.function.startswith(own)} if live else set()
    yield from _names("trigger", were, triggers)
    wanted = {p.name: (p.permissive, p.command, tuple(sorted(p.roles))) for p in source.policies} if live else {}
    found = {p.name: (p.permissive, p.command, tuple(sorted(p.roles))) for p in table.policies}
    yield from _names("policy", set(wanted), set(found))
    yield from (
        f"the policy {n} is for other roles or commands" for n in sorted(wanted.keys() & found.keys()) if wanted[n] != found[n]
    )
    yield from _names("check", {c.name for c in source.checks if c.validated or live}, {c.name for c in table.checks})
    indexes: set[str] = set()
    if stage is not Stage.EMPTY:
        built = (*t.indexes, t.key_index, *([t.pair_index] if t.pair_index else ()))
        indexes = {(i.final_name or i.build_name) if live else i.build_name for i in built}
    yield from _names("index", indexes, {i.name for i in table.indexes})
    if not live:
        yield from _names("grant", set(), {f"{g.privilege} to {g.grantee or 'PUBLIC'}" for g in table.grants})
        yield from _names("publication", set(), {p.name for p in table.publications if p.kind == "table"})


def _names(what: str, wanted: set[str], found: set[str]) -> Iterator[str]:
    yield from (f"it has the {what} {n}" for n in sorted(found - wanted))
    yield from (f"it has no {what} {n}" for n in sorted(wanted - found))


def _columns(plan: Plan, t: SwappedTable, table: Table, stage: Stage) -> Iterator[str]:
    """Attributes of columns besides those that a verification compares. Of an exchanged pair only what the shadow was given."""
    after = {r.before: r.after for r in plan.renames_of(t)} if stage is Stage.LIVE else {}
    targets, options, comments = column_targets(plan, t), column_options(plan, t), column_comments(plan, t)
    exchanged = {name for p in plan.pairs_of(t.name) for name in (p.integer, p.uuid)}
    for c in plan.table_of(t).columns:
        now = table.column(after.get(c.name, c.name))
        if now is None:
            continue  # the structure that is compared by column says so
        compared: list[tuple[str, object, object]] = [
            ("storage", c.storage, now.storage),
            ("compression", c.compression, now.compression),
            ("collation", c.collation, now.collation),
            ("statistics target", targets.get(c.name), now.statistics),
            ("options", _listed(options.get(c.name, ())), _listed(now.options)),
            ("comment", comments.get(c.name), now.comment),
        ]
        if c.name not in exchanged:
            given = stage is Stage.LIVE and plan.text_on(DEFAULT, t.name, c.name)
            compared.append(("default", "set" if given else _has_default(c), _has_default(now)))
        for what, wanted, found in compared:
            if wanted != found:
                yield f"{what} of {quote(now.name)} is {_shown(found)}, and {_shown(wanted)} on {t.name}"


def _has_default(column: Column) -> str:
    return "set" if column.default is not None else ""
