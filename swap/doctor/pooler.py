"""The poolers that a cutover pauses (`[pgbouncer]`): whether they can be reached and paused, by this user, under these names."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from swap.core.config import Config
from swap.core.errors import SwapError
from swap.core.pgbouncer import Console, Pool, by_hand
from swap.doctor.finding import Finding, blocker, ok, warning


def check_pooler(config: Config, database: str) -> list[Finding]:
    """No finding where no pooler is configured. Pauses nothing."""
    found: list[Finding] = []
    for dsn in config.pgbouncer.admin_dsn:
        with closing(Console(dsn)) as console:
            try:
                found += _check(console, config.pgbouncer.databases or [database], database)
            except SwapError as e:
                found.append(
                    blocker("pgbouncer", console.label, e.message.removeprefix(f"{console.label}: ").rstrip("."), e.hint)
                )
    return found


def _check(console: Console, names: Sequence[str], database: str) -> list[Finding]:
    pools = {p.name: p for p in console.pools()}
    if not console.may_pause():
        detail = "this user may look, and may not PAUSE"
        return [blocker("pgbouncer", console.label, detail, "Add it to admin_users in pgbouncer.ini, and RELOAD.")]
    default = console.default_mode()
    found = [f for n in names for f in _check_pool(console, n, pools.get(n), ", ".join(pools), default)]
    others = [p.name for p in pools.values() if p.database == database and p.name not in names]
    if others:
        detail = f"{', '.join(others)} lead to the same database, and are not paused"
        found.append(warning("pgbouncer", console.label, detail, "Name all that the application uses in [pgbouncer] databases."))
    return found or [ok("pgbouncer", console.label, f"{', '.join(names)} can be paused and resumed")]


def _check_pool(console: Console, name: str, pool: Pool | None, listed: str, default: str) -> list[Finding]:
    if pool is None:
        hint = f"Name those of this application in [pgbouncer] databases. There are: {listed or 'none'}."
        return [blocker("pgbouncer", console.label, f"it has no database {name}", hint)]
    if pool.paused:
        return [blocker("pgbouncer", console.label, f"{name} is paused, and its clients are waiting", by_hand(name))]
    mode = pool.mode or default
    if mode == "session":
        detail = f"{name} pools sessions: a PAUSE waits until every client has disconnected, which it will rarely reach"
        return [warning("pgbouncer", console.label, detail, "pool_mode = transaction, if the application can; or stop it first.")]
    return []
