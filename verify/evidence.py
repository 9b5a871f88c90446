"""The report as evidence: one file for programs and one for people, with everything that was compared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from swap.core.files import write_private
from swap.core.printable import json_safe, printable, printable_document
from verify.report import Report


def evidence_files(path: Path) -> tuple[Path, Path]:
    """The JSON and the Markdown. Raises ValueError for a path without a file's name."""
    return (path.with_suffix(".json"), path) if path.suffix == ".md" else (path, path.with_suffix(".md"))


def write_evidence(report: Report, path: Path) -> tuple[Path, Path]:
    """Write JSON and Markdown side by side. The suffix of `path` says which of the two it is (JSON if it says neither); the other
    file has the other suffix. Their owner alone can read them. Returns the JSON and the Markdown. Raises OSError."""
    data, text = evidence_files(path)
    document = json.dumps(printable_document(report.evidence()), indent=2, ensure_ascii=False)
    write_private(data, json_safe(document) + "\n")
    write_private(text, printable(markdown(report)))
    return data, text


def markdown(r: Report) -> str:
    seconds = (r.finished_at - r.started_at).total_seconds()
    facts: list[tuple[str, object]] = [
        ("verification", r.id),
        ("verdict", f"**{r.verdict}**"),
        ("method", r.method),
        ("direction", r.direction),
        ("began", r.started_at.isoformat()),
        ("ended", f"{r.finished_at.isoformat()} ({seconds:.1f} s)"),
        ("plan", r.plan_fingerprint),
        ("structure", r.fingerprint),
        ("server", r.server_version),
        ("swap", r.tool_version or "not installed as a package"),
    ]
    parts = [
        f"# Verification {r.id}: {r.verdict}",
        table(("", ""), facts),
        "## Compared",
        table(
            ("table", "columns", "rows", "missing", "extra", "different", "pending", "digest", "seconds"),
            (
                (t.name, ", ".join(t.columns), t.rows, t.missing, t.extra, t.different, t.pending, t.checksum, t.seconds)
                for t in r.tables
            ),
        ),
        "## Checks",
        table(("check", "status", "detail"), ((c.name, c.status, c.detail) for c in r.checks)),
        "## Findings",
        table(("table", "key", "kind", "columns"), ((f.table, f.shown, f.kind, ", ".join(f.columns)) for f in r.findings))
        if r.findings
        else "None.",
        "## Snapshots",
        table(
            ("", "snapshot", "WAL position", "replay watermark"),
            ((n, s.snapshot, s.lsn, s.watermark) for n, s in enumerate(r.snapshots, 1)),
        ),
        "## Ranges",
        "Integer keys, or hashes of other keys, from `low` (included) to `high` (excluded); rows and digest of either side, pending keys left out.",
        table(
            ("table", "range", "low", "high", "snapshot", "rows", "maintained rows", "digest", "maintained digest"),
            (
                (x.table, x.number, x.low, x.high, x.snapshot, x.origin_rows, x.target_rows, x.origin_digest, x.target_digest)
                for x in r.ranges
            ),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [_line(head), "|" + "---|" * len(head)]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join("" if c is None else str(c).replace("|", "\\|").replace("\n", " ") for c in cells) + " |"
