"""Names as text: derived ones within 63 bytes, table names as SQL writes them, quotes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swap.core.names import MAX_BYTES, TableName, derive, parse_table, quote, with_part

names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=80)
identifiers = names.filter(lambda n: len(n.encode()) <= MAX_BYTES)


@given(names, st.sampled_from(["_new", "_old", "_key", "_pkey"]))
def test_derived_names_fit_and_keep_their_suffix(name: str, suffix: str) -> None:
    made = derive(name, suffix)
    assert len(made.encode()) <= MAX_BYTES
    assert made.endswith(suffix)
    assert made == derive(name, suffix)
    if len((name + suffix).encode()) <= MAX_BYTES:
        assert made == name + suffix


def test_long_names_with_the_same_beginning_stay_apart() -> None:
    stem = "index_users_on_organization_id_and_lower_email_where_deleted_at"
    assert len(stem) == 63
    made = {derive(stem[:-1] + last, "_new") for last in "abcdef"}
    assert len(made) == 6


def test_a_character_is_never_split() -> None:
    for n in range(50, 70):
        made = derive("é" * n, "_new")
        assert made.encode().decode() == made
        assert len(made.encode()) <= MAX_BYTES


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("user_id", "user_uuid_id"),
        ("author", "author_uuid"),
        ("_id", "_id_uuid"),
        ("created_by_user_id", "created_by_user_uuid_id"),
    ],
)
def test_the_default_names_of_reference_columns(column: str, expected: str) -> None:
    assert with_part(column, "uuid") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("users", ("public", "users")),
        ("app.users", ("app", "users")),
        ('"My App"."us.ers"', ("My App", "us.ers")),
        ('app."with ""quotes"""', ("app", 'with "quotes"')),
        ("sch\u00e9ma.\u7528\u6237", ("sch\u00e9ma", "\u7528\u6237")),
        ('"Users"', ("public", "Users")),
    ],
)
def test_table_names_are_read_as_sql_writes_them(text: str, expected: tuple[str, str]) -> None:
    assert parse_table(text) == TableName(*expected)


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a.b.c", '"open', 'a."open', '""', 'a"b', '"a"b', " users", "public. users", '"a"."b".']
)
def test_what_is_no_table_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a table name"):
        parse_table(text)


@given(identifiers, identifiers)
def test_a_quoted_name_reads_back(schema: str, name: str) -> None:
    written = ".".join('"' + n.replace('"', '""') + '"' for n in (schema, name))
    assert parse_table(written) == TableName(schema, name)


@pytest.mark.parametrize(
    ("name", "written"), [("users", "users"), ("Users", '"Users"'), ("1st", '"1st"'), ('a"b', '"a""b"'), ("a b", '"a b"')]
)
def test_names_are_quoted_where_they_must_be(name: str, written: str) -> None:
    assert quote(name) == written
    assert parse_table(f"{written}.{written}") == TableName(name, name)
