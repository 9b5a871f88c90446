"""The configuration for the clone: production's, without what reaches beyond the database.

Left out: the pooler (pausing it would pause production), hooks, the webhook, throttles, and the sessions to disconnect. `--no-snapshot`
takes the hook's place. A rehearsal does not need a rehearsal either.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from swap.core.config import Config, Cutover, PgBouncer
from swap.core.hook_settings import EVENTS, Hooks, Notify
from swap.core.throttle_settings import Throttle


def for_clone(config: Config) -> Config:
    """`config` without pooler, hooks, webhook, throttles and `disconnect_clients`."""
    cutover = Cutover(**{**config.cutover.model_dump(), "disconnect_clients": [], "require_rehearsal": False})
    left_out = {"pgbouncer": PgBouncer(), "hooks": Hooks(), "notify": Notify(), "throttle": Throttle(), "cutover": cutover}
    return config.model_copy(update=left_out)


def left_out(config: Config) -> list[str]:
    """What `for_clone` takes away from this configuration, as lines."""
    said = []
    if config.pgbouncer.admin_dsn:
        said.append(f"[pgbouncer]: {len(config.pgbouncer.admin_dsn)} poolers are not paused")
    if config.hooks.pre_swap_snapshot:
        said.append("[hooks] pre_swap_snapshot is not run: no snapshot is made")
    if told := [e for e in EVENTS if getattr(config.hooks, e)]:
        said.append(f"[hooks] {', '.join(told)}: not run")
    if config.notify.url:
        said.append("[notify] url: nothing is sent")
    if config.throttle != Throttle():
        said.append("[throttle]: nothing holds the copy back: a rehearsal does not wait for production, or for its night")
    if config.cutover.disconnect_clients:
        said.append("[cutover] disconnect_clients: no session is ended")
    return said


def to_toml(config: Config) -> str:
    """The configuration as a swap.toml. `load_config` reads the same from it."""
    document = config.model_dump(exclude_none=True)
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    sections = {k: v for k, v in document.items() if _is_section(v)}
    yield from (f"{k} = {_value(v)}" for k, v in document.items() if k not in sections)
    for name, section in sections.items():
        for table in section if isinstance(section, list) else [section]:
            yield f"[[{name}]]" if isinstance(section, list) else f"[{name}]"
            yield from (f"{k} = {_value(v)}" for k, v in table.items())


def _is_section(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _value(value: object) -> str:
    """A value as TOML writes it. A basic string has the escapes of JSON, and DEL besides."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_value(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
