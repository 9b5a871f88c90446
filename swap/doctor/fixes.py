"""`doctor --fix-sql`: the statements in the hints of findings, in an order in which they run, each with what takes it back.

A hint names statements that can be run as they stand (tests/doctor/test_hints.py). Where it offers two ways (`…; or …;`), the first is
taken, and the other is a comment. Statements of warnings are comments too: a warning may stay. A statement that does not mend what is
there today but belongs to later ("After the cutover: UPDATE …;") is a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from swap.doctor.finding import Finding

OBJECTS = (
    "TABLE|INDEX|TRIGGER|ROUTINE|STATISTICS|RULE|POLICY|PUBLICATION|SUBSCRIPTION|ROLE|SEQUENCE|VIEW|SYSTEM|FUNCTION|EVENT TRIGGER"
    "|MATERIALIZED VIEW|DATABASE|SCHEMA"
)  # fmt: skip
NAME = r"[\w\"]"
STARTS = (
    rf"(?:(?:ALTER|CREATE|DROP)(?: UNIQUE)? (?:{OBJECTS}) (?={NAME})|GRANT (?={NAME})|REVOKE (?={NAME})"
    rf"|REFRESH MATERIALIZED VIEW (?={NAME})|REINDEX INDEX |UPDATE (?={NAME}+\.)|SELECT (?:setval|pg_\w+)\()"
)  # fmt: skip
STATEMENT = re.compile(rf"\b{STARTS}(?:[^;'\"]|'[^']*'|\"[^\"]*\")*;")
ENTRY = "add to the configuration\n"

RANKS = (
    r"GRANT|REVOKE|ALTER ROLE|ALTER SYSTEM|.* OWNER TO ",
    r"DROP (RULE|TRIGGER|POLICY)|ALTER EVENT TRIGGER|ALTER PUBLICATION|ALTER SUBSCRIPTION|REFRESH",
    r"DROP (INDEX|STATISTICS|ROUTINE|VIEW)",
    r"ALTER TABLE .* (DROP|NO INHERIT|DETACH|NOT OF)\b",
    r"UPDATE|SELECT",
)  # fmt: skip
"""What comes first: rights, then what hangs on an object, the object, what holds a table back, rows. Everything else adds or checks."""


@dataclass(frozen=True)
class Fix:
    """A statement, the labels of the findings that it mends, and whether it is one of several ways (`offered`: a comment)."""

    sql: str
    findings: tuple[str, ...]
    offered: str = ""


def statements(hint: str) -> list[tuple[str, str]]:
    """Every whole statement of a hint, in order, with why it is not the one to run: empty where it is."""
    text = hint.partition(ENTRY)[0]
    out: list[tuple[str, str]] = []
    end = 0
    for found in STATEMENT.finditer(text):
        between = text[end : found.start()]
        if re.search(r"\bafter (the|a) (cutover|revert)\b[^;]*:\s*$", between, re.IGNORECASE):
            why = "later"
        else:
            why = "or" if out and re.search(r"\bor\b", between, re.IGNORECASE) else ""
        out.append((found.group(), why))
        end = found.end()
    return out


def fixes(findings: Iterable[Finding], source: str) -> list[Fix]:
    """The statements of all blockers and warnings, each once. `source`: the table whose statements come first among their like."""
    by_sql: dict[tuple[str, str], list[str]] = {}
    for f in findings:
        if f.status == "ok":
            continue
        for sql, why in statements(f.hint):
            offered = why or ("warning" if f.status == "warning" else "")
            by_sql.setdefault((sql, offered), []).append(f.label)
    made = [Fix(sql, tuple(dict.fromkeys(labels)), offered) for (sql, offered), labels in by_sql.items()]
    run = {f.sql for f in made if not f.offered}
    made = [f for f in made if not (f.offered and f.sql in run)]
    return sorted(made, key=lambda f: (_rank(f.sql), not re.search(rf"(?<![\w.]){re.escape(source)}(?!\w)", f.sql)))


def _rank(sql: str) -> int:
    return next((n for n, pattern in enumerate(RANKS) if re.match(pattern, sql)), len(RANKS))


def script(made: Sequence[Fix], undo: Mapping[str, str], findings: Iterable[Finding]) -> list[str]:
    """The lines of the script. `undo`: by statement; a statement without an entry cannot be taken back by one."""
    by_label = {f.label: f for f in findings}
    lines = [
        "-- What `swap doctor` found, and the statements that mend it. Read them first. psql -v ON_ERROR_STOP=1 -f runs them as they stand,"
    ]
    lines.append(
        "-- as a role that may (GRANT and OWNER TO: as a superuser); not in one transaction. Comments are alternatives, and advice of warnings."
    )
    for f in made:
        lines.append("")
        for label in f.findings:
            lines += _commented(f"{label}: {by_label[label].detail}")
        lines += _commented(f"{HEADS[f.offered]} {f.sql}") if f.offered else [f.sql]
    bare = [f.label for f in by_label.values() if f.status == "blocker" and not statements(f.hint)]
    if bare:
        lines += ["", "-- No statement mends these: `swap doctor` says what does."]
        lines += [f"--   {label}" for label in bare]
    lines += _undo_lines([f.sql for f in made if not f.offered], undo)
    return lines


HEADS = {"or": "Or:", "later": "Later:", "warning": "If you want to:"}


def _undo_lines(ran: Sequence[str], undo: Mapping[str, str]) -> list[str]:
    if not ran:
        return []
    lines = [
        "",
        "-- Undo, last first: as it was when this was written, but for comments, and rights on what is dropped. Of a child that inherits again",
        "-- the columns are its own. After a cutover an object over a key has to be over the uuid.",
    ]
    for sql in reversed(ran):
        lines += _commented(undo.get(sql) or f"(nothing takes this back: {sql})")
    return lines


def _commented(text: str) -> list[str]:
    return [f"-- {line}".rstrip() for line in text.splitlines()]
