"""`[hooks]` and `[notify]` of swap.toml: the operator's programs, and where events are sent (docs/hooks.md)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from swap.core.config_section import LONGEST_S, Section
from swap.core.web_address import check_url

EVENTS = ("caught_up", "verification_failed", "before_cutover", "after_cutover", "after_revert", "finalized", "failed")
"""What `[hooks]` has a program for, and `[notify]` sends."""


class Hooks(Section):
    pre_swap_snapshot: list[str] | None = Field(None, min_length=1)
    post_swap_check: list[str] | None = Field(None, min_length=1)
    caught_up: list[str] | None = Field(None, min_length=1)
    verification_failed: list[str] | None = Field(None, min_length=1)
    before_cutover: list[str] | None = Field(None, min_length=1)
    after_cutover: list[str] | None = Field(None, min_length=1)
    after_revert: list[str] | None = Field(None, min_length=1)
    finalized: list[str] | None = Field(None, min_length=1)
    failed: list[str] | None = Field(None, min_length=1)
    timeout_s: int = Field(3600, ge=1, le=LONGEST_S)


class Notify(Section):
    """Where each event is sent, beside its hook."""

    url: Annotated[str, AfterValidator(check_url)] | None = None
