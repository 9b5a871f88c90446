"""Parts of a rehearsal that need no cycle: a planted mismatch of locks, the clone's configuration, dumps, flags, arithmetic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, LiteralString

import pytest
from psycopg import sql

from swap.core.config import Config, load_config
from swap.core.names import TableName
from swap.core.statement import Kind, Statement
from swap.rehearse.caveats import far_apart, untried
from swap.rehearse.clone_config import for_clone, left_out, to_toml
from swap.rehearse.latency import around, points
from swap.rehearse.lock_trial import Tried
from swap.rehearse.locks import assess, assess_statements, holds_ms
from swap.rehearse.markdown import first_screen
from swap.rehearse.observers import lock_reasons
from swap.rehearse.prediction import AFTER_CUTOVER, TO_GO_BACK, Alone, Measured, Ratios, Size, fixed_bytes, night_cutover, predict
from swap.rehearse.record import Reason, Rehearsal, Step
from swap.rehearse.report import write_report
from swap.rehearse.sampler import Seen, SeenKey
from swap.rehearse.schema_dump import compare, lines_of
from swap.rehearse.statements import Planned, flags, from_file
from swap.rehearse.statements import compare as compare_plans
from swap.rehearse.words import agreed
from swap.rehearse.work import Work, WorkSampler, during


def seen(*looks: float) -> Seen:
    made = Seen(looks[0], looks[0])
    for at in looks:
        made.look(at, 2)
    return made


USERS, OLD, ROLES = (TableName("public", n) for n in ("users", "users_old", "roles"))


def statement(table: TableName, lock: str, text: LiteralString = "SELECT 1", kind: Kind = Kind.TABLE) -> Statement:
    return Statement(sql.SQL(text), "why", table, lock, kind=kind)


PHASES = [("prepare", [statement(USERS, "SHARE ROW EXCLUSIVE")]), ("finalize", [statement(OLD, "ACCESS EXCLUSIVE")])]
SEEN = {
    SeenKey("prepare", "public.users", "AccessShareLock"): seen(1.0),
    SeenKey("prepare", "public.users", "AccessExclusiveLock"): seen(1.0, 1.02, 1.05),
    SeenKey("prepare", "public.roles", "ShareLock"): seen(1.0),
    SeenKey("sync", "public.users", "RowExclusiveLock"): seen(1.0),
    SeenKey("cutover", "public.users", "AccessExclusiveLock"): seen(1.0),
}


def test_a_lock_that_is_stronger_than_the_plan_says() -> None:
    found = assess(PHASES, {"cutover": ["public.users"], "revert": ["public.users"]}, SEEN)
    verdicts = {(x["command"], x["table"]): x["verdict"] for x in found}
    assert verdicts == {
        ("prepare", "public.users"): "mismatch", ("prepare", "public.roles"): "seen only", ("cutover", "public.users"): "confirmed",
        ("revert", "public.users"): "not seen", ("finalize", "public.users_old"): "not seen", ("sync", "public.users"): "not seen",
    }  # fmt: skip
    (mismatch,) = [x for x in found if x["verdict"] == "mismatch"]
    assert (mismatch["predicted"], mismatch["seen"], mismatch["longest_ms"], mismatch["waiting_max"]) == (
        "SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE", 50.0, 2,
    )  # fmt: skip


def test_the_locks_of_statements() -> None:
    """What was tried, and what a session was seen to run by itself."""
    analyze = statement(USERS, "SHARE UPDATE EXCLUSIVE", "ANALYZE users", Kind.MAINTENANCE)
    tried = [
        Tried("prepare", statement(USERS, "SHARE ROW EXCLUSIVE", "a"), "SHARE ROW EXCLUSIVE"),
        Tried("prepare", statement(USERS, "SHARE ROW EXCLUSIVE", "b"), "", "ACCESS EXCLUSIVE"),
        Tried("prepare", statement(USERS, "SHARE ROW EXCLUSIVE", "c"), "SHARE"),
        Tried("prepare", statement(USERS, "SHARE ROW EXCLUSIVE", "d"), "ACCESS EXCLUSIVE"),
        Tried("prepare", statement(USERS, "SHARE", "e"), "SHARE", others=(("ACCESS EXCLUSIVE", "public.roles"), ("ACCESS SHARE", "public.x"))),
        Tried("cutover", statement(OLD, "", "f"), others=(("ACCESS EXCLUSIVE", "public.users"), ("ACCESS EXCLUSIVE", "swap.x"))),  # locked by the exchange, and swap's own
        Tried("references", analyze, error="it is not tried"),
        Tried("references", statement(USERS, "ROW EXCLUSIVE", "UPDATE", Kind.ROWS), error="it is not tried"),
    ]  # fmt: skip
    alone = {SeenKey("sync", "public.users", "ShareUpdateExclusiveLock", "ANALYZE users"): seen(1.0, 1.1)}
    rows = {r["sql"]: r for r in assess_statements(tried, {"cutover": ["public.users"]}, alone)}
    assert {text: (r["verdict"], r["how"]) for text, r in rows.items()} == {
        "a": ("confirmed", "tried"), "b": ("held already", "tried"), "c": ("weaker", "tried"), "d": ("mismatch", "tried"),
        "e": ("seen only", "tried"), "ANALYZE users": ("confirmed", "sampled"), "UPDATE": ("not seen", None),
    }  # fmt: skip
    assert rows["e"]["others"] == ["ACCESS EXCLUSIVE on public.roles"]
    assert (rows["ANALYZE users"]["ms"], rows["ANALYZE users"]["waiting_max"]) == (100.0, 2)
    assert [r.kind for r in lock_reasons(list(rows.values()), [])] == ["lock"]


def test_holds_are_told_apart() -> None:
    twice = seen(1.0, 1.1, 5.0, 5.2)
    found = {SeenKey("sync", "t", "ShareRowExclusiveLock"): twice, SeenKey("sync", "t", "AccessShareLock"): seen(1.0)}
    assert holds_ms(found) == [100.0, 200.0]


HOSTILE = 'a "quoted" \\ name\n\t\x7fé'


def test_the_clone_s_configuration_is_production_s(tmp_path: Path) -> None:
    """Read back it is the same, and what reaches beyond the database is not in it."""
    config = Config.model_validate(
        {
            "source": {"table": "public.users", "key": HOSTILE}, "ignore": ["public.a.b"], "application": {"settings": {"app.x": HOSTILE}},
            "reference": [{"table": "public.a", "column": "x", "where": HOSTILE}, {"table": "public.b", "column": "y"}],
            "policy": [{"table": "public.a", "name": "p", "using": "true"}], "names": {"resolver_roles": ["r"]},
            "hooks": {"pre_swap_snapshot": ["x"]}, "pgbouncer": {"admin_dsn": ["host=x dbname=pgbouncer"]},
            "cutover": {"disconnect_clients": ["app"], "require_rehearsal": True, "max_attempts": 7},
            "throttle": {"window": "22:00-05:00 UTC", "query_max": 0.5, "free_disk_command": ["df"]},
        }
    )  # fmt: skip
    path = tmp_path / "swap.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert load_config(path) == config
    clone = for_clone(config)
    path.write_text(to_toml(clone), encoding="utf-8")
    assert load_config(path) == clone
    assert (clone.pgbouncer.admin_dsn, clone.hooks.pre_swap_snapshot, clone.cutover.disconnect_clients) == ([], None, [])
    assert (clone.cutover.require_rehearsal, clone.cutover.max_attempts) == (False, 7)
    assert clone.throttle.window is None
    assert len(left_out(config)) == 4


DUMP = """--
-- Name: users; Type: TABLE
--

CREATE TABLE public.users (
    id bigint NOT NULL,
    name text
);

--
-- Name: users_new; Type: TABLE
--

CREATE TABLE public.users_new (
    id bigint
);

CREATE TRIGGER swap_capture AFTER INSERT ON public.users FOR EACH ROW EXECUTE FUNCTION swap.users_1_capture();

CREATE INDEX users_new_idea ON public.users_newer USING btree (id);
"""


def test_dumps() -> None:
    own = [TableName("public", "users_new")]
    before = lines_of(DUMP, own, "swap")
    assert [line.statement.split("(", maxsplit=1)[0] for line in before] == ["CREATE TABLE public.users "] * 4 + [
        "CREATE INDEX users_new_idea ON public.users_newer USING btree "
    ]
    widened = lines_of(DUMP.replace("    name text\n", "    name text,\n    uuid_id uuid\n"), own, "swap")
    assert compare(before, widened, widened).same
    narrowed = compare(before, widened, before)
    assert (narrowed.lost, narrowed.changed) == ((), ("- CREATE TABLE public.users ( … uuid_id uuid",))
    assert compare(before, before, before[:-1]).lost == ("CREATE INDEX users_new_idea ON public.users_newer USING btree (id);",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT * FROM users ORDER BY id DESC LIMIT 5", "ORDER BY"), ("SELECT * FROM users u ORDER BY u.name, u.id", "ORDER BY"),
        ('SELECT max("id") FROM users', "max or min"), ("SELECT * FROM users WHERE users.id > $1 LIMIT 10", "a page after"),
        ("SELECT * FROM users WHERE id IN (1, 2)", "an integer literal"), ("SELECT * FROM users WHERE id = $1 AND age > 3", None),
        ("SELECT * FROM users WHERE org_id = 3 ORDER BY org_id", None), ("SELECT max(paid) FROM users", None),
    ],
)  # fmt: skip
def test_flags(text: str, said: str | None) -> None:
    assert [f.startswith(said or "") for f in flags(text, "id")] == ([True] if said else [])


def test_plans() -> None:
    index, scan, broken = (
        Planned(8.3, ("Index Scan on users",)),
        Planned(90.0, ("Seq Scan on users",)),
        Planned(None, (), "42883: …"),
    )
    told = [
        compare_plans("x", a, b, "id")["verdict"]
        for a, b in ((index, index), (index, scan), (scan, index), (index, broken), (broken, index))
    ]
    assert told == ["same", "worse", "changed", "fails", "not comparable"]
    assert from_file("SELECT 1;\nSELECT ';' ,\n2 ;\n\n") == ["SELECT 1", "SELECT ';' ,\n2"]


def step(number: int, command: str, began: float, seconds: float, **facts: Any) -> Step:
    return Step(number, command, 0, began, seconds, 1000, 5000 + number, facts)


STEPS = [
    step(1, "doctor", 0, 1), step(2, "sync --once", 1, 11), step(3, "cutover --yes --no-snapshot", 20, 2, locked_ms=50.0),
    step(4, "cutover --yes --no-snapshot", 30, 3, locked_ms=70.0),
]  # fmt: skip


MEASURED = Measured(
    steps=[
        Step(1, "doctor", 0, 0.0, 1.0, 1000, 5000, {}),
        Step(2, "sync --once", 0, 1.0, 11.0, 50_000, 25_000, {}, work_s={"t": 6.0, "u": 2.0, "": 1.0}, work_wal_bytes=45_000),
        Step(3, "cutover --yes --no-snapshot", 0, 20.0, 2.0, 3000, 24_000, {"locked_ms": 50.0}),
        Step(4, "cutover --yes --no-snapshot", 0, 30.0, 3.0, 3000, 24_000, {"locked_ms": 70.0}),
    ],
    here={"t": Size("t", None, 1000, 0, 100_000), "u": Size("u", 500, 0, 50_000, 0)},
    built={"t": 30_000.0, "u": 10_000.0},
    alone=Alone(seconds=10.0, wal_bytes=10_000.0, size_bytes=5000.0),
)  # fmt: skip


def test_the_prediction_grows_with_the_rows_of_each_table() -> None:
    """Work is multiplied table by table, the rest is not, and what the load wrote is in neither."""
    there = {"t": Size("t", None, 10_000, 0, 1_000_000), "u": Size("u", 500, 0, 50_000, 0)}
    found = predict(MEASURED, there)
    assert found["factor"] == 7.0  # bytes of both
    sync, cutover = found["phases"]
    assert (sync["command"], sync["seconds"]) == ("swap sync --once", 2 + 60 + 2 + 7)
    assert sync["low_s"] < 71 < sync["high_s"]
    assert sync["wal_bytes"] == round((45_000 - 9 * 1000) * 69 / 9 + 5000 - 2 * 1000)
    assert (cutover["command"], cutover["seconds"], cutover["wal_bytes"]) == (
        "swap cutover --require-rehearsal rehearsal.json",
        2,
        1000,
    )
    assert (
        night_cutover(Path("the night.json"), snapshot=False) == "swap cutover --no-snapshot --require-rehearsal 'the night.json'"
    )
    assert found["disk_bytes"] == round((25_000 - 5000 - 11 * 500) * (30 * 10 + 10) / 40)
    assert found["locked_ms"] == {"low": 50.0, "high": 70.0}
    same = predict(MEASURED, MEASURED.here)
    assert (same["phases"][0]["seconds"], same["disk_bytes"]) == (11.0, 25_000 - 5000 - 11 * 500)


def test_the_night() -> None:
    """A revert is not one of its commands, but to go back; and it needs a verification of its own direction first."""
    names = (
        "doctor",
        "prepare",
        "verify",
        "cutover --yes --no-snapshot",
        "verify",
        "revert --yes",
        "verify",
        "cutover --yes --no-snapshot",
        "verify",
        "finalize --yes",
    )
    steps = [step(n, name, n * 10, n) for n, name in enumerate(names, 1)]
    found = predict(Measured(steps, MEASURED.here, MEASURED.built, Alone()), MEASURED.here, night_cutover())
    assert [(p["command"].split(" --")[0], p["note"], p["seconds"]) for p in found["phases"]] == [
        ("swap prepare", "", 2), ("swap verify", "", 3), ("swap cutover", "", 4), ("swap verify", AFTER_CUTOVER, 5),
        ("swap revert", TO_GO_BACK, 6), ("swap finalize", "later: it ends the way back", 10),
    ]  # fmt: skip
    assert found["seconds"] == 2 + 3 + 4 + 5 + 10
    bounds = [(p["low_s"], p["high_s"]) for p in found["phases"]]
    assert bounds[0] == (0.6, 3.5), "a quarter, and a second for the start of a process"
    assert bounds[1] == (1.4, 9.8), "it ran twice: 3 s and 7 s"


def test_what_is_done_under_an_exchange_s_lock_does_not_grow() -> None:
    """Seen: of 1.1 s that a cutover's statements named tables, 0.8 s were DDL under its lock."""
    cutover = Step(
        1, "cutover --yes --no-snapshot", 0, 0.0, 5.0, 1_000_000, None, {"locked_ms": 800.0}, None, {"t": 1.0}, 500_000
    )
    there = {"t": Size("t", None, 100_000, 0, 0)}
    found = predict(Measured([cutover], {"t": MEASURED.here["t"]}, {}, Alone()), there)["phases"][0]
    assert (found["seconds"], found["wal_bytes"]) == (4.8 + 0.2 * 100, 900_000 + 100_000 * 100)


def test_a_first_screen_is_short() -> None:
    reasons = tuple(Reason(kind, f"{kind} {n}") for kind, times in (("check", 1), ("statement", 5)) for n in range(times))
    made = Rehearsal("t", "trigger", "", 1, {"said": "x"}, 1, "1", reasons=reasons)
    assert first_screen(made.to_json())[1:] == [
        "  check: check 0", *(f"  statement: statement {n}" for n in range(3)), "  statement: 2 more, in the report",
    ]  # fmt: skip


def test_what_prepare_makes_does_not_grow() -> None:
    """But for its work on rows, which is told by the WAL."""
    step = MEASURED.steps[0]
    prepared = [replace(step, command=name, size_bytes=size, wal_bytes=100, work_wal_bytes=work) for name, size, work in (
        ("doctor", 10_000, 0), ("plan", 11_000, 0), ("prepare", 13_000, 25), ("sync --once", 20_000, 100),
    )]  # fmt: skip
    assert fixed_bytes(prepared) == 1000 + 1500
    measured = Measured(prepared, MEASURED.here, MEASURED.built, Alone())
    tenfold = {
        name: Size(name, (x.leaf_rows or 0) * 10 or None, x.rows * 10, x.tree_bytes * 10, x.bytes * 10)
        for name, x in MEASURED.here.items()
    }
    assert (predict(measured, measured.here)["disk_bytes"], predict(measured, tenfold)["disk_bytes"]) == (10_000, 2500 + 75_000)


def test_tables_without_statistics_are_compared_by_their_bytes() -> None:
    there = {"t": Size("t", None, 0, 0, 300_000), "u": Size("u", 0, 0, 50_000, 0)}
    assert Ratios(MEASURED.here, there).by_table == {"t": 3.0, "u": 1.0}


def test_latency_beside_the_exchanges() -> None:
    latencies = [(n / 10, float(n % 7), "update") for n in range(400)] + [(20.5, 900.0, "insert"), (21.0, 5000.0, "read")]
    first, second, rest = around(STEPS, sorted(latencies))
    assert (first["writes"], first["max_ms"], first["p50_ms"]) == (42, 900.0, 3.0)
    assert second["max_ms"] == 6.0
    assert rest["writes"] == 400 + 1 - 42 - second["writes"]
    many = [(n / 1000, 1.0, "update") for n in range(20_000)] + [(20.0, 77.0, "insert")]
    assert len(points(many)) <= 1501
    assert max(ms for _, ms in points(many)) == 77.0


def test_pauses_of_the_looks_had_work_in_them_too() -> None:
    """Given looks for half of a command's time, half of which saw work, then half of the command was work."""
    sampler = WorkSampler(
        looked=[(n / 10, 0.1) for n in range(1, 51)], done=[Work(n / 10, "sync", "t", 0.1, 10) for n in range(1, 26)]
    )
    found = during(sampler, "sync", 0.0, 10.0)
    assert (sum(w.seconds for w in found), sum(w.wal_bytes for w in found)) == pytest.approx((5.0, 500.0))
    assert during(sampler, "verify", 0.0, 10.0) == during(sampler, "sync", 20.0, 30.0) == []
    within = during(sampler, "sync", 0.05, 2.55)
    assert sum(w.seconds for w in within) == pytest.approx(2.5)


PROGRAM = {"kind": "program", "argv": ["sh"], "ends": [0], "output": "done", "reasons": []}


@pytest.mark.parametrize("load", [None, PROGRAM, {**PROGRAM, "kind": "script", "transactions": 0, "around": [], "points": []}])
def test_the_report_of_each_kind_of_load(tmp_path: Path, load: dict[str, Any] | None) -> None:
    """The mix's is looked at in a browser."""
    made = Rehearsal(
        "public.users",
        "trigger",
        "2026-01-01T00:00:00+00:00",
        60,
        {"said": "a clone", "proof": "another", "kept": False},
        180001,
        "1",
        load=load,
    )
    html, _, markdown = write_report(made.to_json(), tmp_path / "report")
    for page in (html.read_text(), markdown.read_text()):
        assert ("done" in page) is (load is not None)


def test_a_go_is_for_what_was_tried() -> None:
    made = Rehearsal("public.users", "trigger", "2026-01-01T00:00:00+00:00", 60, {"said": "a clone"}, 180001, "1").to_json()
    assert agreed(made) == "the commands"
    assert agreed(made | {"schema": {"lost": []}, "load": {"kind": "mix"}}) == "the commands, the schema and the ledger"
    assert agreed(made | {"checks": [1], "load": PROGRAM}) == "the commands and the checks"
    assert untried(["suite"], load=True, rows=True) == []
    assert len(untried([], load=False, rows=False)) == 3
    small, large = ({"t": Size("t", None, rows, 0, 8192)} for rows in (100, 1001))
    assert (far_apart(large, small), far_apart(large, large)) == ([], [])
    assert far_apart(small, large)[0].startswith("production has 10 times the rows")
    assert far_apart({"t": Size("t", None, 0, 0, 8192)}, {"t": Size("t", None, 5, 0, 8192 * 20)})[0].startswith(
        "production has 20 times"
    )


def test_the_verdict() -> None:
    made = Rehearsal("public.users", "trigger", "2026-01-01T00:00:00+00:00", 60, {"said": "a clone"}, 180001, "1")
    assert (made.verdict, made.refused, first_screen(made.to_json())) == (
        "go",
        False,
        ["GO: public.users, on a clone, 1 min 00 s"],
    )
    for kinds, refused in ((["refused"], True), (["refused", "check"], False), (["command"], False)):
        stopped = Rehearsal("t", "trigger", "", 1, {"said": "x"}, 1, "1", reasons=tuple(Reason(k, "why") for k in kinds))
        assert (stopped.verdict, stopped.refused) == ("no-go", refused)
