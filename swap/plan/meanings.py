"""What everything that is made again has to mean (I10, H53): expected of the trial's copies, of the shadow, and of the new tables.

Pure. The comparison is of operators and functions in the stored expressions (swap.catalog.meaning).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from swap.catalog.model import Table
from swap.catalog.parts import Meaning
from swap.core.names import TableName, quote
from swap.core.statement import part
from swap.plan.model import Plan, SwappedTable
from swap.plan.texts import DEFAULT, INDEX, TRIGGER

TEXTS = {"column": DEFAULT, "trigger": TRIGGER, "index": INDEX}
"""The section of the configuration that gives an object of a kind another text."""


@dataclass(frozen=True)
class Expected:
    """An object of `table`, by the name that it has there, and the meaning of what it is made from. `label`: that one's name."""

    label: str
    table: TableName
    kind: str
    name: str
    meaning: Meaning
    of: tuple[TableName, str] | None = None

    @property
    def entry(self) -> tuple[TableName, str]:
        """The table and the name that an entry of the configuration gives the object."""
        return self.of or (self.table, self.name)


def expected_after(plan: Plan) -> Iterator[Expected]:
    """Everything on the tables after the cutover, by the names that it has then. Not what the configuration replaces."""
    yield from (e for e in _expected_after(plan) if plan.text_on(TEXTS.get(e.kind, ""), *e.entry) is None)


def _expected_after(plan: Plan) -> Iterator[Expected]:
    new = {(n.table, n.old.name) for n in plan.new_policies}
    for t in plan.swapped:
        table = plan.table_of(t)
        yield from _columns(plan, t, t.name)
        yield from _indexes(table, t.name, {i.final_name: i.final_name for i in t.indexes if i.final_name})
        for p in table.policies:
            if (t.name, p.name) not in new:
                yield Expected(part(t.name, p.name), t.name, "policy", p.name, p.meaning)
    for b in plan.bound_policies:
        if (b.table, b.policy.name) not in new:
            yield Expected(part(b.table, b.policy.name), b.table, "policy", b.policy.name, b.policy.meaning)
    for s in plan.catalog.statistics:
        yield Expected(str(s.name), s.table, "statistics", s.name.name, s.meaning)
    in_place = [plan.catalog.table(name) for name in sorted({r.table for r in plan.references})]
    for table in in_place:
        yield from _indexes(table, table.name, {i.name: i.name for i in table.indexes if i.valid})
    for table in (*(plan.table_of(t) for t in plan.swapped), *in_place):
        for check in table.checks:
            yield Expected(part(table.name, check.name), table.name, "check", check.name, check.meaning)
        for trigger in table.triggers:
            yield Expected(part(table.name, trigger.name), table.name, "trigger", trigger.name, trigger.meaning)


def expected_of_shadows(plan: Plan) -> Iterator[Expected]:
    """Everything on the shadows, by the names that it has before the cutover. Not what [[index]] replaces."""
    yield from (e for e in _expected_of_shadows(plan) if e.kind != "index" or plan.text_on(INDEX, *e.entry) is None)


def _expected_of_shadows(plan: Plan) -> Iterator[Expected]:
    for t in plan.swapped:
        table = plan.table_of(t)
        yield from _columns(plan, t, t.shadow)
        yield from _indexes(table, t.shadow, {i.final_name: i.build_name for i in t.indexes if i.final_name})
        for check in table.checks:
            if check.validated:  # the others follow in the exchange
                yield Expected(part(t.name, check.name), t.shadow, "check", check.name, check.meaning)


def _columns(plan: Plan, t: SwappedTable, on: TableName) -> Iterator[Expected]:
    """Defaults and generated columns. The exchanged columns have other defaults, of swap's choice."""
    exchanged = {name for p in plan.pairs_of(t.name) for name in (p.integer, p.uuid)}
    for c in plan.table_of(t).columns:
        if c.name not in exchanged:
            yield Expected(part(t.name, c.name), on, "column", c.name, c.meaning)


def _indexes(of: Table, on: TableName, called: Mapping[str, str]) -> Iterator[Expected]:
    """`called`: the indexes that are made again, by their names of now, and what each is called on the other table."""
    for index in of.indexes:
        if index.name in called:
            label, entry = f"{quote(of.name.schema)}.{quote(index.name)}", (of.name, index.name)
            yield Expected(label, on, "index", called[index.name], index.meaning, entry)


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
