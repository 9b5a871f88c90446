"""Incomplete pairs: references in place whose integer and uuid are not, or may not be, those of one row yet (I3).

A child may be written before its parent is there: in one statement, under a deferred key, without a key, or because the parent
commits between the guard's look and the foreign key's. Then the guard leaves the other side NULL and notes the value in the table
of pairs, in the child's own transaction. A parent that changes its other key, or goes and comes back with another one, leaves its
children stale: replay notes those. Whatever the order of the commits is, one of the two notes is there after both, and `settle`
(swap.sync.reference_pairs) makes the rows of a noted value right.

`stage` says what a note waits for:

- `now`: nothing, its rows are to be made right.
- `waits`: its parent. There is no row that it names; the replay that brings one sets it to `now`.
- `snapshots`, then `transactions`: what may still write a child with the parent's former key. A statement whose snapshot is older
  than `since` may have read it, and its row commits later. So when no such snapshot is left, `since` becomes the end of the
  transactions of that moment, and when these have ended too, the rows are made right once more.

There is one row for each value that waits, and one for each transaction of a guard: two sessions never wait for each other. The
table has a primary key, so a publication FOR ALL TABLES does not break on it, and no sequence (`lastval()` is the application's).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from swap.core.names import TableName, derive
from swap.core.sql_text import Query, load_sql, verbatim
from swap.core.statement import Kind, Statement, Verb
from swap.ddl.acl import bare_acl
from swap.ddl.key_mapping import resolver_names
from swap.plan.direction import Direction
from swap.plan.model import Plan, RefColumns

WHY = "references whose parent is not there yet"
CONSOLIDATED = ""  # `noted` of a row that is no guard's
NO_MORE = sql.SQL("")
SETTLING = "SET LOCAL swap.settling = 'on'"


def pairs_table(plan: Plan) -> TableName:
    """The name of the table of incomplete pairs. `value`: what the leading side holds, the integer or the uuid, as text; where it
    is NULL, the other side."""
    return plan.state("pairs")


def create_pairs(plan: Plan) -> list[Statement]:
    """Create it, with an index over what is to be done."""
    name = pairs_table(plan)
    create = sql.SQL(
        "CREATE TABLE IF NOT EXISTS {} (number integer, value text, noted text DEFAULT pg_current_xact_id()::text,"
        " stage text NOT NULL DEFAULT 'now', since xid8, PRIMARY KEY (value, number, noted))"
    ).format(name.sql)
    index = sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} (number, value) WHERE stage <> 'waits'").format(
        sql.Identifier(derive(name.name, "_due")), name.sql
    )
    drop = sql.SQL("DROP TABLE IF EXISTS {}").format(name.sql)
    return [
        Statement(create, WHY, name, "", drop, kind=Kind.CAPTURE, verb=Verb.CREATE),
        Statement(index, "what is to be done, without those that wait", name, kind=Kind.CAPTURE),
        Statement(bare_acl(name), "no grant, whatever the default privileges say", name, kind=Kind.CAPTURE),
    ]


def settled_references(plan: Plan, direction: Direction) -> tuple[RefColumns, ...]:
    """The references with a guard: those in place, and after the cutover those of the swapped tables."""
    return plan.all_references if direction is Direction.REVERSE else tuple(r.columns for r in plan.references)


class Pair:
    """One reference in one direction: the names of its two columns, and of the two keys of the live table."""

    def __init__(self, plan: Plan, ref: RefColumns, direction: Direction) -> None:
        ahead = direction is Direction.FORWARD
        self.plan, self.ref = plan, ref
        integer, uuid = (ref.column, ref.uuid_column) if ahead else (ref.legacy_column, ref.uuid_after)
        live_integer, live_uuid = (plan.key, plan.identity) if ahead else (plan.legacy_key, plan.key)
        self.integer, self.uuid = sql.Identifier(integer), sql.Identifier(uuid)
        self.live_integer, self.live_uuid = sql.Identifier(live_integer), sql.Identifier(live_uuid)
        self.ahead = ahead

    @property
    def heaps(self) -> tuple[TableName, ...]:
        """Where its rows are: a partitioned table has several heaps."""
        swapped = self.plan.swapped_table(self.ref.table)
        return (self.ref.table,) if swapped else tuple(t.name for t in self.plan.catalog.table(self.ref.table).heaps)

    def rows(self, heap: TableName, values: Sequence[str], more: Query = NO_MORE) -> sql.Composed:
        """SELECT of the rows of `heap` with one of `values`: where they are (o, c), what they have (integer, uuid) and have to have
        (new_integer, new_uuid), whether the two differ (wrong), and whether they name a row at all (known)."""
        names = [(self.integer, self.live_integer, "new_integer"), (self.uuid, self.live_uuid, "new_uuid")]
        (leader, live_leader, new_leader), (follower, live_follower, new_follower) = names if self.ahead else reversed(names)
        return load_sql("swap.ddl", "pair_rows.sql").format(
            heap=heap.sql, live=self.plan.source.sql, integer=self.integer, uuid=self.uuid, leader=leader, follower=follower,
            live_leader=live_leader, live_follower=live_follower, new_leader=verbatim(new_leader), new_follower=verbatim(new_follower),
            among=self._among(values), row_applies=row_applies(self.ref), more=more, kept=self._kept(follower),
        )  # fmt: skip

    def _kept(self, follower: sql.Identifier) -> sql.Composed:
        """The side that follows where the leading one names nobody. A revert needs the integer of a companion, and the mapping knows
        the one of a row that is gone."""
        kept = sql.SQL("r.{}").format(follower)
        if self.ahead or not self.ref.companion:
            return kept
        _, to_key = resolver_names(self.plan)
        return sql.SQL("coalesce({}, {}(r.{}))").format(kept, to_key.sql, self.uuid)

    def _among(self, values: Sequence[str]) -> sql.Composed:
        """A condition for the values of either kind, each served by its own index."""
        uuids = [v for v in values if "-" in v[1:]]
        integers = [v for v in values if "-" not in v[1:]]
        parts = []
        if integers:
            parts.append(sql.SQL("r.{} = ANY ({}::bigint[])").format(self.integer, sql.Literal("{" + ",".join(integers) + "}")))
        if uuids:
            parts.append(sql.SQL("r.{} = ANY ({}::uuid[])").format(self.uuid, sql.Literal("{" + ",".join(uuids) + "}")))
        return sql.SQL("({})").format(sql.SQL(" OR ").join(parts)) if parts else sql.Composed([sql.SQL("false")])

    def correct(self, heap: TableName, values: Sequence[str], limit: int, *, skip_locked: bool) -> sql.Composed:
        """UPDATE up to `limit` wrong rows. A row that another session has locked is passed by."""
        return sql.SQL("{} SET {} = x.new_integer, {} = x.new_uuid {}").format(
            self._update(heap), self.integer, self.uuid, self._locked(heap, values, limit, skip_locked=skip_locked)
        )

    def give_up(self, heap: TableName, values: Sequence[str], limit: int, *, skip_locked: bool) -> sql.Composed:
        """The same rows give up the side that follows, so that another row can take its value (SETTLING)."""
        follower = self.uuid if self.ahead else self.integer
        return sql.SQL("{} SET {} = NULL {}").format(
            self._update(heap), follower, self._locked(heap, values, limit, skip_locked=skip_locked)
        )

    def _update(self, heap: TableName) -> sql.Composed:
        return sql.SQL("UPDATE {} u").format(heap.sql)

    def _locked(self, heap: TableName, values: Sequence[str], limit: int, *, skip_locked: bool) -> sql.Composed:
        wrong = sql.SQL(" AND (r.{i}, r.{u}) IS DISTINCT FROM (n.new_integer, n.new_uuid) LIMIT {n} FOR UPDATE OF r{how}").format(
            i=self.integer, u=self.uuid, n=sql.Literal(limit), how=sql.SQL(" SKIP LOCKED" if skip_locked else "")
        )  # fmt: skip
        return sql.SQL("FROM ({}) x WHERE u.ctid = x.c AND u.tableoid = x.o").format(self.rows(heap, values, wrong))

    def judge(self, values: Sequence[str]) -> sql.Composed:
        """SELECT value, wrong, waits of those `values` that have rows: whether some row is wrong, and whether some names nobody."""
        rows = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT w.integer::text AS i, w.uuid::text AS u, w.known, w.wrong FROM ({}) w").format(self.rows(heap, values))
            for heap in self.heaps
        )  # fmt: skip
        return sql.SQL(
            "SELECT v.value, bool_or(j.wrong), bool_or(NOT j.known) FROM unnest({}::text[]) v (value)"
            " JOIN ({}) j ON v.value IN (j.i, j.u) GROUP BY v.value"
        ).format(sql.Literal(list(values)), rows)


def due_values(plan: Plan, number: int, after: str, limit: int) -> sql.Composed:
    """SELECT the next values to make right of one reference, in order, above `after`."""
    return sql.SQL(
        "SELECT DISTINCT value FROM {} WHERE number = {} AND stage = 'now' AND value > {} ORDER BY value LIMIT {}"
    ).format(pairs_table(plan).sql, sql.Literal(number), sql.Literal(after), sql.Literal(limit))


def close_values(plan: Plan, pair: Pair, values: Sequence[str]) -> sql.Composed:
    """Take the notes of `values` on: those with a wrong row stay, those whose row names nobody wait, those with `since` wait for
    older snapshots, the others go. One statement, so one snapshot: a parent that is not in it is replayed later.

    Returns whether some value is still wrong."""
    return load_sql("swap.ddl", "pair_close.sql").format(
        pairs=pairs_table(plan).sql,
        number=sql.Literal(pair.ref.number),
        values=sql.Literal(list(values)),
        judged=pair.judge(values),
    )


def advance_horizons(plan: Plan) -> sql.Composed:
    """Take on the notes that wait for older snapshots or transactions, where none is left."""
    return load_sql("swap.ddl", "pair_horizons.sql").format(pairs=pairs_table(plan).sql)


def forget_horizons(plan: Plan) -> sql.Composed:
    """Under the exchange's lock no transaction is left that may write a child: what waits for one is to be made right now."""
    return sql.SQL("UPDATE {} SET stage = 'now', since = NULL WHERE since IS NOT NULL").format(pairs_table(plan).sql)


def forget_others(plan: Plan, numbers: Iterable[int]) -> sql.Composed:
    """Forget the notes of all references but these."""
    return sql.SQL("DELETE FROM {} WHERE number <> ALL ({}::integer[])").format(
        pairs_table(plan).sql, sql.Literal(sorted(numbers))
    )


def count_due(plan: Plan) -> sql.Composed:
    """SELECT the number of notes that do not wait for their parent."""
    return sql.SQL("SELECT count(*) FROM {} WHERE stage <> 'waits'").format(pairs_table(plan).sql)


def has_notes(plan: Plan) -> sql.Composed:
    """SELECT whether there is any note, and whether there is one that does not wait for its parent."""
    return sql.SQL("SELECT EXISTS (SELECT FROM {t}), EXISTS (SELECT FROM {t} WHERE stage <> 'waits')").format(
        t=pairs_table(plan).sql
    )


def wake(plan: Plan, values: Query) -> sql.Composed:
    """The parents with one of `values` (a query of texts) are there: what waits for them is to be made right."""
    return sql.SQL("UPDATE {} SET stage = 'now' WHERE stage = 'waits' AND value IN ({})").format(pairs_table(plan).sql, values)


def wake_gone(plan: Plan) -> sql.Composed:
    """Columns with keys of several types may wait for a parent that is gone for good, and the mapping knows its integer meanwhile."""
    numbers = [r.columns.number for r in plan.references if r.columns.companion or r.columns.text]
    return sql.SQL(
        "UPDATE {} p SET stage = 'now' WHERE stage = 'waits' AND number = ANY ({}::integer[])"
        " AND EXISTS (SELECT FROM {} e WHERE e.uuid::text = p.value)"
    ).format(pairs_table(plan).sql, sql.Literal(numbers), plan.exceptions.sql)


def note_stale(plan: Plan, numbers: Sequence[int], values: Query) -> sql.Composed:
    """Note that the rows with one of `values` (a query of texts) are stale in every one of the references `numbers`, and may become
    so again while transactions last that are older than this one."""
    return sql.SQL(
        "INSERT INTO {} AS p (number, value, noted, since) SELECT n, v.value, {}, pg_current_xact_id() FROM ({}) v (value)"
        " CROSS JOIN unnest({}::integer[]) n WHERE v.value IS NOT NULL GROUP BY 1, 2"
        " ON CONFLICT (value, number, noted) DO UPDATE SET stage = 'now', since = EXCLUDED.since"
    ).format(pairs_table(plan).sql, sql.Literal(CONSOLIDATED), values, sql.Literal(list(numbers)))


def note_orphans(plan: Plan, ref: RefColumns, heap: TableName, low: sql.Composable, high: sql.Composable) -> sql.Composed:
    """Before a range of blocks is filled: note the rows that no guard has noted, as they were there first, and whose parent is not
    there. In the order of the values, as two ranges may have the same ones."""
    pair = Pair(plan, ref, Direction.FORWARD)
    return sql.SQL(
        "INSERT INTO {} (number, value, noted, stage) SELECT DISTINCT {}, r.{c}::text, {}, 'waits' FROM {} r WHERE r.{c} IS NOT NULL"
        " AND r.{} IS NULL AND {} AND r.ctid >= {}::tid AND r.ctid < {}::tid"
        " AND NOT EXISTS (SELECT FROM {} p WHERE p.{} = r.{c}) ORDER BY 2 ON CONFLICT DO NOTHING"
    ).format(
        pairs_table(plan).sql, sql.Literal(ref.number), sql.Literal(CONSOLIDATED), heap.sql, pair.uuid,
        row_applies(ref), low, high, plan.source.sql, pair.live_integer, c=pair.integer,
    )  # fmt: skip


def note_unguarded(plan: Plan, ref: RefColumns, heap: TableName, direction: Direction) -> sql.Composed:
    """Note the rows of a partition that came with its rows whose pair is not right: no guard has seen them."""
    pair = Pair(plan, ref, direction)
    sides = (pair.integer, pair.uuid, pair.live_integer, pair.live_uuid)
    leader, follower, live_leader, live_follower = sides if pair.ahead else (sides[1], sides[0], sides[3], sides[2])
    same = sql.SQL("s.{}::text = r.{}::text" if ref.text else "s.{} = r.{}").format(live_leader, leader)
    return sql.SQL(
        "INSERT INTO {} (number, value, noted, stage) SELECT DISTINCT {}, coalesce(r.{l}::text, r.{f}::text), {}, 'now' FROM {} r"
        " LEFT JOIN {} s ON {} WHERE coalesce(r.{l}::text, r.{f}::text) IS NOT NULL AND {}"
        " AND r.{f}::text IS DISTINCT FROM s.{}::text ORDER BY 2 ON CONFLICT (value, number, noted) DO UPDATE SET stage = 'now'"
    ).format(
        pairs_table(plan).sql, sql.Literal(ref.number), sql.Literal(CONSOLIDATED), heap.sql, plan.source.sql, same, row_applies(ref),
        live_follower, l=leader, f=follower,
    )  # fmt: skip


def row_applies(ref: RefColumns) -> sql.Composed:
    """Whether the reference's `where` holds for the row `r`. Its own columns are named without the alias, so it gets a row to itself."""
    if ref.where is None:
        return sql.Composed([sql.SQL("true")])
    return sql.SQL("(SELECT coalesce(({}), false) FROM (SELECT r.*) x)").format(verbatim(ref.where))
