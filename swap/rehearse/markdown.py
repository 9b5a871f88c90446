"""The report as Markdown: what a person decides by, for a ticket or a terminal. The HTML has the plots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from swap.rehearse.words import by_kind, ms, number, one_line, seconds, shortened, size, version

Document = Mapping[str, Any]


def markdown(d: Document) -> str:
    parts = [
        *_head(d), *_prediction(d), *_steps(d), *_latency(d), *_checks(d), *_statements(d), *_locks(d), *_schema(d), *_findings(d),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def first_screen(d: Document) -> list[str]:
    """The verdict and its reasons, for a terminal."""
    where = d["clone"]["said"] if d.get("clone") else f"run {d['run_id']}"
    out = [f"{d['verdict'].upper()}: {d['source']}, on {where}, {seconds(d['seconds'])}"]
    for kind, shown, rest in by_kind(d["reasons"]):
        out += [f"  {kind}: {text}" for text in shown] + ([f"  {kind}: {len(rest)} more, in the report"] if rest else [])
    out += [f"  warning: {w}" for w in d["warnings"]]
    predicted = d.get("prediction")
    if predicted:
        out.append(
            f"  production: about {seconds(predicted['seconds'])} of work, {size(predicted['disk_bytes'])} of disk, {size(predicted['wal_bytes'])} of WAL"
        )
        if predicted["locked_ms"]:
            out.append(f"  writers held: {ms(predicted['locked_ms']['low'])} to {ms(predicted['locked_ms']['high'])}")
    return out


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return one_line("" if value is None else value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _head(d: Document) -> Iterator[str]:
    title = "Rehearsal" if d["kind"] == "rehearsal" else "Run"
    yield f"# {title} of {_cell(d['source'])}: {d['verdict']}"
    if d["reasons"]:
        yield "\n".join(f"- **{r['kind']}**: {_cell(r['text'])}" for r in d["reasons"])
    facts = [
        ("began", d["began_at"]), ("took", seconds(d["seconds"])), ("capture", d["mode"]), ("server", version(d["server_version"])),
        ("swap", d["tool_version"]),
    ]  # fmt: skip
    if d.get("clone"):
        facts += [("clone", d["clone"]["said"]), ("proof that it is not production", d["clone"]["proof"])]
    yield table(("", ""), facts)
    said = [*d["warnings"], *(f"left out: {x}" for x in d["left_out"])]
    if said:
        yield "\n".join(f"- {_cell(x)}" for x in said)


def _prediction(d: Document) -> Iterator[str]:
    if p := d.get("prediction"):
        yield "## The night"
        yield table(
            ("command", "", "expected", "from", "to", "WAL"),
            (
                (x["command"], x["note"], seconds(x["seconds"]), seconds(x["low_s"]), seconds(x["high_s"]), size(x["wal_bytes"]))
                for x in p["phases"]
            ),
        )
        yield f"Production has {p['factor']:g} times the bytes of the clone. It needs about {size(p['disk_bytes'])} of disk."


def _steps(d: Document) -> Iterator[str]:
    if d["steps"]:
        yield "## The cycle"
        yield table(
            ("", "command", "code", "took", "WAL", "under lock", "attempts", "waited at most"),
            (
                (
                    s["number"], s["command"], s["code"], seconds(s["seconds"]), size(s["wal_bytes"]), ms(s["facts"].get("locked_ms")),
                    s["facts"].get("attempts"), ms(s["facts"].get("blocked_ms_max")),
                )
                for s in d["steps"]
            ),
        )  # fmt: skip


def _latency(d: Document) -> Iterator[str]:
    load = d.get("load") or {}
    if load:
        yield "## Writers' latency"
    if load.get("around"):
        rows = ((x["when"], number(x["writes"]), ms(x["p50_ms"]), ms(x["p99_ms"]), ms(x["max_ms"])) for x in load["around"])
        yield table(("", "writes" if load["kind"] == "mix" else "transactions", "p50", "p99", "max"), rows)
    if load.get("argv"):
        ends = f" ({', '.join(map(str, load['ends']))})" if load["ends"] else ""
        yield f"{one_line(' '.join(load['argv']))} ended by itself {len(load['ends'])} times{ends}. The end of its output:"
        yield "\n".join(f"    {line}" for line in load["output"].splitlines())
    elif load:
        yield (
            f"{number(load['writes'])} acknowledged writes; lost {len(load['lost'])}, unexpected {len(load['unexpected'])},"
            f" misplaced {len(load['misplaced'])}."
        )


def _checks(d: Document) -> Iterator[str]:
    if d["checks"]:
        yield "## Checks"
        rows = (
            (c["check"], c["state"], "passed" if c["code"] == 0 else f"failed ({c['code']})", seconds(c["seconds"]))
            for c in d["checks"]
        )
        yield table(("check", "state", "", "took"), rows)


def _statements(d: Document) -> Iterator[str]:
    if d["statements"]:
        yield "## Statements"
        rows = (
            (s["verdict"], s["sql"], s["before"]["cost"], s["after"]["cost"], s["after"]["error"] or "; ".join(s["flags"]))
            for s in d["statements"]
        )
        yield table(("", "statement", "cost before", "cost after", ""), rows)


def _locks(d: Document) -> Iterator[str]:
    if d["locks"]:
        yield "## Locks"
        rows = (
            (x["verdict"], x["command"], x["table"], x["predicted"], x["seen"], ms(x["longest_ms"]), x["waiting_max"])
            for x in d["locks"]
        )
        yield table(("", "command", "table", "the plan says", "seen", "longest", "waited"), rows)
    told = [x for x in d.get("lock_statements", ()) if x["verdict"] in ("mismatch", "seen only")]
    if told:
        rows = (
            (x["verdict"], x["phase"], x["table"], x["said"], x["seen"], "; ".join(x["others"]), shortened(x["sql"]))
            for x in told
        )
        yield table(("", "phase", "table", "the plan says", "seen", "others", "statement"), rows)
    if waits := d.get("lock_waits"):
        yield "Waits in the server's log:"
        yield table(
            ("who", "mode", "table", "waited", "statement"),
            ((w["application"], w["mode"], w["table"], ms(w["ms"]), shortened(w["statement"])) for w in waits),
        )


def _schema(d: Document) -> Iterator[str]:
    if found := d.get("schema"):
        yield "## Schema"
        lines = [f"lost: {x}" for x in found["lost"]] + list(found["changed"])
        yield "\n".join(f"- {_cell(x)}" for x in lines) if lines else "The same before `prepare` and after the revert."


def _findings(d: Document) -> Iterator[str]:
    if d["findings"]:
        yield "## Findings of doctor"
        yield table(
            ("", "check", "object", "detail"), ((f["status"], f["name"], f["object"], f["detail"]) for f in d["findings"])
        )
