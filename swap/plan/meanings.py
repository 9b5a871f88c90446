"""What everything that is made again has to mean (I10, H53): expected of the trial's copies, of the shadow, and of the new tables.

Pure. The comparison is of operators and functions in the stored expressions (swap.catalog.meaning).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from swap.catalog.model import Table
from swap.catalog.parts import Meaning
from swap.core.names import TableName, derive, quote
from swap.core.statement import part
from swap.plan.model import Plan, is_identity_index


@dataclass(frozen=True)
class Expected:
    """An object of `table`, by the name that it has there, and the meaning of what it is made from. `label`: that one's name."""

    label: str
    table: TableName
    kind: str
    name: str
    meaning: Meaning


def expected_after(plan: Plan) -> Iterator[Expected]:
    """Everything on the tables after the cutover, by the names that it has then. Not what [[policy]] replaces."""
    source, new = plan.source_table, {(n.table, n.old.name) for n in plan.new_policies}
    yield from _columns(plan, plan.source)
    for p in source.policies:
        if (source.name, p.name) not in new:
            yield Expected(part(source.name, p.name), source.name, "policy", p.name, p.meaning)
    for b in plan.catalog.policies:
        if b.reads_source and (b.table, b.policy.name) not in new:
            yield Expected(part(b.table, b.policy.name), b.table, "policy", b.policy.name, b.policy.meaning)
    for s in plan.catalog.statistics:
        yield Expected(str(s.name), s.table, "statistics", s.name.name, s.meaning)
    for table in (source, *(plan.catalog.table(t) for t in sorted({r.table for r in plan.references}))):
        for check in table.checks:
            yield Expected(part(table.name, check.name), table.name, "check", check.name, check.meaning)
        for trigger in table.triggers:
            yield Expected(part(table.name, trigger.name), table.name, "trigger", trigger.name, trigger.meaning)
        yield from _indexes(plan, table, table.name, lambda name: name)


def expected_of_shadow(plan: Plan) -> Iterator[Expected]:
    """Everything on the shadow, by the names that it has before the cutover."""
    yield from _columns(plan, plan.shadow)
    for check in plan.source_table.checks:
        if check.validated:  # the others follow in the exchange
            yield Expected(part(plan.source, check.name), plan.shadow, "check", check.name, check.meaning)
    yield from _indexes(plan, plan.source_table, plan.shadow, lambda name: derive(name, "_new"))


def _columns(plan: Plan, table: TableName) -> Iterator[Expected]:
    """Defaults and generated columns. The exchanged columns have other defaults, of swap's choice."""
    exchanged = {name for p in plan.pairs_of(plan.source) for name in (p.integer, p.uuid)}
    for c in plan.source_table.columns:
        if c.name not in exchanged:
            yield Expected(part(plan.source, c.name), table, "column", c.name, c.meaning)


def _indexes(plan: Plan, of: Table, on: TableName, called: Callable[[str], str]) -> Iterator[Expected]:
    for index in of.indexes:
        if index.valid and not is_identity_index(index, plan.identity):
            label = f"{quote(of.name.schema)}.{quote(index.name)}"
            yield Expected(label, on, "index", called(index.name), index.meaning)


def known(plan: Plan) -> bool:
    """Whether the plan has meanings. One that an older version made has none."""
    views = [v.meaning for v in plan.catalog.views]
    return any(m.uses for m in (*views, *(e.meaning for e in expected_after(plan))))


def difference(before: Iterable[str], after: Iterable[str]) -> str:
    """What an object uses in place of what it should; nothing where that is the same."""
    was, now = Counter(before), Counter(after)
    gone, new = (", ".join(sorted(x)) for x in (was - now, now - was))
    if gone and new:
        return f"uses {new} where it should use {gone}"
    return f"uses {new} besides" if new else f"does not use {gone}" if gone else ""
