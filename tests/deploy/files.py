"""The files that others read: manifests, compose files, workflows. And the commands of `swap` that stand in them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
import yaml

from swap.cli.commands import app

GLOBAL = {"--version", "--help", "-h"}


class _Loader(yaml.SafeLoader):
    """YAML in which `on:` is a word, as GitHub and Kubernetes read it, and a key that comes twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(map(str, keys))), f"a key comes twice: {keys}"
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:bool"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", __import__("re").compile(r"^(?:true|false)$"), list("tf"))


def documents(path: Path) -> list[Any]:
    return [d for d in yaml.load_all(path.read_text(encoding="utf-8"), _Loader) if d is not None]


def strings(value: Any) -> Iterator[str]:
    """Every string in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)


def assert_a_command_of_swap(arguments: list[str]) -> None:
    """That `swap` has the command, and the command these options."""
    if arguments[0] in GLOBAL:
        return
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert arguments[0] in commands, arguments
    known = {o for p in commands[arguments[0]].params for o in p.opts} | GLOBAL
    assert {a.split("=")[0] for a in arguments[1:] if a.startswith("-")} <= known, arguments


def words(line: str) -> list[str]:
    return shlex.split(line, comments=True)
