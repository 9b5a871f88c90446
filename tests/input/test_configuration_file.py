"""A configuration that is no file, no TOML, or has impossible values: exit code 2, three lines, no wait, no connection."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from swap.core.config import Config
from tests.support.commands import Cli
from tests.support.judging import judge

NOWHERE = "host=127.0.0.1 port=1"  # a command that connected would end with 9
SOURCE = '[source]\ntable = "public.users"\n'


def large(path: Path) -> None:
    """A gigabyte that takes no room: reading all of it would."""
    with path.open("wb") as f:
        f.truncate(1 << 30)


def looping(path: Path) -> None:
    path.symlink_to(path)


NO_FILES: dict[str, Callable[[Path], object]] = {
    "directory": Path.mkdir,
    "fifo": os.mkfifo,
    "device": lambda p: p.symlink_to("/dev/zero"),
    "full": lambda p: p.symlink_to("/dev/full"),
    "terminal": lambda p: p.symlink_to("/dev/tty"),
    "unreadable": lambda p: p.symlink_to("/proc/self/mem"),  # root may read everything else
    "loop": looping,
    "dangling": lambda p: p.symlink_to("nothing-there"),
    "gigabyte": large,
    "below-a-file": lambda p: p.symlink_to("/etc/passwd/swap.toml"),
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_refused(cli: Cli, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd.toml"
    NO_FILES[kind](path)
    for by_option in (True, False):
        given = ("--config", str(path)) if by_option else ()
        result = cli("status", *given, config=None if by_option else path, dsn=NOWHERE, check=False)
        assert "odd.toml" in judge(result, 2)


@pytest.mark.parametrize("name", ["", "/", "x" * 5000, "absent.toml", "/proc/self/fd/77"])
def test_names_of_no_configuration(cli: Cli, name: str) -> None:
    judge(cli("doctor", "--config", name, dsn=NOWHERE, check=False), 2)


NO_TOML: dict[str, tuple[bytes, str]] = {
    "number": (b"[sync]\njobs = " + b"9" * 5000, "digits"),
    "negative": (b"[sync]\njobs = -" + b"9" * 5000, "digits"),
    "arrays": (b"ignore = " + b"[" * 20_000 + b"]" * 20_000, "nested"),
    "tables": (b"x = " + b"{a = " * 20_000 + b"1" + b"}" * 20_000, "nested"),
    "unclosed": (b"ignore = " + b"[" * 20_000, ""),
    "latin": (b'[source]\ntable = "public.\xe9"\n', "line 2"),
    "utf-16": ("[source]\n".encode("utf-16"), "UTF-8"),
    "zero": (b'[source]\ntable = "public.\x00users"\n', ""),
    "zeros": (b"\x00" * 1000, ""),
    "control": (b"\x1b[31m = 1\n", ""),
    "half": (b'[source]\ntable = "publ', ""),
    "twice": (b"[source]\n[source]\n", ""),
    "date": (b"[sync]\njobs = 2026-13-45\n", ""),
}


@pytest.mark.parametrize("kind", NO_TOML)
def test_what_is_no_toml_is_refused(cli: Cli, tmp_path: Path, kind: str) -> None:
    text, said = NO_TOML[kind]
    path = tmp_path / "bad.toml"
    path.write_bytes(text)
    message = judge(cli("status", config=path, dsn=NOWHERE, check=False), 2)
    assert "bad.toml" in message
    assert said in message
    assert len(message) < 1000


VALUES = [
    '[names]\nstate_schema = "pg_x"',
    '[names]\nstate_schema = "pg_catalog"',
    '[names]\nstate_schema = "information_schema"',
    '[names]\nstate_schema = ""',
    f'[names]\nstate_schema = "{"x" * 64}"',
    f'[names]\nshadow = "{{table}}{"x" * 64}"',
    f'[names]\nretired = "{"é" * 40}"',
    '[names]\nlegacy_key = "a\\u0000b"',
    '[names]\nshadow = "{table}\\u0000"',
    '[names]\nshadow = "{other}"',
    '[hooks]\npre_swap_snapshot = ["./a\\u0000b"]',
    "[hooks]\npre_swap_snapshot = []",
    '[hooks]\npre_swap_snapshot = "./snapshot.sh"',
    'ignore = ["public.events.\\u0000"]',
    '[accept]\nfindings = ["view:\\u0000"]',
    '[[reference]]\ntable = "public.a"\ncolumn = "b"\nwhere = "x = \'\\u0000\'"',
    '[[reference]]\ntable = ""\ncolumn = "b"',
    '[[policy]]\ntable = "public.a"\nname = "p"',
    '[sync]\njobs = "2"',
    "[sync]\njobs = 2.0",
    "[sync]\njobs = true",
    "[sync]\njobs = [2]",
    "[sync]\njobs = 2026-01-01",
    "[sync]\njobs = {a = 1}",
    "sync = 1",
    "reference = 1",
    '[pgbouncer]\nadmin_dsn = "postgresql://[::1/"',
    f"{'k' * 100_000} = 1",
    ".".join(["a"] * 500) + " = 1",
]


@pytest.mark.parametrize("text", VALUES, ids=range(len(VALUES)))
def test_impossible_values_are_refused(cli: Cli, tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.toml"
    top = not text.startswith("[")
    path.write_text(f"{text}\n{SOURCE}" if top else f"{SOURCE}{text}\n", encoding="utf-8")
    message = judge(cli("status", config=path, dsn=NOWHERE, check=False), 2)
    assert re.search(r"bad\.toml, line \d+: ", message) or top
    assert len(message) < 1000


NUMBERS = [
    (section, name)
    for section, field in Config.model_fields.items()
    for name, inner in getattr(field.annotation, "model_fields", {}).items()
    if inner.annotation is int
]
IMPOSSIBLE = ["-1", "9223372036854775808", "1" + "0" * 400, "0x" + "f" * 5000, "inf", "nan", "1e400", "-inf", "0.5", '"1"']


def test_every_number_has_limits() -> None:
    assert ("cutover", "lock_timeout_ms") in NUMBERS
    assert len(NUMBERS) >= 11


@pytest.mark.parametrize(("section", "name"), NUMBERS)
def test_impossible_numbers_are_refused(tmp_path: Path, cli: Cli, section: str, name: str) -> None:
    path = tmp_path / "bad.toml"
    for number in IMPOSSIBLE:
        path.write_text(f"{SOURCE}[{section}]\n{name} = {number}\n", encoding="utf-8")
        message = judge(cli("status", config=path, dsn=NOWHERE, check=False), 2)
        assert f"line 4: {section}.{name}" in message
        assert len(message) < 1000
