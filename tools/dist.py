"""Build what is published: sdist, wheel and zipapp. `python -m tools.dist [--out DIRECTORY] [--repository URL]`, by default dist/.

They are made from a copy of what git tracks, so nothing that lies about comes along. No file of the repository says where it is
published, as that would be wrong in every copy. Who publishes gives the address, and the copy gets its URLs.

The tools that build come into an environment of their own, with the versions of requirements/build.lock: they are no part of
`.venv`, which runs the tests.

The zipapp is made by shiv: psycopg and pydantic have compiled parts, and Python imports none of these from a zip file. shiv unpacks
them once, below ~/.shiv. It has to pass the place on to the processes that `swap` starts (the demo's commands).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from swap.core.commit import NAME, commit

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "build.lock"
CONTENT = ROOT / "requirements" / "image.lock"  # of the zipapp
ZIPAPP = "swap.pyz"
# Of a repository: below its address, as GitHub, GitLab and Gitea have them.
URLS = {
    "Homepage": "",
    "Source": "",
    "Documentation": "/blob/main/README.md",
    "Changelog": "/blob/main/CHANGELOG.md",
    "Issues": "/issues",
}


def tools(directory: Path) -> Path:
    """Make the environment of the tools. Returns its directory of programs."""
    venv.create(directory, with_pip=True, clear=True)
    programs = directory / "bin"
    run(programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", LOCK)
    return programs


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [f for f in done.stdout.split("\0") if f]


def copy(directory: Path, repository: str | None) -> None:
    """The tracked files, as they are now, and the commit. With `repository` the package names it."""
    for name in tracked():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, directory / name, follow_symlinks=False)
    (directory / "swap" / NAME).write_text(f"{commit() or ''}\n", encoding="utf-8")
    if repository:
        with (directory / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(urls(repository))


def urls(repository: str) -> str:
    """The table of pyproject.toml."""
    lines = [f'{name} = "{repository.rstrip("/")}{path}"' for name, path in URLS.items()]
    return "\n".join(["", "[project.urls]", *lines, ""])


def build(programs: Path, source: Path, out: Path) -> list[Path]:
    """sdist, and from the sdist the wheel: so the wheel holds what the sdist holds. Returns both."""
    run(programs / "python", "-m", "build", "--outdir", out, source)
    return [*out.glob("*.tar.gz"), *out.glob("*.whl")]


def zipapp(programs: Path, wheel: Path, out: Path) -> Path:
    """One executable file for this platform and Python, with everything but `swap demo`'s PostgreSQL: what the image has."""
    made = out / ZIPAPP
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory(prefix="swap-zipapp-") as place:
        into = ["--no-compile", "--target", place]
        run(*pip, *into, "--require-hashes", "--only-binary", ":all:", "-r", CONTENT)
        run(*pip, *into, "--no-deps", "--no-index", wheel)
        shiv = [programs / "shiv", "--site-packages", place, "--console-script", "swap", "--python", "/usr/bin/env python3"]
        run(*shiv, "--output-file", made, "--extend-pythonpath", "--reproducible")
    return made


def run(*argv: object) -> None:
    subprocess.run([str(a) for a in argv], check=True)


def main(args: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.dist")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--repository", help="where it is published: https://…")
    given = parser.parse_args(args)
    out = given.out.absolute()
    with tempfile.TemporaryDirectory(prefix="swap-build-") as directory:
        programs, source = tools(Path(directory) / "tools"), Path(directory) / "source"
        copy(source, given.repository)
        _, wheel = build(programs, source, out)
        zipapp(programs, wheel, out)


if __name__ == "__main__":
    main(sys.argv[1:])
