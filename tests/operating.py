"""An operator at one example database: runs the real commands with one configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from swap.demo.load import Visible, visible_to_app
from tests.fix_cli import Cli, CliResult, RunningCli
from tests.fix_mode import Mode, current_mode, toml_with_mode
from tests.fix_server import Database, DatabaseServer, ExampleFactory, Execute
from tests.runs import allow_replication

LEGACY_USERS = (1, 2, 17)
MakeOperator = Callable[..., "Operator"]


class Operator:
    """`op("verify")` runs `swap verify --json`, with the swap.toml that `init` writes or one made of `settings`."""

    def __init__(self, cli: Cli, db: Database, directory: Path, settings: str = "", mode: Mode | None = None) -> None:
        self.cli, self.db, self.config = cli, db, directory / "swap.toml"
        mode = mode or current_mode()
        if settings:
            text = toml_with_mode(f'[source]\ntable = "public.users"\n{settings}\n', mode)
            self.config.write_text(text, encoding="utf-8")
        else:
            self("init", "public.users", "--out", str(self.config))
        if mode == "logical":
            allow_replication(db)
            if not settings:
                text = self.config.read_text(encoding="utf-8")
                assert '# mode = "trigger"' in text
                self.config.write_text(text.replace('# mode = "trigger"', 'mode = "logical"'), encoding="utf-8")

    def __call__(self, *args: str, check: bool = True, **kwargs: Any) -> CliResult:
        return self.cli(*args, "--json", config=self.config, dsn=self.db.owner, check=check, **kwargs)

    def start(self, *args: str) -> RunningCli:
        return self.cli.start(*args, config=self.config, dsn=self.db.owner)

    def refused(self, *args: str, code: int) -> dict[str, Any]:
        """The error document of a command that must end with `code`."""
        result = self(*args, check=False)
        assert result.code == code, result
        error = dict(result.json["error"])
        assert error["code"] == code
        assert all(error[k] for k in ("message", "state", "hint"))
        return error

    def status(self) -> dict[str, Any]:
        return dict(self("status").json)

    def visible(self) -> list[Visible]:
        return [visible_to_app(self.db.app, u) for u in LEGACY_USERS]

    def ready(self) -> None:
        """Prepared, caught up, verified: the gates are open."""
        self("prepare")
        self("sync", "--once")
        assert self("verify").json["verdict"] == "identical"


@pytest.fixture
def operator(cli: Cli, example: ExampleFactory, tmp_path: Path) -> MakeOperator:
    """Factory: an operator at a database of this test's own."""

    def make(variant: str = "adopt", *, users: int = 300, settings: str = "", mode: Mode | None = None) -> Operator:
        return Operator(cli, example(variant, users=users), tmp_path, settings, mode)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def ready_templates() -> set[str]:
    """The databases that `ready_operator` copies from: those that are made already."""
    return set()


@pytest.fixture
def ready_operator(
    cli: Cli, operator: MakeOperator, example_template: Callable[..., str], new_database: Callable[[str], Database],
    server: DatabaseServer, admin: Execute, tmp_path: Path, ready_templates: set[str],
) -> MakeOperator:  # fmt: skip
    """Factory: an operator whose gates are open (`ready`), at a copy of a database that was made so once. A slot is in no
    copy: with logical capture each is made by itself."""

    def create(name: str, template: str) -> None:
        admin(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))

    def make(settings: str = "") -> Operator:
        if current_mode() == "logical":
            op = operator(settings=settings)
            op.ready()
            return op
        name = "template_ready"
        if name not in ready_templates:
            create(name, example_template("adopt", 300, 1))
            admin(sql.SQL("GRANT CREATE ON DATABASE {} TO swap_owner").format(sql.Identifier(name)))
            conninfos = (server.conninfo(name), server.conninfo(name, "swap_owner"), server.conninfo(name, "app"))
            Operator(cli, Database(name, *conninfos), tmp_path, "\n").ready()
            ready_templates.add(name)
        return Operator(cli, new_database(name), tmp_path, settings or "\n")  # `init` would read a schema that is prepared

    return make
