"""`swap revert`: run the exchange backwards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cutover.gates import check_phase
from cutover.run import ExchangeCommand
from swap.cli.exchange import execute, held, override, print_exchange, told
from swap.cli.question import ExchangeQuestion, ask_exchange
from swap.cli.session import opened
from swap.cli.verify import verify_first


def work(
    dsn: str | None, config: Path | None, overrides: Mapping[str, object], *,
    dry_run: bool, yes: bool, verify: bool, show_queries: bool, as_json: bool,
) -> None:  # fmt: skip
    with opened("revert", dsn, config, graceful=True, writes=not dry_run) as s:
        override(s, overrides)
        run = s.need_run("revert")
        check_phase(run, "revert")
        if dry_run:
            print_exchange(s, run, "revert", as_json=as_json)
            return
        if verify:
            verify_first(s, run)
        ask_exchange(s, run, ExchangeQuestion("revert"), yes=yes)
        command = ExchangeCommand(s.migration(run), "revert", held(s), show_queries, told(s, "revert"))
        execute(s, command, as_json=as_json)
