"""Who did what: each command that writes leaves an event when it begins, and one when it ends. A command that was killed has only the
first."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from swap.core.names import TableName
from swap.core.printable import printable_document
from swap.state.attempts import MEASURED
from swap.state.steering import PACE, SET, WAITS
from swap.state.store import Store, kept
from swap.state.worker import GOING_ON, HELD

BEGAN, ENDED = "command began", "command ended"
QUIET = (BEGAN, ENDED, MEASURED, HELD, GOING_ON, SET, WAITS, PACE)  # events that are no news of their own


@dataclass(frozen=True)
class Command:
    """`options`: as they were given, without connection strings. `role`: of the session; `user`, `host`: of the process. `ended_at`,
    `exit_code`, `outcome`: None where it has not ended, or was killed."""

    run_id: int
    command: str
    options: str
    role: str
    user: str
    host: str
    version: str
    began_at: datetime
    ended_at: datetime | None
    exit_code: int | None
    outcome: str | None


@dataclass(frozen=True)
class Entry:
    run_id: int
    at: datetime
    kind: str
    message: str


def _number(number: int) -> int:
    return number


class History:
    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, run_id: int, said: dict[str, str]) -> str:
        """Returns the command's token. `said`: its fields that are texts."""
        token = uuid.uuid4().hex
        self._add(run_id, BEGAN, {"token": token, **said})
        return token

    def end(self, run_id: int, token: str, exit_code: int, outcome: str) -> None:
        self._add(run_id, ENDED, {"token": token, "exit_code": exit_code, "outcome": outcome})

    def _add(self, run_id: int, kind: str, document: dict[str, Any]) -> None:
        conn = self._store.conn
        clean = printable_document(document, lambda text: kept(conn, text))
        insert = sa.insert(self._store.t["event"]).values(run_id=run_id, kind=kind, message=json.dumps(clean))
        self._store.execute(insert)

    def runs_of(self, source: TableName) -> list[int]:
        """The numbers of all its runs, the oldest first."""
        run = self._store.t["run"]
        where = (run.c.source_schema == source.schema) & (run.c.source_table == source.name)
        query = sa.select(run.c.id.label("number")).where(where).order_by(run.c.id)
        return self._store.rows(query, _number)

    def commands(self, run_ids: list[int]) -> list[Command]:
        """Of these runs, in the order in which they began."""
        entries = self._entries(run_ids, sa.true())
        ends = {d["token"]: (e, d) for e in entries if e.kind == ENDED for d in [json.loads(e.message)]}
        out = []
        for e in entries:
            if e.kind == BEGAN:
                said = json.loads(e.message)
                found = ends.get(said.pop("token"))
                end, how = found or (None, dict[str, Any]())
                out.append(
                    Command(
                        run_id=e.run_id, began_at=e.at, ended_at=end.at if end else None, exit_code=how.get("exit_code"),
                        outcome=how.get("outcome"), **said,
                    )
                )  # fmt: skip
        return out

    def events(self, run_ids: list[int]) -> list[Entry]:
        """What happened to these runs: phases, blockers, what replay met."""
        return self._entries(run_ids, self._store.t["event"].c.kind.not_in(QUIET))

    def _entries(self, run_ids: list[int], where: sa.ColumnElement[bool]) -> list[Entry]:
        e = self._store.t["event"]
        query = sa.select(e.c.run_id, e.c.at, e.c.kind, e.c.message).where(e.c.run_id.in_(run_ids), where)
        return self._store.rows(query.order_by(e.c.id), Entry)
