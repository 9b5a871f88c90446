"""[sync] and [throttle] as they are now: the configuration's, with what `swap set` has put in place of them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from swap.core.config import Config, Sync
from swap.core.errors import UsageError
from swap.core.overrides import NAMES, shown, with_overrides
from swap.core.throttle_settings import Throttle
from swap.state.migration import Migration


def accepted(found: Mapping[str, object]) -> dict[str, object]:
    """What this version knows of the settings in the journal."""
    return {name: value for name, value in found.items() if name in NAMES}


class LiveSettings:
    """`jobs`: that of the command line, in place of the configuration's. Only the thread that owns the migration's session calls
    `refresh`; any may read."""

    def __init__(self, migration: Migration, jobs: int) -> None:
        self.migration = migration
        self.base: Config = with_overrides(migration.config, {"jobs": jobs})
        self.config: Config = self.base
        self._overrides: dict[str, object] = {}

    @property
    def sync(self) -> Sync:
        return self.config.sync

    @property
    def throttle(self) -> Throttle:
        return self.config.throttle

    def pair(self) -> tuple[Sync, Throttle]:
        config = self.config
        return config.sync, config.throttle

    def refresh(self) -> None:
        """Read what was set, and tell what has changed. Where this configuration leaves no room for it, nothing changes."""
        m = self.migration
        found = accepted(m.journal.steering.overrides(m.run.id))
        if found == self._overrides:
            return
        self._overrides = found
        try:
            self.config = with_overrides(self.base, found)
        except UsageError as e:
            m.report.note(f"what `swap set` has set does not hold here: {e.message}")
            return
        said = ", ".join(shown(name, value) for name, value in found.items())
        m.report.note(f"set by `swap set`: {said}" if said else "the configuration holds again (`swap set --reset`)")
        m.journal.event(
            m.run.id, "settings", f"`sync` goes on with {json.dumps(found)}" if found else "`sync` goes on with its configuration"
        )
