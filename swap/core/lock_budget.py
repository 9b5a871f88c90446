"""The patience of a statement that needs a lock: a value for callers that try nothing themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LockBudget:
    """How long one attempt may queue for its locks (ms), and how often it is tried."""

    lock_timeout_ms: int
    max_attempts: int
