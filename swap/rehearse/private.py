"""Settings of a private server that holds a clone: nothing of it reaches beyond this machine, and its errors can be read."""

from __future__ import annotations

from typing import Final

SETTINGS: Final = {
    "logging_collector": "on",
    "log_destination": "jsonlog",
    "log_directory": "rehearsal-log",
    "log_lock_waits": "on",
    "archive_mode": "off",
    "max_logical_replication_workers": "0",  # subscriptions came along, and must not take production's changes
}
