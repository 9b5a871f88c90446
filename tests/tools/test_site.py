"""The pages: every link leads to a page and a heading that are there, and every page is in a menu. `make docs` builds the site, and
is as strict; this runs without its programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.commands import ROOT
from tools import site

PAGES = sorted([*ROOT.glob("*.md"), *(p for d in ("docs", "docker", "deploy") for p in (ROOT / d).rglob("*.md"))])
PARTS = {ROOT / "docs" / "start.md"}  # of the first page, whose links begin at the root
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
FENCED = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", h).replace("`", "").replace("**", "") for h in headings]
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in plain}


def broken(page: Path, text: str) -> Iterator[str]:
    """The links of a page that lead nowhere in the repository. Those to other places are not asked."""
    base = ROOT if page in PARTS else page.parent
    for match in LINK.finditer(FENCED.sub("", text)):
        link = match[1] or match[2]
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (base / name).resolve() if name else page
        if (
            not target.exists()
            or not target.is_relative_to(ROOT)
            or (anchor and target.suffix == ".md" and anchor not in anchors(target))
        ):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(broken(page, page.read_text(encoding="utf-8"))) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    text = "[a](docs/nowhere.md) [b](RUNBOOK.md#nothing) [c](RUNBOOK.md#card) [d](https://example.org/x)\n[e]: docs/gone.svg\n"
    assert list(broken(ROOT / "README.md", text)) == ["docs/nowhere.md", "RUNBOOK.md#nothing", "docs/gone.svg"]


def config() -> Any:
    text = re.sub(r"!(?:!python/\S+|ENV)", "", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return yaml.safe_load(text)


def entries(nav: Any) -> Iterator[str]:
    for item in nav:
        for value in item.values():
            if isinstance(value, str):
                yield value
            else:
                yield from entries(value)


def test_every_page_is_in_the_menu_once() -> None:
    listed = list(entries(config()["nav"]))
    assert len(listed) == len(set(listed))
    pages = {
        "index.md",
        *(str(p.relative_to(ROOT)) for p in PAGES if (p not in PARTS and p.name != "README.md") or p.parent != ROOT),
    }
    pages -= {str(p.relative_to(ROOT)) for p in PARTS}
    assert set(listed) == pages - {"README.md"}


def test_the_site_is_strict_and_asks_no_other_server() -> None:
    made = config()
    assert made["strict"] is True
    assert {v for part in made["validation"].values() for v in part.values()} == {"warn"}, "with strict: an error"
    assert made["theme"]["font"] is False
    assert "extra_javascript" not in made


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "images").rglob("*.svg")), ids=lambda p: p.stem)
def test_a_picture_loads_nothing_and_says_what_it_shows(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"')\s]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert "<script" not in text
    named = [p for p in PAGES if f"{picture.name})" in p.read_text(encoding="utf-8")]
    assert named, "no page shows it"


def test_the_first_page_begins_with_the_first_screen_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = site.first_page(readme)
    assert page.startswith(readme[: readme.index("<!-- demo:end -->")].rstrip())
    assert "## Where to go" in page


def test_links_to_the_readme_lead_to_the_first_page() -> None:
    text = "[a](../README.md) [b](../README.md#install) [c](../docker/README.md) [d](docker/)"
    shown = site.on_the_site(text, Path("docs/x.md"))
    assert shown == "[a](../index.md) [b](../index.md#install) [c](../docker/README.md) [d](docker/README.md)"


def test_every_claim_about_another_tool_has_its_source() -> None:
    """The table of docs/comparison.md: each cell about another tool names a source, and each source is used."""
    text = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ") and not line.startswith("| |")]
    tools = {row[0]: row[1:] for row in rows}
    assert set(tools) >= {"gh-ost", "pg_repack", "pgroll", "pg-osc", "online_migrations", "REPACK (CONCURRENTLY), PostgreSQL 19"}
    for name, cells in tools.items():
        if name != "`swap`":
            assert [c for c in cells if c.strip() and not re.search(r"\]\[[\w-]+\]", c)] == []
    defined = set(re.findall(r"^\[([\w-]+)\]: https://", text, re.MULTILINE))
    assert set(re.findall(r"\]\[([\w-]+)\]", text)) == defined
