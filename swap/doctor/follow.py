"""Findings that go when another one is mended: each says which (`Finding.follows`), and `doctor` folds them under that one. Pure.

Two follow by what they say: a view over a view that cannot be built (swap.doctor.trial.build), and the dependency of an inheritance
child, which its parent's finding takes away. The others have the same statement as their remedy: one GRANT of an owner's role mends
each of its tables and sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from swap.doctor.finding import Finding
from swap.doctor.fixes import statements


def with_following(findings: Sequence[Finding]) -> list[Finding]:
    """The findings; those that follow from an earlier one name the first of the chain."""
    first: dict[str, str] = {}
    parted = {s.split()[-1].rstrip(";"): f.label for f in findings if f.name == "inheritance" for s in _run(f)}
    parted |= {s.split()[2]: f.label for f in findings if f.name == "inheritance" for s in _run(f)}
    out = []
    for f in findings:
        follows = f.follows
        if f.status == "blocker" and not follows:
            follows = parted.get(f.object.removeprefix("table "), "") if f.name == "dependent" else ""
            mends = " ".join(_run(f))
            if mends and not follows:
                root = first.setdefault(mends, f.label)
                follows = root if root != f.label else ""
        out.append(replace(f, follows=follows) if follows else f)
    roots = {f.label: f.follows for f in out if f.follows and f.follows != f.label}
    return [replace(f, follows=_root(f.follows, roots)) if f.follows else f for f in out]


def _run(f: Finding) -> list[str]:
    return [sql for sql, offered in statements(f.hint) if not offered]


def _root(label: str, roots: dict[str, str]) -> str:
    for _ in roots:
        if label not in roots:
            break
        label = roots[label]
    return label


def folded(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """The labels of the blockers that follow, by the blocker that they follow from. One whose root is no blocker stands alone."""
    blockers = {f.label for f in findings if f.status == "blocker"}
    out: dict[str, list[str]] = {}
    for f in findings:
        if f.status == "blocker" and f.follows in blockers and f.follows != f.label:
            out.setdefault(f.follows, []).append(f.label)
    return out
