"""Which capture the tests run with: one parameter, and no copies of tests.

`SWAP_TEST_MODE=trigger` or `logical` runs everything with that one. Unset, everything runs with triggers, and what is
marked `both_modes` with logical replication as well. Every driver that writes a configuration (`tests.support.migration`, `operator`,
`fixture_run`) takes the mode from here, unless the test names one itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import pytest

Mode = Literal["trigger", "logical"]
MODES: tuple[Mode, ...] = get_args(Mode)
REQUESTED = os.environ.get("SWAP_TEST_MODE", "")
SYNC = re.compile(r"^\[sync\]$", re.MULTILINE)

_current: list[Mode] = []


def current_mode() -> Mode:
    """The mode of the test that runs."""
    return _current[-1]


def with_mode(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration in this test's mode; one that names its own keeps it."""
    return {**config, "sync": {"mode": current_mode(), **config.get("sync", {})}}


def toml_with_mode(text: str, mode: Mode | None = None) -> str:
    """The same for the text of a swap.toml. Triggers are the default, which nothing has to say."""
    mode = mode or current_mode()
    if mode == "trigger":
        return text
    line = f'mode = "{mode}"'
    return SYNC.sub(f"[sync]\n{line}", text) if SYNC.search(text) else f"{text}\n[sync]\n{line}\n"


def pytest_configure(config: pytest.Config) -> None:
    if REQUESTED and REQUESTED not in MODES:
        raise pytest.UsageError(f"SWAP_TEST_MODE is one of {', '.join(MODES)}, or not set")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if not REQUESTED and metafunc.definition.get_closest_marker("both_modes"):
        metafunc.parametrize("capture_mode", MODES, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if REQUESTED != "logical":
        return
    for item in items:
        if only := item.get_closest_marker("trigger_only"):
            item.add_marker(pytest.mark.skip(reason=f"triggers only: {only.args[0]}"))


@pytest.fixture(autouse=True)
def capture_mode(request: pytest.FixtureRequest) -> Iterator[Mode]:
    """The mode of this test. A test that tells the two apart asks for it."""
    asked: Mode = "logical" if REQUESTED == "logical" else "trigger"
    mode: Mode = getattr(request, "param", asked)
    _current.append(mode)
    yield mode
    _current.pop()
