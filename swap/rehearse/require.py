"""The pin: `cutover` refuses where what would run is not what was rehearsed.

`[cutover] require_rehearsal = true`, or `--require-rehearsal FILE`. The file is the JSON of a rehearsal. It has to say go, to be younger
than `max_rehearsal_age_s`, and to be of this plan, this structure, this version of swap and of the server.
"""

from __future__ import annotations

from pathlib import Path

from swap.core.errors import RefusedError
from swap.core.units import duration
from swap.rehearse.expected import read_document
from swap.rehearse.pin import differences, listed, make_pin
from swap.rehearse.record import GO
from swap.state.migration import Migration

CLOCKS_S = 300.0  # by which two machines' clocks may differ
AGAIN = "Rehearse again (`swap rehearse`), and name the new report with --require-rehearsal."


def refuse_unrehearsed(m: Migration, file: Path | None) -> None:
    """Raises RefusedError, which names the difference; UsageError for a file that is no rehearsal. Reads only."""
    if file is None:
        if m.config.cutover.require_rehearsal:
            raise RefusedError(
                "[cutover] require_rehearsal is set, and no rehearsal was named.",
                hint="Name the JSON of the rehearsal's report with --require-rehearsal FILE.",
            )
        return
    document = read_document(file)
    if document.verdict != GO:
        raise RefusedError(f"The rehearsal of {file} says {document.verdict}.", hint=AGAIN)
    if document.source != str(m.run.source):
        raise RefusedError(f"The rehearsal of {file} was of {document.source}, and this run is of {m.run.source}.", hint=AGAIN)
    age_s = document.age_s
    if age_s < -CLOCKS_S:
        raise RefusedError(
            f"The rehearsal of {file} began {duration(-age_s)} from now: one of two clocks is wrong, and how old it is is not known.",
            hint=f"Set the clock of the machine that is wrong. {AGAIN}",
        )
    if age_s > m.config.cutover.max_rehearsal_age_s:
        raise RefusedError(
            f"The rehearsal of {file} is {age_s:,.0f} s old; [cutover] max_rehearsal_age_s is {m.config.cutover.max_rehearsal_age_s:,}.",
            hint=AGAIN,
        )
    found = differences(document.pin, make_pin(m.conn, m.plan))
    if found:
        raise RefusedError(f"This is not what was rehearsed: {listed(found)}.", hint=AGAIN)
