"""The site: `site.py create FILE` migrates and makes users, `site.py serve FILE` runs its requests until stdin ends.

FILE holds what browsers and API clients keep over the releases: session cookies, tokens, links with integers.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from pathlib import Path
from random import Random
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.apps.django_site.settings")

import django

django.setup()

from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.test import Client
from guardian.shortcuts import assign_perm

from tests.apps.django_site.accounts.models import Note, User
from tests.apps.traffic import serve

KEPT = Path(sys.argv[2])
STAY = 40


def create() -> None:
    call_command("migrate", verbosity=0)
    kept = [_user(f"stays{n}") for n in range(STAY)]
    admin = User.objects.get(username="stays0")
    admin.is_staff = admin.is_superuser = True
    admin.save()
    for user in User.objects.all():
        assign_perm("accounts.view_user", admin, user)
        LogEntry.objects.create(user=admin, content_type_id=_user_type(), object_id=user.pk, object_repr=str(user), action_flag=2)
    KEPT.write_text(json.dumps(kept), encoding="utf-8")


def _user(name: str) -> dict[str, str]:
    client = anybody()
    key = page(client.post("/sign-up/", {"username": name}))
    page(client.post("/sign-in/", {"username": name}))
    token = User.objects.get(username=name).auth_token.key
    return {"name": name, "cookie": client.cookies["sessionid"].value, "token": token, "link": f"/users/{key}/"}


def _user_type() -> Any:
    from django.contrib.contenttypes.models import ContentType

    return ContentType.objects.get_for_model(User).pk


def page(response: Any, status: int = 200) -> str:
    text = str(response.content.decode())
    assert response.status_code == status, f"{response.status_code} {text[:200]}"
    return text


def anybody() -> Client:
    # Django's signal of a failed request comes to the clients of all threads: none of them raises it.
    return Client(raise_request_exception=False)


def browser(kept: dict[str, str]) -> Client:
    """With the cookie of before."""
    client = anybody()
    client.cookies["sessionid"] = kept["cookie"]
    return client


def old_session(chance: Random) -> None:
    kept = chance.choice(KEEPERS)
    assert json.loads(page(browser(kept).get("/me/")))["name"] == kept["name"]


def old_link(chance: Random) -> None:
    kept = chance.choice(KEEPERS)
    assert page(anybody().get(kept["link"])) == kept["name"]


def come_and_go(chance: Random) -> None:
    name, client = f"new-{uuid.uuid4()}", anybody()
    key = page(client.post("/sign-up/", {"username": name}))
    page(client.post("/sign-in/", {"username": name}))
    assert json.loads(page(client.get("/me/"))) == {"name": name, "about": "new", "notes": 0}
    assert page(client.get(f"/users/{key}/")) == name
    page(client.get("/leave/"))
    page(client.get("/me/"), 302)
    assert not User.objects.filter(username=name).exists()


def token(chance: Random) -> None:
    kept, text = chance.choice(KEEPERS), str(uuid.uuid4())
    headers = {"authorization": f"Token {kept['token']}"}
    page(anybody().post("/api/notes/", {"text": text}, content_type="application/json", headers=headers))
    told = json.loads(page(anybody().get("/api/notes/", headers=headers)))
    assert len(told["notes"]) <= 10


def share(chance: Random) -> None:
    a, b = chance.sample(KEEPERS[1:], 2)
    told = json.loads(page(browser(a).get(f"/share/{b['name']}/")))
    assert told["authors"]


def administer(chance: Random) -> None:
    """A change in the admin, with its log, its version and its audit entry; and the history that the admin shows."""
    client, other = browser(KEEPERS[0]), chance.choice(KEEPERS[1:])
    user = User.objects.get(username=other["name"])
    note = Note.objects.filter(author=user).order_by("-created_at").first() or Note.objects.create(author=user, text="first")
    text = str(uuid.uuid4())
    change = f"/admin/accounts/note/{note.pk}/change/"
    page(client.get(change))
    page(client.post(change, {"author": user.pk, "readers": user.pk, "text": text}), 302)
    page(client.get(f"/admin/accounts/note/{note.pk}/history/"))
    form = {"username": user.username, "first_name": text[:20], "last_name": "", "email": "", "is_active": "on",
            "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}  # fmt: skip
    page(client.post(f"/admin/accounts/user/{user.pk}/change/", form), 302)
    assert text[:20] in page(client.get(f"/admin/accounts/user/{user.pk}/change/"))
    page(client.get("/admin/accounts/user/"))


def history(chance: Random) -> None:
    """What text columns say of a user (`as = "text"`): the admin's log, and the admin's permission on that user."""
    user = User.objects.get(username=chance.choice(KEEPERS)["name"])
    logged = LogEntry.objects.filter(content_type_id=_user_type(), object_id=str(user.pk), change_message="").exists()
    admin = User.objects.get(username="stays0")
    admin.is_superuser = False
    permitted = admin.has_perm("accounts.view_user", user)
    assert (logged, permitted) == (True, True), "not found by the uuid"


REQUESTS = (old_session, old_link, come_and_go, token, share, administer, history)

if __name__ == "__main__":
    if sys.argv[1] == "create":
        create()
    else:
        KEEPERS = json.loads(KEPT.read_text(encoding="utf-8"))
        serve(REQUESTS)
