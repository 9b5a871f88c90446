"""What `swap set` may change of a running `sync`: names and values, checked by the model of the configuration.

A name of a program, a file, an address or a query is the configuration file's own: whoever can write into the database must not
choose what the machine of `sync` runs or opens. `swap set` can only switch such a throttle off.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from swap.core.config import Config, Sync
from swap.core.errors import UsageError
from swap.core.throttle_settings import Throttle

OFF = "off"
OF_SYNC = ("jobs", "max_jobs", "max_slowdown", "chunk_target_ms", "max_replica_lag_bytes")
OFF_ONLY = ("throttle.free_disk_command", "throttle.query", "throttle.flag_file", "throttle.url")
OF_THROTTLE = tuple(f"throttle.{name}" for name in Throttle.model_fields)
NAMES = (*OF_SYNC, *OF_THROTTLE)
Overrides = Mapping[str, object]
"""By name: `jobs`, `throttle.max_load`. None: switched off."""


def parse_overrides(words: Sequence[str]) -> dict[str, object]:
    """`jobs=4 throttle.max_load=off` as values. Raises UsageError for what is no assignment, or no name that can be set."""
    found: dict[str, object] = {}
    for word in words:
        given, equals, text = word.partition("=")
        if not equals or not text.strip():
            raise UsageError(f"{word[:80]!r} is not NAME=VALUE.", hint="For example: swap set jobs=4 throttle.max_load=40")
        found[known_name(given)] = _value(text.strip())
    return found


def known_name(given: str) -> str:
    """The name as this module writes it. Raises UsageError."""
    name = given.strip().removeprefix("sync.")
    if name not in NAMES:
        raise UsageError(f"{given[:80]!r} cannot be set.", hint=f"What can be: {', '.join(NAMES)}.")
    return name


def with_overrides(config: Config, overrides: Overrides) -> Config:
    """`config` with these values in place of its own. Raises UsageError for a value that the file may not have either."""
    for name, value in overrides.items():
        if known_name(name) in OFF_ONLY and value is not None:
            raise UsageError(
                f"{name} can only be switched off: what `sync` runs or opens is for its configuration file to say.",
                hint=f"swap set {name}=off, or change the file and start `swap sync` again.",
            )
    sync = {n: v for n, v in overrides.items() if n in OF_SYNC}
    throttle = {n.removeprefix("throttle."): v for n, v in overrides.items() if n in OF_THROTTLE}
    try:
        prefix = ""
        made = Sync.model_validate({**config.sync.model_dump(), **sync})
        prefix = "throttle."
        return config.model_copy(
            update={"sync": made, "throttle": Throttle.model_validate({**config.throttle.model_dump(), **throttle})}
        )
    except ValidationError as e:
        first = e.errors()[0]
        name = prefix + ".".join(str(part) for part in first["loc"])
        said = str(first["msg"]).removeprefix("Value error, ")
        raise UsageError(
            f"{name}: {said}." if first["loc"] else f"{said}.",
            hint="Give a value that the configuration file could have too: docs/configuration.md.",
        ) from None


def shown(name: str, value: object) -> str:
    """`throttle.max_load = off`."""
    return f"{name} = {OFF if value is None else value}"


def _value(text: str) -> object:
    """As TOML reads it; what is no TOML is a text."""
    if text == OFF:
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except (tomllib.TOMLDecodeError, ValueError, RecursionError):
        return text
