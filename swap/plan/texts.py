"""[[default]], [[view]], [[function]], [[trigger]] and [[index]]: the text of an object after the cutover, matched with the object that
it replaces. Pure, but for what the server says of a function (swap.catalog.routines).

swap writes the name of the object itself: a text that says another name is refused. So the way back is known before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from swap.catalog.model import Catalog, Function, Meaning, Table, Trigger, View
from swap.core.config import Config, DefaultText, FunctionText, IndexText, TriggerText, ViewText
from swap.core.names import TableName, parse_table, quote

DEFAULT, VIEW, FUNCTION, TRIGGER, INDEX = "default", "view", "function", "trigger", "index"
NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
QUALIFIED = rf"{NAME}(?:\s*\.\s*{NAME})?"
CREATE_TRIGGER = re.compile(
    rf"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?P<constraint>CONSTRAINT\s+)?TRIGGER\s+(?P<name>{NAME})\s+(?P<events>.*?)\s+ON\s+(?P<on>{QUALIFIED})\s+(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
CREATE_ROUTINE = re.compile(
    rf"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?P<kind>FUNCTION|PROCEDURE)\s+(?P<name>{QUALIFIED})\s*(?P<rest>\(.*)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class NewText:
    """An object that has another text after the cutover. `kind`: one of the sections of the configuration. `table`: the table, or the
    view, function or index by its own name. `name`: the column or the trigger. `definition`: what swap runs, as the section says.
    `path`: the search_path with which it is read, that of the application; as of a statement. `oid`: of a view or function.

    Of a function besides: `arguments` of the new one, as commands name it, and `in_place`: it takes and gives the same types, and no
    type that changes, so CREATE OR REPLACE keeps the object.
    """

    kind: str
    table: TableName
    name: str
    definition: str
    path: tuple[str, ...] = ()
    oid: int = 0
    arguments: str = ""
    in_place: bool = False

    @property
    def meaning(self) -> Meaning:
        """As a statement that runs the text needs it."""
        return Meaning(self.path)


@dataclass(frozen=True)
class TextProblem:
    """Why an entry cannot be used. `kind`: its section; `object`: what findings call the object."""

    kind: str
    object: str
    detail: str
    hint: str


class _UnfitError(Exception):
    """The detail and the hint."""

    def __init__(self, detail: str, hint: str) -> None:
        super().__init__(detail)
        self.detail, self.hint = detail, hint


Entry = DefaultText | ViewText | FunctionText | TriggerText | IndexText


def new_texts(catalog: Catalog, config: Config) -> tuple[tuple[NewText, ...], tuple[TextProblem, ...]]:
    """Each entry with the object that it replaces, and the problems of the other entries."""
    found: dict[tuple[str, TableName, str], NewText] = {}
    problems = []
    for kind, called, make in _entries(catalog, config):
        try:
            text = make()
            if (kind, text.table, text.name if kind != FUNCTION else str(text.oid)) in found:
                raise _UnfitError(f"is named twice in [[{kind}]]", "Keep one entry.")
            found[kind, text.table, text.name if kind != FUNCTION else str(text.oid)] = text
        except _UnfitError as e:
            problems.append(TextProblem(kind, called, e.detail, e.hint))
    return tuple(found.values()), tuple(problems)


def _entries(catalog: Catalog, config: Config) -> Iterator[tuple[str, str, Callable[[], NewText]]]:
    for d in config.default:
        yield DEFAULT, f"{parse_table(d.table)}.{quote(d.column)}", lambda d=d: _default(catalog, config, d)  # type: ignore[misc]
    for v in config.view:
        yield VIEW, str(parse_table(v.name)), lambda v=v: _view(catalog, v)  # type: ignore[misc]
    for f in config.function:
        yield FUNCTION, f.name, lambda f=f: _function(catalog, f)  # type: ignore[misc]
    for t in config.trigger:
        yield TRIGGER, f"{parse_table(t.table)}.{quote(t.name)}", lambda t=t: _trigger(catalog, t)  # type: ignore[misc]
    for i in config.index:
        yield INDEX, str(parse_table(i.name)), lambda i=i: _index(catalog, i)  # type: ignore[misc]


def _table(catalog: Catalog, name: TableName, kind: str) -> Table:
    table = next((t for t in catalog.tables if t.name == name), None)
    if table is None:
        raise _UnfitError(f"[[{kind}]] names no table that takes part: neither the source nor a table with a reference", REMOVE)
    return table


REMOVE = "Correct the name, or remove the entry."


def _default(catalog: Catalog, config: Config, entry: DefaultText) -> NewText:
    table = _table(catalog, parse_table(entry.table), DEFAULT)
    column = table.column(entry.column)
    if column is None:
        names = ", ".join(quote(c.name) for c in table.columns if c.default and not c.generated)
        has = f"; with a default: {names}" if names else ""
        raise _UnfitError(f"[[default]] names no column of {table.name}{has}", REMOVE)
    if column.generated or column.identity:
        raise _UnfitError("is a generated column: it has no default", "Remove the entry.")
    if table is catalog.source and entry.column in (config.source.key, config.identity.column):
        raise _UnfitError(
            "is the key or the identity column: [identity] generate says how a new row gets it", "Remove the entry."
        )
    return NewText(DEFAULT, table.name, entry.column, entry.definition)


def _view(catalog: Catalog, entry: ViewText) -> NewText:
    name = parse_table(entry.name)
    view = next((v for v in catalog.views if v.name == name), None)
    if view is None:
        raise _UnfitError("[[view]] names no view that is made again at the cutover", REMOVE)
    return NewText(VIEW, name, "", entry.definition.rstrip().rstrip(";"), oid=view.oid)


def _function(catalog: Catalog, entry: FunctionText) -> NewText:
    function = next((n.function for n in catalog.named if n.text == entry.name), None)
    if function is None:
        hint = "Write it with its schema and the types of its arguments, as `\\df` shows them: public.get_user(bigint)."
        raise _UnfitError("[[function]] names no function", hint)
    match = CREATE_ROUTINE.fullmatch(entry.definition)
    if match is None:
        raise _UnfitError(
            "its text is not a CREATE FUNCTION or CREATE PROCEDURE", "Give the whole statement, as pg_get_functiondef prints it."
        )
    if not _is_called(match["name"], function.name):
        raise _UnfitError(f"its text creates {match['name']}, and not {function.name}", f"Name {function.name} in it.")
    return NewText(FUNCTION, function.name, match["kind"].upper(), match["rest"].rstrip().rstrip(";"), oid=function.oid)


def _trigger(catalog: Catalog, entry: TriggerText) -> NewText:
    table = _table(catalog, parse_table(entry.table), TRIGGER)
    if entry.name not in {t.name for t in table.triggers}:
        names = ", ".join(quote(t.name) for t in table.triggers)
        raise _UnfitError(f"[[trigger]] names no trigger of {table.name}{f': it has {names}' if names else ''}", REMOVE)
    match = CREATE_TRIGGER.fullmatch(entry.definition)
    if match is None:
        raise _UnfitError("its text is not a CREATE TRIGGER", "Give the whole statement, as pg_get_triggerdef prints it.")
    if _folded(match["name"]) != entry.name:
        raise _UnfitError(f"its text creates {match['name']}", f"Name {quote(entry.name)} in it.")
    if not _is_called(match["on"], table.name):
        raise _UnfitError(f"its text creates it ON {match['on']}", f"Say ON {table.name} in it.")
    constraint = "CONSTRAINT " if match["constraint"] else ""
    head = f"CREATE {constraint}TRIGGER {_always_quoted(entry.name)} {match['events']} ON "
    on = f"{_always_quoted(table.name.schema)}.{_always_quoted(table.name.name)}"
    return NewText(TRIGGER, table.name, entry.name, f"{head}{on} {match['rest'].rstrip().rstrip(';')}")


def _index(catalog: Catalog, entry: IndexText) -> NewText:
    name = parse_table(entry.name)
    for table in catalog.tables:
        for index in table.indexes:
            if table.name.renamed(index.name) == name:
                if table.kind == "p":
                    raise _UnfitError("is the index of a partitioned table: it keeps its text", "Remove the entry.")
                if index.primary:
                    raise _UnfitError("is the index of a primary key, which stays the key", "Remove the entry.")
                return NewText(INDEX, table.name, index.name, entry.definition.rstrip().rstrip(";"))
    raise _UnfitError("[[index]] names no index of the source or of a table with a reference", REMOVE)


def _is_called(written: str, name: TableName) -> bool:
    parts = [_folded(p) for p in re.findall(NAME, written)]
    return parts in ([name.name], [name.schema, name.name])


def _folded(written: str) -> str:
    return written[1:-1].replace('""', '"') if written.startswith('"') else written.lower()


def _always_quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def with_text(view: View, text: NewText | None) -> View:
    """The view with its query of after the cutover."""
    if text is None:
        return view
    path = tuple(dict.fromkeys((*text.path, *view.meaning.path)))
    return replace(view, definition=f"{text.definition}\n", meaning=Meaning(path))


def with_new_body(function: Function, text: NewText | None) -> Function:
    """The function by its text of after the cutover."""
    if text is None:
        return function
    verb = "CREATE OR REPLACE" if text.in_place else "CREATE"
    name = f"{_always_quoted(text.table.schema)}.{_always_quoted(text.table.name)}"
    whole = f"{verb} {text.name} {name}{text.definition}"
    return replace(function, definition=whole, arguments=text.arguments, meaning=text.meaning)


def with_new_trigger(trigger: Trigger, text: NewText) -> Trigger:
    """The trigger by its text of after the cutover. It keeps its state, comment and dependencies; a comment on its constraint only as a
    constraint trigger."""
    comment = trigger.constraint_comment if text.definition.startswith("CREATE CONSTRAINT") else ""
    return replace(trigger, definition=f"{text.definition}\n", constraint_comment=comment, meaning=text.meaning)
