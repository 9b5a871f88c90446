"""`swap init`: writes a commented swap.toml from the catalog. It guesses nothing: every command finds the foreign keys again,
and a column that only looks like a reference becomes a comment, to uncomment or to ignore.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from swap.catalog.load import load_catalog
from swap.catalog.model import Catalog, Table
from swap.core.config import Config, Cutover, Identity, Names, Sync, Verify
from swap.core.connection import Connection
from swap.core.errors import RefusedError, UsageError
from swap.core.files import check_writable
from swap.core.names import TableName, quote
from swap.core.throttle_settings import Throttle
from swap.doctor.key import check_key
from swap.doctor.look_alike_names import singular, snake
from swap.doctor.look_alikes import LookAlike
from swap.doctor.look_alikes_nested import look_alikes
from swap.doctor.partitioned_source import check_division
from swap.plan.estimate import both
from swap.plan.model import COLUMN, INTEGERS, RefColumns, is_identity_index, unique_index_of
from swap.plan.references import reference_columns
from swap.plan.strategy import Strategy, existing, strategies
from swap.prepare.init_comments import COMMENTS, EXAMPLES

COMPANION = '# as = "companion"'
OTHER_PLACE = "Name another place with --out FILE."


def render(conn: Connection, table: TableName) -> str:
    """The text of a swap.toml for `table`. Reads the catalog and bounded samples; changes nothing.

    Raises UsageError for an unknown table, RefusedError when its key cannot be migrated.
    """
    catalog = load_catalog(conn, table)
    source = catalog.source
    key = _key(source)
    chosen = identity_of(catalog, key)
    config = Config.model_validate({"source": {"table": str(table), "key": key}, "identity": {"column": chosen.column}})
    for finding in (*check_key(source, config), *(check_division(source, key) if source.kind == "p" else ())):
        if finding.status == "blocker":
            raise RefusedError(f"{finding.object}: {finding.detail}.", hint=finding.hint)
    references = reference_columns(catalog, config)
    found = look_alikes(conn, table, key, config.names.state_schema)
    return "\n".join(
        [
            *_head(found),
            *_source(config, source),
            *_identity(config, source, existing(catalog, config, references)),
            *_candidates(config, chosen),
            *_section("names", Names()),
            *_references(catalog, references, strategies(catalog, config, references)),
            *_look_alikes(found),
            *_section("sync", Sync()),
            *_section("throttle", Throttle()),
            *_section("verify", Verify()),
            *_section("cutover", Cutover()),
            *_tail(),
        ]
    )


def write(path: Path, text: str, *, force: bool = False) -> None:
    """Write `text` to `path`. Raises UsageError when it exists (without `force`) or cannot be written."""
    refuse_place(path, force=force)
    try:
        with path.open("w" if force else "x", encoding="utf-8") as f:
            f.write(text)
    except OSError as e:
        raise UsageError(f"Cannot write {path}: {e.strerror}.", hint=OTHER_PLACE) from None


def refuse_place(path: Path, *, force: bool = False) -> None:
    """Raises UsageError where `write` would, before the server is asked for anything."""
    try:
        check_writable(path)
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        raise UsageError(f"Cannot write {str(path)[:200]}: {why}.", hint=OTHER_PLACE) from None
    if path.exists() and not force:
        raise UsageError(f"{path} exists already.", hint="Overwrite it with --force, or write elsewhere with --out FILE.")


class Chosen(NamedTuple):
    """The identity column, and the columns that may be one: only their owner can tell."""

    column: str
    candidates: tuple[str, ...] = ()


def _key(source: Table) -> str:
    """The primary key's column; of several, the integer that is unique by itself."""
    columns = source.primary_key.key_columns if source.primary_key else ()
    integers = (c.name for c in source.columns if c.name in columns and c.type in INTEGERS)
    unique = (c for c in integers if unique_index_of(source, c))
    return columns[0] if len(columns) == 1 else next(unique, "id")


def identity_of(catalog: Catalog, key: str) -> Chosen:
    """The one column that surely holds the uuids already: unique, and called so, or other tables refer to it. Else a new name.

    A unique uuid may be anything (a token, the key of another system, that of a row of another table). Adopted, it would become the key
    that every client sees.
    """
    source = catalog.source
    unique = [
        c
        for c in source.columns
        if c.type == "uuid" and not c.generated and any(i.valid and is_identity_index(i, c.name) for i in source.indexes)
    ]
    one = singular(source.name.name)
    called = {Identity().column, "uuid", "guid", f"{one}_uuid", f"{source.name.name}_uuid", f"{key}_uuid", f"uuid_{key}"}
    referred = {fk.target_columns for fk in catalog.incoming}
    others = {c for fk in catalog.outgoing for c in fk.columns}
    sure = [c for c in unique if (snake(c.name) in called and c.name not in others) or (c.name,) in referred]
    best = [c.name for c in sure if (c.name,) in referred] or [c.name for c in sure if c.not_null] or [c.name for c in sure]
    if len(best) == 1:
        return Chosen(best[0])
    usual = Identity().column
    free = (n for n in (usual, "uuid", f"{one}_uuid", f"{one}_uuid_id") if source.column(n) is None)
    chosen = next(free, usual)
    return Chosen(chosen, tuple(c.name for c in unique if c.name != chosen))


def text(value: object) -> str:
    """A TOML value. Strings are basic strings, with everything escaped that could end one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(text, value))}]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'


def plain(name: object) -> str:
    """A name inside a comment: one line, without control characters."""
    return "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in str(name))


def _head(found: list[LookAlike]) -> list[str]:
    labels = ", ".join(text(x.plain) for x in found)
    return [
        "# Configuration of swap: how this table's integer primary key becomes a uuid.",
        "# Lines that begin with `# name =` show a default, or an example where there is none. `swap doctor` checks all of it;",
        "# `swap plan` shows what will happen.",
        "",
        "# Columns that look like references and are none:",
        f"# ignore = [{labels or text('schema.table.column')}]",
        "",
    ]


def _source(config: Config, source: Table) -> list[str]:
    column = source.column(config.source.key)
    assert column is not None
    return [
        "[source]",
        f"table = {text(config.source.table)}  # about {source.rows_estimate:,} rows",
        f"key = {text(config.source.key)}  # {plain(column.type)}; becomes a uuid",
        f"# legacy_overflow = {text(config.source.legacy_overflow)}  # report | refuse: INSERTs after the cutover when the sequence has ended",
        "",
    ]


def _identity(config: Config, source: Table, where_from: str) -> list[str]:
    column = source.column(config.identity.column)
    gone = f"; after the cutover its values are in {plain(quote(config.source.key))}, and this name is gone"
    how = f"exists: it is adopted, and its NULLs are filled{gone}" if column else "does not exist yet"
    default = f"; its own default {plain(column.default)} goes first" if column and column.default else ""
    return [
        "[identity]",
        f"column = {text(config.identity.column)}  # holds each row's uuid before the cutover; {how}",
        f"# existing = {text(where_from)}  # adopted | derived (a keyed function of the integer: the table gets no column) | column (added)",
        f"# generate = {text(config.identity.generate)}  # uuidv4 | uuidv7: how a row without one gets it{default}",
        "",
    ]


def _candidates(config: Config, chosen: Chosen) -> list[str]:
    """What the operator alone can answer."""
    if not chosen.candidates:
        return []
    key, names = plain(quote(config.source.key)), ", ".join(plain(quote(c)) for c in chosen.candidates)
    return [
        f"# Is one of these the uuid by which others know the row: {names}? Then name it above, as `column`: its values become the key",
        f"# {key}, and its own name is gone after the cutover. Any other uuid (a token, a key of another system) stays as it is.",
        *(f"#   column = {text(c)}" for c in chosen.candidates),
        "",
    ]


def _section(name: str, defaults: BaseModel) -> list[str]:
    lines = [f"# {key} = {text(EXAMPLES[key] if value is None else value)}  # {COMMENTS[key]}" for key, value in defaults]
    return [f"[{name}]", *lines, ""]


def _references(catalog: Catalog, references: tuple[RefColumns, ...], chosen: tuple[Strategy, ...]) -> list[str]:
    out = ["# Foreign keys to the key, found in the catalog by every command. List one only to override its column names:"]
    for r in references:
        state = "exists, adopted" if r.adopted else "added" if r.strategy == COLUMN else "in the new table"
        at = f"{plain(r.table)}.{plain(quote(r.column))}"
        out.append(
            f"#   {at}: uuid column {plain(quote(r.uuid_column))} ({state}), afterwards the integer is {plain(quote(r.legacy_column))}"
        )
    if not references:
        out.append(f"#   none refers to {plain(catalog.source.name)}")
    return [*out, *_strategies(catalog, references, chosen), ""]


def _strategies(catalog: Catalog, references: tuple[RefColumns, ...], chosen: tuple[Strategy, ...]) -> list[str]:
    """What happens to each table with a reference, and what either way costs."""
    if not chosen:
        return []
    out = [
        "# With the strategy table a table is rebuilt beside, and only read until the cutover. With the strategy column `prepare` adds",
        "# a uuid column to it, and `sync` fills it in place: the application can notice. All references of a table have one strategy:",
    ]
    for s in chosen:
        beside, in_place = both(catalog.table(s.table), [r for r in references if r.table == s.table])
        why = f"; {s.why_not}" if s.why_not else ""
        figures = ", ".join(f"{c.strategy}: {c.bytes / 1024**2:,.0f} MB, {c.minutes:,} min" for c in (beside, in_place))
        out.append(f"#   {plain(s.table)}: {s.name}{plain(why)} (about {figures})")
    return out


def _look_alikes(found: list[LookAlike]) -> list[str]:
    if not found:
        return []
    out = [
        "# Look-alikes: no foreign key, but perhaps a reference. Uncomment each that is one; list the others in `ignore` above.",
        "# Where a column holds keys of other types too (`where`), its integers stay, and the uuid stands beside them (companion).",
        "",
    ]
    for x in found:
        if x.nested:
            out += [f"# {plain(x.label)}: {plain(x.evidence)}", "# It cannot be a reference: the application converts it.", ""]
            continue
        out += [
            f"# {plain(x.evidence)}",
            "# [[reference]]",
            f"# table = {text(x.table)}",
            f"# column = {text(x.column)}",
            *([f"# where = {text(x.where)}", '# as = "text"' if x.text else COMPANION] if x.where else []),
            "",
        ]
    return out


def _tail() -> list[str]:
    return [
        "# [finalize]",
        "# min_age_s = 604800  # `finalize` only so long after the cutover; by default at any time",
        "",
        "# [hooks]",
        '# pre_swap_snapshot = ["swap", "hook", "pg_dump"]  # or "restore_point", or an argv of your own; docs/hooks.md. Else --no-snapshot',
        '# post_swap_check = ["./smoke.sh"]  # the application\'s own check, right after the commit; `cutover --revert-on-failure`',
        '# before_cutover = ["./stop-jobs.sh"]  # when the gates are open; a failure stops the cutover. The others are only told',
        '# after_cutover = ["./start-jobs.sh"]',
        '# after_revert = ["./start-jobs.sh"]',
        '# caught_up = ["./tell.sh"]',
        '# verification_failed = ["./page.sh"]',
        '# finalized = ["./tell.sh"]',
        '# failed = ["./page.sh"]',
        "# timeout_s = 3600",
        "",
        "# [notify]",
        '# url = "https://chat.example.com/hooks/migrations"  # each event, as JSON; or SWAP_NOTIFY_URL; docs/hooks.md',
        "",
        "# [pgbouncer]",
        '# admin_dsn = "host=pooler port=6432 user=swap"  # the application\'s poolers, paused for the cutover; RUNBOOK.md, "PgBouncer"',
        '# databases = ["app"]  # its databases that lead here; by default the one of the name that swap connects to',
        "# pause_timeout_ms = 500",
        "",
        "# [application]",
        '# settings = { TimeZone = "UTC" }  # what the application\'s own code sets, besides ALTER ROLE and ALTER DATABASE … SET',
        "# fire_triggers = true  # on copies, in the trial of `doctor`, `plan` and `prepare`; rolled back",
        "",
        "# [accept]",
        '# findings = ["name:object"]  # findings of `swap doctor` that you take on; only some can be',
        "",
    ]
