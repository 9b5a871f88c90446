"""`swap report RUN`: the report of a real run."""

from __future__ import annotations

from pathlib import Path

from swap.cli.output import print_lines
from swap.cli.results import conclude
from swap.cli.session import opened
from swap.core.errors import PhaseError, UsageError
from swap.rehearse.markdown import first_screen
from swap.rehearse.report import refuse_report, write_report
from swap.rehearse.run_report import run_document


def work(run_id: int | None, out: Path, dsn: str | None, config: Path | None, *, as_json: bool) -> int:
    """Raises PhaseError without a run, UsageError for one that is not there."""
    refuse_report(out)
    with opened("report", dsn, config, writes=False) as s:
        run = s.run
        if run is None:
            raise PhaseError("There is no run to report.", hint="Run `swap doctor`, then `swap prepare`.")
        if run_id is not None and run_id != run.id:
            known = s.journal.find(run_id)
            if known is None:
                raise UsageError(f"There is no run {run_id}.", hint=f"The newest of {run.source} is {run.id}.")
            run = known
        document = run_document(s.journal, run)
    files = write_report(document, out)
    if not as_json:
        print_lines([*first_screen(document), f"report: {files[0]} (and {files[1].name}, {files[2].name})"])
    return conclude(document | {"report": [str(f) for f in files]}, None, as_json=as_json)
