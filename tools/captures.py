"""Pictures of what a terminal shows, in docs/images/captures: `python -m tools.captures`, from a real run on a private server.

Each command runs in tmux, on the example application under load: in a terminal of 100 columns, and those that a DBA stares at in one of 80
and one of 120 columns too. What the terminal then holds, colours included, becomes an SVG by rich. The fonts are those of the reader: rich's own template loads them from another server.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from swap.demo.app import install
from swap.demo.load import Load
from swap.demo.server import Server

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "images" / "captures"
COLUMNS, LINES = 100, 60
WIDTHS, WATCHED_LINES = (80, 120), 24
USERS = 20_000
PROMPT = "$ "
TIMEOUT_S = 300.0
POLL_S = 0.1
TEMPLATE = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
    font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}
</style>
<defs>{lines}</defs>
<rect fill="#1b1f24" width="{width}" height="{height}" rx="8"/>
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}<g class="{unique_id}-matrix">
{matrix}
</g></g></svg>
"""


class Terminal:
    """One shell in tmux, on a socket of its own. A context manager that ends it."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.tmux = ["tmux", "-S", str(directory / "tmux"), "-f", "/dev/null"]
        exports = [f"{k}={shlex.quote(v)}" for k, v in environment.items()]
        shell = f"env {' '.join(exports)} PS1={shlex.quote(PROMPT)} bash --norc --noprofile -i"
        subprocess.run(
            [*self.tmux, "new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), "-c", str(directory), shell], check=True
        )

    def __enter__(self) -> Terminal:
        self.until(lambda text: text.strip() == PROMPT.strip())
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([*self.tmux, "kill-server"], check=False)

    def resize(self, columns: int, lines: int = LINES) -> None:
        subprocess.run([*self.tmux, "resize-window", "-x", str(columns), "-y", str(lines)], check=True)

    def watch(self, command: str, until: Callable[[str], bool]) -> str:
        """Run a command that draws until it is interrupted. Returns the screen that it drew when `until` held."""
        subprocess.run([*self.tmux, "send-keys", "C-l"], check=True)
        self.type(command)
        self.until(until)
        drawn = self.shown(colours=True)
        subprocess.run([*self.tmux, "send-keys", "C-c"], check=True)
        self.until(lambda text: text.splitlines()[-1].strip() == PROMPT.strip())
        return drawn

    def shown(self, *, colours: bool = False) -> str:
        argv = [*self.tmux, "capture-pane", "-p", *(["-e"] if colours else [])]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.rstrip("\n")

    def until(self, found: Callable[[str], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not found(self.shown()):
            if time.monotonic() > deadline:
                raise SystemExit(f"the terminal shows\n{self.shown()}")
            time.sleep(POLL_S)

    def type(self, line: str) -> None:
        subprocess.run([*self.tmux, "send-keys", "-l", line], check=True)
        subprocess.run([*self.tmux, "send-keys", "Enter"], check=True)

    def run(self, command: str, answer: str | None = None) -> str:
        """Clear, run, wait for the next prompt. Returns the screen with its colours, without that prompt."""
        subprocess.run([*self.tmux, "send-keys", "C-l"], check=True)
        self.until(lambda text: text.strip() == PROMPT.strip())
        self.type(command)
        if answer is not None:
            self.until(lambda text: "[y/N]" in text)
            self.type(answer)
        self.until(lambda text: text.count("\n") > 0 and text.splitlines()[-1].strip() == PROMPT.strip())
        return "\n".join(self.shown(colours=True).splitlines()[:-1])


def picture(name: str, content: Text | Markdown, title: str, columns: int = COLUMNS) -> None:
    console = Console(record=True, width=columns, file=open("/dev/null", "w"), force_terminal=True, color_system="truecolor")  # noqa: SIM115, PTH123
    console.print(content)
    svg = console.export_svg(title=title, code_format=TEMPLATE, unique_id=name)
    (OUT / f"{name}.svg").write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE), encoding="utf-8")
    print(f"docs/images/captures/{name}.svg")


def screen(name: str, shown: str, columns: int = COLUMNS) -> None:
    picture(name, Text.from_ansi(shown), name, columns)


def record_wide(terminal: Terminal, columns: int) -> None:
    """What a DBA stares at, from `doctor` to the copy, in a terminal of `columns`; then everything is removed again."""
    terminal.resize(columns)
    screen(f"doctor-{columns}", terminal.run("swap doctor"), columns)
    screen(f"plan-{columns}", terminal.run("swap plan"), columns)
    terminal.run("swap prepare")
    screen(f"sync-{columns}", terminal.run("swap sync --once"), columns)
    terminal.run("swap verify")
    screen(f"status-{columns}", terminal.run("swap status"), columns)
    terminal.resize(columns, WATCHED_LINES)
    terminal.type("swap sync >/dev/null 2>&1 &")
    terminal.until(lambda text: "[1]" in text)
    working = terminal.watch("swap status --watch", lambda text: "replayed" in text and "next" in text)
    screen(f"watch-{columns}", working, columns)
    terminal.resize(columns)
    terminal.run("kill %1; wait")
    terminal.run("swap abort --yes")


def record(terminal: Terminal, directory: Path) -> None:
    """The cycle, as an operator types it. The load writes meanwhile."""
    terminal.run("swap init public.users")
    for columns in WIDTHS:
        record_wide(terminal, columns)
    terminal.resize(COLUMNS)
    hooks = '\n[hooks]\npre_swap_snapshot = ["swap", "hook", "pg_dump"]\n'
    config = directory / "swap.toml"
    config.write_text(config.read_text(encoding="utf-8") + hooks, encoding="utf-8")
    screen("doctor", terminal.run("swap doctor"))
    terminal.run("swap prepare")
    screen("sync", terminal.run("swap sync --once"))
    screen("verify", terminal.run("swap verify --report verify.json"))
    screen("status", terminal.run("swap status"))
    screen("cutover", terminal.run("swap cutover", answer="y"))
    screen("status-after", terminal.run("swap status"))
    report = (directory / "verify.md").read_text(encoding="utf-8")
    picture("report", Markdown("\n".join(report.splitlines()[:40])), "verify.md")


def main() -> int:
    OUT.mkdir(parents=True, exist_ok=True)
    with Server.start("18") as server, tempfile.TemporaryDirectory(prefix="swap-captures-") as place:
        directory = Path(place)
        install(server.conninfo("postgres"), "adopt", users=USERS)
        programs = directory / "bin"
        programs.mkdir()
        (programs / "swap").write_text(f'#!/bin/sh\nexec {sys.executable} -P -m swap "$@"\n')
        (programs / "swap").chmod(0o755)
        environment = {
            "PATH": f"{programs}:{server.bindir}:/usr/bin:/bin", "HOME": place, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8",
            "SWAP_DSN": server.conninfo("postgres", user="swap_owner"), "SWAP_SNAPSHOT_DIR": "dumps",
        }  # fmt: skip
        with Load(server.conninfo("postgres", user="app"), workers=2, rate=40), Terminal(directory, environment) as terminal:
            record(terminal, directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
