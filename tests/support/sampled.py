"""Which cases of the large matrices run in `make test`: one in n, always the same. `make test-slow` runs the others, and what is marked
slow. The whole suite takes half an hour on two cores, and `make test` is to take less than twenty minutes.
"""

from __future__ import annotations

from zlib import crc32

import pytest

ONE_IN = 8  # of the cases of a test in these folders, unless the test says another number
FOLDERS = {"cutover", "ddl", "doctor", "input", "sync", "verify"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marker = item.get_closest_marker("sampled")
        one_in = int(marker.args[0]) if marker else ONE_IN if item.path.parent.name in FOLDERS else 1
        if hasattr(item, "callspec") and crc32(item.nodeid.encode()) % one_in:
            item.add_marker(pytest.mark.slow)
