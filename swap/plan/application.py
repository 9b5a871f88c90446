"""The application's search_path in a plan, where its own code or the operator's own text is read with it (I12). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from swap.catalog.model import Catalog, Table
from swap.catalog.parts import Meaning
from swap.core.application_settings import Settings
from swap.plan.model import Plan


def with_function_paths(catalog: Catalog, schemas: Sequence[str]) -> Catalog:
    """The catalog, with `schemas` in the path of what the server plans when it is made: generated columns, index
    expressions, and a CHECK that is added to a table that is there.

    The server puts the body of a SQL function in the place of its call then, and reads that body by the session's search_path.
    pg_catalog stays first: names in the printed text itself are those of pg_catalog where they have no schema.
    """
    path = tuple(s for s in schemas if s != "pg_catalog")
    return replace(
        catalog,
        source=_table(catalog.source, path),
        tables=tuple(_table(t, path) for t in catalog.tables),
    )


def _table(table: Table, path: tuple[str, ...]) -> Table:
    return replace(
        table,
        columns=tuple(replace(c, meaning=_reaching(c.meaning, path)) if c.generated else c for c in table.columns),
        indexes=tuple(replace(i, meaning=_reaching(i.meaning, path)) for i in table.indexes),
        checks=tuple(replace(c, meaning=_reaching(c.meaning, path)) for c in table.checks),
        partitions=tuple(_table(p, path) for p in table.partitions),
    )


def _reaching(meaning: Meaning, path: tuple[str, ...]) -> Meaning:
    if not any(used.startswith("function ") for used in meaning.uses):
        return meaning
    return replace(meaning, path=tuple(dict.fromkeys((*meaning.path, *path))))


def with_application(plan: Plan, settings: Settings, schemas: tuple[str, ...]) -> Plan:
    """The plan with the application's settings. The texts of [[policy]] are read with its search_path."""
    return replace(plan, settings=settings, new_policies=tuple(replace(n, path=schemas) for n in plan.new_policies))
