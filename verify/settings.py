"""The options of one verification."""

from __future__ import annotations

from dataclasses import dataclass

from swap.core.connection import Database
from verify.report import Method

SNAPSHOT_MAX_S = 900.0
MAX_DIFFERENCES = 1000


@dataclass(frozen=True)
class VerificationSettings:
    """`jobs`: the number of sessions that compare. `limit`: list no more differing rows than this. `snapshot_max_s`: give a
    snapshot up when it is older, and go on in a new one. `standby`: compare on this physical standby. `afresh`: compare everything, even
    what an interrupted verification has compared. `share`: end when this share of the ranges of each table is compared, and go on
    another time; 1.0: compare everything."""

    method: Method
    jobs: int
    limit: int = MAX_DIFFERENCES
    snapshot_max_s: float = SNAPSHOT_MAX_S
    standby: Database | None = None
    afresh: bool = False
    share: float = 1.0
