"""Several tables: a directory of configurations, their order, and which of them wait for another (H42)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import Cli
from tests.support.migration import install
from tests.support.servers import Database

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE posts (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
CREATE TABLE comments (id bigserial PRIMARY KEY, post_id bigint NOT NULL REFERENCES posts);
CREATE TABLE invoices (id bigserial PRIMARY KEY, total numeric);
INSERT INTO users (email) VALUES ('a'), ('b');
INSERT INTO posts (user_id) VALUES (1), (2);
"""
TABLES = {"10-users": "users", "20-posts": "posts", "30-invoices": "invoices"}


@pytest.fixture
def directory(database: Database, tmp_path: Path) -> Path:
    install(database, SCHEMA)
    made = tmp_path / "swap.d"
    made.mkdir()
    for name, table in TABLES.items():
        (made / f"{name}.toml").write_text(f'[source]\ntable = "public.{table}"\n', encoding="utf-8")
    return made


def test_all_tables_in_order_and_what_each_waits_for(cli: Cli, directory: Path, database: Database) -> None:
    def look() -> list[dict[str, object]]:
        document = cli("status", "--all", "--json", config=directory, dsn=database.owner).json
        rows = list(document["tables"])
        assert document["next"] == next(r["next"] for r in rows if r["next"])
        return rows

    users, posts, invoices = look()
    assert [r["source"] for r in (users, posts, invoices)] == ["public.users", "public.posts", "public.invoices"]
    assert users["next"] == f"swap doctor --config {directory}/10-users.toml"
    assert (posts["next"], posts["after"], posts["common_table"]) == (None, "public.users", "public.posts")
    assert invoices["next"] == f"swap doctor --config {directory}/30-invoices.toml"

    # Out of order: a run under way is before a file that comes earlier.
    posts_file = directory / "20-posts.toml"
    cli("prepare", config=posts_file, dsn=database.owner)
    users, posts, invoices = look()
    assert (users["next"], users["after"]) == (None, "public.posts")
    assert "public.posts takes part in both" in str(users["next_why"])
    assert (posts["phase"], posts["next"]) == ("prepared", f"swap sync --config {posts_file}")
    refused = cli("prepare", config=directory / "10-users.toml", dsn=database.owner, check=False)
    assert (refused.code, "takes part in the run of public.posts" in refused.stderr) == (3, True)

    cli("prepare", config=directory / "30-invoices.toml", dsn=database.owner)
    assert look()[2]["beside"] == ["public.posts"]
    lines = cli("status", "--all", config=directory, dsn=database.owner).stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["1", "public.users"], ["2", "public.posts"], ["3", "public.invoices"]]
    assert lines[0].endswith("it comes after public.posts: public.posts takes part in both, and in one run at a time. Finalize or abort"
                             " that one first")  # fmt: skip
    assert lines[1].endswith(f"next: swap sync --config {posts_file}")


def test_a_directory_that_is_no_directory_of_configurations(
    cli: Cli, directory: Path, database: Database, tmp_path: Path
) -> None:
    def refused(*args: str, config: Path = directory) -> dict[str, str]:
        result = cli(*args, "--json", config=config, dsn=database.owner, check=False)
        assert result.code == 2, result
        return dict(result.json["error"])

    error = refused("prepare")
    assert "works on one table" in error["message"]
    assert f"--config {directory}/10-users.toml" in error["hint"]
    assert "show one table" in refused("status", "--all", "--watch")["message"]
    assert len(cli("status", "--all", "--json", dsn=database.owner).json["tables"]) == 3  # ./swap.d
    assert "./swap.d" in refused("status", "--all", config=tmp_path / "nowhere")["hint"]
    (directory / "40-again.toml").write_text('[source]\ntable = "users"\n')
    assert "both are for public.users" in refused("status", "--all")["message"]
    (directory / "40-again.toml").write_text("[sources]\n")
    assert "40-again.toml" in refused("status", "--all")["message"]
    for file in directory.iterdir():
        file.unlink()
    assert "holds no file *.toml" in refused("status", "--all")["message"]
