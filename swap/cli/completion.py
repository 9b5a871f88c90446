"""`swap completion`: print a shell's script, for packages and for shells that are not running. `--install-completion` writes it for one user."""

from __future__ import annotations

from typer.completion import get_completion_script  # type: ignore[attr-defined] # re-exported, without saying so

from swap.cli.output import emit_json, print_lines


def work(shell: str, *, as_json: bool) -> None:
    script = get_completion_script(prog_name="swap", complete_var="_SWAP_COMPLETE", shell=shell)
    if as_json:
        emit_json({"shell": shell, "script": script})
    else:
        print_lines(script.splitlines())
