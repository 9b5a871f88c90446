"""Whether the views and functions that an exchange has made again have the owner, options, rights and triggers of those before (I10, H55).

Pure: it reads lines of the structure (swap.catalog.structure_dependents). Their definitions say other types afterwards, and are no matter
of this comparison. An event trigger may have added a right, or changed the owner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

VIEW = re.compile(r"view owner=(?P<owner>.*?) (?P<options>options=.*) acl=(?P<acl>.*)", re.DOTALL)
FUNCTION = re.compile(
    r"(?:CREATE OR REPLACE (?:FUNCTION|PROCEDURE) .*|aggregate) owner=(?P<owner>.*?) acl=(?P<acl>.*)", re.DOTALL
)
TRIGGER = re.compile(r"CREATE (?:CONSTRAINT )?TRIGGER .*", re.DOTALL)
EVENT_TRIGGERS = "SELECT 1 FROM pg_event_trigger WHERE evtenabled <> 'D' LIMIT 1"  # without one nothing is added
BY_DEFAULT = "=X"  # PUBLIC may execute a function without rights of its own


def unlike_before(was: Iterable[Sequence[str]], now: Iterable[Sequence[str]]) -> list[str]:
    """One line for each difference of the views and functions in `was`. Both: (name, line)."""
    before = {(tab, said) for tab, line in was for said in _said(line)}
    names = {tab for tab, _ in before}
    after = {(tab, said) for tab, line in now if tab in names for said in _said(line)}
    return [f"{tab}: {said} is new" for tab, said in sorted(after - before)] + [
        f"{tab}: {said} is gone" for tab, said in sorted(before - after)
    ]


def _said(line: str) -> list[str]:
    if view := VIEW.fullmatch(line):
        return [f"owner {view['owner']}", view["options"], *_rights(view["acl"], view["owner"])]
    if function := FUNCTION.fullmatch(line):
        acl = function["acl"] or f"{{{BY_DEFAULT}/{function['owner']}}}"
        return [f"owner {function['owner']}", *_rights(acl, function["owner"])]
    return [line] if TRIGGER.fullmatch(line) else []


def _rights(acl: str, owner: str) -> list[str]:
    """Without the owner's own, which are there by default whether they are printed or not. Without the quotes of unusual names."""
    held, name = (text.translate({ord("\\"): None, ord('"'): None}) for text in (acl, owner))
    return [f"the right {r}" for r in held.strip("{}").split(",") if r and not r.startswith(f"{name}=")]
