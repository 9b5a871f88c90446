"""What an operator is told before a command asks whether it may act: where, what, on what trust, and who is in the way now."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cutover.clients import refuse_clients
from cutover.gates import check_gates
from cutover.obstacles import holders
from swap.cli.output import columns_of, wrapped
from swap.cli.session import Session, confirm
from swap.cli.status_lines import LABEL, Line
from swap.core.units import counted, duration
from swap.plan.direction import Direction
from swap.plan.model import COLUMN, Plan
from swap.state.journal import Run
from swap.sync.change_queue import ChangeQueue
from swap.sync.follow_up import SETTLED

OLD_STAYS = "the old table stays, and is kept in sync, until `swap finalize`"
SHOWN = 5  # sessions in the way, tables


@dataclass(frozen=True)
class ExchangeQuestion:
    """`kind`: cutover | revert. `hook`: what runs before it. `waits_for`: what it waits for first, in words; its gates may be closed
    until then. `rehearsal`: the report that --require-rehearsal names."""

    kind: str
    hook: str = ""
    waits_for: str = ""
    rehearsal: Path | None = None

    def text(self, run: Run) -> str:
        if self.kind == "revert":
            return f"Exchange {run.source} back with {run.plan.retired} now?"
        return f"Exchange {run.source} with {run.plan.shadow} {'then' if self.waits_for else 'now'}?"


def ask_exchange(s: Session, run: Run, asked: ExchangeQuestion, *, yes: bool) -> None:
    """Ask before a cutover or a revert. On a terminal the gates come before the question: an exchange that they would refuse is not
    worth one. Raises what they raise, and what `confirm` raises."""
    plan, question = run.plan, asked.text(run)
    if yes or not sys.stdin.isatty():
        confirm(question, yes=yes)
        return
    m = s.reading(run)
    refuse_clients(m.conn, s.config.cutover.disconnect_clients)
    if not asked.waits_for and s.journal.step_done(
        run.id, SETTLED
    ):  # else the command finishes the follow-up of the last exchange first
        check_gates(m)
    confirm(question, yes=False, first=_cut([*_where(s), *_exchange(s, run, asked), *_in_the_way(s, plan)]))


def ask_removal(s: Session, run: Run, question: str, goes: list[str], *, word: str | None = None) -> None:
    """Ask before `finalize` or `abort`. `goes`: what they remove, in words. `word`: what has to be typed in place of a yes."""
    lines = [*_where(s), *(Line("", text) for text in goes), *_in_the_way(s, run.plan)]
    confirm(question, yes=False, first=_cut(lines), word=word)


def added(plan: Plan) -> list[str]:
    """What `abort` removes, one text for each kind of thing."""
    shadows = ", ".join(str(t.shadow) for t in plan.swapped)
    columns = [f"{r.table}.{r.columns.uuid_column}" for r in plan.references if not r.columns.adopted]
    columns += [f"{plan.source}.{plan.identity}"] if plan.identity_added else []
    out = [f"goes: {shadows}, capture and its queue"]
    out += [f"goes: the columns {', '.join(columns)}"] if columns else []
    kept = [f"{r.table}.{r.columns.uuid_column}" for r in plan.references if r.columns.adopted]
    return [*out, *([f"stays: {', '.join(kept)}, with what was filled in"] if kept else [])]


def _where(s: Session) -> list[Line]:
    info = s.journal.conn.info
    place = info.host if info.host.startswith("/") else f"{info.host}:{info.port}"
    return [
        Line("server", f"{place} (PostgreSQL {info.parameter_status('server_version')}), database {info.dbname}, as {info.user}")
    ]


def _exchange(s: Session, run: Run, asked: ExchangeQuestion) -> Iterator[Line]:
    plan, journal = run.plan, s.journal
    tables = [str(t.name) for t in plan.swapped] + sorted({str(r.table) for r in plan.all_references if r.strategy == COLUMN})
    more = f" and {len(tables) - SHOWN} more" if len(tables) > SHOWN else ""
    yield Line("tables", f"{', '.join(tables[:SHOWN])}{more}")
    stays = "the new table stays, and is kept in sync again" if run.direction is Direction.REVERSE else OLD_STAYS
    yield Line("goes", f"nothing: {stays}")
    v = journal.verifications.last(run.id)
    if v is not None:
        yield Line("verified", f"{v.verdict}, {duration(v.age_s)} ago ({v.method}, {counted(v.rows, 'row')})")
    yield Line("queue", f"{counted(ChangeQueue(journal.conn, plan, run.id).count_due(), 'change')} to replay first")
    if asked.hook:
        yield Line("hook", asked.hook)
    if asked.kind == "cutover":
        yield from rehearsed(asked.rehearsal)
    if asked.waits_for:
        yield Line("waits for", f"{asked.waits_for}; or `swap cutover --now`, from elsewhere")


def rehearsed(file: Path | None) -> Iterator[Line]:
    """What the rehearsal said that `--require-rehearsal` names. Raises UsageError for a file that is none."""
    if file is None:
        yield Line("rehearsed", "no report was named (--require-rehearsal)")
        return
    from swap.rehearse.expected import read_expected

    for n, text in enumerate(read_expected(file).lines()):
        yield Line("" if n else "rehearsed", text)


def _in_the_way(s: Session, plan: Plan) -> Iterator[Line]:
    there = list(dict.fromkeys(str(h.who) for h in holders(s.journal.conn, plan) if not h.who.own))  # one may hold several locks
    if not there:
        yield Line("in the way", "nobody: no other session holds a lock on these tables at this moment")
    yield from (Line("in the way", who) for who in there[:SHOWN])
    if len(there) > SHOWN:
        yield Line("", f"and {len(there) - SHOWN} more sessions")


def _cut(lines: list[Line]) -> list[str]:
    columns = columns_of(sys.stderr)
    return [piece for line in lines for piece in wrapped(str(line), columns, LABEL)]
