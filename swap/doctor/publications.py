"""Publications of the source and of tables with references (H17): the operator accepts by name what changes for subscribers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from swap.catalog.model import Publication, Table
from swap.core.names import quote
from swap.doctor.finding import Finding, Subject, blocker, or_ok
from swap.doctor.names import new_tables

CAPTURES = re.compile(r"swap_\d+")
BEFORE = " See docs/limits.md, 'Publications'; then take it on in [accept] findings."


def check_publications(subject: Subject) -> list[Finding]:
    """Pure. A publication that lists a table is carried over, once it is accepted. One of a schema or of all tables publishes the
    new tables by itself."""
    found = [f for t in subject.tables for p in t.publications for f in _publication(subject, t, t, p)]
    for t in subject.tables:  # a partition can be published without its table
        known = {p.name for p in t.publications}
        found += [f for x in t.partitions for p in x.publications if p.name not in known for f in _publication(subject, t, x, p)]
    return or_ok(found, "publication", subject.source.name, "no publication contains the table or a reference to it")


def _publication(subject: Subject, table: Table, listed: Table, p: Publication) -> Iterator[Finding]:
    """`listed`: the table, or a partition of it."""
    at = f"{quote(p.name)} of {listed.name}"
    if table.name == subject.source.name and CAPTURES.fullmatch(p.name):
        detail = "a run captured by it, and there is none: its state schema was dropped, or [names] state_schema was another one"
        hint = (
            f"DROP PUBLICATION {quote(p.name)}; where no run uses it any more, and its slot, if there is one (`abandoned-slot`)."
        )
        yield blocker("publication", at, detail, hint)
        return
    changed = {c for p in subject.pairs_of(table.name) for c in (p.integer, p.uuid)}
    if bound := changed.intersection(p.filter_columns):
        names = ", ".join(map(quote, sorted(bound)))
        hint = f"ALTER PUBLICATION {quote(p.name)} DROP TABLE {listed.name}; and ADD TABLE with a filter over a uuid afterwards."
        yield blocker("publication", at, f"its row filter compares {names}, which is a uuid afterwards", hint)
        return
    if p.kind != "table":
        yield _wholesale(subject, table, p, at)
        return
    if not p.owned and (table in subject.rebuilt or changed.intersection(p.columns)):
        hint = f"GRANT {quote(p.owner)} TO {quote(subject.catalog.role)}; or ALTER PUBLICATION {quote(p.name)} OWNER TO {quote(subject.catalog.role)};"
        yield blocker("publication", at, f"the publication belongs to {p.owner}, and only its owner can change it", hint)
    lists = "its column list goes on by name" if p.columns else "the new columns are published as soon as they are there"
    detail = f"from the cutover on its subscribers get uuids in {', '.join(map(quote, sorted(changed)))}; {lists}"
    yield blocker("publication", at, detail, "Change the subscribers' tables in step." + BEFORE, acceptable=True)


def _wholesale(subject: Subject, table: Table, p: Publication, at: str) -> Finding:
    names = new_tables(subject)
    state = subject.config.names.state_schema
    what = (
        f"every table of {quote(table.name.schema)}" if p.kind == "schema" else f"every table, those of schema {quote(state)} too"
    )
    detail = f"publishes {what}: {names['shadow'].name} from its creation on, {names['retired'].name} after the cutover"
    hint = "Publish listed tables instead, or create these on every subscriber first." + BEFORE
    return blocker("publication", at, detail, hint, acceptable=True)
