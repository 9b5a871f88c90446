"""The throttles that other programs answer: a URL, a command, the file system, and a query of the operator's own.

What gives no clear answer makes `sync` wait: a health check that is down says nothing good.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
from decimal import Decimal
from pathlib import Path

import psycopg
from psycopg import sql

from swap.core.connection import Connection, first_line
from swap.core.printable import printable
from swap.core.sql_text import local_timeout, verbatim
from swap.core.throttle_settings import split_url

URL_TIMEOUT_S = 2.0
QUERY_TIMEOUT_MS = 2000
COMMAND_TIMEOUT_S = 10.0
QUOTED = 120  # characters of what another program says
INHERITED = ("PATH", "HOME", "LANG", "TZ")


def url_reason(url: str) -> str:
    """Empty for 200. No proxy is asked, and no redirection is followed. The query of the URL, which may hold a token, is not shown."""
    parts = split_url(url)
    shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=URL_TIMEOUT_S)
    try:
        connection.request(
            "GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), headers={"User-Agent": "swap"}
        )
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as e:
        why = getattr(e, "strerror", None) or str(e) or type(e).__name__
        return f"{shown} gave no answer: {printable(why)[:QUOTED]} (throttle.url)"
    finally:
        connection.close()
    if status == 200:
        return ""
    return f"{shown} says wait (503; throttle.url)" if status == 503 else f"{shown} answered {status}, not 200 (throttle.url)"


def query_reason(conn: Connection, query: str, limit: float) -> str:
    """Runs it in a transaction that may only read, for at most QUERY_TIMEOUT_MS. true, or a number above `limit`: wait."""
    try:
        with conn.transaction(force_rollback=True):
            limits = (local_timeout(name, QUERY_TIMEOUT_MS) for name in ("statement_timeout", "lock_timeout"))
            conn.execute(sql.SQL("; ").join([sql.SQL("SET TRANSACTION READ ONLY"), *limits]))
            row = conn.execute(verbatim(query), binary=True).fetchone()  # binary: one statement, whatever the text holds
    except psycopg.Error as e:
        if conn.closed or conn.broken:
            raise
        return f"the query failed: {printable(e.diag.message_primary or first_line(e))[:QUOTED]} (throttle.query)"
    value = row[0] if row else None
    if value is None or isinstance(value, bool):
        return "the query says wait (throttle.query)" if value else ""
    if not isinstance(value, int | float | Decimal):
        return f"the query gave {printable(str(value))[:QUOTED]!r}, which is neither true, false nor a number (throttle.query)"
    number = float(value)
    return f"the query gave {number:,.10g} (throttle.query_max = {limit:,.10g})" if not number <= limit else ""  # NaN: wait


def disk_reason(conn: Connection, command: list[str] | None, least: int) -> str:
    """Bytes that are free where the data directory is: what the command prints, or else what the file system of this machine says."""
    try:
        free = _asked(command) if command is not None else _local(conn)
    except ValueError as e:
        return f"how much disk is free is not known: {e} (throttle.min_free_disk_bytes)"
    return f"{free:,} bytes of disk are free (throttle.min_free_disk_bytes = {least:,})" if free < least else ""


def flag_reason(path: str) -> str:
    """Wait while the file is there. A directory that cannot be looked into hides whether it is."""
    try:
        Path(path).stat()
    except FileNotFoundError:
        return ""
    except OSError as e:
        return f"{printable(path)}: {e.strerror} (throttle.flag_file)"
    return f"{printable(path)} is there (throttle.flag_file)"


def _local(conn: Connection) -> int:
    """Of the server's data directory, where the server is reached by a Unix socket: by TCP its paths are another machine's, or another
    container's. Raises ValueError."""
    if not conn.info.host.startswith("/"):
        raise ValueError("the server may be on another machine; set throttle.free_disk_command")
    try:
        row = conn.execute("SELECT current_setting('data_directory')").fetchone()
    except psycopg.errors.InsufficientPrivilege:
        raise ValueError(
            "this role may not read data_directory: GRANT pg_read_all_settings, or set throttle.free_disk_command"
        ) from None
    assert row is not None
    try:
        found = os.statvfs(Path(row[0]))
    except OSError as e:
        raise ValueError(f"{row[0]}: {e.strerror}; set throttle.free_disk_command") from None
    return found.f_bavail * found.f_frsize


def _asked(command: list[str]) -> int:
    """The number that the command prints. Raises ValueError."""
    environment = {k: v for k, v in os.environ.items() if k in INHERITED or k.startswith("LC_")}
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
            start_new_session=True, cwd="/",
        )  # fmt: skip
    except (OSError, ValueError) as e:
        raise ValueError(f"{command[0]} could not be started: {getattr(e, 'strerror', None) or e}") from None
    try:
        out, _ = process.communicate(timeout=COMMAND_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{command[0]} still ran after {COMMAND_TIMEOUT_S:.0f} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if process.returncode:
        raise ValueError(f"{command[0]} ended with code {process.returncode}")
    text = out.decode(errors="replace").strip()
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise ValueError(f"{command[0]} printed {printable(text)[:QUOTED]!r}, which is no number of bytes")
    return int(text)
