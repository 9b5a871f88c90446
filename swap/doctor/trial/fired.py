"""What firing the triggers of the copies has shown (swap.doctor.trial.fire). Pure."""

from __future__ import annotations

from swap.core.statement import part
from swap.doctor.finding import Finding, blocker
from swap.doctor.trial.fire import UNBUILT, Outcome, Outcomes, events_of
from swap.plan.model import Plan

HINT = (
    "Give its function's text of after the cutover in [[function]], or have a release bring it right after the cutover, and take this on:"
    ' [accept] findings = ["trial:{}"].'
)
NEEDS_SETTING = ("42704", "P0001")  # an unknown setting; an error that the body raises itself


def compare_fired(before: Outcomes, after: Outcomes) -> list[Finding]:
    """A blocker, which can be accepted, for each trigger that works today and fails after the exchange."""
    fails: dict[str, dict[str, list[str]]] = {}
    for event, now in before.items():
        then = after.get(event, UNBUILT)
        if now.works and then.error:
            said = fails.setdefault(part(event.table, event.trigger), {})
            said.setdefault(f"{then.error}, {then.code}", []).append(event.what)
    return [blocker("trial", at, _detail(said), HINT.format(at), acceptable=True) for at, said in fails.items()]


def _detail(said: dict[str, list[str]]) -> str:
    return "it works today, and fails after the cutover: " + "; ".join(f"on {', '.join(w)}: {e}" for e, w in said.items())


def unfired(plan: Plan, before: Outcomes, after: Outcomes) -> dict[str, str]:
    """By the function (Trigger.function), why one of its triggers has no outcome; empty where all fired, by every event."""
    out: dict[str, str] = {}
    for table, trigger, event in events_of(plan):
        why = _why(before[event], after.get(event, UNBUILT))
        said = f"{part(table.name, trigger.name)} was not tried on {event.what}: {why}" if why else ""
        out[trigger.function] = out.get(trigger.function) or said
    return out


def _why(now: Outcome, then: Outcome) -> str:
    if now.unfired:
        return now.unfired
    if not now.error:
        return then.unfired
    setting = "; [application] settings says what the application's sessions set" if now.code in NEEDS_SETTING else ""
    return f"it fails on a copy of today's table, too: {now.error}{setting}"
