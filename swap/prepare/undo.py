"""The statement that undoes a change of the structure, made from the two recorded lines (swap.prepare.drift).

It is shown to an operator, and `swap` runs none of it. What the server printed is quoted already. Where a line does not hold enough
to undo the change (a dropped column took its values along), there is no statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

IDENTIFIER = r'("(?:[^"]|"")+"|[^\s."]+)'
KINDS = {
    "column": re.compile(rf"column {IDENTIFIER} (?P<rest>.*)", re.DOTALL),
    "constraint": re.compile(rf"constraint {IDENTIFIER} (?P<rest>.*) valid=[tf]", re.DOTALL),
    "index": re.compile(rf"index (?P<rest>CREATE (?:UNIQUE )?INDEX {IDENTIFIER} ON .*) valid=[tf]", re.DOTALL),
    "trigger": re.compile(
        rf"trigger (?P<rest>CREATE (?:CONSTRAINT )?TRIGGER {IDENTIFIER} .*) enabled=(?P<state>\S)\S*", re.DOTALL
    ),
    "policy": re.compile(rf"policy {IDENTIFIER} (?P<rest>permissive=.*)", re.DOTALL),
    "rule": re.compile(rf"rule enabled=(?P<state>\S) (?P<rest>CREATE RULE {IDENTIFIER} AS.*)", re.DOTALL),
    "publication": re.compile(rf"publication {IDENTIFIER} (?P<rest>columns=.*)", re.DOTALL),
}
COLUMN = re.compile(r"(?P<type>.*?)(?P<needed> NOT NULL)? default=(?P<default>.*) identity= generated= acl=.*", re.DOTALL)
TABLE = re.compile(
    r"table owner=(?P<owner>.*) kind=\S rls=(?P<rls>[tf])/(?P<forced>[tf]) options=(?P<options>.*) replident=(?P<identity>\S)"
)
ENABLE = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA", "D": "DISABLE"}
Line = tuple[str, str, str]


@dataclass(frozen=True)
class Drift:
    """`change`: `+` (new) or `-` (gone); a changed object has both. `undo`: SQL, or None."""

    change: str
    table: str
    line: str
    undo: str | None


@dataclass(frozen=True)
class _Object:
    kind: str
    name: str
    rest: str
    state: str


def with_undo(lines: Iterable[Line]) -> list[Drift]:
    """Each (sign, table, line) with what undoes it. Of an object that was changed, the line that is new has the statement."""
    changed = list(lines)
    before = {(t, o.kind, o.name): o for sign, t, line in changed if sign == "-" and (o := _object(line))}
    after = {(t, o.kind, o.name): o for sign, t, line in changed if sign == "+" and (o := _object(line))}
    out = []
    for sign, table, line in changed:
        o, undo = _object(line), None
        if o is not None:
            key = (table, o.kind, o.name)
            if o.kind == "index" and (table, "constraint", o.name) in (after if sign == "+" else before):
                pass  # it comes and goes with its constraint
            elif sign == "+":
                undo = "; ".join(_changed_back(table, before[key], o) if key in before else _dropped(table, o))
            elif key not in after:
                undo = "; ".join(_made_again(table, o))
        elif sign == "+":
            was = next((w for s, t, w in changed if (s, t) == ("-", table) and TABLE.fullmatch(w)), None)
            undo = "; ".join(_table_back(table, was, line)) if was else None
        out.append(Drift(sign, table, line, undo or None))
    return out


def _object(line: str) -> _Object | None:
    for kind, pattern in KINDS.items():
        if found := pattern.fullmatch(line):
            groups = found.groupdict()
            name = next(g for g in found.groups() if g is not None and g not in groups.values())
            return _Object(kind, name, groups["rest"], groups.get("state", ""))
    return None


def _dropped(table: str, o: _Object) -> Iterator[str]:
    """IF EXISTS: a column takes its constraints and indexes along, in whatever order the statements are run."""
    schema = table.rpartition(".")[0]
    match o.kind:
        case "column" | "constraint":
            yield f"ALTER TABLE {table} DROP {o.kind.upper()} IF EXISTS {o.name}"
        case "index":
            yield f"DROP INDEX IF EXISTS {schema}.{o.name}" if schema else f"DROP INDEX IF EXISTS {o.name}"
        case "publication":
            yield f"ALTER PUBLICATION {o.name} DROP TABLE {table}"
        case _:
            yield f"DROP {o.kind.upper()} IF EXISTS {o.name} ON {table}"


def _made_again(table: str, o: _Object) -> Iterator[str]:
    match o.kind:
        case "constraint":
            yield f"ALTER TABLE {table} ADD CONSTRAINT {o.name} {o.rest}"
        case "index" | "trigger" | "rule":
            yield o.rest.rstrip(";")
            if o.state and o.state != "O":
                yield f"ALTER TABLE {table} {ENABLE[o.state]} {o.kind.upper()} {o.name}"


def _changed_back(table: str, was: _Object, now: _Object) -> Iterator[str]:
    if now.kind == "column":
        yield from _column_back(table, was, now)
    elif now.kind in ("trigger", "rule") and was.rest == now.rest:
        yield f"ALTER TABLE {table} {ENABLE[was.state]} {now.kind.upper()} {now.name}"
    elif again := list(_made_again(table, was)):
        yield from (*_dropped(table, now), *again)


def _column_back(table: str, was: _Object, now: _Object) -> Iterator[str]:
    """NOT NULL and the default. Another type may have changed values, so it has no statement."""
    before, after = COLUMN.fullmatch(was.rest), COLUMN.fullmatch(now.rest)
    if before is None or after is None or before["type"] != after["type"]:
        return
    alter = f"ALTER TABLE {table} ALTER COLUMN {now.name}"
    if before["needed"] != after["needed"]:
        yield f"{alter} {'SET' if before['needed'] else 'DROP'} NOT NULL"
    if before["default"] != after["default"]:
        yield f"{alter} SET DEFAULT {before['default']}" if before["default"] else f"{alter} DROP DEFAULT"


def _table_back(table: str, was: str, now: str) -> Iterator[str]:
    before, after = TABLE.fullmatch(was), TABLE.fullmatch(now)
    if before is None or after is None:
        return
    if before["rls"] != after["rls"]:
        yield f"ALTER TABLE {table} {'ENABLE' if before['rls'] == 't' else 'DISABLE'} ROW LEVEL SECURITY"
    if before["forced"] != after["forced"]:
        yield f"ALTER TABLE {table} {'FORCE' if before['forced'] == 't' else 'NO FORCE'} ROW LEVEL SECURITY"
