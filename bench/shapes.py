"""Databases for some of the measurements: the example with every reference rebuilt beside, and tables of three shapes, each prepared
and in sync: rows that are narrow, wide, or mostly out of line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from bench.setting import USERS, Example, Setting
from swap.demo.app import OWNER


@dataclass(frozen=True)
class Shape:
    """`columns`: of a table beside its key. `values`: of the columns `filled`. `every`: the table has one row for so many users."""

    name: str
    columns: sql.SQL
    filled: sql.SQL
    values: sql.SQL
    every: int = 1


_WIDE = ", ".join(
    f"i{n} int DEFAULT {n}, t{n} text DEFAULT 'value {n}', m{n} numeric DEFAULT {n}.50, s{n} timestamptz DEFAULT now(), b{n} boolean DEFAULT true"
    for n in range(6)
)
SHAPES = (
    Shape("narrow rows", sql.SQL("n int, active boolean"), sql.SQL("n, active"), sql.SQL("i, true")),
    Shape("30 columns", sql.SQL(_WIDE), sql.SQL("i0"), sql.SQL("i")),
    Shape(
        "TOASTed rows",
        sql.SQL("body text"),
        sql.SQL("body"),
        sql.SQL("repeat(md5(i::text), 250)"),  # 8,000 characters, stored as they are
        every=20,
    ),
)


@contextmanager
def shaped(setting: Setting, shape: Shape) -> Iterator[Example]:
    """A database of its own with `users` of that shape, dropped at the end. The roles come with the example."""
    setting.template_ready()
    example = setting.clone("template0", "d_shape")
    rows = max(setting.users // shape.every, 1000)
    try:
        with psycopg.connect(example.superuser, autocommit=True) as conn:
            conn.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(OWNER)))
        with psycopg.connect(example.owner, autocommit=True) as conn:
            conn.execute(sql.SQL("CREATE TABLE {} (id bigserial PRIMARY KEY, {})").format(USERS.sql, shape.columns))
            if shape.every > 1:  # not compressed, so that it is stored out of line; ADD COLUMN … STORAGE came with 16
                conn.execute(sql.SQL("ALTER TABLE {} ALTER {} SET STORAGE EXTERNAL").format(USERS.sql, shape.filled))
            conn.execute(
                sql.SQL("INSERT INTO {} ({}) SELECT {} FROM generate_series(1, {}) i").format(
                    USERS.sql, shape.filled, shape.values, sql.Literal(rows)
                )
            )
            conn.execute(sql.SQL("VACUUM (ANALYZE) {}").format(USERS.sql))
        example.swap("init", str(USERS), "--out", str(example.config), "--force")
        example.swap("prepare")
        example.swap("sync", "--once")
        yield example
    finally:
        setting.drop(example)


@contextmanager
def all_rebuilt(setting: Setting, name: str, users: int) -> Iterator[Example]:
    """The fresh example as `init` plans it: computed uuids, and every reference rebuilt beside."""
    with setting.example(name, users, references=True, variant="fresh") as example:
        yield example
