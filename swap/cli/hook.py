"""`swap hook`: run one of the two ready snapshot hooks by hand, or print it to begin from."""

from __future__ import annotations

import os
import sys

from swap import hooks
from swap.cli.output import emit_json, print_lines
from swap.core.errors import UsageError

REQUIRED = ("SWAP_RUN_ID", "SWAP_PHASE")
BY_HAND = "SWAP_RUN_ID=0 SWAP_PHASE=trial"


def work(name: str, *, show: bool, as_json: bool) -> None:
    """Raises UsageError without the variables that `cutover` sets. Does not return where the hook runs: the hook takes the place of
    this process, so its output and its exit code are those of the command."""
    if as_json:
        emit_json({"name": name, "script": hooks.script(name)})
    elif show:
        print_lines(hooks.script(name).splitlines())
    else:
        missing = [v for v in REQUIRED if not os.environ.get(v)]
        if missing:
            raise UsageError(
                f"`swap hook {name}` runs by hand only with {' and '.join(missing)} set, as `cutover` sets them.",
                hint=f'Try it: {BY_HAND} swap hook {name}. In swap.toml: pre_swap_snapshot = ["swap", "hook", "{name}"].',
            )
        sys.stdout.flush()
        argv = hooks.shell_argv(name)
        os.execv(argv[0], argv)  # noqa: S606 - a script of this package
