"""The poolers that a cutover pauses (`[pgbouncer]`): whether they can be reached and paused, by this user, under these names;
and whether they lead to this server."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.errors import SwapError
from swap.core.pgbouncer import ELSEWHERE_HINT, Console, Pool, UnansweredError, by_hand, identify
from swap.doctor.finding import Finding, blocker, ok, warning


def check_pooler(config: Config, conn: Connection) -> list[Finding]:
    """No finding where no pooler is configured. Pauses nothing."""
    found: list[Finding] = []
    for dsn in config.pgbouncer.admin_dsn:
        with closing(Console(dsn)) as console:
            try:
                found += _check(console, config.pgbouncer.databases or [conn.info.dbname], conn)
            except SwapError as e:
                found.append(
                    blocker("pgbouncer", console.label, e.message.removeprefix(f"{console.label}: ").rstrip("."), e.hint)
                )
    return found


def _check(console: Console, names: Sequence[str], conn: Connection) -> list[Finding]:
    pools = {p.name: p for p in console.pools()}
    if not console.may_pause():
        detail = "this user may look, and may not PAUSE"
        return [blocker("pgbouncer", console.label, detail, "Add it to admin_users in pgbouncer.ini, and RELOAD.")]
    default = console.default_mode()
    found = [f for n in names for f in _check_pool(console, n, pools.get(n), ", ".join(pools), default)]
    found += [f for n in names if n in pools and not pools[n].paused for f in _check_target(console, n, conn)]
    others = [p.name for p in pools.values() if p.database == conn.info.dbname and p.name not in names]
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


def _check_target(console: Console, name: str, conn: Connection) -> list[Finding]:
    """Whether clients of the pool arrive at this server. A standby cannot tell: they belong to its primary."""
    if identify(conn).standby == "true":
        detail = f"where {name} leads to was not checked: this server is a standby"
        return [warning("pgbouncer", console.label, detail, "Run `swap doctor` on the primary.")]
    try:
        elsewhere = console.leads_elsewhere(name, conn)
    except UnansweredError as e:
        detail = str(e).removeprefix(f"{console.label}: ")
        return [warning("pgbouncer", console.label, detail, "Is its pool full, or its server down? Then run it again.")]
    if elsewhere:
        return [blocker("pgbouncer", console.label, f"{name} leads to {elsewhere}", ELSEWHERE_HINT)]
    return []
