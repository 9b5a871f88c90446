"""Calls of hooks: the command, the times, and the result."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from swap.state.store import Store, kept


class Hooks:
    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def _table(self) -> sa.Table:
        return self._store.t["hook"]

    def begin(self, run_id: int, name: str, argv: Sequence[str]) -> int:
        """Returns the call's number."""
        h, conn = self._table, self._store.conn
        words = [kept(conn, a) for a in argv]
        insert = sa.insert(h).values(run_id=run_id, name=name, argv=words, started_at=sa.func.clock_timestamp())
        return int(self._store.value(insert.returning(h.c.id)))

    def finish(self, number: int, *, exit_code: int, output: str, snapshot: str | None = None) -> None:
        """`snapshot`: the last line of a hook that succeeded."""
        h, conn = self._table, self._store.conn
        values: dict[str, object] = {"exit_code": exit_code, "output": kept(conn, output)}
        if snapshot is not None:
            values["snapshot"] = kept(conn, snapshot)
        update = sa.update(h).where(h.c.id == number)
        self._store.execute(update.values(**values, finished_at=sa.func.clock_timestamp()))

    def last_snapshot(self, run_id: int) -> str | None:
        """The snapshot that the last successful hook named."""
        h = self._table
        named = (h.c.run_id == run_id, h.c.exit_code == 0, h.c.snapshot.is_not(None))
        query = sa.select(h.c.snapshot).where(*named).order_by(h.c.id.desc()).limit(1)
        found = self._store.value(query)
        return None if found is None else str(found)
