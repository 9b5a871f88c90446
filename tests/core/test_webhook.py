"""The webhook: tried again, held, given up; never an exception, never its address in a message."""

from __future__ import annotations

import pytest

from swap.core import web_address
from swap.core.webhook import Webhook
from tests.support.endpoint import Endpoint


def body(event: str) -> dict[str, object]:
    return {"event": event}


def test_what_is_not_taken_is_sent_again_in_order_and_a_refusal_is_told(endpoint: Endpoint) -> None:
    told: list[str] = []
    endpoint.answers = [503, 204, 404, 302, 204]
    hook = Webhook(endpoint.url, told.append)
    for event in ("first", "refused", "redirected", "last"):
        hook.send(body(event))
    assert endpoint.wait_taken(2) == ["first", "last"]
    assert hook.finish() == 2
    assert [(r.document["event"], r.code) for r in endpoint.requests] == [
        ("first", 503), ("first", 204), ("refused", 404), ("redirected", 302), ("last", 204),
    ]  # fmt: skip
    assert [t.rpartition(": ")[2] for t in told] == ["it answered 404", "it answered 302"]
    assert "secret-token" not in str(told)


def test_nothing_is_begun_while_it_is_held(endpoint: Endpoint) -> None:
    hook = Webhook(endpoint.url, lambda text: None)
    hook.send(body("before"))
    endpoint.wait_taken(1)
    hook.hold()
    hook.send(body("meanwhile"))
    assert hook._thread is not None
    hook._thread.join(0.3)  # it would have been sent by now
    assert endpoint.taken() == ["before"]
    assert hook.finish() == 0
    assert endpoint.taken() == ["before", "meanwhile"]


def test_an_endpoint_that_is_not_there_or_never_answers_is_given_up_at_the_end(endpoint: Endpoint) -> None:
    endpoint.always = 0
    hook = Webhook(endpoint.url, lambda text: None)
    hook.send(body("one"))
    hook.send(body("two"))
    assert hook.finish(0.2) == 2
    gone = Webhook("http://127.0.0.1:9/", lambda text: None)
    gone.send(body("one"))
    assert gone.finish(0.2) == 1


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://host/x", "begins with"),
        ("file:///etc/passwd", "begins with"),
        ("https://", "begins with"),
        ("https://host/a b", "begins with"),
        ("https://[::1/x", "no address"),
        ("https://host:port/x", "no address"),
        ("https://user:secret@host/x", "no user name"),
    ],
)
def test_an_address_that_is_none_is_refused_without_being_shown(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as told:
        web_address.check_url(url)
    assert "secret" not in str(told.value)
