"""A report's files: one HTML that needs no network, JSON for programs, Markdown for a ticket. All are made of the same document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from swap.core.errors import UsageError
from swap.core.files import refuse_unwritable, write_private
from swap.core.printable import json_safe, printable, printable_document
from swap.rehearse.markdown import markdown
from swap.rehearse.words import WORDS

EXTRA = ("jinja2", "pygal")


def report_files(path: Path) -> tuple[Path, Path, Path]:
    """HTML, JSON and Markdown. Raises ValueError for a path without a file's name."""
    if path.is_dir() or not path.name:
        raise ValueError(f"{str(path)[:200]} is a directory")
    base = path if path.suffix in (".html", ".json", ".md") else Path(f"{path}.html")
    return base.with_suffix(".html"), base.with_suffix(".json"), base.with_suffix(".md")


def refuse_report(path: Path) -> None:
    """Raises UsageError before hours of work where the report could not be made, or not be written, after them."""
    if missing := [name for name in EXTRA if find_spec(name) is None]:
        raise UsageError(
            f"The report needs {' and '.join(missing)}, which are not installed.",
            hint="pip install 'pg-uuid-swap[report]' installs them; then run the command again.",
        )
    refuse_unwritable(lambda: report_files(path))


def write_report(document: Mapping[str, Any], path: Path) -> tuple[Path, Path, Path]:
    """Their owner alone can read them: names, statements and errors are in them. Raises UsageError."""
    files = report_files(path)
    shown = printable_document(dict(document))
    data = json_safe(json.dumps(shown, indent=2, ensure_ascii=False, default=str)) + "\n"
    try:
        write_private(files[1], data)  # first: whatever a page meets, what took hours is kept
        write_private(files[2], printable(markdown(shown)))
        write_private(files[0], html(shown))
    except OSError as e:
        raise UsageError(
            f"The report was not written: {e.strerror}: {e.filename}.", hint="Name a file that can be written with --report."
        ) from None
    return files


def html(document: Mapping[str, Any]) -> str:
    """The page. Everything that came from elsewhere is escaped, and nothing is loaded: the page forbids it to itself."""
    import jinja2  # noqa: PLC0415 - of the extra `report`

    from swap.rehearse.plots import all_plots  # noqa: PLC0415 - the same

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= WORDS
    text = resources.files("swap.rehearse").joinpath("report.html.j2").read_text(encoding="utf-8")
    css = resources.files("swap.rehearse").joinpath("report.css").read_text(encoding="utf-8")
    return environment.from_string(text).render(r=document, css=css, plots=all_plots(document))
