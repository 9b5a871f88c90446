"""The address of a webhook. It often is a secret in itself (a token in its path): only its host is ever shown."""

from __future__ import annotations

from urllib.parse import urlsplit

SCHEMES = ("http", "https")


def check_url(value: str) -> str:
    """Raises ValueError with a text that does not hold the address."""
    try:
        parts = urlsplit(value)
        host, user = parts.hostname, parts.username or parts.password
        _ = parts.port
    except ValueError:
        raise ValueError("is no address of the web") from None
    if parts.scheme not in SCHEMES or not host or any(c.isspace() or not c.isprintable() for c in value):
        raise ValueError("must be an address that begins with http:// or https://")
    if user:
        raise ValueError("must hold no user name and no password before the host: put a token into the path or the query")
    return value


def host_of(url: str) -> str:
    """What may be shown of it."""
    return urlsplit(url).hostname or "?"
