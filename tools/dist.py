"""Build what is published: sdist, wheel and zipapp. `python -m tools.dist [DIRECTORY]`, by default dist/.

The tools that build come into an environment of their own, with the versions of requirements/build.lock: they are no part of
`.venv`, which runs the tests.

The zipapp is made by shiv: psycopg and pydantic have compiled parts, and Python imports none of these from a zip file. shiv unpacks
them once, below ~/.shiv. It has to pass the place on to the processes that `swap` starts (the demo's commands).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "build.lock"
ZIPAPP = "swap.pyz"


def tools(directory: Path) -> Path:
    """Make the environment of the tools. Returns its directory of programs."""
    venv.create(directory, with_pip=True, clear=True)
    programs = directory / "bin"
    run(programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", LOCK)
    return programs


def build(programs: Path, source: Path, out: Path) -> list[Path]:
    """sdist, and from the sdist the wheel: so the wheel holds what the sdist holds. Returns both."""
    run(programs / "python", "-m", "build", "--outdir", out, source)
    return [*out.glob("*.tar.gz"), *out.glob("*.whl")]


def zipapp(programs: Path, wheel: Path, out: Path) -> Path:
    """One executable file for this platform and Python, with everything but `swap demo`'s PostgreSQL."""
    made = out / ZIPAPP
    interpreter = "/usr/bin/env python3"
    run(
        programs / "shiv",
        "--console-script",
        "swap",
        "--python",
        interpreter,
        "--output-file",
        made,
        "--extend-pythonpath",
        "--reproducible",
        wheel,
    )
    return made


def run(*argv: object) -> None:
    subprocess.run([str(a) for a in argv], check=True)


def main(args: list[str]) -> None:
    out = Path(args[0] if args else ROOT / "dist").absolute()
    with tempfile.TemporaryDirectory(prefix="swap-build-") as directory:
        programs = tools(Path(directory))
        _, wheel = build(programs, ROOT, out)
        zipapp(programs, wheel, out)


if __name__ == "__main__":
    main(sys.argv[1:])
