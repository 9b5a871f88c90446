"""Columns that look like references (H24)."""

from __future__ import annotations

import pytest

from swap.doctor import look_alikes as lookalikes
from swap.doctor.look_alike_names import names_class, names_source, singular
from tests.doctor.cases import DOCUMENTS
from tests.support.doctoring import Tool, named


def test_partitions_are_listed_once_and_documents_by_path(tool: Tool) -> None:
    """H24: not each partition, no views, and nothing below the third level of a document."""
    tool.run(
        DOCUMENTS
        + """; CREATE TABLE p (user_id int, d jsonb) PARTITION BY RANGE (user_id); CREATE TABLE p1 PARTITION OF p DEFAULT;
        INSERT INTO p VALUES (1, '{"user_id": 1}'); CREATE VIEW v AS SELECT * FROM p; CREATE MATERIALIZED VIEW m AS SELECT * FROM p"""
    )
    assert {f.object for f in named(tool.doctor(), "look-alike")} == {
        "public.a.d.user_id", "public.a.d.session.\"userId\"", "public.a.d.deep.er.user_id", "public.a.d.user_ids",
        "public.a.d.items.user_id", 'public.a.d."Odd key".user_id', "public.p.user_id", "public.p.d.user_id",
    }  # fmt: skip


def test_samples_together_are_bounded_in_time(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """H24: when the time for all samples is over, the rest is listed as not checked."""
    monkeypatch.setattr(lookalikes, "ALL_SAMPLES_S", -1.0)
    tool.run("CREATE TABLE a (author_id bigint, watchers int[], d jsonb)")
    found = {f.object: f.detail for f in named(tool.doctor(), "look-alike")}
    assert set(found) == {"public.a.author_id", "public.a.watchers", "public.a.d"}
    assert all("all samples together" in detail for detail in found.values())


@pytest.mark.parametrize(
    ("plural", "one"),
    [("users", "user"), ("companies", "company"), ("addresses", "address"), ("boxes", "box"), ("statuses", "status"),
     ("people", "person"), ("user_people", "user_person"), ("staff", "staff"), ("news", "new"), ("gas", "ga")],
)  # fmt: skip
def test_singular(plural: str, one: str) -> None:
    assert singular(plural) == one


def test_names_after_a_table() -> None:
    yes = ["user_id", "created_by_user_id", "userId", "ownerUserId", "userid", "users_id", "USER_ID"]
    no = ["id", "superuser", "user", "user_type", "reuser_id", "organization_id", "user_ids"]
    assert [c for c in yes + no if names_source(c, "users", "id")] == yes
    assert names_class("App\\Models\\User", "users")
    assert names_class("user", "users")
    assert not names_class("SuperUser", "users")
    assert names_source("person_no", "people", "no")


def test_keys_in_texts_beside_a_type(tool: Tool) -> None:
    """H24: named by a text, or by a key of a table of types. Not where no value is a key."""
    tool.run(
        """CREATE TABLE types (id serial PRIMARY KEY, app_label text, model text); CREATE TABLE kinds (id serial PRIMARY KEY, name text);
        INSERT INTO types (app_label, model) VALUES ('shop', 'order'), ('auth', 'user'); INSERT INTO kinds (name) VALUES ('other');
        CREATE TABLE admin_log (content_type_id int REFERENCES types, object_id text);
        INSERT INTO admin_log VALUES (1, '2'), (2, '1'), (2, 'slug'), (2, '99999');
        CREATE TABLE perms (owner_type text, owner_pk text, content_type_id int REFERENCES kinds, object_pk varchar(255));
        INSERT INTO perms VALUES ('User', 'name', 1, '1'), ('Group', '1', 1, '1')"""
    )
    found = {f.object: (f.detail, f.hint) for f in named(tool.doctor(), "look-alike")}
    assert list(found) == ["public.admin_log.object_id"]
    detail, hint = found["public.admin_log.object_id"]
    assert "content_type_id + object_id holds keys of several types as text; 1 of 2 sampled values are keys" in detail
    assert 'the condition (content_type_id = 2) and as = "text"' in hint
