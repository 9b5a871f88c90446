"""The pin: `cutover` refuses where what would run is not what was rehearsed.

`[cutover] require_rehearsal = true`, or `--require-rehearsal FILE`. The file is the JSON of a rehearsal. It has to say go, to be younger
than `max_rehearsal_age_s`, and to be of this plan, this structure, this version of swap and of the server.
"""

from __future__ import annotations

from pathlib import Path

from swap.core.errors import RefusedError
from swap.rehearse.expected import age_of, read_pinned
from swap.rehearse.pin import differences, make_pin
from swap.rehearse.record import GO, Pin
from swap.state.migration import Migration

SHOWN = 5
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
    document = read_pinned(file)
    if document["verdict"] != GO:
        raise RefusedError(f"The rehearsal of {file} says {document['verdict']}.", hint=AGAIN)
    if document["source"] != str(m.run.source):
        raise RefusedError(f"The rehearsal of {file} was of {document['source']}, and this run is of {m.run.source}.", hint=AGAIN)
    age_s = age_of(document)
    if age_s > m.config.cutover.max_rehearsal_age_s:
        raise RefusedError(
            f"The rehearsal of {file} is {age_s:,.0f} s old; [cutover] max_rehearsal_age_s is {m.config.cutover.max_rehearsal_age_s:,}.",
            hint=AGAIN,
        )
    found = differences(Pin(**document["pin"]), make_pin(m.conn, m.plan))
    if found:
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise RefusedError(f"This is not what was rehearsed: {'; '.join(found[:SHOWN])}{more}.", hint=AGAIN)
