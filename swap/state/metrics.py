"""The metrics of a run, for Prometheus: their names, and the port that serves them. Each has the label `table` (the source).

`sync`, `cutover` and `verify --watch` serve those of METRICS alike (swap.cli.run_metrics reads them from the journal), and
`verify --watch` those of VERIFICATION besides (verify.metrics).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server

from swap.core.errors import UsageError

LOOPBACK = "127.0.0.1"
COPIED_ROWS, COPIED_RATIO = "swap_copied_rows", "swap_copied_ratio"
PHASE, PAUSED = "swap_run_phase", "swap_run_paused"
WORKER, WAITING = "swap_worker_running", "swap_worker_waiting"
PENDING, REPLAYED = "swap_replay_pending_changes", "swap_replayed_changes_total"
RETAINED, SLOT_LAG = "swap_slot_retained_bytes", "swap_slot_lag_bytes"
CLEAN_AGE, IDENTICAL = "swap_verify_clean_pass_age_seconds", "swap_verify_identical"
ATTEMPTS, LOCKED = "swap_exchange_attempts_total", "swap_exchange_locked_seconds"
READ_AGE = "swap_read_age_seconds"
METRICS: Final = {
    PHASE: "1 for the phase that the run is in (label phase), 0 for the others.",
    PAUSED: "1 while the run is paused.",
    WORKER: "1 while a session moves data (swap sync).",
    WAITING: "1 while that session waits: paused or throttled.",
    COPIED_ROWS: "Rows that the backfill wrote (label relation: the table or column).",
    COPIED_RATIO: "How much of it the backfill has passed, 0 to 1 (label relation).",
    PENDING: "Captured changes that wait for replay, counted up to a million.",
    REPLAYED: "Changes that were replayed since the run began.",
    RETAINED: "WAL that the server keeps for the slot (logical capture).",
    SLOT_LAG: "WAL written since what capture noted last (logical capture).",
    CLEAN_AGE: "Since the last full pass of this direction that found both sides identical.",
    IDENTICAL: "1 if the last verification found both sides identical, 0 if not.",
    ATTEMPTS: "Attempts at an exchange (labels kind: cutover, revert; outcome: committed, rolled_back).",
    LOCKED: "How long the last exchange that committed held its locks (label kind).",
    READ_AGE: "Since these numbers were read from the journal: more than a scrape interval, and the server does not answer.",
}
ROWS, DIFFERENCES, PENDING_KEYS = "swap_verify_rows", "swap_verify_differences", "swap_verify_pending_keys"
CHANGED_KEYS, PASSES = "swap_verify_changed_keys_total", "swap_verify_passes_total"
VERIFICATION: Final = {
    ROWS: "Rows compared by the last full pass, references included.",
    DIFFERENCES: "Rows known to differ, and failed checks of the last full pass.",
    PENDING_KEYS: "Keys that could not be compared because their change was not replayed yet.",
    CHANGED_KEYS: "Changed keys compared between full passes.",
    PASSES: "Full passes by verdict (label verdict).",
}


@contextmanager
def served(registry: CollectorRegistry, port: int, address: str = LOOPBACK) -> Iterator[int]:
    """Answer on `port` (0: on any free port) of `address` while the block runs. Yields the port. Raises UsageError.

    Whoever reaches the port reads the name of the table and its numbers, without a password. So by default only this
    machine does; the library's own default is every interface."""
    try:
        server, thread = start_http_server(port, addr=address, registry=registry)
    except OSError as e:
        raise UsageError(
            f"Cannot serve metrics on port {port} of {address}: {e.strerror}.",
            hint="Name a free --metrics-port, and with --metrics-bind an address of this machine.",
        ) from None
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
