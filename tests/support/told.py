"""What long runs have to say of themselves: lines at the end of the report, whichever process ran the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Tell = Callable[[str], None]


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    return lambda line: request.node.user_properties.append(("told", line))


def told(terminalreporter: Any) -> list[str]:
    return [
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == "told"
    ]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in told(terminalreporter):
        terminalreporter.write_line(line)
