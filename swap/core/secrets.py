"""Passwords that must not be shown, in whatever form they are written.

A password of a URI is percent-encoded, with more or fewer characters encoded and in either case of hexadecimal; in a conninfo string
and in SQL its quotes are escaped. A hook or libpq may print any of these forms (seen: the encoded one reached the journal). So one
pattern matches each character in each of its forms.

A connection string in the wrong place of a command line is an argument like any other to whoever complains about it: it is hidden
whole (`hide`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath

MASK = "********"
HIDDEN_ARGUMENT = "(a connection string)"
# `postgresql://user:` up to the last @ before a space: a password with an @ or a / in it is wrong in a URI, and is written all the
# same. One slash: pathlib has taken the other.
_URI = re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]*:/{1,2}[^\s:/@?'\"]*:)(?P<password>\S*)@", re.IGNORECASE)
_PASSWORDS = r"(?:password|pgpassword|sslpassword|oauth_client_secret|scram_client_key|scram_server_key)"
# `password = 'it''s'`, `password=x`, and `?password=x&…`: in quotes to the closing one, otherwise to the end of the word.
_PAIR = re.compile(
    rf"(?P<head>{_PASSWORDS}\s*=\s*)(?P<value>\\?'(?:[^'\\]|\\.|'')*(?:'|$)|\"(?:[^\"\\]|\\.)*(?:\"|$)|(?:\\.|[^\s&'\"\\])+)",
    re.IGNORECASE,
)


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without `secrets`, and without the passwords of the connection strings in it."""
    for secret in sorted({s for s in secrets if s}, key=len, reverse=True):
        text = re.sub("".join(map(_forms, secret)), MASK, text)
    if "@" in text:
        text = _URI.sub(rf"\g<head>{MASK}@", text)
    return _PAIR.sub(rf"\g<head>{MASK}", text) if "=" in text else text


def is_connection_string(text: str) -> bool:
    """Whether this looks like a URI with a host, or like a conninfo string with a password."""
    return "://" in text or _PAIR.search(text) is not None


def hide(text: str, arguments: Sequence[str]) -> str:
    """`text` without those of a command's arguments that are connection strings, or pieces of one that a shell has split."""
    values = [v for a in arguments for v in (a, a.partition("=")[2] if a.startswith("-") else "") if v]
    if not any(is_connection_string(v) for v in values):
        return text
    suspects = [v for v in values if is_connection_string(v) or "@" in v]
    forms = {f for v in suspects for f in (v, repr(v)[1:-1], str(PurePath(v)), " ".join(v.split()))}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN_ARGUMENT)
    return text


def _forms(character: str) -> str:
    """A pattern of one character: as it is, percent-encoded, or escaped as a quote is."""
    encoded = "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
    forms = [f"(?i:{encoded})"]  # the longer ones first: none leaves a rest of another
    if character in "'\"\\":
        forms += [re.escape(character * 2), re.escape("\\" + character)]
    if character == " ":
        forms.append(r"\+")
    forms.append(re.escape(character))
    return f"(?:{'|'.join(forms)})"
