"""What the body of a trigger's function reaches, and whether it may run inside the trial.

A rolled-back transaction takes back rows, locks and NOTIFY. It does not take back a sequence, a lock of the session, a message to
another program, or time: a row that it has written is locked until then. So the trial runs a body on copies of everything that the
body names, and only where that is all that it can reach. This module follows the names in a body, and in the bodies of what it
calls. A body with statements that it makes at run time (EXECUTE) says no names, so it is not run; nor is one that computes the name of
a sequence. Seen: `nextval(TG_TABLE_NAME || '_id_seq')` takes the application's numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import fetch
from swap.core.sql_text import load_sql

# Extensions whose functions compute a value and do nothing else, though some are volatile.
COMPUTES = {
    "bloom", "btree_gin", "btree_gist", "citext", "cube", "dict_int", "dict_xsyn", "earthdistance", "fuzzystrmatch", "hstore", "intarray",
    "isn", "ltree", "moddatetime", "insert_username", "pg_trgm", "pgcrypto", "pg_uuidv7", "postgis", "seg", "tablefunc", "unaccent",
    "uuid-ossp", "vector",
}  # fmt: skip
# A statement that makes or takes an object, or has no place in a transaction that is rolled back.
DDL = re.compile(
    r"(?:^|;|\bbegin\b|\bthen\b|\belse\b|\bloop\b)\s*"
    r"(create|alter|drop|truncate|grant|revoke|copy|refresh|reindex|vacuum|analyze|cluster|lock|comment|do|call|commit|rollback|load|set|reset)\b",
    re.IGNORECASE,
)  # fmt: skip
# Functions of the server whose effect outlives a rollback, or that run a text as a statement.
LASTING = re.compile(
    r"\b(setval|pg_(?:try_)?advisory_(?:lock|unlock)\w*|pg_terminate_backend|pg_cancel_backend|pg_reload_conf|pg_rotate_logfile|pg_switch_wal"
    r"|pg_logical_\w+|pg_\w*replication\w*|pg_stat_reset\w*|pg_read_\w*file|pg_ls_\w+|pg_file_\w+|lo_\w+|query_to_xml\w*|ts_stat)\s*\(",
    re.IGNORECASE,
)  # fmt: skip
# A function that moves a sequence, with the name that it is given as a constant; without one the name is computed.
NUMBER_OF = re.compile(r"\bnextval\s*\(\s*(?:'([^']+)')?", re.IGNORECASE)
# A string between dollars, a comment, a string.
TOKENS = re.compile(r"(\$(\w*)\$.*?\$\2\$)|--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
CALLED = re.compile(r'([\w$]+)"?\s*\(')
WRITES = r'\b(?:insert\s+into|update|delete\s+from|merge\s+into)\s+(?:only\s+)?(?:"?\w+"?\s*\.\s*)?"?{}"?(?!\w)'
MOST = 50


class Reached(NamedTuple):
    """A function. `definer`: it runs with the rights of another role than this one. `path`: its own search_path."""

    oid: int
    schema: str
    name: str
    signature: str
    language: str
    body: str
    definition: str
    path: str | None
    volatile: bool
    extension: str
    owner: str
    definer: bool
    stronger: bool

    @property
    def qualified(self) -> TableName:
        return TableName(self.schema, self.name)


class Relation(NamedTuple):
    schema: str
    name: str
    kind: str
    owner: str
    stronger: bool

    @property
    def qualified(self) -> TableName:
        return TableName(self.schema, self.name)


@dataclass(frozen=True)
class Reach:
    """The functions to copy, the tables and sequences to copy. `unsafe`: why the body may not run; else empty."""

    functions: tuple[Reached, ...] = ()
    relations: tuple[Relation, ...] = ()
    unsafe: str = ""


def reach_of(conn: Connection, function: int, own: Sequence[str]) -> Reach:
    """Follow the function with this oid. `own`: schemas whose functions and relations are no application's. Reads the catalog only."""
    found: dict[int, Reached] = {}
    names: set[str] = set()
    query = load_sql("swap.doctor.trial", "reached_functions.sql")
    while True:
        rows = fetch(conn, Reached, query, {"first": function, "names": sorted(names), "own": list(own)})
        new = [f for f in rows if f.oid not in found]
        for f in new:
            if why := _unsafe(f):
                return Reach(unsafe=why)
            found[f.oid] = f
            names |= {w.lower() for w in CALLED.findall(f.body)}
        if not new:
            break
    ours = tuple(f for f in found.values() if not f.extension)
    relations = _relations(conn, ours, own)
    why = next(filter(None, (_forbidden(r, ours) for r in relations)), "") or _unnamed_number(ours, relations)
    if len(relations) + len(ours) > MOST:
        why = f"it names {len(relations) + len(ours)} tables and functions"
    return Reach(ours, tuple(r for r in relations if r.kind in "rpS"), why)


def _unsafe(f: Reached) -> str:
    if f.stronger:
        return f"{f.signature} belongs to {f.owner}, and would run with rights that {f.owner} has not"
    if f.extension:
        return f"it calls {f.signature} of {f.extension}, which may reach beyond a rollback" if _external(f) else ""
    if f.language not in ("plpgsql", "sql"):
        return f"{f.signature} is in {f.language}"
    if f.definer:
        return f"{f.signature} runs with the rights of {f.owner} (SECURITY DEFINER)"
    code = _code(f.body)
    if re.search(r"\bexecute\b", code, re.IGNORECASE):
        return f"{f.signature} makes statements at run time (EXECUTE)"
    if ddl := DDL.search(code):
        return f"{f.signature} has a {ddl.group(1).upper()}"
    if lasting := LASTING.search(f.body):
        return f"{f.signature} calls {lasting.group(1).lower()}, whose effect a rollback does not take back"
    return ""


def _code(body: str) -> str:
    """The body without its comments and strings, which say EXECUTE too. A string between dollars stays, and all does where a backslash
    could keep a string open."""
    return body if "\\'" in body else TOKENS.sub(lambda m: m[1] or "''", body)


def _unnamed_number(functions: Iterable[Reached], relations: Iterable[Relation]) -> str:
    """Why a sequence might be moved of which there is no copy; else empty."""
    copied = {r.name for r in relations if r.kind == "S"}
    for f in functions:
        for name in NUMBER_OF.findall(f.body):
            last = name.rpartition(".")[2]
            if (last.strip('"') if '"' in last else last.lower()) not in copied:
                return f"{f.signature} computes the name of the sequence whose number it takes"
    return ""


def _external(f: Reached) -> bool:
    return f.volatile and f.extension not in COMPUTES


def _relations(conn: Connection, functions: Iterable[Reached], own: Sequence[str]) -> list[Relation]:
    words = sorted({w.lower() for f in functions for w in re.findall(r"\w+", f.body)})
    return fetch(conn, Relation, load_sql("swap.doctor.trial", "reached_relations.sql"), {"words": words, "own": list(own)})


def _forbidden(r: Relation, functions: Iterable[Reached]) -> str:
    if r.kind == "f":
        return f"it names the foreign table {r.qualified}"
    if r.stronger and r.kind != "S":
        return f"it names {r.qualified} of {r.owner}, whose code would run with rights that {r.owner} has not"
    if r.kind == "v" and any(re.search(WRITES.format(re.escape(r.name)), f.body, re.IGNORECASE) for f in functions):
        return f"it writes to the view {r.qualified}"
    return ""
