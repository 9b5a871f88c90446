"""The load beside the cycle: the mix of the catalog, with its ledger. Nothing is migrated here."""

from __future__ import annotations

from swap.core.config import Config
from swap.core.connection import Database as Conninfo
from swap.plan.planning import read_plan
from swap.rehearse.load import Load
from swap.rehearse.mix import mine
from tests.support.servers import ExampleFactory


def test_the_ledger_sees_what_was_lost(example: ExampleFactory) -> None:
    """Given an acknowledged load, when rows are deleted, made and given to another parent behind its back, then each is named."""
    db = example("fresh")
    with Conninfo.from_options(db.owner, "test").session() as conn:
        load = Load(db.owner, read_plan(conn, Config.model_validate({"source": {"table": "public.users"}})))
        load.start()
        load.wait_for(150, 60)
        load.stop()
        assert not load.errors
        assert "public.sessions" in {str(t) for t in load.able}
        clean = load.check(conn)
        assert clean.clean, clean
        assert clean.rows > 0
        pattern = mine(load.tag)
        parents = conn.execute(
            "SELECT s.token FROM public.sessions s JOIN public.users u ON u.id = s.user_id WHERE s.token LIKE %s ORDER BY 1 LIMIT 3",
            [pattern],
        ).fetchall()
        (deleted,), (renamed,), (moved,) = parents
        conn.execute("DELETE FROM public.sessions WHERE token = %s", [deleted])
        conn.execute(
            "UPDATE public.sessions SET token = %s WHERE token = %s", [f"swap-{load.tag}-9-9-9@rehearsal.invalid", renamed]
        )
        conn.execute("UPDATE public.sessions SET user_id = (SELECT min(id) FROM public.users) WHERE token = %s", [moved])
        found = load.check(conn)
    assert set(found.lost) == {deleted, renamed}
    assert found.unexpected == (f"swap-{load.tag}-9-9-9@rehearsal.invalid",)
    assert [m.split(":", maxsplit=1)[0] for m in found.misplaced] == [moved]
