"""`swap demo --rehearse`: a rehearsal of the example application on a private server, and its report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from swap.core.config import load_config
from swap.core.connection import Database
from swap.demo.app import install
from swap.demo.server import Server
from swap.rehearse.clones import CloneOptions, Production
from swap.rehearse.report import refuse_report, write_report
from swap.rehearse.run import Rehearser, Settings

DWELL_S = 3.0
STATEMENTS = """
SELECT * FROM public.users WHERE id = $1;
SELECT s.* FROM public.sessions s JOIN public.users u ON u.id = s.user_id WHERE u.email = $1;
SELECT * FROM public.users ORDER BY id DESC LIMIT 20;
"""


def rehearse_demo(variant: Literal["adopt", "fresh"], users: int, report: Path, note: Callable[[str], None]) -> dict[str, Any]:
    """The report's document, with its files. Stops and removes everything that it starts but these. Raises SwapError."""
    refuse_report(report)
    with Server.start("18") as server:
        install(server.conninfo("postgres"), variant, users=users)
        note(f"PostgreSQL 18 on a private socket, {users:,} users ({variant}): this is production")
        owner = server.conninfo("postgres", user="swap_owner")
        config = server.layout.base / "swap.toml"
        config.write_text('[source]\ntable = "public.users"\n', encoding="utf-8")
        clone = CloneOptions("template", maker=server.conninfo("postgres"))
        settings = Settings(load_config(config), clone, Path.cwd(), dwell_s=DWELL_S, statements=STATEMENTS)
        document = Rehearser(settings, Production.reached(Database.from_options(owner, "rehearse")), note).run().to_json()
    document["report"] = [str(f) for f in write_report(document, report)]
    return document
