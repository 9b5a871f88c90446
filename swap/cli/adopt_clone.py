"""`swap adopt-clone`: take over the state of a copy. Every other command refuses it."""

from __future__ import annotations

from pathlib import Path

from cutover.adopt_clone import adopt_clone, consequences
from swap.cli.output import emit_json, print_result
from swap.cli.session import confirm, opened
from swap.core.errors import PhaseError


def work(dsn: str | None, config: Path | None, *, yes: bool, as_json: bool) -> None:
    with opened("adopt-clone", dsn, config, take_over=True) as s:
        copied = s.journal.copied  # as it was before the layout was brought up to date
        if not s.journal.exists():
            raise PhaseError(
                f"There is no state to take over: nothing was prepared with the schema {s.journal.schema}.",
                hint="Run `swap doctor`, then `swap prepare`.",
            )
        runs = s.journal.unfinished()
        then = consequences(copied, runs) if copied else []
        if copied is not None:
            said = [f"The state in {s.journal.schema} is that of a copy:", *(f"  {reason}" for reason in copied.reasons), *then]
            confirm("Take it over here?", yes=yes, first=said)
            adopt_clone(copied, [s.migration(run) for run in runs], s.journal.record_here)
        schema = s.journal.schema
    if as_json:
        emit_json({"adopted": copied is not None, "reasons": list(copied.reasons) if copied else [], "runs": then}, result=True)
    elif copied is None:
        print_result([f"the state in {schema} was recorded here: there is nothing to take over"])
    else:
        print_result([f"taken over: the state in {schema} is this database's now", *then])
