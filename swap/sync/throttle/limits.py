"""All throttles of a `sync` together: why to wait now, in words. An empty text: go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from swap.core.config import Sync
from swap.core.connection import Connection, Database
from swap.core.daily_window import DailyWindow
from swap.core.throttle_settings import Throttle
from swap.sync.throttle.beside import Beside
from swap.sync.throttle.outside import flag_reason
from swap.sync.throttle.server import WalClock, server_reasons

LOOK_EVERY_S = 1.0


class Throttles:
    """`settings` gives [sync] and [throttle] as they are now. `building` is whether the tables are still being built: only the build
    keeps to the window. If replay kept to it too, a day's changes would wait for the night, and after a cutover a revert with them."""

    def __init__(self, database: Database, settings: Callable[[], tuple[Sync, Throttle]]) -> None:
        self.settings = settings
        self.building = False
        self._beside = Beside(database, lambda: settings()[1])
        self._wal = WalClock()
        self._looked: float | None = None
        self._looked_for: tuple[Sync, Throttle] | None = None
        self._server = ""

    def reason(self, conn: Connection) -> str:
        """Asks the server at most every LOOK_EVERY_S, and at once when a limit has changed. Raises psycopg's errors."""
        sync, limits = self.settings()
        now = time.monotonic()
        if self._looked is None or now - self._looked >= LOOK_EVERY_S or self._looked_for != (sync, limits):
            self._server = "; ".join(server_reasons(conn, sync, limits, self._wal, now))
            self._looked, self._looked_for = now, (sync, limits)
        return "; ".join(filter(None, [*self._here(limits), self._server, *self._beside.reasons()]))

    def close(self) -> None:
        self._beside.close()

    def _here(self, limits: Throttle) -> Iterator[str]:
        if limits.window is not None and self.building:
            window, now = DailyWindow.parse(limits.window), datetime.now(UTC)
            if not (opening := window.next(now)).is_open(now):
                yield f"the window opens at {window.shown(opening.begins)} (throttle.window = {limits.window})"
        if limits.flag_file is not None:
            yield flag_reason(limits.flag_file)
