"""The user, a note of theirs, and a profile whose key is the user's. The releases differ in the user's key alone."""

import uuid
from typing import Any

from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models


def key(**more: Any) -> Any:
    """`integer`: a bigint. `compat`: the uuid, under the name that it keeps from `sync` to `finalize`. `uuid`: the uuid."""
    if settings.RELEASE == "integer":
        return models.BigAutoField(primary_key=True, **more)
    name = "uuid_id" if settings.RELEASE == "compat" else None
    return models.UUIDField(primary_key=True, default=uuid.uuid4, db_column=name, **more)


class User(AbstractUser):
    id = key()

    class Meta(AbstractUser.Meta):
        db_table = "auth_user"


class Profile(models.Model):
    user = models.OneToOneField(User, models.CASCADE, primary_key=True)
    about = models.TextField(default="")


class Note(models.Model):
    author = models.ForeignKey(User, models.CASCADE, related_name="notes")
    readers = models.ManyToManyField(User, related_name="read")
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        permissions = (("share_note", "Can share note"),)


auditlog.register(Note)
auditlog.register(User, exclude_fields=["last_login"])
