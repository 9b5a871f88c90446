"""A section of swap.toml: strict types, no unknown key, and no text that neither PostgreSQL nor a program could take."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, field_validator

LONGEST_S = 10 * 365 * 86_400


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_zero_byte(cls, value: object) -> object:
        """Neither a text of PostgreSQL nor an argument of a program can hold one."""
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(t, str) and "\x00" in t for t in texts):
            raise ValueError("must not contain a zero byte (\\u0000)")
        return value
