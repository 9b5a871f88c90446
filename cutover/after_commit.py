"""Corrects an error of the follow-up: the exchange is committed. The error's own text is made for the time before that, and
may say that nothing was changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from swap.core.connection import translate
from swap.core.errors import StoppedError, SwapError


@contextmanager
def after_commit(kind: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(
            "Stopped by the operator.",
            state=f"The {kind} is committed; what follows it outside the lock is not finished.",
            hint="`swap sync --once` finishes it.",
        ) from None
    except (psycopg.Error, SwapError) as e:
        error = translate(e) if isinstance(e, psycopg.Error) else e
        if error.state == error.default_state or error is not e:
            error.state = f"The {kind} is committed; what follows it outside the lock is not finished."
            error.hint = "`swap sync --once` finishes it."
        raise error from None
