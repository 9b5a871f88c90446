"""What a rehearsal cannot know, as warnings: a go is a go for what was tried."""

from __future__ import annotations

from collections.abc import Sequence

from swap.core.connection import Connection
from swap.plan.model import Plan
from swap.rehearse.pin import listed, unlike
from swap.rehearse.prediction import Ratios, Sizes

FAR = 10.0  # times the rows: a prediction was compared with what came at up to four times (docs/measurements.md)
NO_CHECK = "no check was run (--check): whether the application works with a uuid key is not known"
NO_LOAD = "no load ran (--load none): there was no write to lose, and nobody to wait for a lock"
NO_ROWS = "the clone has no rows (--schema-only): no time, no WAL and no disk is predicted, and locks were held for an instant"
FAR_APART = "production has {:,.0f} times the rows of the clone: the prediction is a guess; rehearse on more of them"
UNLIKE = "the clone is not what production is now, and `cutover --require-rehearsal` would refuse this report: {}"


def untried(checks: Sequence[str], *, load: bool, rows: bool) -> list[str]:
    """What the operator left out."""
    said = (NO_CHECK, not checks), (NO_LOAD, not load), (NO_ROWS, not rows)
    return [text for text, missing in said if missing]


def far_apart(here: Sizes, there: Sizes) -> list[str]:
    """Where the clone is too small to predict from."""
    rows, production = (sum(s.all_rows for s in side.values()) for side in (here, there))
    factor = production / rows if rows and production else Ratios(here, there).whole
    return [FAR_APART.format(factor)] if factor > FAR else []


def other_structure(production: Connection, clone: Connection, plan: Plan) -> list[str]:
    """Where the clone is not production's copy of today. Before `prepare`."""
    found = unlike(production, clone, plan)
    return [UNLIKE.format(listed(found))] if found else []
