"""A connection string in the wrong place is repeated nowhere; a password reaches nothing in any of its forms; a report is its owner's."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from swap.core.connection import Database as Conninfo
from swap.core.secrets import MASK, hide, mask
from tests.cli.test_passwords import ENCODED, SECRET, by_conninfo, by_environment, by_file, by_uri, clean
from tests.support.commands import Cli
from tests.support.operator import MakeOperator
from tests.support.servers import DatabaseServer

STRINGS = {
    "URI": [f"postgresql://owner:{ENCODED}@db.example/app"],
    "URI, not encoded": ["postgresql://owner:s3cret@p/w@db.example:5432/app"],
    "URI, password as an option": ["postgresql://owner@db.example/app?password=s3cret&sslmode=require"],
    "conninfo": ["host=db.example user=owner password=s3cret"],
    "conninfo, quoted": ["host=db.example password = 's3cret p@ss\\'word' user=owner"],
    "split by the shell": ["postgresql://owner:s3cret", "s3cret@db.example/app"],
    "conninfo, split by the shell": ["host=db.example", "password=s3cret"],
}
WRONG = (
    ("status", "{}"), ("{}", "status"), ("{}",), ("init", "{}"), ("init", "public.users", "--out", "{}"), ("init", "public.users", "{}"),
    ("status", "--config", "{}"), ("doctor", "--config={}"), ("sync", "--jobs", "{}"), ("verify", "--method={}"), ("verify", "--watch", "{}"),
    ("verify", "--report", "{}"), ("verify", "--metrics-port", "{}"), ("prepare", "--mode", "{}"), ("cutover", "--lock-timeout", "{}"),
    ("status", "--dns", "{}"), ("status", "--nonsense={}"), ("demo", "--variant", "{}"), ("demo", "--users", "{}"), ("finalize", "--{}"),
)  # fmt: skip


@pytest.mark.parametrize("written", STRINGS.values(), ids=STRINGS.keys())
def test_in_the_wrong_argument(written: list[str], cli: Cli) -> None:
    """Lines, JSON and traceback of every usage error."""
    for template in WRONG:
        args = [a for t in template for a in ([t.replace("{}", written[0]), *written[1:]] if "{}" in t else [t])]
        for flags in ((), ("--json", "-v")):
            ended = cli(*args, *flags, env={"SWAP_DSN": "host=127.0.0.1 port=1"}, check=False)
            assert ended.code in (2, 3, 9), ended
            assert "s3cret" not in ended.stdout + ended.stderr, (args, ended)
            clean(ended.stdout, ended.stderr)


@pytest.mark.parametrize("written", [STRINGS["URI"][0], STRINGS["conninfo"][0]], ids=["URI", "conninfo"])
def test_in_the_wrong_variable_or_key(written: str, cli: Cli, tmp_path: Path) -> None:
    ended = cli("status", "-v", env={"SWAP_CONFIG": written}, check=False)
    assert ended.code == 2
    clean(ended.stdout, ended.stderr)
    config = tmp_path / "swap.toml"
    for text in (f'[source]\ntable = "{written}"\n', f'[source]\ntable = "users"\nkey = "id"\n[sync]\nmode = "{written}"\n'):
        config.write_text(text)
        ended = cli("status", "-v", "--json", config=config, dsn="host=127.0.0.1 port=1", check=False)
        assert ended.code in (2, 9)  # as the name of a table it is odd, and possible
        clean(ended.stdout, ended.stderr)


@pytest.mark.parametrize("way", [by_uri, by_conninfo, by_environment, by_file], ids=lambda w: w.__name__.removeprefix("by_"))
def test_no_form_of_it_in_the_journal(way: object, ready_operator: MakeOperator, server: DatabaseServer, tmp_path: Path) -> None:
    """A hook that prints it as a URI and as SQL, and that has a connection string among its arguments; and one that fails."""
    assert callable(way)
    lower = quote(SECRET, safe="").lower()
    script = f'echo "postgresql://owner:{ENCODED}@h/d {lower} $PGPASSWORD"; echo "{SECRET}" >&2'
    op = ready_operator(settings="\n")
    for ending, code in (("exit 1", 6), ("echo made", 0)):
        argv = ["sh", "-c", f"{script}; {ending}", f"postgresql://owner:{ENCODED}@h/d", "password=s3cret"]
        text = ", ".join(f"'''{a}'''" for a in argv)
        base = op.config.read_text().partition("\n[hooks]")[0]
        op.config.write_text(f"{base}\n[hooks]\npre_swap_snapshot = [{text}]\n")
        dsn, env = way(op.db.owner, tmp_path)
        ended = op.cli("cutover", "--yes", "--json", config=op.config, dsn=dsn, env=env, check=False)
        assert ended.code == code, ended
        clean(ended.stdout, ended.stderr)
    dump = [str(server.bindir / "pg_dump"), "--schema=swap", op.db.superuser]
    left = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    assert MASK in left
    clean(left)


def test_a_report_is_its_owners(ready_operator: MakeOperator, tmp_path: Path) -> None:
    """0600, whatever the umask is, and when the file was there before."""
    op = ready_operator()
    old = tmp_path / "report.md"
    old.write_text("old")
    old.chmod(0o644)
    before = os.umask(0)
    try:
        op("verify", "--report", str(tmp_path / "report.json"))
    finally:
        os.umask(before)
    for name in ("report.json", "report.md"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert old.read_text()[:3] != "old"
    (tmp_path / "null.json").symlink_to("/dev/null")
    assert op.refused("verify", "--report", str(tmp_path / "null.json"), code=2)["message"].count("no regular file") == 1
    assert stat.S_IMODE(Path("/dev/null").stat().st_mode) == 0o666


@given(st.text(min_size=1), st.sampled_from(["", " ", "/", "%", "'"]))
def test_every_form_of_a_password_is_masked(password: str, more: str) -> None:
    """Percent-encoded in either case, with more or fewer characters; with doubled or escaped quotes."""
    secret = f"{password}{more}"
    forms = [secret, secret.replace("'", "''"), secret.replace("\\", "\\\\").replace("'", "\\'")]
    try:
        encoded = quote(secret, safe="")
        forms += [encoded, quote(secret, safe="/"), quote(secret, safe="@:")]
        forms.append("".join(f"%{b:02x}" for b in secret.encode()))
    except UnicodeEncodeError:
        pass
    for form in forms:
        assert mask(f"<{form}>", [secret]).strip("<>").strip("*") == ""


def test_scrub_knows_the_encoded_form() -> None:
    dsn = f"postgresql://owner:{ENCODED}@h/d"
    assert conninfo_to_dict(dsn)["password"] == SECRET
    clean(Conninfo.from_options(dsn, "test").scrub(f"{dsn} and {SECRET} and {ENCODED.lower()}"))


def test_what_is_no_connection_string_is_repeated() -> None:
    """An operator has to see what was wrong."""
    assert hide("No such command 'us@rs'.", ["us@rs"]) == "No such command 'us@rs'."
    assert mask("set password_encryption = on; user=app, see https://example.org/a@b") == (
        "set password_encryption = on; user=app, see https://example.org/a@b"
    )
