"""Users and notes in the admin: each change is a row of django_admin_log, and a version of reversion's."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from reversion.admin import VersionAdmin

from tests.apps.django_site.accounts.models import Note, User

admin.site.register(User, UserAdmin)


@admin.register(Note)
class NoteAdmin(VersionAdmin):
    list_display = ("text", "author")
    raw_id_fields = ("author", "readers")
