"""[[policy]]: the text of a policy after the cutover, matched with the policy that it replaces. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from swap.catalog.model import Catalog, Meaning, Policy
from swap.core.config import Config, PolicyText
from swap.core.names import TableName, parse_table, quote

WITHOUT_CHECK = {"r": "SELECT", "d": "DELETE"}


@dataclass(frozen=True)
class NewPolicy:
    """A policy that has other expressions after the cutover. `old`: the policy that a revert puts back. `path`: the search_path with
    which the operator's text is read, that of the application; as of a statement."""

    oid: int
    table: TableName
    old: Policy
    using: str | None
    check: str | None
    path: tuple[str, ...] = ()

    @property
    def policy(self) -> Policy:
        # A line comment at the end of an expression must not hide the parenthesis behind it.
        using, check = (f"{x}\n" if x is not None else None for x in (self.using, self.check))
        return replace(self.old, using=using, check=check, meaning=Meaning(self.path))


@dataclass(frozen=True)
class PolicyProblem:
    """Why an entry of [[policy]] cannot be used. `object` is `table.policy`."""

    object: str
    detail: str
    hint: str


def new_policies(catalog: Catalog, config: Config) -> tuple[tuple[NewPolicy, ...], tuple[PolicyProblem, ...]]:
    """Each entry of [[policy]] with the policy that it replaces, and the problems of the other entries."""
    known = {(t.name, p.name): (t.oid, p) for t in catalog.tables for p in t.policies}
    known |= {(b.table, b.policy.name): (b.oid, b.policy) for b in catalog.policies}
    found: dict[tuple[TableName, str], NewPolicy] = {}
    problems = []
    for entry in config.policy:
        key = (parse_table(entry.table), entry.name)
        oid, old = known.get(key, (0, None))
        problem = _unknown(catalog, key) if old is None else _unfit(old, entry)
        if key in found:
            problem = ("is named twice in [[policy]]", "Keep one entry.")
        if problem:
            problems.append(PolicyProblem(f"{key[0]}.{quote(key[1])}", *problem))
        elif old is not None:
            found[key] = NewPolicy(oid, key[0], old, entry.using, entry.check)
    return tuple(found.values()), tuple(problems)


def _unknown(catalog: Catalog, key: tuple[TableName, str]) -> tuple[str, str]:
    table, _ = key
    names = [quote(p.name) for t in catalog.tables if t.name == table for p in t.policies]
    names += [quote(b.policy.name) for b in catalog.policies if b.table == table and quote(b.policy.name) not in names]
    has = f"; those of {table} are {', '.join(names)}" if names else ""
    detail = f"[[policy]] names no policy of the source, of a reference's table, or of one that reads them{has}"
    return detail, "Correct `table` and `name`, or remove the entry."


def _unfit(old: Policy, entry: PolicyText) -> tuple[str, str] | None:
    """Why the entry does not fit the policy, with a hint.

    An entry replaces both expressions: an expression that it left out would go on with the old names.
    """
    if old.using is not None and entry.using is None:
        return "has a USING expression, and [[policy]] gives none", "Give `using` too; it may say the same as before."
    if old.check is not None and entry.check is None:
        return "has a WITH CHECK expression, and [[policy]] gives none", "Give `check` too; it may say the same as before."
    if entry.check is not None and old.command in WITHOUT_CHECK:
        return f"is FOR {WITHOUT_CHECK[old.command]}, which has no WITH CHECK", "Remove `check`."
    if entry.using is not None and old.command == "a":
        return "is FOR INSERT, which has no USING", "Remove `using`."
    return None
