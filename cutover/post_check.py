"""The check after the cutover: the operator's program begins right after the commit, in a thread of its own, while the follow-up and
the verification of the reverse direction go on. So when it has failed, the way back is open as early as can be.

A failure is told at once: the verification of a large table takes far longer than the application should be broken unnoticed. The
journal is written before the thread begins and after it has ended: a session belongs to one thread.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from cutover.hook import CHECK, HookCall, HookError, HookResult, run_call
from cutover.hook_output import Audience
from swap.core.errors import StoppedError
from swap.core.libpq_environment import libpq_environment, secrets_of
from swap.core.report import Reporter
from swap.state.migration import Migration

POLL_S = 0.2


class PostSwapCheck:
    """Begin it with `begin` at the commit, and ask for its end with `wait`. The block's end stops a program that still runs."""

    def __init__(self, cwd: Path) -> None:
        self._cwd, self._stack, self._call = cwd, ExitStack(), 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._result: HookResult | None = None
        self._error: StoppedError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._stack.close()

    def begin(self, migration: Migration) -> None:
        """Start the program; returns at once."""
        run, conn, hooks = migration.run, migration.conn, migration.config.hooks
        argv = list(hooks.post_swap_check or [])
        env = self._stack.enter_context(libpq_environment(conn)) | {
            "SWAP_RUN_ID": str(run.id), "SWAP_TABLE": str(run.source), "SWAP_PHASE": run.phase.public,
        }  # fmt: skip
        call = HookCall(argv, env, hooks.timeout_s, self._cwd, Audience(secrets=secrets_of(conn)), CHECK, self._stop)
        self._call = migration.journal.hooks.begin(run.id, CHECK, argv)
        migration.report.note(f"check after the cutover: {argv[0]}")
        self._thread = threading.Thread(target=self._run, args=(call, migration.report), name="check", daemon=True)
        self._thread.start()

    def _run(self, call: HookCall, report: Reporter) -> None:
        try:
            self._result = run_call(call)
        except StoppedError as e:
            self._error = e
            if not self._stop.is_set():
                report.note(e.message)

    def wait(self, migration: Migration) -> tuple[HookResult | None, StoppedError | None]:
        """Its result, and why it failed (None: it passed), when it has ended. Writes both to the journal. Raises StoppedError when
        the operator stopped the command meanwhile."""
        assert self._thread is not None
        while self._thread.is_alive() and not migration.stop.is_set():
            self._thread.join(POLL_S)
        if self._thread.is_alive():
            raise StoppedError(
                "Stopped by the operator before the check after the cutover had ended.", state="The cutover is committed.",
                hint="Check the application yourself. `swap verify` opens the way to `swap revert`.",
            )  # fmt: skip
        result = self._error.result if isinstance(self._error, HookError) else self._result
        output = result.output if result else ""
        said = f"{self._error.message}\n{output}".strip() if self._error else output
        migration.journal.hooks.finish(self._call, exit_code=result.exit_code if result else -1, output=said)
        return result, self._error
