"""What was rehearsed, as digests: of the plan's statements, phase by phase, and of the structure, table by table.

The journalled fingerprint of a plan holds oids and estimates of rows, which differ between a database and its copy. So a pin is made
of what will run, and the oids in it count as one word.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from swap import __version__
from swap.core.connection import Connection
from swap.ddl.phases import phases
from swap.plan.model import Plan
from swap.prepare.drift import foreign_structure
from swap.rehearse.record import Pin

SHOWN = 5  # differences, where there are many
# Numbers that a copy does not share: of a column behind one that was dropped, and oids.
ELSEWHERE = re.compile(r"\b(number|attached|tablespace)=\d+")

BODY = re.compile(r"swap, digest [0-9a-f]{32}")
OWN_NAME = re.compile(r'"(?:[^"]|"")*_OID_\d{5,}(?:[^"]|"")*"')


def make_pin(conn: Connection, plan: Plan) -> Pin:
    """The pin of a plan and of the application's structure as it is now. Both sides are compared right before a cutover, the first one or
    one after a revert."""
    return Pin(
        plan={name: _digest(plan, (s.text for s in statements)) for name, statements in phases(plan)},
        structure=_structure(conn, plan),
        tool=__version__,
        server_version=conn.info.server_version,
    )


def unlike(production: Connection, clone: Connection, plan: Plan) -> Sequence[str]:
    """What the clone has otherwise than production, one line each: a cutover would refuse its rehearsal for that. Before `prepare`; reads
    only. The plan is the clone's: to make production's, something would have to be tried there."""
    here, there = (Pin({}, _structure(c, plan), __version__, c.info.server_version) for c in (clone, production))
    return differences(here, there)


def _structure(conn: Connection, plan: Plan) -> dict[str, str]:
    lines: dict[str, list[str]] = {}
    for table, line in foreign_structure(conn, plan):
        lines.setdefault(str(table), []).append(ELSEWHERE.sub(r"\1", str(line)))
    return {table: _digest(plan, sorted(found)) for table, found in sorted(lines.items())}


def _digest(plan: Plan, texts: Iterable[str]) -> str:
    """Of the texts whatever their order is: foreign keys come in that of their oids."""
    return hashlib.sha256("\n".join(sorted(_without_oids(plan, text) for text in texts)).encode()).hexdigest()[:16]


def _without_oids(plan: Plan, text: str) -> str:
    """The source's oid is in the names of swap's own objects and in the digests of their bodies; those of views and functions are in
    the names under which they are set aside."""
    text = re.sub(rf"(?<!\d){plan.tag}(?!\d)", "OID", text)
    return OWN_NAME.sub(lambda found: re.sub(r"\d{5,}", "OID", found[0]), BODY.sub("swap, digest", text))


def listed(found: Sequence[str]) -> str:
    """The first of them, in one line."""
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more


def differences(rehearsed: Pin, here: Pin) -> Sequence[str]:
    """What is not as it was rehearsed, one line each; empty when all is."""
    out = []
    for what, was, now in (
        ("the plan's phase", rehearsed.plan, here.plan),
        ("the structure of", rehearsed.structure, here.structure),
    ):
        for name in sorted({*was, *now}):
            if was.get(name) != now.get(name):
                state = "is new" if name not in was else "is gone" if name not in now else "differs"
                out.append(f"{what} {name} {state}")
    if rehearsed.tool != here.tool:
        out.append(f"swap {rehearsed.tool} was rehearsed, this is {here.tool}")
    if rehearsed.server_version != here.server_version:
        out.append(
            f"PostgreSQL {_version(rehearsed.server_version)} was rehearsed, this server is {_version(here.server_version)}"
        )
    return out


def _version(number: int) -> str:
    return f"{number // 10000}.{number % 10000}"
