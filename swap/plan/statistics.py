"""Extended statistics that have to be built: rewritten over the uuid columns as an index is (swap.plan.rewrite)."""

from __future__ import annotations

from dataclasses import replace

from swap.catalog.model import Catalog, Statistics
from swap.core.connection import Connection
from swap.plan.model import RefColumns, Rename
from swap.plan.rewrite import RewriteFailure, rewritten_statistics


def with_statistics(
    conn: Connection, catalog: Catalog, references: tuple[RefColumns, ...], key: str, identity: str, legacy_key: str
) -> tuple[Catalog, tuple[RewriteFailure, ...]]:
    """The catalog with those statistics that have to be built, rewritten, and those that cannot be."""
    built: list[Statistics] = []
    failures: list[RewriteFailure] = []
    for s in catalog.statistics:
        table = catalog.table(s.table)
        own = table.name == catalog.source.name
        renames = [r for ref in references if ref.table == s.table for r in ref.renames]
        if own:
            renames = [Rename(key, legacy_key), Rename(identity, key), *renames]
        integers, uuids = {r.before for r in renames[0::2]}, {r.before for r in renames[1::2]}
        if not integers.intersection(s.columns) or uuids.intersection(s.columns):
            built += [s] if own else []  # on a reference, what names no integer follows by number
            continue
        body = rewritten_statistics(conn, table, s, renames)
        if isinstance(body, RewriteFailure):
            failures.append(body)
        else:
            built.append(replace(s, body=body))
    return replace(catalog, statistics=tuple(built)), tuple(failures)
