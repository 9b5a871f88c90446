"""`swap revert`: run the exchange backwards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cutover.gates import check_phase
from cutover.run import ExchangeCommand
from swap.cli.exchange import execute, held, override, print_exchange, told
from swap.cli.question import ask_exchange
from swap.cli.session import opened


def work(
    dsn: str | None, config: Path | None, overrides: Mapping[str, object], *,
    dry_run: bool, yes: bool, show_queries: bool, as_json: bool,
) -> None:  # fmt: skip
    with opened("revert", dsn, config, graceful=True, writes=not dry_run) as s:
        override(s, overrides)
        run = s.need_run("revert")
        check_phase(run, "revert")
        if dry_run:
            print_exchange(s, run, "revert", as_json=as_json)
            return
        ask_exchange(s, run, "revert", hook="", yes=yes)
        execute(s, ExchangeCommand(s.migration(run), "revert", held(s), show_queries, told(s, "revert")), as_json=as_json)
