"""The tables and columns that the configuration names. The source must exist. A [[reference]] that does not exist is a finding, and
the rest is examined without it."""

from __future__ import annotations

from collections.abc import Container

from swap.catalog.load import load_catalog
from swap.catalog.model import Catalog
from swap.catalog.query import find_relations
from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.errors import UsageError
from swap.core.names import parse_table
from swap.doctor.finding import Finding, blocker, qualified
from swap.doctor.tables import check_kind

CORRECT = "Correct or remove this [[reference]]."


def check_kinds(conn: Connection, config: Config) -> list[Finding]:
    """The source and every declared table must be ordinary tables. Raises UsageError when the source does not exist."""
    found = []
    names = dict.fromkeys([config.source.name, *(parse_table(r.table) for r in config.reference)])
    relations = find_relations(conn, names)
    for name in names:
        relation = relations.get(name)
        if relation is not None:
            found += check_kind(name, relation.kind, source=name == config.source.name)
        elif name == config.source.name:
            hint = "Check [source] table (schema.table) and the database in the connection string."
            raise UsageError(f"There is no table {name} in this database.", hint=hint)
        else:
            found.append(blocker("reference", name, "there is no table of this name in this database", CORRECT))
    return found


def without(conn: Connection, config: Config, unusable: Container[str]) -> tuple[Config, Catalog, list[Finding]]:
    """Configuration and catalog without the references to `unusable` tables and to columns that do not exist, and a finding for
    each of these columns."""
    declared = [r for r in config.reference if str(parse_table(r.table)) not in unusable]
    catalog = load_catalog(conn, config.source.name, [(parse_table(r.table), r.column) for r in declared])
    missing = [r for r in declared if catalog.table(parse_table(r.table)).column(r.column) is None]
    if missing:
        declared = [r for r in declared if r not in missing]
        catalog = load_catalog(conn, config.source.name, [(parse_table(r.table), r.column) for r in declared])
    at = [qualified(parse_table(r.table), r.column) for r in missing]
    found = [blocker("reference", where, "the table has no such column", CORRECT) for where in at]
    return config.model_copy(update={"reference": declared}), catalog, found
