"""The document of `swap status` as lines for people: one subject a line, the worst first, the command to run now last."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from swap.cli.output import Size, columns_of, for_people, wrapped
from swap.core.overrides import shown
from swap.core.pgbouncer import by_hand
from swap.core.units import duration
from swap.state.missing import RUNBOOK

LABEL = 11  # columns
FEW_KEYS = 1_000_000
DRIFT_SHOWN = 3


class Line(NamedTuple):
    """`fold`: what is left out first where the screen is too small: the highest; 0 never is."""

    label: str
    text: str
    fold: int = 0

    def __str__(self) -> str:
        return f"{self.label:<{LABEL - 1}} {self.text}".rstrip()


def status_lines(d: dict[str, Any]) -> list[str]:
    """All of it, each subject on one line."""
    return [str(line) for line in lines(d)]


def fitted(d: dict[str, Any], size: Size | None = None) -> list[str]:
    """Cut between words to the width of the terminal, where there is one. With rows, what matters least is left out until the rest
    fits: tables that are done, then what was."""
    columns, rows = size or Size(columns_of(sys.stdout))
    kept = list(lines(d))
    left_out = 0
    while True:
        tail = [Line("", f"… and {left_out} more (`swap status` shows all)")] if left_out else []
        at = len(kept) - (kept[-1].label == "next")
        shown = [piece for line in (*kept[:at], *tail, *kept[at:]) for piece in wrapped(for_people(str(line)), columns, LABEL)]
        goes = max((line.fold for line in kept), default=0)
        if rows is None or len(shown) < rows or not goes:
            return shown
        last = max(n for n, line in enumerate(kept) if line.fold == goes)
        del kept[last]
        left_out += 1


def lines(d: dict[str, Any]) -> Iterator[Line]:
    """In the order in which they are read."""
    if d["source"]:
        yield Line("swap", f"{d['source']} in {d['database']} on {_server(d['server'])}, {_time(d['time'])}", 2)
    if d["run_id"] is None:
        yield from _before(d)
    else:
        yield from _phase(d)
        yield from _settings(d["settings"])
        yield from _autoscale(d["autoscale"])
        yield from _wrong(d)
        yield from _work(d)
        yield from (Line("rehearsed", text) for text in (_rehearsed(d["rehearsal"]) if d.get("rehearsal") else ()))
        yield from _possible(d)
        yield from _past(d)
    yield from _pooler(d["pooler"])
    if "next" in d:
        yield Line("next", f"{d['next']}: {d['next_why']}" if d["next"] else f"nothing to run: {d['next_why']}")


def _server(server: dict[str, Any]) -> str:
    where = server["host"] if server["host"].startswith("/") else f"{server['host']}:{server['port']}"
    return f"{where}{', a standby' if server['standby'] else ''} (PostgreSQL {server['version']})"


def _time(text: str | None) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S %Z}" if text else "at an unknown time"


def _before(d: dict[str, Any]) -> Iterator[Line]:
    if d["source_exists"]:
        yield Line("phase", "none: nothing is prepared for this table")
    else:
        yield Line("phase", f"none: there is no table {d['source']} in this database")
    if d["left_over"]:
        yield Line("left over", d["left_over"])


def _phase(d: dict[str, Any]) -> Iterator[Line]:
    paused = ", PAUSED" if d["paused"] else ""
    yield Line("phase", f"{d['phase']} ({d['direction']}, {d['mode']} capture, run {d['run_id']}){paused}")
    w = d["worker"]
    if w is None or d["phase"] in ("finalized", "aborted"):
        return
    if not w["running"]:
        yield Line("worker", "NOT RUNNING: no session moves data" if d["phase"] != "none" else "none")
        return
    host = {None: "", "local": " on the server's machine"}.get(w["host"], f" on {w['host']}")
    since = f" since {_time(w['since'])}" if w["since"] else ""
    yield Line("worker", f"{w['command']}, pid {w['pid']}{host}{since}: {'; '.join(w['doing'])}")
    if d["throttle"]:
        yield Line("waits", d["throttle"])


def _autoscale(a: dict[str, Any] | None) -> Iterator[Line]:
    if a:
        took = f"a commit takes {a['commit_ms']:,.1f} ms, {a['normal_ms']:,.1f} ms without the backfill, at most {a['limit_ms']:,.1f} ms"
        yield Line("jobs", f"{a['jobs']} of {a['max_jobs']}: {took}", 1)


def _settings(settings: list[dict[str, Any]]) -> Iterator[Line]:
    if settings:
        said = ", ".join(shown(s["name"], s["value"]) for s in settings)
        yield Line("set", f"{said} (`swap set --reset` returns to the configuration)", 1)


def _wrong(d: dict[str, Any]) -> Iterator[Line]:
    if d["unfinished"]:
        yield Line("UNFINISHED", f"`swap {d['unfinished']}` has removed a part. Run it again: it removes the rest")
    yield from (Line("MISSING", f"{name}: another session dropped it. {RUNBOOK}") for name in d["missing"])
    if d["capture_problem"]:
        yield Line("CAPTURE", f"{d['capture_problem']}. `swap prepare` puts it back and queues what was missed")
    for n, c in enumerate(d["drift"][:DRIFT_SHOWN]):
        undo = f" Undo: {c['undo']};" if c["undo"] else ""
        yield Line("DRIFT", f"{'new' if c['change'] == '+' else 'gone'} on {c['table']}: {c['line']}.{undo}", 2 if n else 0)
    if len(d["drift"]) > DRIFT_SHOWN:
        yield Line("", f"and {len(d['drift']) - DRIFT_SHOWN} more lines of structure (--json has all)")
    if d["falling_behind"]:
        yield Line("BEHIND", d["falling_behind"])


def _work(d: dict[str, Any]) -> Iterator[Line]:
    if d["phase"] in ("finalized", "aborted"):
        return
    replay, b = d["replay"] or {}, d["backfill"]
    rates = [
        f"{replay[k]:,.0f}/s {verb}"
        for k, verb in (("come_per_s", "come"), ("per_s", "are replayed"))
        if replay.get(k) is not None
    ]
    yield Line("pending", f"{d['pending_changes']:,} changes" + (f"; {', '.join(rates)}" if rates else ""))
    if d["waiting_rows"]:
        yield Line("waiting", f"{d['waiting_rows']:,} rows for the row that they refer to")
    yield from (Line("slot", text) for text in (_slot(d["slot"]) if d["slot"] else ()))
    if b and d["phase"] == "backfilling":
        left = f", about {duration(b['eta_s'])} left" if b["eta_s"] else ""
        rate = f", {b['rows_per_s']:,.0f} rows/s" if b["rows_per_s"] else ""
        yield Line("copy", f"{b['percent']:.0f} %{rate}{left}; {d['indexes']['built']} of {d['indexes']['total']} indexes built")
    for t in d["tables"]:
        yield Line("table", _table(t), {"copying": 1, "in sync": 4, "copied": 4}.get(t["state"], 3))


def _rehearsed(r: dict[str, Any]) -> Iterator[str]:
    """What a rehearsal predicted, and what it took, or takes so far."""
    yield f"{r['verdict']}, {duration(r['age_s'])} ago"
    for step in r["steps"]:
        said = (
            "nothing" if step["expected_s"] is None else f"{_s(step['expected_s'])} ({_s(step['low_s'])} to {_s(step['high_s'])})"
        )
        yield f"{step['name']}: {said} predicted, {_s(step['seconds'])} {'so far' if step['running'] else 'taken'}"
    if r["locked_ms"] and r["expected_locked_ms"]:
        low, high = r["expected_locked_ms"]
        yield f"writers held: {low:,.0f} to {high:,.0f} ms predicted, {', '.join(f'{x:,.0f}' for x in r['locked_ms'])} ms taken"


def _s(value: float) -> str:
    return f"{value:.1f} s" if value < 10 else duration(value)


def _table(t: dict[str, Any]) -> str:
    if t["state"] == "in sync":
        return f"{t['name']}: in sync, about {t['rows_estimate']:,} rows" if t["rows_estimate"] else f"{t['name']}: in sync"
    if t["state"] in ("copying", "copied"):
        rate = f", {t['rows_per_s']:,.0f} rows/s" if t["rows_per_s"] else ""
        left = f", about {duration(t['eta_s'])} left" if t["eta_s"] else ""
        return f"{t['name']}: {t['state']}, {t['percent']:.0f} % of about {t['rows_estimate']:,} rows{rate}{left}"
    return f"{t['name']}: {t['state']}, about {t['rows_estimate']:,} rows"


def _possible(d: dict[str, Any]) -> Iterator[Line]:
    v = d["verification"]
    if d["phase"] not in ("none", "prepared", "backfilling") or v:
        yield Line("verified", _verified(v) if v else "never")
    if d["verifying"]:
        yield Line("verifying", _verifying(d["verifying"]), 1)
    if w := d["waiting_cutover"]:
        yield Line("WAITS", f"a cutover ({w['session']}) for {w['waits_for']}. `swap cutover --now` lets it begin")
    for name, phases in (("cutover", ("syncing",)), ("revert", ("cut_over", "finalized", "aborted"))):
        gate = d[name]
        if d["phase"] in phases:
            yield Line(name, f"{'possible' if gate['possible'] else 'not possible'}: {gate['reason']}")
    yield from (Line("legacy", text) for text in (_legacy(d["legacy_keys"]) if d["legacy_keys"] else ()))


def _verified(v: dict[str, Any]) -> str:
    old = v["verdict"] == "identical" and v["age_s"] > v["max_age_s"]
    too_old = f"; too old for an exchange: [verify] max_age_s = {v['max_age_s']}" if old else ""
    return f"{v['verdict']}, {duration(v['age_s'])} ago ({v['method']}, {v['direction']}, {v['rows']:,} rows){too_old}"


def _verifying(v: dict[str, Any]) -> str:
    """How far, and how old: an interrupted one goes on there."""
    key = f" through key {v['through_key']:,}" if v["through_key"] is not None else ""
    where = f", {v['table']}{key}" if v["table"] else ""
    age = f"; the oldest range {duration(v['oldest_s'])} ago" if v["ranges"] else ""
    end = "" if v["running"] else "; not running: `swap verify` goes on there"
    return f"{v['percent']:.0f} % verified ({v['ranges']} of {v['planned']} ranges{where}){age}{end}"


def _past(d: dict[str, Any]) -> Iterator[Line]:
    if d["snapshot"]:
        yield Line("snapshot", d["snapshot"], 2)
    if a := d["last_attempt"]:
        held = f", writes were held {a['locked_ms']:.0f} ms" if a["locked_ms"] is not None else ""
        why = f": {a['detail']}" if a["detail"] else ""
        yield Line("attempt", f"{a['kind']} {a['outcome']} at {_time(a['at'])}{held}{why}", 1)


def _slot(slot: dict[str, Any]) -> list[str]:
    if slot["problem"]:
        return [f"{slot['problem']} `swap prepare` starts capture again"]
    text = f"{slot['name']}: {'being read' if slot['active'] else 'not being read'}, {slot['wal_status']},"
    text += f" {slot['lag_bytes']:,} bytes behind for {duration(slot['lag_s'])}, {slot['retained_bytes']:,} bytes of WAL kept"
    if slot["left_bytes"] is not None:
        text += f"; lost after {slot['left_bytes']:,} more (max_slot_wal_keep_size)"
        text += f", in about {duration(slot['lost_in_s'])}" if slot["lost_in_s"] is not None and not slot["active"] else ""
    return [text]


def _legacy(keys: dict[str, Any]) -> list[str]:
    """Tell how many legacy keys are left, where the range of their type ends soon or has ended."""
    left, given, spare = keys["left"], keys["spare_given"], keys["spare_left"]
    if given:
        ended = f"the old key's sequence has ended: {given:,} rows were given unused keys from the other end of its range"
        return [f"{ended} ({spare:,} left). A revert keeps them; INSERTs fail after it"]
    if left is None or left > FEW_KEYS:
        return []
    then = "unused keys from the other end of its range are given then" if spare is not None else "INSERTs fail then"
    return [f"{left:,} keys left in {keys['sequence']}: {then}"]


def _pooler(pooler: list[dict[str, Any]]) -> Iterator[Line]:
    said = {True: "PAUSED, its clients wait. {}", False: "not paused", None: "it is not known whether it is paused"}
    for p in pooler:
        yield Line(
            "pooler",
            f"{p['pooler']}, {p['database']}: {said[p['paused']].format(by_hand(p['database']))}",
            0 if p["paused"] else 1,
        )
