"""The rows that no load owns: their number and a checksum, by which a check sees whether they were changed.

The checksum is the sum of a 64-bit hash of each row's text: so the order of rows does not matter, and 1.0 differs from 1.00. Keys
are not in it, since a migration changes them. The user that a row refers to is in it, by its email.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from swap.demo.shape import KeyColumns, Shape, detect

# The names of a load's rows: w<worker>-<label>-<number>.
LOAD_NAME: Final = "^w[0-9]+-[0-9a-f]{8}-"

# By table: the column that names a row, and the columns in the checksum. updated_at is one of them: a migration must not fire the
# application's triggers.
CONTENT: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "users": (
        "email",
        (
            *(
                "organization_id",
                "email_lower",
                "handle",
                "referral_code",
                "status",
                "active",
                "balance",
                "score",
            ),
            *("login_count", "preferences", "tags", "bio", "avatar", "born_on", "last_seen_at", "revision"),
            *("deleted_at", "created_at", "updated_at"),
        ),
    ),
    "sessions": ("token", ("id", "data", "created_at", "updated_at")),
    "api_access_tokens": ("name", ("id", "digest", "created_at")),
    "partner_applications": ("client_id", ("id", "name", "created_at")),
    "user_roles": ("role", ("granted_at",)),
    "audit_logs": ("request_id", ("id", "actor_type", "action", "created_at")),
}


@dataclass(frozen=True)
class Summary:
    rows: int
    content: str
    owners: str | None  # None where the users of the rows cannot be found any more: the integer key is gone


Seeded = Mapping[str, Summary]


def summarize(conn: psycopg.Connection[TupleRow], shape: Shape | None = None) -> Seeded:
    """One pass over each table; a few seconds for a million users."""
    # The text of a value depends on these settings, and a role may have its own.
    conn.execute("SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL bytea_output = 'hex'")
    shape = detect(conn) if shape is None else shape
    return {table: _summary(conn, table, shape) for table in CONTENT}


def differences(before: Seeded, after: Seeded) -> Iterator[tuple[str, str]]:
    """Kind (`lost`, `unexpected`, `mismatched`, `mismapped`) and detail, for each table that is not as it was."""
    for table, was in before.items():
        now = after[table]
        if now.rows != was.rows:
            yield (
                ("lost" if now.rows < was.rows else "unexpected"),
                f"seeded {table}: {was.rows} rows, now {now.rows}",
            )
        elif now.content != was.content:
            yield "mismatched", f"seeded {table}: the content of a row changed"
        elif None not in (now.owners, was.owners) and now.owners != was.owners:
            yield "mismapped", f"seeded {table}: a row refers to another user"


def _summary(conn: psycopg.Connection[TupleRow], table: str, shape: Shape) -> Summary:
    name, columns = CONTENT[table]
    join = _owner_join(shape.key, shape.references[table])
    query = sql.SQL(
        "SELECT count(*), coalesce(sum(hashtextextended(ROW({columns})::text, 0)::numeric), 0)::text,"
        " coalesce(sum(hashtextextended(ROW({name}, o.email)::text, 0)::numeric), 0)::text"
        " FROM {table} c LEFT JOIN public.users o ON {join} WHERE {name} !~ {load}"
    ).format(
        columns=sql.SQL(", ").join(sql.Identifier("c", column) for column in (name, *columns)),
        name=sql.Identifier("c", name),
        table=sql.Identifier("public", table),
        join=sql.SQL("false") if join is None else join,
        load=sql.Literal(LOAD_NAME),
    )
    row = conn.execute(query).fetchone()
    assert row is not None
    return Summary(row[0], row[1], None if join is None else row[2])


def _owner_join(key: KeyColumns, reference: KeyColumns) -> sql.Composed | None:
    """How a row finds its user: by the column that the application reads, and the key of the same type."""
    column = key.uuid if reference.is_uuid else key.integer
    if column is None:
        return None
    return sql.SQL("{} = {}").format(sql.Identifier("o", column), sql.Identifier("c", reference.base))
