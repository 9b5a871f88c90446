"""The application's search_path in a plan, where its own code or the operator's own text is read with it (I12). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from swap.catalog.model import Catalog, Index, Table
from swap.catalog.parts import Meaning
from swap.core.application_settings import Settings
from swap.plan.model import Plan
from swap.plan.texts import INDEX, NewText


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


def with_index_paths(catalog: Catalog, texts: Sequence[NewText]) -> Catalog:
    """The catalog, where the indexes that [[index]] names are built with the path of its text besides their own."""
    paths = {(t.table, t.name): t.path for t in texts if t.kind == INDEX}

    def table(t: Table) -> Table:
        return replace(t, indexes=tuple(_with_path(i, paths.get((t.name, i.name), ())) for i in t.indexes))

    return replace(catalog, source=table(catalog.source), tables=tuple(map(table, catalog.tables))) if paths else catalog


def _with_path(index: Index, path: Sequence[str]) -> Index:
    return replace(index, meaning=replace(index.meaning, path=tuple(dict.fromkeys((*index.meaning.path, *path)))))


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
    """The plan with the application's settings. The texts of the configuration are read with its search_path."""
    policies = tuple(replace(n, path=schemas) for n in plan.new_policies)
    return replace(plan, settings=settings, new_policies=policies, texts=tuple(replace(t, path=schemas) for t in plan.texts))
