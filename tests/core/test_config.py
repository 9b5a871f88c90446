"""Errors of the configuration name the key, the line and the allowed values."""

from __future__ import annotations

from pathlib import Path

import pytest

from swap.core.config import load_config
from swap.core.errors import ExitCode, UsageError

GOOD = '[source]\ntable = "public.users"\n'


def explained(tmp_path: Path, text: str) -> str:
    path = tmp_path / "swap.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        load_config(path)
    assert raised.value.exit_code is ExitCode.USAGE
    assert raised.value.state == "Nothing was changed."
    return raised.value.message.replace(str(path), "swap.toml")


@pytest.mark.parametrize(
    ("text", "line", "key", "allowed"),
    [
        (GOOD + "[sync]\njob = 2\n", 4, "sync.job", ["chunk_target_ms", "jobs", "max_replica_lag_bytes", "mode"]),
        (GOOD + "[snyc]\njobs = 2\n", 3, "snyc", ["source", "sync", "hooks"]),
        ("# first\n\n" + GOOD + "\nkee = 'id'\n", 6, "source.kee", ["key", "table"]),
        (GOOD + "[sync]\njobs = '2'\n", 4, "sync.jobs", ["integer"]),
        (GOOD + "[sync]\njobs = 0\n", 4, "sync.jobs", ["greater than or equal to 1"]),
        (GOOD + "[sync]\njobs = true\n", 4, "sync.jobs", ["integer"]),
        (GOOD + "[sync]\n\n# how\nmode = 'magic'\n", 6, "sync.mode", ["'trigger'", "'logical'"]),
        (GOOD + "[cutover]\nkill_blockers = 'some'\n", 4, "cutover.kill_blockers", ["never", "idle-in-transaction", "all"]),
        (GOOD + "[identity]\ngenerate = 'uuidv1'\n", 4, "identity.generate", ["uuidv4", "uuidv7"]),
        (GOOD + "[names]\nshadow = '{table}'\n", 4, "names.shadow", ["{table}"]),
        (GOOD + "[names]\nretired = '{schema}_x'\n", 4, "names.retired", ["{table}"]),
        (GOOD + "[hooks]\npre_swap_snapshot = []\n", 4, "hooks.pre_swap_snapshot", ["at least 1"]),
        (GOOD + f"[identity]\ncolumn = '{'x' * 64}'\n", 4, "identity.column", ["63 bytes"]),
        ("[source]\ntable = 'a.b.c'\n", 2, "source.table", ["schema.table"]),
        (GOOD + "[[reference]]\ntable = 'a'\ncolumn = 'b'\n\n[[reference]]\ntable = 'c'\ncolumn = 'd'\nwhen = 'x'\n",
         10, "reference.1.when", ["where", "uuid_column", "legacy_column"]),
        (GOOD + "[[reference]]\ntable = 'a'\ncolumn = 'b'\nwhere = 'c'\nas = 'both'\n", 7, "reference.0.as", ["'companion'", "'uuid'"]),
        (GOOD + "[[reference]]\ntable = 'a'\ncolumn = 'b'\nsa = 'uuid'\n", 6, "reference.0.sa", ["as,", "where"]),
        (GOOD + "[[reference]]\ntable = 'a'\ncolumn = 'b'\n[[reference]]\ntable = 'a'\ncolumn = 7\n", 8, "reference.1.column", ["string"]),
    ],
)  # fmt: skip
def test_a_wrong_key_is_named_with_its_line_and_what_is_allowed(
    tmp_path: Path, text: str, line: int, key: str, allowed: list[str]
) -> None:
    said = explained(tmp_path, text)
    assert said.startswith(f"swap.toml, line {line}: "), said
    assert key in said, said
    for word in allowed:
        assert word in said, said


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    assert "the key source is missing" in explained(tmp_path, "[sync]\njobs = 2\n")
    assert "source.table is missing" in explained(tmp_path, "[source]\nkey = 'id'\n")
    said = explained(tmp_path, GOOD + "[[reference]]\ntable = 'a'\ncolumn = 'b'\n[[reference]]\ntable = 'c'\n")
    assert "reference.1.column is missing" in said


def test_what_is_no_toml_and_what_is_no_file(tmp_path: Path) -> None:
    assert "not valid TOML" in explained(tmp_path, "[source\n")
    assert "line 3" in explained(tmp_path, GOOD + "x = = 1\n")
    with pytest.raises(UsageError, match="No configuration file"):
        load_config(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_config(tmp_path / "latin.toml")
    with pytest.raises(UsageError, match=r"is a directory, and this command works on one table. It holds .*latin\.toml"):
        load_config(tmp_path)
