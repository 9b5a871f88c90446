"""An operator at one example database: runs the real commands with one configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swap.demo.load import Visible, visible_to_app
from tests.support.commands import Cli, CliResult, RunningCli
from tests.support.migration import allow_replication
from tests.support.mode import Mode, current_mode, toml_with_mode
from tests.support.servers import Database, ExampleFactory
from tests.support.stages import Stages

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


@pytest.fixture
def ready_operator(
    cli: Cli, stages: Stages, example_template: Callable[..., str], new_database: Callable[[str], Database], tmp_path: Path
) -> MakeOperator:
    """Factory: an operator whose gates are open (`ready`), at a copy of a database that was made so once."""

    def make(settings: str = "", *, variant: str = "adopt", mode: Mode | None = None) -> Operator:
        def build(db: Database) -> None:
            Operator(cli, db, tmp_path, "\n", mode).ready()

        db = stages.adopt(new_database(stages.template(("ready", mode), example_template(variant, 300, 1), build)))
        return Operator(cli, db, tmp_path, settings or "\n", mode)  # `init` would read a schema that is prepared

    return make
