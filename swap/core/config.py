"""swap.toml as one pydantic model. An unknown key, a wrong type or an impossible value is a UsageError that names the key, the
line and the allowed values. Nothing is guessed, and nothing is ignored."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, Field, ValidationError, field_validator, model_validator

from swap.core.application_settings import KEPT
from swap.core.config_section import LONGEST_S, Section
from swap.core.errors import UsageError
from swap.core.files import read_regular
from swap.core.hook_settings import Hooks, Notify
from swap.core.names import MAX_BYTES, TableName, parse_table
from swap.core.pgbouncer import check_dsn
from swap.core.throttle_settings import LARGEST, Throttle

MAX_FILE_BYTES = 1 << 20
LONGEST_KEY = 100  # of a key in a message


def _identifier(value: str) -> str:
    if not value:
        raise ValueError("must be a column or table name")
    if len(value.encode()) > MAX_BYTES:
        raise ValueError(f"is longer than PostgreSQL's {MAX_BYTES} bytes")
    return value


def _own_schema(value: str) -> str:
    if value.startswith("pg_") or value == "information_schema":
        raise ValueError("PostgreSQL reserves this name for itself: choose one that does not begin with pg_")
    return value


def _table(value: str) -> str:
    parse_table(value)
    return value


Name = Annotated[str, AfterValidator(_identifier)]
Table = Annotated[str, AfterValidator(_table)]
Dsn = Annotated[str, AfterValidator(check_dsn)]


class Source(Section):
    table: Table
    key: Name = "id"
    legacy_overflow: Literal["report", "refuse"] = "report"

    @property
    def name(self) -> TableName:
        return parse_table(self.table)


class Identity(Section):
    existing: Literal["adopted", "derived", "column"] | None = None
    column: Name = "uuid_id"
    generate: Literal["uuidv4", "uuidv7"] = "uuidv4"


class Names(Section):
    shadow: str = "{table}_new"
    retired: str = "{table}_old"
    legacy_key: Name = "legacy_id"
    state_schema: Annotated[Name, AfterValidator(_own_schema)] = "swap"
    compat: bool = False
    resolver_roles: list[Name] = []

    @field_validator("shadow", "retired")
    @classmethod
    def _pattern(cls, value: str) -> str:
        if "{" in value.replace("{table}", "") or not value or value == "{table}":
            raise ValueError("may contain {table} and must differ from the table's own name")
        _identifier(value.replace("{table}", "") or value)  # the table's part is not known here: `doctor` looks at the whole name
        return value


class Reference(Section):
    table: Table
    column: Name
    strategy: Literal["table", "column"] | None = None
    where: str | None = None
    as_: Literal["companion", "text", "uuid"] | None = Field(None, alias="as")
    uuid_column: Name | None = None
    legacy_column: Name | None = None

    @model_validator(mode="after")
    def _of_several_types(self) -> Reference:
        if self.as_ and not self.where:
            raise ValueError("`as` needs `where`: without it every row of the column is a reference")
        if self.companion and self.legacy_column:
            raise ValueError("`legacy_column` needs another `as`: the integer of a companion keeps its name")
        if self.companion and self.strategy == "table":
            raise ValueError('strategy = "table" cannot be together with `where`: the companion stands in the table')
        return self

    @property
    def companion(self) -> bool:
        """Whether the integer stays as it is, and the uuid stands beside it."""
        return self.where is not None and self.as_ in (None, "companion")


class PolicyText(Section):
    """The expressions of a policy after the cutover, in place of those that it has now."""

    table: Table
    name: Name
    using: str | None = None
    check: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> PolicyText:
        if not (self.using or "").strip() and not (self.check or "").strip():
            raise ValueError("needs `using`, `check` or both: the policy's new expressions")
        return self


class _Text(Section):
    """An object by what it is called today, and the text that holds after the cutover."""

    definition: str

    @field_validator("definition")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must be the object's text after the cutover")
        return value


class DefaultText(_Text):
    """The default of a column after the cutover: an expression. `column`: by its name after the cutover."""

    table: Table
    column: Name


class ViewText(_Text):
    """The query of a view or a materialized view after the cutover."""

    name: Table


class FunctionText(_Text):
    """The whole CREATE FUNCTION or CREATE PROCEDURE of after the cutover. `name`: with the types of its arguments of today."""

    name: str

    @field_validator("name")
    @classmethod
    def _signature(cls, value: str) -> str:
        name, bracket, rest = value.partition("(")
        if not bracket or not rest.rstrip().endswith(")"):
            raise ValueError("must be the function with the types of its arguments: public.get_user(bigint)")
        parse_table(name)
        return value


class TriggerText(_Text):
    """The whole CREATE TRIGGER of after the cutover."""

    table: Table
    name: Name


class IndexText(_Text):
    """What stands after `ON table` in the CREATE INDEX of after the cutover."""

    name: Table


class Sync(Section):
    mode: Literal["trigger", "logical"] = "trigger"
    jobs: int = Field(2, ge=1, le=64)
    max_jobs: int | None = Field(None, ge=1, le=64)
    max_slowdown: float = Field(2.0, ge=1.1, le=1000, allow_inf_nan=False)
    chunk_target_ms: int = Field(500, ge=10, le=60_000)
    max_replica_lag_bytes: int = Field(67_108_864, ge=0, le=LARGEST)

    @model_validator(mode="after")
    def _room_for_jobs(self) -> Sync:
        if self.max_jobs is not None and self.max_jobs < self.jobs:
            raise ValueError(f"max_jobs must not be less than jobs, which is {self.jobs}")
        return self


class Verify(Section):
    max_age_s: int = Field(3600, ge=1, le=LONGEST_S)
    snapshot_max_s: int = Field(900, ge=1, le=LONGEST_S)
    full_pass_s: int = Field(1800, ge=1, le=LONGEST_S)


class Cutover(Section):
    lock_timeout_ms: int = Field(200, ge=1, le=60_000)
    max_attempts: int = Field(30, ge=1, le=10_000)
    max_lock_hold_ms: int = Field(2000, ge=50, le=600_000)
    kill_blockers: Literal["never", "idle-in-transaction", "all"] = "never"
    disconnect_clients: list[Name] = []
    reads: Literal["exact", "fast"] | None = None  # None: exact where the role sees other sessions' snapshots
    require_rehearsal: bool = False
    max_rehearsal_age_s: int = Field(7 * 86_400, ge=1, le=LONGEST_S)


class Finalize(Section):
    min_age_s: int = Field(0, ge=0, le=LONGEST_S)


class PgBouncer(Section):
    """The poolers that the application connects through. They are paused during each attempt. Without `admin_dsn` there are none."""

    admin_dsn: list[Dsn] = []
    databases: list[Name] = []
    pause_timeout_ms: int = Field(500, ge=10, le=60_000)

    @field_validator("admin_dsn", mode="before")
    @classmethod
    def _one(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class Application(Section):
    """The settings that the application's sessions have, where ALTER ROLE and ALTER DATABASE do not say them. `fire_triggers`: the
    trial fires the application's triggers on its copies."""

    settings: dict[str, str] = {}
    fire_triggers: bool = True

    @field_validator("settings")
    @classmethod
    def _theirs(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z_][\w.]*", name) or len(name) > MAX_BYTES:
                raise ValueError(f"{name[:LONGEST_KEY]!r} is not the name of a setting of PostgreSQL")
            if name.lower() in KEPT:
                raise ValueError(f"{name} is swap's own to choose: it changes no value of the application's")
        return value


class Accept(Section):
    findings: list[str] = []


class Config(Section):
    """The whole file."""

    source: Source
    identity: Identity = Identity()
    names: Names = Names()
    reference: list[Reference] = []
    policy: list[PolicyText] = []
    default: list[DefaultText] = []
    view: list[ViewText] = []
    function: list[FunctionText] = []
    trigger: list[TriggerText] = []
    index: list[IndexText] = []
    ignore: list[str] = []
    sync: Sync = Sync()
    throttle: Throttle = Throttle()
    verify: Verify = Verify()
    cutover: Cutover = Cutover()
    finalize: Finalize = Finalize()
    hooks: Hooks = Hooks()
    notify: Notify = Notify()
    pgbouncer: PgBouncer = PgBouncer()
    application: Application = Application()
    accept: Accept = Accept()


CONFIG_HINT = "`swap init TABLE` writes one; or name it with --config or SWAP_CONFIG."


def find_config(flag: Path | None) -> Path:
    """The flag, else SWAP_CONFIG, else ./swap.toml."""
    return flag or Path(os.environ.get("SWAP_CONFIG") or "swap.toml")


def load_config(path: Path) -> Config:
    """Read and validate `path`. Raises UsageError with the key, the line and the allowed values."""
    text = _read(path)
    try:
        return Config.model_validate(tomllib.loads(text))
    except RecursionError:
        raise UsageError(f"{path} is not valid TOML here: arrays or tables are nested too deeply.") from None
    except ValidationError as e:
        first = e.errors()[0]
        raise UsageError(_explain(path, text, [str(p) for p in first["loc"]], first)) from None
    except ValueError as e:  # TOMLDecodeError is one; a number of 5,000 digits is another
        said = "a number has too many digits" if "integer string conversion" in str(e) else e
        raise UsageError(f"{path} is not valid TOML: {said}.") from None


def with_cutover(config: Config, given: Mapping[str, object]) -> Config:
    """`config` with other values in [cutover], from options. Raises UsageError for a value that the file may not have either."""
    try:
        cutover = Cutover.model_validate({**config.cutover.model_dump(), **given})
    except ValidationError as e:
        first = e.errors()[0]
        option = str(first["loc"][0]).removesuffix("_ms").replace("_", "-")
        raise UsageError(f"--{option}: {str(first['msg']).removeprefix('Value error, ')}.") from None
    return config.model_copy(update={"cutover": cutover})


def _read(path: Path) -> str:
    """The text of the file. Raises UsageError."""
    try:
        data = read_regular(path, MAX_FILE_BYTES)
    except FileNotFoundError:
        raise UsageError(f"No configuration file at {path}.", hint=CONFIG_HINT) from None
    except IsADirectoryError:
        from swap.core.config_directory import one_of  # noqa: PLC0415 - it imports this module

        raise one_of(path) from None
    except (OSError, ValueError) as e:  # ValueError: a zero byte in the name
        why = getattr(e, "strerror", None) or e
        raise UsageError(f"Cannot read the configuration {str(path)[:200]}: {why}.", hint=CONFIG_HINT) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        raise UsageError(
            f"{path}, line {line}: byte 0x{data[e.start]:02x} is not UTF-8.", hint="Save the file as UTF-8."
        ) from None


def _explain(path: Path, text: str, loc: list[str], error: object) -> str:
    assert isinstance(error, dict)
    key = ".".join(loc) if len(".".join(loc)) <= LONGEST_KEY else ".".join(loc)[:LONGEST_KEY] + "…"
    line = _line_of(text, loc)
    where = f"{path}, line {line}" if line else str(path)
    kind = str(error["type"])
    if kind == "extra_forbidden":
        return f"{where}: unknown key {key}. Allowed here: {', '.join(_allowed(loc))}."
    if kind == "missing":
        return f"{where}: the key {key} is missing."
    return f"{where}: {key}: {str(error['msg']).removeprefix('Value error, ')}."


def _allowed(loc: list[str]) -> list[str]:
    model: type[BaseModel] = Config
    for part in loc[:-1]:
        if part.isdigit():
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        for candidate in (annotation, *get_args(annotation)):  # a section, or the elements of a list of sections
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _line_of(text: str, loc: list[str]) -> int | None:
    """The line of the key at `loc`, found by a plain scan: tomllib keeps no positions."""
    *section, key = [p for p in loc if not p.isdigit()] or [""]
    index = next((int(p) for p in loc if p.isdigit()), 0)
    current: list[str] = []
    seen = -1
    for number, raw in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", raw)
        if header:
            current = [header.group(1).strip('"')]
            if current == (section[:1] or [key]) and raw.lstrip().startswith("[["):
                seen += 1
            if [key] == current and not section and (seen < 0 or seen == index):
                return number
            continue
        in_section = current == section[:1] and (seen < 0 or seen == index)
        if in_section and re.match(rf'\s*"?{re.escape(key)}"?\s*=', raw):
            return number
    return None
