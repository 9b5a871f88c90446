"""Replay's first step: it takes the source's rows that went off the maintained side, and keeps the pairs (integer, uuid) that no
live row and no derivation would tell any more (the exceptions of the mapping, swap.plan.lookups).

It does so for all entries of the source in the batch, before a row of any table is read: the uuid of a reference is then the same
whatever order parents and children were captured in (I3). What is kept:

- Forward with derived uuids: nothing. The derivation tells every uuid.
- Forward with an identity column: the pairs of the rows that the replay deletes. A row that came and went between two replays
  was never copied, and its uuid is not known: capture notes the integer alone.
- In reverse with derived uuids: every captured row whose uuid is not the derived one, while it lives and afterwards.
- In reverse with an identity column: the pairs of rows that went, from the retired table, or from the entries if they were born
  and deleted between two replays.

One integer has one exception. When a row's uuid changes, the old pair stays while nothing else needs its place: with an identity
column until the row goes, with derived uuids not at all (but a derived uuid goes on telling its integer). The last uuid wins.

A uuid that a live row has belongs to that row alone. So an exception that has it under another integer is forgotten; and where a
row takes the uuid that is derived from another integer, that other integer gets an exception with a new uuid. Without these two
rules a reference to a row that is gone could become one to a row that lives.

The result names the parents whose children are stale though they did not change themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from swap.core.connection import Connection
from swap.core.sql_text import verbatim
from swap.plan.direction import Direction, TableMapping
from swap.plan.lookups import lookups
from swap.plan.model import Plan
from swap.plan.row_keys import Key, among, origin_columns
from swap.sync.change_queue import Batch, ChangeQueue
from swap.sync.row_changes import delete_all_gone, delete_gone, with_uuids

Pair = tuple[int, str]


@dataclass
class Parents:
    """By what references name them: the integer before the cutover, the uuid after it.

    `moved`: their other key is not, or may not be, what it was. `gone`: they may have gone, or come back, which a foreign key
    forbids while there are children. `came`: they may be what a row waits for. `left`: the integers that some of `moved` had, after
    the cutover: a row with one of them in its key has another key now.
    """

    moved: list[int | str] = field(default_factory=list)
    gone: list[int | str] = field(default_factory=list)
    came: list[int | str] = field(default_factory=list)
    left: set[int] = field(default_factory=set)


class KeyExceptions:
    """The step, slice by slice of the source's keys. `parents` grows with each."""

    def __init__(self, conn: Connection, plan: Plan, d: TableMapping) -> None:
        self.conn, self.plan, self.d = conn, plan, d
        self.forward = d.direction is Direction.FORWARD
        self.parents = Parents()
        self.live_key = sql.Identifier("s", d.origin_key)
        # Forward with derived uuids the source has none, and there is nothing to keep.
        self.live_uuid = sql.Identifier("s", d.origin_uuid) if d.origin_uuid else None
        self.any = self.live_uuid is not None and self._exist()
        self.in_keys = any(r.column in t.key for t in plan.swapped for r in t.references)

    def truncate(self) -> None:
        """The captured table was emptied. The rows that it lost on the maintained side go, whatever keys the queue has."""
        delete = delete_all_gone(self.d)
        if self.d.target_uuid is None or self.live_uuid is None:
            self.conn.execute(delete)
            return
        self.conn.execute(
            sql.SQL(
                "WITH g AS ({}) INSERT INTO {} AS e (key, uuid) SELECT g.key, g.uuid FROM g WHERE NOT {}"
                " ON CONFLICT (key) DO UPDATE SET uuid = EXCLUDED.uuid"
            ).format(with_uuids(delete, self.d), self.plan.exceptions.sql, self._lives(sql.SQL("g.uuid")))
        )
        self.any = True

    def take(self, queue: ChangeQueue, batch: Batch, keys: Sequence[Key], left: Sequence[Key]) -> None:
        """`left`: those of the keys that a row may have left."""
        removed = self._remove(left) if left else []
        if self.live_uuid is None:
            return
        if self.forward:
            self.parents.came += _integers(keys)
            self.parents.gone += _integers(left)
            self.parents.moved += self._living(left) if left else []
            self.parents.moved += self._under_another_uuid(keys) if self.any else []
            self.parents.moved += [key for key, _ in self._keep(keys, _last(removed))]
            return
        noted = queue.batch_uuids(batch, self.d, keys)
        self.parents.came += dict.fromkeys(uuid for _, uuid in noted)
        self.parents.came += self._uuids([*{*keys}.difference(key for key, _ in noted)])
        away = self._away([*removed, *noted])
        moved = self._keep(keys, _last(away))
        if self.plan.derived:
            moved += self._give_way(keys)
        moved += self._elsewhere(away)
        self.parents.moved += [uuid for _, uuid in moved]
        self.parents.left.update(key for key, _ in moved)

    def named_now(self) -> list[str]:
        """The uuids that name one of the integers `left` now. After all slices."""
        if not self.parents.left:
            return []
        now = self.d.key_lookups.back_now.value(sql.SQL("g.key"), None)
        text = sql.Literal("{" + ",".join(map(str, sorted(self.parents.left))) + "}")
        rows = self.conn.execute(
            sql.SQL("SELECT ({})::text FROM unnest({}::bigint[]) g (key)").format(now, text)
        )  # fmt: skip
        return [uuid for (uuid,) in rows if uuid is not None]

    def _remove(self, keys: Sequence[Key]) -> list[Pair]:
        """Delete the rows that went, or have another uuid now. Their pairs, where both sides have the uuid."""
        delete = delete_gone(self.d, keys)
        if self.d.target_uuid is None or self.live_uuid is None:
            self.conn.execute(delete)
            return []
        rows = self.conn.execute(sql.SQL("WITH g AS ({}) SELECT key, uuid::text FROM g").format(with_uuids(delete, self.d)))
        return [(key, uuid) for key, uuid in rows if uuid is not None]

    def _exist(self) -> bool:
        row = self.conn.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(self.plan.exceptions.sql)).fetchone()
        return bool(row and row[0])

    def _living(self, keys: Sequence[Key]) -> list[int]:
        return [key for (key,) in self.conn.execute(sql.SQL("SELECT key FROM {}").format(self._rows(keys)))]

    def _uuids(self, keys: Sequence[Key]) -> list[str]:
        """Of entries that were put there by hand."""
        if not keys:
            return []
        return [uuid for (uuid,) in self.conn.execute(sql.SQL("SELECT uuid::text FROM {}").format(self._rows(keys)))]

    def _rows(self, keys: Sequence[Key]) -> sql.Composed:
        """The captured rows of `keys` as a table r (key, uuid)."""
        return sql.SQL("(SELECT {} AS key, {} AS uuid FROM {} s WHERE {}) r").format(
            self.live_key, self.live_uuid, self.d.origin_rows, among(self.d, origin_columns(self.d, "s"), keys)
        )

    def _lives(self, uuid: sql.Composable) -> sql.Composed:
        return sql.SQL("EXISTS (SELECT FROM {} s WHERE {} = {})").format(self.d.origin_rows, self.live_uuid, uuid)

    def _under_another_uuid(self, keys: Sequence[Key]) -> list[int]:
        """The keys whose exception has another uuid than the row that lives there now."""
        rows = self.conn.execute(
            sql.SQL("SELECT r.key FROM {} JOIN {} e ON e.key = r.key AND e.uuid <> r.uuid").format(
                self._rows(keys), self.plan.exceptions.sql
            )
        )
        return [key for (key,) in rows]

    def _away(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Those of the pairs that no captured row has now, in their order."""
        if not pairs:
            return []
        rows = self.conn.execute(
            sql.SQL(
                "SELECT g.key, g.uuid::text FROM {} WHERE NOT EXISTS (SELECT FROM {} s WHERE {} = g.key AND {} = g.uuid)"
                " ORDER BY g.n"
            ).format(_table(pairs), self.d.origin_rows, self.live_key, self.live_uuid)
        )
        return [(key, uuid) for key, uuid in rows]

    def _keep(self, keys: Sequence[Key], away: dict[int, str]) -> list[Pair]:
        """Write the exceptions of this slice. Returns those that had to go."""
        derived, exceptions = self.plan.derived, self.plan.exceptions.sql
        if not (derived or away or self.any):
            return []
        kept = sql.SQL("SELECT g.key, g.uuid, true FROM {} WHERE NOT {}").format(
            _table(away.items()), self._lives(sql.SQL("g.uuid"))
        )
        if derived:  # the row that lives there has its own pair
            kept += sql.SQL(" AND NOT EXISTS (SELECT FROM {} s WHERE {} = g.key)").format(self.d.origin_rows, self.live_key)
        pairs = sql.SQL("(SELECT r.key, r.uuid, {} FROM {} WHERE r.uuid IS NOT NULL UNION ALL {}) p (key, uuid, kept)").format(
            sql.Literal(derived), self._rows(keys), kept
        )
        displaced = self._displace(pairs) if self.any else []
        exceptional = sql.SQL("p.kept AND p.uuid <> {}").format(self._derived_uuid("p.key")) if derived else sql.SQL("p.kept")
        insert = sql.SQL("INSERT INTO {} (key, uuid) SELECT p.key, p.uuid FROM {} WHERE {} ON CONFLICT (key) DO NOTHING")
        written = self.conn.execute(insert.format(exceptions, pairs, exceptional)).rowcount
        self.any = self.any or written > 0
        return displaced

    def _displace(self, pairs: sql.Composed) -> list[Pair]:
        """Forget the exceptions in whose place one of `pairs` comes."""
        rows = self.conn.execute(
            sql.SQL(
                "DELETE FROM {e} x WHERE x.key IN (SELECT e.key FROM {p} JOIN {e} e ON e.uuid = p.uuid WHERE e.key <> p.key"
                " UNION ALL SELECT e.key FROM {p} JOIN {e} e ON e.key = p.key WHERE p.kept AND e.uuid <> p.uuid)"
                " RETURNING x.key, x.uuid::text"
            ).format(e=self.plan.exceptions.sql, p=pairs)
        )
        return [(key, uuid) for key, uuid in rows]

    def _derived_uuid(self, key: str) -> sql.Composed:
        return lookups(self.plan, forward=False, to_uuid=True).derived(verbatim(key))

    def _give_way(self, keys: Sequence[Key]) -> list[Pair]:
        """Where a row has taken the uuid that is derived from another integer: give that integer another one. The pairs that were
        taken apart."""
        other = lookups(self.plan, forward=False, to_uuid=False).derived(sql.SQL("r.uuid"))
        taken = sql.SQL("(SELECT r.key, r.uuid, {} AS other FROM {} WHERE r.uuid <> {} OFFSET 0) o").format(
            other, self._rows(keys), self._derived_uuid("r.key")
        )
        rows = self.conn.execute(
            sql.SQL("SELECT o.uuid::text, o.other FROM {} WHERE o.other <> o.key").format(taken)
        ).fetchall()  # fmt: skip
        if rows:
            self.conn.execute(
                sql.SQL(
                    "INSERT INTO {} (key, uuid) SELECT g.key, gen_random_uuid() FROM {} WHERE NOT EXISTS"
                    " (SELECT FROM {} s WHERE {} = g.key) ON CONFLICT (key) DO NOTHING"
                ).format(
                    self.plan.exceptions.sql, _table((key, uuid) for uuid, key in rows), self.d.origin_rows, self.live_key
                )
            )  # fmt: skip
            self.any = True
        return [(key, uuid) for uuid, key in rows]

    def _elsewhere(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Those of the pairs whose uuid names another integer now, or none: none in a key, where another uuid names that integer."""
        if not pairs:
            return []
        given = sql.SQL("g.uuid")
        if self.in_keys:
            now = self.d.lookups_in.one_to_one(given, None, self.d.key_lookups.back_now)
        else:
            now = self.d.lookups_in.value(given, None)
        rows = self.conn.execute(
            sql.SQL("SELECT DISTINCT g.key, g.uuid::text FROM {} WHERE ({}) IS DISTINCT FROM g.key").format(_table(pairs), now)
        )
        return [(key, uuid) for key, uuid in rows]


def _integers(keys: Sequence[Key]) -> list[int]:
    return [k for k in keys if isinstance(k, int)]


def _last(pairs: Iterable[Pair]) -> dict[int, str]:
    """The last uuid of each integer; of several integers with one uuid, the last."""
    by_key: dict[int, str] = {}
    for key, uuid in pairs:
        by_key.pop(key, None)
        by_key[key] = uuid
    by_uuid = {uuid: key for key, uuid in by_key.items()}
    return {key: uuid for uuid, key in by_uuid.items()}


def _table(pairs: Iterable[Pair]) -> sql.Composed:
    """`pairs` as a table g (key, uuid, n)."""
    rows = list(pairs)
    return sql.SQL("unnest({}::bigint[], {}::uuid[]) WITH ORDINALITY g (key, uuid, n)").format(
        sql.Literal("{" + ",".join(str(k) for k, _ in rows) + "}"), sql.Literal("{" + ",".join(u for _, u in rows) + "}")
    )
