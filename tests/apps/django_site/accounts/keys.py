"""Keys of users that were given out in the other form: in sessions, in links."""

import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.db import connection
from django.http import HttpRequest, HttpResponse

# A session, a link, a job of either release may come to the other one while both serve. `swap` answers from `prepare` to
# `finalize`, in every phase; after that the table's own column does.
LOOKUPS = {
    "integer": "SELECT swap.auth_user_legacy(%s::uuid)",
    "compat": "SELECT swap.auth_user_uuid(%s::bigint)",
    "uuid": "SELECT id FROM auth_user WHERE legacy_id = %s::bigint",
}


def is_integer(key: str) -> bool:
    return key.isdecimal()


def compat_name(column: str) -> str:
    """`user_id` → `user_uuid_id`, as `swap` names it."""
    stem = column.removesuffix("_id")
    return f"{stem}_uuid_id" if stem != column else f"{column}_uuid"


def own_form(key: str) -> Any:
    """A user's key as this release writes it. None: nobody's, now."""
    if is_integer(key) == (settings.RELEASE == "integer"):
        return int(key) if is_integer(key) else uuid.UUID(key)
    with connection.cursor() as cursor:
        cursor.execute(LOOKUPS[settings.RELEASE], [key])
        row = cursor.fetchone()
    return row and row[0]


class SessionKeys:
    """A session that the other release wrote: without this, `to_python` of the key's field raises, and each request is a 500."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        key = request.session.get(SESSION_KEY)
        if key is not None and is_integer(key) != (settings.RELEASE == "integer"):
            request.session[SESSION_KEY] = str(own_form(key))
        return self.get_response(request)
