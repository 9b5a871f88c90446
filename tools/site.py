"""The documentation site: `python -m tools.site build` writes build/site, `serve` shows it and follows changes.

The pages are those of the repository, at the same places, so that a link that GitHub can follow the site can follow too. The first
page is README.md. mkdocs runs strictly: a broken link or anchor, or a page that no menu names, is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
PAGES = BUILD / "pages"
CONFIG = ROOT / "mkdocs.yml"
# What the pages name, beside themselves: shown as they are.
COPIED = ("RUNBOOK.md", "CHANGELOG.md", "LICENSE", "docs", "docker", "deploy", "swap/demo/schema.sql")
FIRST_SCREEN_ENDS = "<!-- demo:end -->"


def assemble() -> None:
    """Put every page below build/pages."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for name in COPIED:
        source, target = ROOT / name, PAGES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    for page in PAGES.rglob("*.md"):
        page.write_text(on_the_site(page.read_text(encoding="utf-8"), page.relative_to(PAGES)), encoding="utf-8")
    (PAGES / "index.md").write_text(first_page((ROOT / "README.md").read_text(encoding="utf-8")), encoding="utf-8")


def first_page(readme: str) -> str:
    """README.md, with the ways to go on after its first screen."""
    screen, _, rest = readme.partition(FIRST_SCREEN_ENDS)
    if not rest:
        raise SystemExit(f"README.md has no {FIRST_SCREEN_ENDS}")
    start = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
    return on_the_site(f"{screen.rstrip()}\n\n{start.rstrip()}\n{rest}", Path("index.md"))


def on_the_site(text: str, page: Path) -> str:
    """Links to README.md lead to the first page; to a directory, to the page in it."""
    up = "../" * (len(page.parts) - 1)
    text = re.sub(rf"\]\({re.escape(up)}README\.md(#[^)]*)?\)", lambda m: f"]({up}index.md{m[1] or ''})", text)
    return re.sub(r"\]\(((?:\.\./)*(?:docker|deploy))/\)", r"](\1/README.md)", text)


def main(args: list[str]) -> int:
    command = args[0] if args else "build"
    assemble()
    argv = [sys.executable, "-m", "mkdocs", command, "--strict", "--config-file", str(CONFIG)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # about another program
    return subprocess.run(argv, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
