"""A run's plan as JSON, from one version of the state layout to the next. Pure: each function returns a new document.

They name every field as text and import no model: the model changes, but the documents that an old version wrote do not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Document = dict[str, Any]


def to_3(plan: Document) -> Document:
    """An index has other field names; its constraint, its attributes and `part_of` are objects."""
    return _with_indexes({**plan, "catalog": _catalog_to_3(plan["catalog"])}, _index_to_3)


def _catalog_to_3(catalog: Document) -> Document:
    """`tail` of an index is its `definition`, and dependencies that no rule carries are `unclaimed`."""

    def index(old: Document) -> Document:
        return {("definition" if key == "tail" else key): value for key, value in old.items()}

    def table(old: Document) -> Document:
        partitions = [table(p) for p in old["partitions"]]
        return {**old, "indexes": [index(i) for i in old["indexes"]], "partitions": partitions}

    kept = {key: value for key, value in catalog.items() if key != "unfollowed"}
    tables = [table(t) for t in catalog["tables"]]
    return {**kept, "source": table(catalog["source"]), "tables": tables, "unclaimed": catalog["unfollowed"]}


def _with_indexes(plan: Document, change: Callable[[Document], Document]) -> Document:
    """`change` of each index that the plan builds."""

    def one(index: Document | None) -> Document | None:
        return None if index is None else change(index)

    def reference(ref: Document) -> Document:
        lists = {key: [change(i) for i in ref[key]] for key in ("indexes", "compat_indexes", "parts", "spare_parts")}
        return {**ref, **lists, "spare_primary": one(ref["spare_primary"])}

    return {
        **plan,
        "key_index": one(plan["key_index"]),
        "identity_index": one(plan["identity_index"]),
        "indexes": [change(i) for i in plan["indexes"]],
        "references": [reference(r) for r in plan["references"]],
    }


def _index_to_3(index: Document) -> Document:
    constraint = index["constraint"] and {
        "type": index["constraint"],
        "deferrable": index["deferrable"],
        "deferred": index["deferred"],
        "comment": index["constraint_comment"],
    }
    return {
        "table": index["table"],
        "build_name": index["build_name"],
        "unique": index["unique"],
        "definition": index["tail"],
        "final_name": index["app_name"],
        "retired_name": index["aside_name"],
        "constraint": constraint,
        "as_constraint": index["exclusion"],
        "attributes": {
            "comment": index["comment"],
            "tablespace": index["tablespace"],
            "statistics": index["statistics"],
            "clustered": index["clustered"],
            "replica_identity": index["replident"],
        },
        "adopted": index["adopted"],
        "on_only": index["only"],
        "part_of": index["part_of"] and {"table": index["part_of_table"], "index": index["part_of"]},
    }


def to_6(plan: Document) -> Document:
    """The source is the first of the swapped tables, and a policy says which tables it reads."""
    names = ("source", "shadow", "retired", "key_index", "indexes", "retired_indexes", "own_references", "identity_added")
    kept = {key: value for key, value in plan.items() if key not in names}
    own = [_reference_to_6(r, "table") for r in plan["own_references"]]
    references = [{**r, "columns": _reference_to_6(r["columns"], "column")} for r in plan["references"]]
    source = {
        "number": 0,
        "name": plan["source"],
        "shadow": plan["shadow"],
        "retired": plan["retired"],
        "key": [plan["key"]],
        "references": own,
        "key_index": plan["key_index"],
        "indexes": plan["indexes"],
        "retired_indexes": plan["retired_indexes"],
        "pair_index": None,
    }
    existing = "column" if plan["identity_added"] else "adopted"
    added = {"swapped": [source], "references": references, "existing": existing, "resolver_roles": []}
    return {**kept, **added, "catalog": _policies_to_6(plan["catalog"])}


def _reference_to_6(columns: Document, strategy: str) -> Document:
    """Whether its key may be deferred matters no more."""
    return {**{key: value for key, value in columns.items() if key != "deferrable"}, "strategy": strategy}


def _policies_to_6(catalog: Document) -> Document:
    source = catalog["source"]["oid"]

    def policy(old: Document) -> Document:
        kept = {key: value for key, value in old.items() if key != "reads_source"}
        return {**kept, "reads": [source] if old["reads_source"] else []}

    return {**catalog, "policies": [policy(p) for p in catalog["policies"]]}
