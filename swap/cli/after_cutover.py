"""The check after the cutover, the verification beside it, and the way back where the check failed."""

from __future__ import annotations

from dataclasses import asdict

from cutover.gates import why_closed
from cutover.hook import HookResult
from cutover.post_check import PostSwapCheck
from cutover.run import ExchangeCommand, Outcome
from swap.cli.exchange import held, outcome_lines, print_outcome, told
from swap.cli.session import Session
from swap.cli.verify import tell_verdict
from swap.core.errors import StoppedError, SwapError, attach
from swap.state.migration import Migration
from verify.run import verify
from verify.settings import VerificationSettings


def check_and_print(s: Session, command: ExchangeCommand, *, revert: bool, as_json: bool) -> None:
    """Run the cutover, and from its commit on the check and the reverse verification side by side. `revert`: go back if the check
    fails. Raises StoppedError when it fails, with the account of the cutover; the cutover itself stays or was reverted."""
    m = command.migration
    with PostSwapCheck(s.config_path.resolve().parent) as check:
        tell = command.committed

        def committed(m: Migration) -> None:
            check.begin(m)
            tell(m)

        command.committed = committed
        outcome = command.execute()
        try:
            m.reload()
            verified = verify(m, _settings(s))
            tell_verdict(s, verified)
            result, error = check.wait(m)
            m.reload()
            closed = why_closed(m)
        except SwapError as e:
            attach(e, asdict(outcome))
            raise
    document = asdict(outcome) | {"post_swap_check": _document(result, error), "reverse_verification": verified.verdict}
    way_back = (
        f"A revert is not possible yet: {closed}"
        if closed
        else f"A revert is possible now, and holds writes as long: {_held(outcome)}."
    )
    if error is None:
        s.close()
        print_outcome(
            document,
            [*outcome_lines("cutover", outcome), f"the check passed in {result.seconds:.1f} s" if result else "", way_back],
            as_json=as_json,
        )
        return
    attach(error, document)
    if not revert or closed:
        error.state = f"The cutover is committed. {way_back}"
        error.hint = f"`swap revert --yes` goes back and keeps every write; or mend the application and go on. {error.hint}"
        raise error
    s.report.note(f"{error.message} Reverting.")
    back = _revert(s, command, error)
    attach(error, document | {"revert": asdict(back)})
    error.state = f"The cutover was reverted, with every write since: writes were held {_held(back)}. The run is syncing again."
    error.hint = f"Mend the application, then `swap verify` and `swap cutover` again. {error.hint}"
    raise error


def _revert(s: Session, command: ExchangeCommand, error: StoppedError) -> Outcome:
    """Raises what a revert raises, with the check's failure in its message."""
    try:
        m = s.migration(command.migration.run)
        return ExchangeCommand(m, "revert", held(s), command.show_queries, told(s, "revert")).execute()
    except SwapError as e:
        e.message = f"{error.message} The revert after it failed: {e.message}"
        e.state = f"The cutover is committed. {e.state}"
        raise


def _settings(s: Session) -> VerificationSettings:
    return VerificationSettings(method="exact", jobs=s.config.sync.jobs, snapshot_max_s=s.config.verify.snapshot_max_s)


def _held(outcome: Outcome) -> str:
    return f"about {outcome.locked_ms:.0f} ms"


def _document(result: HookResult | None, error: StoppedError | None) -> dict[str, object]:
    return {
        "passed": error is None,
        "exit_code": result.exit_code if result else None,
        "seconds": round(result.seconds, 1) if result else None,
    }
