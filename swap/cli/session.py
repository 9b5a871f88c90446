"""Commands that work on a run share this: the connection, the journal, the run, signals, the question before they act."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import psycopg

from swap.cli.explain import MISSING, explain_missing, explain_privilege
from swap.cli.output import print_lines
from swap.cli.progress import Progress, make_reporter
from swap.cli.recorded import Ending, recorded
from swap.cli.results import stopped
from swap.core import process
from swap.core.config import Config, find_config, load_config
from swap.core.connection import Database
from swap.core.errors import DeclinedError, PhaseError, RefusedError, UsageError
from swap.core.open_sessions import cancel_until
from swap.core.printable import printable
from swap.core.sql_text import Query
from swap.state.journal import Journal, Run
from swap.state.migration import Migration
from swap.state.missing import left_over, refuse_begun, refuse_half_built, refuse_missing
from swap.state.tables import ENDED

if TYPE_CHECKING:
    from swap.cli.events import Events

ON_STANDBY = ("status", "check", "doctor", "report", "history")  # the commands that a standby can answer
READS_ONLY = (*ON_STANDBY, "plan")
READS_STATE = (*READS_ONLY, "pause", "resume", "set")  # nothing of the tables with a run
GRACE_S = 5.0  # for the work in hand
CANCEL_EVERY_S = 0.5
NEEDS_ALL = ("sync", "cutover", "revert")  # a missing table refuses them; `verify` reports that it could not finish

ENDS_OR_USES = (*NEEDS_ALL, "verify", "finalize", "abort")  # not while another one of them has removed a part


@dataclass
class Session:
    """An open connection with its journal. `run`: the newest run of the configured source, if there is one. `standby`: the
    server is a standby. It takes no writes and does not show its slots."""

    database: Database
    config: Config
    config_path: Path
    journal: Journal
    run: Run | None
    stop: threading.Event
    standby: bool
    ending: Ending = field(default_factory=Ending)
    _report: Progress | None = None
    _events: Events | None = None

    @property
    def events(self) -> Events:
        """Of a command that acts on the run."""
        assert self._events is not None
        return self._events

    @property
    def report(self) -> Progress:
        """Make the reporter at the first use. `status` reports no progress, and rich takes a while to load."""
        if self._report is None:
            self._report = make_reporter()
        return self._report

    def close(self) -> None:
        """Stop the reporter's drawing."""
        if self._report is not None:
            self._report.close()

    def migration(self, run: Run) -> Migration:
        """Make the argument of the functions that act on the run."""
        return Migration(self.database, self.journal.conn, self.journal, run, self.config, self.report, self.stop)

    def reading(self, run: Run) -> Migration:
        """The same for functions that only read, and report nothing."""
        return Migration(self.database, self.journal.conn, self.journal, run, self.config)

    def need_run(self, command: str) -> Run:
        """Return the run. Raises PhaseError without one, RefusedError where a table that `command` needs is missing."""
        if self.run is None:
            raise PhaseError(
                f"`swap {command}` is not possible: nothing is prepared for {self.config.source.name}.",
                hint=left_over(self.journal.conn, self.config) or "Run `swap doctor`, then `swap prepare`.",
            )
        if command in ENDS_OR_USES:
            refuse_begun(self.journal, self.run, command)
        if command in NEEDS_ALL:
            refuse_half_built(self.journal, self.run)
            refuse_missing(self.journal, self.run)
        return self.run


@contextmanager
def opened(
    command: str,
    dsn: str | None,
    config_file: Path | None,
    *,
    graceful: bool = False,
    writes: bool = True,
    take_over: bool = False,
) -> Iterator[Session]:
    """Read the configuration, connect, open the journal. `graceful`: SIGINT and SIGTERM set `stop` instead of interrupting.
    `writes`: bring an older state layout up to date. Without it, read that layout as it is.
    `take_over`: open the state of a copy too (swap.state.origin)."""
    path = find_config(config_file)
    config = load_config(path)
    database = Database.from_options(dsn, command)
    stop = threading.Event()
    with signals(stop, graceful=graceful), database.session() as conn:
        standby = conn.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
        if standby and command not in ON_STANDBY:
            raise RefusedError(
                "This server is a standby: it is in recovery, and nothing can be written here.",
                hint="Name the primary, or several hosts with target_session_attrs=read-write. In a failover: promote it first.",
            )
        journal = Journal(conn, config.names.state_schema, config.source.name, take_over=take_over)
        run: Run | None = None
        try:
            there = _exists(journal, command)
            upgraded = journal.upgrade(_functions) if there and writes and command not in READS_ONLY else []
            run = journal.current(config.source.name) if there else None
            if run is not None and active(run) and command not in READS_STATE:
                from swap.doctor.accept import refuse  # here: `status` loads nothing that it does not need
                from swap.doctor.powers import check_powers, tables_of

                refuse(check_powers(conn, tables_of(run.plan), run.plan), config)
            with closing(Session(database, config, path, journal, run, stop, standby)) as s:
                for step in upgraded:
                    s.report.note(f"the state in {journal.schema} is of version {step.to_version} now: {step.why}")
                if writes and command not in READS_ONLY:
                    with recorded(journal, run, command) as s.ending, _telling(s, command):
                        yield s
                else:
                    yield s
        except KeyboardInterrupt:
            raise stopped() from None
        except MISSING:
            explain_missing(database, config, began=run is not None)
            raise
        except psycopg.errors.InsufficientPrivilege as e:
            explain_privilege(database, config, e)
            raise


@contextmanager
def _telling(s: Session, command: str) -> Iterator[None]:
    """Make `s.events`, and tell the end of a command that fails."""
    if command in READS_STATE:
        yield
        return
    from swap.cli.events import Events  # here: `status` loads nothing that it does not need

    s._events = events = Events(s, command)
    try:
        yield
    except Exception as e:
        events.failed(e)
        raise
    finally:
        events.close()


def active(run: Run) -> bool:
    """Whether the run is neither finalized nor aborted."""
    return run.phase not in ENDED


def _exists(journal: Journal, command: str) -> bool:
    """Whether the state schema is there. `doctor` lists a schema of that name that this tool did not make among its findings. The
    schema refuses every other command."""
    try:
        return journal.exists()
    except RefusedError:
        if command != "doctor":
            raise
        return False


def _functions(journal: Journal, run: Run) -> list[Query]:
    from swap.ddl.restore import current_functions  # here: an upgrade is rare, and every command imports this module

    return current_functions(journal, run)


@contextmanager
def signals(stop: threading.Event, *, graceful: bool) -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like SIGINT. The first one asks for an orderly stop, and interrupts after GRACE_S; the second interrupts
    at once. So one signal ends every command within seconds, whatever it waits for.

    A handler runs in the middle of whatever the main thread does. In the middle of `stop.wait` that holds the lock that `set`
    needs: set here, it would never return (seen; it takes a signal within some microseconds). So another thread sets it."""
    told = interrupted = False
    ended = threading.Event()

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal told, interrupted
        if not graceful or told or stop.is_set():
            if not interrupted:
                interrupted = True
                threading.Thread(target=cancel_until, args=(ended, CANCEL_EVERY_S), name="cancel", daemon=True).start()
            raise KeyboardInterrupt
        told = True
        threading.Thread(target=stop_in_order, name="stop", daemon=True).start()

    def stop_in_order() -> None:
        stop.set()
        if not sys.stderr.isatty():  # there, bars are drawn over it
            print_lines([f"stopping after the work in hand; {GRACE_S:.0f} s, or a second signal, interrupt at once"], sys.stderr)
        while not ended.wait(GRACE_S):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    process.begin()
    heard = [s for s in process.SIGNALS if s is not signal.SIGHUP or signal.getsignal(s) is not signal.SIG_IGN]  # by nohup
    before = {s: signal.signal(s, handler) for s in heard}
    try:
        yield
    finally:
        ended.set()
        for s, old in before.items():
            signal.signal(s, old)


def confirm(question: str, *, yes: bool, first: Sequence[str] = (), word: str | None = None) -> None:
    """Ask on a terminal; `first`: lines that belong to the question. Without one and without `yes`: UsageError. Any answer but a yes, or
    but `word`: DeclinedError."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("This command asks before it acts, and there is no terminal.", hint="Add --yes.")
    before = {s: signal.signal(s, signal.default_int_handler) for s in process.SIGNALS}  # nothing has begun: one is an answer
    said = ""
    print_lines(list(first), sys.stderr)
    try:
        wanted = "[y/N]" if word is None else f"Type {printable(word)} to go on"
        sys.stderr.write(f"{printable(question)} {wanted}: ")
        sys.stderr.flush()
        said = sys.stdin.buffer.readline().decode(errors="replace")
        answer = (
            (said.strip().lower() if word is None else said.strip()) if said.endswith("\n") else ""
        )  # else the terminal was closed in the middle of a word
    except (KeyboardInterrupt, OSError):  # OSError: the terminal has gone away
        answer = "a signal"
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if not said.endswith("\n"):
        sys.stderr.write("\n")
    if answer not in (("y", "yes") if word is None else (word,)):
        neither = "is neither yes nor no" if word is None else f"is not {word}"
        why = {
            "": "the answer was not yes",
            "n": "the answer was no",
            "no": "the answer was no",
            "a signal": "a signal came in place of an answer",
        }
        raise DeclinedError(
            f"Stopped by the operator: {why.get(answer, f'{answer[:40]!r} {neither}')}.",
            hint="Run the command again when ready.",
        )
