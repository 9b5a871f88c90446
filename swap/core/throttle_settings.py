"""`[throttle]` of swap.toml: when `sync` waits. Without a value there is no such throttle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

from swap.core.config_section import Section
from swap.core.daily_window import window_text

LARGEST = 2**63 - 1  # a bigint: PostgreSQL has no larger number of bytes


def split_url(value: str) -> SplitResult:
    """Raises ValueError for what is no address of a web server."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("must be an http:// or https:// address")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or a password: it is shown where a wait is explained")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must be of printable ASCII characters")
    return parts


def _url(value: str) -> str:
    split_url(value)
    return value


def _absolute(value: str) -> str:
    if not Path(value).is_absolute():
        raise ValueError("must be an absolute path")
    return value


def _program(value: list[str]) -> list[str]:
    if "/" in value[0] and not Path(value[0]).is_absolute():
        raise ValueError("begins with a program: its name, or its absolute path")
    return value


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


class Throttle(Section):
    max_replica_lag_s: int | None = Field(None, ge=1, le=3600)
    max_load: int | None = Field(None, ge=0, le=1_000_000)
    max_lock_waits: int | None = Field(None, ge=0, le=1_000_000)
    max_wal_bytes_per_s: int | None = Field(None, ge=1, le=LARGEST)
    max_slot_wal_bytes: int | None = Field(None, ge=1, le=LARGEST)
    min_free_disk_bytes: int | None = Field(None, ge=1, le=LARGEST)
    free_disk_command: Annotated[list[str], AfterValidator(_program)] | None = Field(None, min_length=1)
    query: Annotated[str, AfterValidator(_text)] | None = None
    query_max: float = Field(0.0, allow_inf_nan=False)
    flag_file: Annotated[str, AfterValidator(_absolute)] | None = None
    url: Annotated[str, AfterValidator(_url)] | None = None
    window: Annotated[str, AfterValidator(window_text)] | None = None
