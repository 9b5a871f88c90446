"""What the operator's own programs hear of a run: a hook for each event ([hooks]) and a webhook for all of them ([notify]).

`before_cutover` is asked, and stops the cutover when it fails. All others are told: a hook or an endpoint that fails costs a warning,
and changes neither what the command does nor its exit code. Neither gets a password. Nothing is sent while an exchange is under way:
from the gates that decide to its commit the webhook is held.

A session belongs to one thread. So the journal's row of a hook begins where the event is told, and ends when the main thread
comes by again, or with the command.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
from pydantic import ValidationError

import swap
from cutover.hook import HookCall, HookError, HookResult, run_call
from cutover.hook_output import Audience
from swap.cli.output import for_people
from swap.core.errors import PhaseError, StoppedError, SwapError, UsageError
from swap.core.hook_settings import EVENTS, Notify
from swap.core.libpq_environment import secrets_of, where_variables
from swap.core.printable import one_line
from swap.core.report import Reporter, Silent
from swap.core.secrets import mask
from swap.state.journal import Run

if TYPE_CHECKING:
    from swap.cli.session import Session
    from swap.core.webhook import Webhook

POLL_S = 0.1
SILENT_ERRORS = (UsageError, PhaseError)  # the command was wrong here, and has begun nothing


@dataclass
class _Notes(Silent):
    """What a hook prints beside the command's own work."""

    session: Session

    def note(self, message: str) -> None:
        self.session.report.note(message)


@dataclass
class _Running:
    """A hook in a thread of its own. `number`: of its row in the journal; None: there is none."""

    call: HookCall
    number: int | None
    warn: Callable[[str], None]
    result: HookResult | None = None
    error: StoppedError | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name=f"hook {self.call.setting}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.result = run_call(self.call)
        except StoppedError as e:
            self.error = e
            self.warn(f"{e.message} The command goes on. {e.hint}")


class Events:
    """The events of one command. Without a hook and a webhook it does nothing."""

    def __init__(self, session: Session, command: str) -> None:
        self._s, self._command = session, command
        self._running: list[_Running] = []
        self._where: dict[str, str] = {}
        self._secrets: list[str] = []
        self._webhook: Webhook | None = None
        url = notify_url(session)
        if url or any(getattr(session.config.hooks, e) for e in EVENTS):
            conn = session.journal.conn
            self._where, self._secrets = where_variables(conn), secrets_of(conn)
        if url:
            from swap.core.webhook import Webhook, opened

            self._webhook = Webhook(url, session.report.warning)
            opened.append(self._webhook)

    def tell(self, event: str, message: str, **more: object) -> None:
        """Send it, and begin its hook. Returns at once, and raises nothing. `message`: a sentence; `more`: fields of the document."""
        self._settle()
        message = self._shown(message)
        if self._webhook is not None:
            self._webhook.send(self._document(event, message, more))
        if argv := getattr(self._s.config.hooks, event):
            call = self._call(event, argv, message, more, _Notes(self._s))
            self._running.append(_Running(call, self._begin(event, argv), self._s.report.warning))

    def ask(self, event: str, message: str) -> None:
        """Run its hook to the end; then hold the webhook. Raises StoppedError where the hook fails: nothing was changed."""
        message = self._shown(message)
        if self._webhook is not None:
            self._webhook.send(self._document(event, message, {}))
        if argv := getattr(self._s.config.hooks, event):
            self._s.report.note(f"hook {event}: {argv[0]}")
            number = self._begin(event, argv)
            call = self._call(event, argv, message, {}, self._s.report)
            try:
                result = run_call(call)
            except StoppedError as e:
                self._end(number, e.result if isinstance(e, HookError) else None, e)
                raise
            self._end(number, result, None)

    def hold(self) -> None:
        """An exchange comes next: begin no request until `go_on`."""
        if self._webhook is not None:
            self._webhook.hold()

    def go_on(self) -> None:
        if self._webhook is not None:
            self._webhook.go_on()

    def failed(self, error: BaseException) -> None:
        """The command ends with this error. One that has begun nothing, and one that the operator stopped, is not told."""
        if isinstance(error, psycopg.Error):
            from swap.core.connection import translate

            error = translate(error)
        if isinstance(error, SwapError) and not isinstance(error, SILENT_ERRORS):
            self.tell("failed", error.journalled, exit_code=int(error.exit_code), state=error.state)

    def close(self) -> None:
        """Wait for the hooks that still run; a signal ends them."""
        self.go_on()
        try:
            while there := [r for r in self._running if r.thread.is_alive()]:
                self._s.report.waiting(f"the {there[0].call.name} has not ended")
                there[0].thread.join(POLL_S)
                if self._s.stop.is_set():
                    break
        finally:
            for r in self._running:
                r.call.stop.set()
                r.thread.join()
            if self._running:
                self._s.report.waiting("")
            self._settle()

    def _settle(self) -> None:
        """Journal the hooks that have ended."""
        for r in [r for r in self._running if not r.thread.is_alive()]:
            self._running.remove(r)
            result = r.error.result if isinstance(r.error, HookError) else r.result
            self._end(r.number, result, r.error)

    def _begin(self, event: str, argv: list[str]) -> int | None:
        run = self._run()
        if run is None:
            return None
        with suppress(psycopg.Error, SwapError):
            return self._s.journal.hooks.begin(run.id, event, argv)
        return None

    def _run(self) -> Run | None:
        """As it is now: the command may have made it, or moved it on. Where the server is gone, as it was read last."""
        with suppress(psycopg.Error, SwapError):
            if self._s.journal.exists():
                return self._s.journal.current(self._s.config.source.name)
        return self._s.run

    def _end(self, number: int | None, result: HookResult | None, error: StoppedError | None) -> None:
        if number is None:
            return
        output = result.output if result else ""
        said = f"{error.message}\n{output}".strip() if error else output
        with suppress(psycopg.Error, SwapError):
            self._s.journal.hooks.finish(number, exit_code=result.exit_code if result else -1, output=said)

    def _call(self, event: str, argv: list[str], message: str, more: dict[str, object], report: Reporter) -> HookCall:
        run, hooks = self._run(), self._s.config.hooks
        env = self._where | {
            "SWAP_EVENT": event, "SWAP_MESSAGE": message, "SWAP_COMMAND": f"swap {self._command}",
            "SWAP_TABLE": str(self._s.config.source.name), "SWAP_RUN_ID": str(run.id) if run else "",
            "SWAP_PHASE": run.phase.public if run else "none",
            **({"SWAP_EXIT_CODE": str(more["exit_code"])} if "exit_code" in more else {}),
        }  # fmt: skip
        return HookCall(argv, env, hooks.timeout_s, self._s.config_path.resolve().parent, Audience(report, self._secrets), event)

    def _document(self, event: str, message: str, more: dict[str, object]) -> dict[str, object]:
        run = self._run()
        return {
            "event": event, "text": f"swap: {message}", "message": message, "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "command": f"swap {self._command}", "table": str(self._s.config.source.name), "database": self._where.get("PGDATABASE"),
            "server": self._where.get("PGHOST"), "port": self._where.get("PGPORT"), "host": socket.gethostname(),
            "run_id": str(run.id) if run else None, "phase": run.phase.public if run else "none",
            "direction": run.direction if run else "forward", "version": swap.__version__, **more,
        }  # fmt: skip

    def _shown(self, text: str) -> str:
        return one_line(for_people(mask(text, self._secrets)))


def notify_url(s: Session) -> str | None:
    """SWAP_NOTIFY_URL, else [notify] url: an address that holds a token need not stand in a file. Raises UsageError."""
    url = os.environ.get("SWAP_NOTIFY_URL") or s.config.notify.url
    try:
        return Notify(url=url).url
    except ValidationError as e:
        raise UsageError(f"SWAP_NOTIFY_URL {e.errors()[0]['msg'].removeprefix('Value error, ')}.") from None
