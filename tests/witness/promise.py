"""The configuration that touches nothing, as far as a schema allows it; and the tables for which it holds, with the reason for each
other one (I1).

Everything is named: what is the default for a table does not matter here.
"""

from __future__ import annotations

import json
import tomllib
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from swap.catalog.load import load_catalog
from swap.core.config import Config
from swap.core.connection import Database as Target
from swap.core.names import expand, parse_table
from swap.plan.model import ADDED, ADOPTED, COLUMN, DERIVED, TABLE
from swap.plan.references import reference_columns
from swap.plan.strategy import strategies


@dataclass(frozen=True)
class Promise:
    """`text` is a swap.toml. `broken`: the tables that are not left alone, by name, each with the reason. `shadows`: what is built
    beside."""

    text: str
    broken: dict[str, str]
    shadows: tuple[tuple[str, str], ...]


def zero_touch(text: str, owner: str, *, polymorphic: bool = True) -> Promise:
    """Every reference that can be rebuilt beside is, and the source gets no column where it need not have one.

    `polymorphic` False: references with a `where`, which need a column in place, are none.
    """
    document = tomllib.loads(text)
    if not polymorphic:
        left = [e for e in document["reference"] if "where" in e]
        document["reference"] = [e for e in document["reference"] if e not in left]
        document["ignore"] = [*document.get("ignore", []), *(f"{e['table']}.{e['column']}" for e in left)]
    config = Config.model_validate(document)
    identity = document.setdefault("identity", {})
    with closing(Target.from_options(owner, "witness").connect()) as conn:
        catalog = load_catalog(conn, config.source.name, [(parse_table(r.table), r.column) for r in config.reference])
    references = reference_columns(catalog, config)
    if not any(r.adopted for r in references) and "column" not in identity:
        identity["column"] = "witness_id"  # what the schema has of uuids is a column like others
        config = Config.model_validate(document)
    chosen = {s.table: s for s in strategies(catalog, config, references)}
    entries = {(parse_table(e["table"]), e["column"]): e for e in document.get("reference", [])}
    broken: dict[str, str] = {}
    for ref in references:
        if ref.own:
            continue
        entry = entries.setdefault((ref.table, ref.column), {"table": str(ref.table), "column": ref.column})
        why_not = chosen[ref.table].why_not
        entry["strategy"] = COLUMN if why_not else TABLE
        if why_not:
            broken[plain(ref.table)] = why_not
    adopted = catalog.source.column(config.identity.column)
    if adopted is not None:
        existing, why = ADOPTED, "the application has its uuid column"
    elif broken or config.names.compat:
        existing, why = ADDED, "a table gets a uuid column in place" if broken else "[names] compat needs a column"
    else:
        existing, why = DERIVED, ""
    if why:
        broken[plain(catalog.source.name)] = why
    identity["existing"] = existing
    document["reference"] = list(entries.values())
    beside = [catalog.source.name, *(s.table for s in chosen.values() if not s.why_not)]
    shadows = tuple((t.schema, expand(config.names.shadow, t.name)) for t in beside)
    return Promise(to_toml(document), broken, shadows)


def plain(table: Any) -> str:
    return f"{table.schema}.{table.name}"


def to_toml(document: dict[str, Any]) -> str:
    """The text of a swap.toml: plain values first, then sections, then lists of sections."""
    plain = [f"{k} = {_value(v)}\n" for k, v in document.items() if not _nested(v)]
    for name, value in document.items():
        if _nested(value):
            for section in value if isinstance(value, list) else [value]:
                plain.append(f"[[{name}]]\n" if isinstance(value, list) else f"[{name}]\n")
                plain += [f"{k} = {_value(v)}\n" for k, v in section.items()]
    return "".join(plain)


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # a string of JSON is one of TOML


def _nested(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))
