"""Pages, and an API with tokens."""

import json
import sys

from auditlog.context import disable_auditlog
from django.contrib import admin
from django.contrib.auth import authenticate, login
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from guardian.shortcuts import assign_perm
from rest_framework.authentication import TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from tests.apps.django_site.accounts.keys import own_form
from tests.apps.django_site.accounts.models import Note, Profile, User
from tests.apps.traffic import kind


def sign_up(request: HttpRequest) -> HttpResponse:
    user = User.objects.create_user(request.POST["username"], password="secret")
    Profile.objects.create(user=user, about="new")
    Token.objects.create(user=user)
    return HttpResponse(str(user.pk))


def sign_in(request: HttpRequest) -> HttpResponse:
    user = authenticate(request, username=request.POST["username"], password="secret")
    assert user is not None
    login(request, user)
    return HttpResponse(str(user.pk))


@login_required
def me(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"name": request.user.username, "about": request.user.profile.about, "notes": request.user.notes.count()})


@login_required
def leave(request: HttpRequest) -> HttpResponse:
    with disable_auditlog():  # its entry would have the deleted user as its actor
        request.user.delete()
    return HttpResponse()


@login_required
def share(request: HttpRequest, name: str) -> HttpResponse:
    """A note for another user, by a permission on the object, and a permission on that user for the author."""
    other = User.objects.get(username=name)
    note = Note.objects.create(author=request.user, text="shared")
    note.readers.add(other)
    assign_perm("share_note", other, note)
    assert User.objects.get(pk=other.pk).has_perm("accounts.share_note", note)
    found = Note.objects.filter(readers=other).select_related("author").order_by("-created_at", "-pk")[:5]
    return JsonResponse({"authors": [n.author.username for n in found]})


def by_link(request: HttpRequest, key: str) -> HttpResponse:
    """A link to a user, of this release or of another one."""
    return HttpResponse(get_object_or_404(User, pk=own_form(key)).username)


@api_view(["GET", "POST"])
@authentication_classes([TokenAuthentication])
@permission_classes([IsAuthenticated])
def notes(request: Request) -> Response:
    if request.method == "POST":
        Note.objects.create(author=request.user, text=json.dumps(request.data))
    page = request.user.notes.order_by("-created_at", "-pk")[:10]
    return Response({"author": str(request.user.pk), "notes": [n.text for n in page]})


def failure(_: HttpRequest) -> HttpResponse:
    """What the page failed with, for the count."""
    error = sys.exc_info()[1]
    return HttpResponse("" if error is None else kind(error), status=500)


handler500 = failure
urlpatterns = [
    path("admin/", admin.site.urls),
    path("sign-up/", sign_up),
    path("sign-in/", sign_in),
    path("me/", me),
    path("leave/", leave),
    path("share/<str:name>/", share),
    path("users/<str:key>/", by_link),
    path("api/notes/", notes),
]
