"""`swap demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from swap.cli.context import Json, Verbose


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: swap demo --variant fresh --users 20000")(demo)


def demo(
    variant: Annotated[str, typer.Option("--variant", help="adopt: uuid columns half there; fresh: none.")] = "adopt",
    users: Annotated[int, typer.Option("--users", min=100, help="Rows in the example's users table.")] = 50_000,
    mode: Annotated[str, typer.Option("--mode", help="trigger, or logical: how changes are captured.")] = "trigger",
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """A private PostgreSQL, the example application under live load, the whole cycle, a summary."""
    from swap.demo.cycle import run_demo

    return run_demo(variant=variant, users=users, mode=mode, as_json=as_json)
