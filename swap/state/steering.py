"""What operators tell commands that run: other settings for `sync`, and a cutover that waits to begin. Each is an event of the run, so it
outlives the session of either side; the newest one holds."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from swap.state.store import Store, kept

SET = "set"
"""An event: all settings that hold from now on, as a JSON object."""
WAITS, NOW, BEGINS = "cutover waits", "cutover now", "cutover begins"
"""Events: a cutover waits (its message is the reason as it is now), it is told to begin, and it does."""
PACE = "pace"
"""An event: how many sessions the backfill uses, and why. One row for each run, which is written again."""
PROBE = "commit probe"


class Steering:
    def __init__(self, store: Store) -> None:
        self._store = store

    def overrides(self, run_id: int) -> dict[str, Any]:
        """The settings that `swap set` has put in place of the configuration's, by name; None: switched off."""
        found = self._newest(run_id, SET)
        document = json.loads(found) if found else {}
        return document if isinstance(document, dict) else {}

    def override(self, run_id: int, settings: dict[str, Any]) -> None:
        """These hold from now on, and no others."""
        self._add(run_id, SET, settings)

    def pace(self, run_id: int) -> dict[str, Any] | None:
        """What `tell_pace` said last."""
        found = self._newest(run_id, PACE)
        return json.loads(found) if found else None

    def tell_pace(self, run_id: int, pace: dict[str, Any]) -> None:
        e = self._store.t["event"]
        update = (
            sa.update(e)
            .where(e.c.run_id == run_id, e.c.kind == PACE)
            .values(message=json.dumps(pace), at=sa.func.clock_timestamp())
        )
        if self._store.value(update.returning(e.c.id)) is None:
            self._add(run_id, PACE, pace)

    def probe(self, run_id: int) -> None:
        """Write a row that means nothing, for as long as that takes."""
        b = self._store.t["bound"]
        insert = postgresql.insert(b).values(run_id=run_id, part=PROBE, last=0)
        again = insert.on_conflict_do_update(index_elements=[b.c.run_id, b.c.part], set_={"last": b.c.last + 1})
        self._store.execute(again)

    def forget_probe(self, run_id: int) -> None:
        b = self._store.t["bound"]
        self._store.execute(sa.delete(b).where(b.c.run_id == run_id, b.c.part == PROBE))

    def wait(self, run_id: int) -> int:
        """A cutover waits from now on. Returns the number by which the other methods know the wait."""
        return self._event(run_id, WAITS, "it has just begun to wait")

    def say(self, wait: int, reason: str) -> None:
        """What it waits for now."""
        e = self._store.t["event"]
        self._store.execute(sa.update(e).where(e.c.id == wait).values(message=kept(self._store.conn, reason)))

    def waits_for(self, run_id: int) -> str | None:
        """What the last one that waited said. Ask it while one waits (swap.state.locks)."""
        return self._newest(run_id, WAITS)

    def tell_now(self, run_id: int, who: str) -> int:
        """Tell the cutover that waits to begin. Returns the number of that message."""
        return self._event(run_id, NOW, f"told to begin by {who}")

    def told_now(self, run_id: int, wait: int) -> str | None:
        """Whether this wait was told to begin, and by whom."""
        return self._newest(run_id, NOW, after=wait)

    def begin(self, run_id: int, why: str) -> None:
        """The wait is over."""
        self._event(run_id, BEGINS, why)

    def has_begun(self, run_id: int, message: int) -> bool:
        """Whether a cutover began after this message (`tell_now`)."""
        return self._newest(run_id, BEGINS, after=message) is not None

    def _add(self, run_id: int, kind: str, document: dict[str, Any]) -> int:
        return self._event(run_id, kind, json.dumps(document))

    def _event(self, run_id: int, kind: str, text: str) -> int:
        """Returns the event's number."""
        e = self._store.t["event"]
        message = kept(self._store.conn, text)
        return int(self._store.value(sa.insert(e).values(run_id=run_id, kind=kind, message=message).returning(e.c.id)))

    def _newest(self, run_id: int, kind: str, after: int = 0) -> str | None:
        e = self._store.t["event"]
        where = (e.c.run_id == run_id, e.c.kind == kind, e.c.id > after)
        query = sa.select(e.c.message).where(*where).order_by(e.c.id.desc()).limit(1)
        found = self._store.value(query)
        return None if found is None else str(found)
