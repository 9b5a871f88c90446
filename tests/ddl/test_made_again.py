"""What a view or function has besides its definition, before and after it was made again (H55)."""

from __future__ import annotations

from swap.ddl.made_again import unlike_before

BEFORE = [
    ("public.a", "view  SELECT id FROM public.users;"),
    ("public.a", "view owner=my owner options= acl="),
    ("public.b", "view owner=o options={security_barrier=true} acl={o=arwd/o,app=r/o}"),
    ("public.f()", "CREATE OR REPLACE FUNCTION public.f()\n RETURNS text\nAS ' owner=x acl=y'\n owner=o acl="),
]
LIKE = [
    ("public.a", "view  SELECT uuid FROM public.users;"),
    ("public.a", r'view owner=my owner options= acl={"\"my owner\"=arwdDxt/\"my owner\""}'),
    ("public.b", "view owner=o options={security_barrier=true} acl={app=r/o,o=arwd/o}"),
    ("public.f()", "CREATE OR REPLACE FUNCTION public.f()\n RETURNS uuid\nAS ' owner=x acl=y'\n owner=o acl={=X/o,o=X/o}"),
    ("swap.a_1", "view owner=somebody options= acl="),
]


def test_rights_that_are_there_by_default_are_no_difference() -> None:
    assert unlike_before(BEFORE, LIKE) == []


def test_each_difference_is_named() -> None:
    after = [(tab, line.replace("app=r/", "app=rw/").replace(" owner=o acl={=X/o,", " owner=p acl={")) for tab, line in LIKE]
    assert unlike_before(BEFORE, after) == [
        "public.b: the right app=rw/o is new",
        "public.f(): owner p is new",
        "public.f(): the right o=X/o is new",
        "public.b: the right app=r/o is gone",
        "public.f(): owner o is gone",
        "public.f(): the right =X/o is gone",
    ]
