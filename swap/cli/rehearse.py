"""`swap rehearse`: the whole cycle on a clone, and a report."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from swap.cli.output import print_lines
from swap.cli.progress import make_reporter
from swap.cli.results import conclude
from swap.core import process
from swap.core.config import Config, find_config, load_config
from swap.core.connection import Database
from swap.core.errors import DifferenceError, RefusedError, StoppedError, SwapError, UsageError, attach
from swap.core.files import read_regular
from swap.rehearse.clones import CloneOptions, Production
from swap.rehearse.markdown import first_screen
from swap.rehearse.programs import is_script, refuse_program, split
from swap.rehearse.record import Rehearsal
from swap.rehearse.report import refuse_report, report_files, write_report
from swap.rehearse.run import BUILT_IN, NO_LOAD, Rehearser, Settings

MAX_STATEMENTS_BYTES = 10 << 20


@dataclass(frozen=True)
class Options:
    """The options of the command line, as they were given."""

    on: str | None
    clone: str | None
    clone_dsn: str | None
    hook: str | None
    schema_only: bool
    keep: bool
    inherited: str
    load: str
    dwell_s: float
    checks: list[str]
    check_timeout_s: float
    statements: Path | None
    report: Path


def work(dsn: str | None, config_file: Path | None, options: Options, *, as_json: bool) -> int:
    """0: go. 5: the rehearsal met what must not happen. 3: a check or a gate refused."""
    path = find_config(config_file)
    config = load_config(path)
    refuse_report(options.report)
    settings = _settings(config, options)
    process.begin()  # a signal interrupts; the clone is removed on the way out
    try:
        with closing(make_reporter()) as reporter:
            rehearsal = Rehearser(settings, Production.reached(Database.from_options(dsn, "rehearse")), reporter.note).run()
    except KeyboardInterrupt:
        stays = "stays as it was left" if options.on is not None or options.keep else "is removed"
        raise StoppedError(
            "Stopped by the operator.",
            state=f"Production was only read. The clone {stays}.",
            hint="Run the command again when ready: it begins anew.",
        ) from None
    document = rehearsal.to_json()
    if not as_json:
        print_lines(first_screen(document))
    try:
        files = write_report(document, options.report)
    except UsageError as e:
        attach(e, document)  # hours of work: --json prints it
        raise
    document["report"] = [str(f) for f in files]
    if not as_json:
        print_lines([f"report: {files[0]} (and {files[1].name}, {files[2].name})"])
    return conclude(document, _error(rehearsal, files[0]), as_json=as_json)


def _settings(config: Config, options: Options) -> Settings:
    if (options.on is None) == (options.clone is None):
        raise UsageError("Name the clone: either --on DSN or --clone, and not both.")
    if (options.clone == "hook") != (options.hook is not None):
        raise UsageError("--clone hook and --hook CMD belong together.")
    if options.clone_dsn is not None and options.clone in (None, "hook"):
        raise UsageError("--clone-dsn is about --clone template, dump and basebackup.")
    if options.keep and (options.clone == "basebackup" or (options.clone == "dump" and options.clone_dsn is None)):
        raise UsageError(
            "--keep is not possible here: the clone is in a private server, which ends with this command.",
            hint="--clone template --keep, or --clone dump --clone-dsn DSN --keep, makes a clone that stays.",
        )
    for name, value in (("--on", options.on), ("--clone-dsn", options.clone_dsn), ("--hook", options.hook)):
        if value is not None and not value.strip():
            raise UsageError(f"{name} is empty.", hint="Is a variable of your shell not set?")
    if options.schema_only and options.clone != "dump":
        raise UsageError("--schema-only is about --clone dump.")
    here = Path.cwd()
    programs = [*options.checks, *([options.hook] if options.hook is not None else [])]
    if options.load not in (BUILT_IN, NO_LOAD) and not is_script(options.load, here):
        programs.append(options.load)
    for command in programs:
        refuse_program(command, here)
    clone = CloneOptions(
        kind=options.clone or "on", on=options.on, maker=options.clone_dsn, hook=tuple(split(options.hook)) if options.hook else (),
        schema_only=options.schema_only, keep=options.keep, jobs=config.sync.jobs, timeout_s=config.hooks.timeout_s, directory=here,
        state_schema=config.names.state_schema,
    )  # fmt: skip
    return Settings(
        config, clone, here, options.inherited, options.load, options.dwell_s, tuple(options.checks), options.check_timeout_s,
        statements=_read(options.statements) if options.statements else None, report=report_files(options.report)[1],
    )  # fmt: skip


def _read(path: Path) -> str:
    try:
        return read_regular(path, MAX_STATEMENTS_BYTES).decode()
    except (OSError, ValueError) as e:
        raise UsageError(f"Cannot read the statements {str(path)[:200]}: {getattr(e, 'strerror', None) or e}.") from None


def _error(rehearsal: Rehearsal, report: Path) -> SwapError | None:
    if not rehearsal.reasons:
        return None
    more = f" (and {len(rehearsal.reasons) - 1} more)" if len(rehearsal.reasons) > 1 else ""
    kind = RefusedError if rehearsal.refused else DifferenceError
    state = "Production was only read." + (" The clone is kept." if rehearsal.clone["kept"] else " The clone is removed.")
    return kind(
        f"No-go: {rehearsal.reasons[0].text}{more}.", state=state, hint=f"Read {report}; mend it, and rehearse again.",
    )  # fmt: skip
