"""The compat release: every key that refers to a user answers to the name that it has before and after the cutover.

Most of these models are not ours: Django's own, and those of the packages. Django sends `class_prepared` for each of them, for
the tables of many-to-many fields too, before anything has asked for the column's name.
"""

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.models import ForeignKey, Model
from django.db.models.signals import class_prepared

from tests.apps.django_site.accounts.keys import compat_name


def use_compat_names(sender: type[Model], **_: Any) -> None:
    for field in sender._meta.local_fields:
        if isinstance(field, ForeignKey) and _label(field.remote_field.model) == settings.AUTH_USER_MODEL:
            field.db_column = field.column = compat_name(field.column)


def _label(model: Any) -> str:
    """Of a model, or of one that is named and not loaded yet."""
    return model if isinstance(model, str) else str(model._meta.label)


class Accounts(AppConfig):
    name = "tests.apps.django_site.accounts"
    label = "accounts"


if settings.RELEASE == "compat":
    class_prepared.connect(use_compat_names)
