"""What operators tell commands that run: other settings for `sync`. Each is an event of the run, so it outlives the session of
either side; the newest one holds."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from swap.state.store import Store, kept

SET = "set"
"""An event: all settings that hold from now on, as a JSON object."""


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

    def _add(self, run_id: int, kind: str, document: dict[str, Any]) -> int:
        """Returns the event's number."""
        e = self._store.t["event"]
        message = kept(self._store.conn, json.dumps(document))
        return int(self._store.value(sa.insert(e).values(run_id=run_id, kind=kind, message=message).returning(e.c.id)))

    def _newest(self, run_id: int, kind: str) -> str | None:
        e = self._store.t["event"]
        query = sa.select(e.c.message).where(e.c.run_id == run_id, e.c.kind == kind).order_by(e.c.id.desc()).limit(1)
        found = self._store.value(query)
        return None if found is None else str(found)
