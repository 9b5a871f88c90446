"""Whether a column or a value is called after a table. Pure."""

from __future__ import annotations

from collections.abc import Collection

IRREGULAR = {"people": "person", "children": "child", "men": "man", "women": "woman", "data": "datum"}


def singular(name: str) -> str:
    """The English singular of a table's name, by its ending; a name that is none stays as it is."""
    head, _, last = name.rpartition("_")
    stem = _singular(last)
    return f"{head}_{stem}" if head else stem


def _singular(word: str) -> str:
    if word in IRREGULAR:
        return IRREGULAR[word]
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x"), ("uses", "us")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + instead
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word


def snake(name: str) -> str:
    """`createdByUserId` -> `created_by_user_id`."""
    out = ""
    for i, c in enumerate(name):
        new_word = c.isupper() and i and (name[i - 1].islower() or name[i + 1 : i + 2].islower()) and name[i - 1] != "_"
        out += ("_" if new_word else "") + c.lower()
    return out


def names_source(column: str, source: str, key: str) -> bool:
    """Whether the column is called after the source: `user_id`, `owner_user_id`, `userId`, `userid`."""
    name, table = snake(column), snake(source)
    for stem in {table, singular(table)}:
        for ending in {f"{stem}_{snake(key)}", f"{stem}_id", f"{stem}id"}:
            if name == ending or name.endswith("_" + ending):
                return True
    return False


def names_class(value: str, source: str) -> bool:
    """Whether a type column's value means the source: `User`, `users`, `App\\Models\\User`, `Admin::User`."""
    last = value.replace("::", "/").replace("\\", "/").replace(".", "/").rpartition("/")[2]
    table = snake(source)
    return snake(last) in {table, singular(table)}


def unexplained(column: str, relations: Collection[str]) -> bool:
    """`author_id` or `created_by` where no table is called author(s)."""
    name = snake(column)
    if name.endswith("_by"):
        return True
    if not name.endswith("_id"):
        return False
    stem = name.removesuffix("_id")
    known = {s for r in relations for s in (snake(r), singular(snake(r)))}
    return not any(stem == k or stem.endswith("_" + k) for k in known)
