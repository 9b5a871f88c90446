"""The report in a browser: no error in its console, nothing wider than the window, links that lead somewhere, nothing loaded.

Chromium is driven by its own protocol through a pipe: the page forbids scripts, and the protocol asks from outside."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swap.rehearse.record import CheckRun, Pin, Reason, Rehearsal, Step
from swap.rehearse.report import write_report
from swap.rehearse.schema_dump import SchemaComparison

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS = (400, 1400)
LONG = "a_name_without_any_place_to_break_" * 6 + "<script>alert(1)</script>"


def document() -> dict[str, Any]:
    """A report with everything in it, and long words."""
    steps = tuple(
        Step(
            n,
            name,
            0,
            n * 10.0,
            8.0,
            123456,
            10**9,
            {"locked_ms": 45.6, "attempts": 1, "blocked_ms_max": 3.0} if "cut" in name else {},
        )
        for n, name in enumerate(["doctor", "prepare", "sync --once", "verify", "cutover --yes --no-snapshot"], 1)
    )
    plan = {"cost": 8.1, "nodes": [LONG], "error": None}
    around = [{"when": "cutover (step 5)", "writes": 3, "p50_ms": 1.0, "p99_ms": 2.0, "max_ms": 3.0}]
    return Rehearsal(
        "public.users", "trigger", "2026-01-01T00:00:00+00:00", 60.0, {"said": LONG, "proof": "another", "kept": False, "kind": "dump"}, 180001, "1",
        reasons=(Reason("check", LONG),), warnings=(LONG,), left_out=("x",), steps=steps,
        findings=({"status": "warning", "name": "n", "object": LONG, "detail": LONG, "hint": ""},), schema=SchemaComparison((LONG,), ()),
        checks=(CheckRun(LONG, "cut over", 1, 2.0, LONG, ({"sqlstate": "42883", "message": LONG, "statement": LONG, "times": 2},)),),
        load={"kind": "mix", "transactions": 9, "writes": 9, "ledger_rows": 3, "lost": [], "unexpected": [], "misplaced": [], "only_read": {LONG: LONG},
              "made_from": "pg_stat_statements", "shares": {"read": 0.8, "insert": 0.2}, "own_reads": [LONG], "retried": {LONG: 1}, "errors": {LONG: 1}, "around": around, "points": [(n / 10, n % 9) for n in range(600)]},
        locks=({"command": "cutover", "table": LONG, "predicted": None, "seen": "ACCESS EXCLUSIVE", "longest_ms": 4.0, "waiting_max": 1, "verdict": "seen only"},),
        lock_statements=tuple({"phase": "cutover", "sql": LONG, "table": LONG, "said": "SHARE", "seen": "ACCESS EXCLUSIVE", "how": "tried", "ms": 1.5, "waiting_max": None,
                               "others": [f"SHARE on {LONG}"], "note": None, "verdict": v} for v in ("mismatch", "confirmed")),
        lock_waits=({"application": LONG, "mode": "AccessShareLock", "table": LONG, "ms": 1200.0, "statement": LONG},),
        statements=({"sql": LONG, "verdict": "fails", "flags": [LONG], "before": plan, "after": {"cost": None, "nodes": [], "error": LONG}},),
        samples={"holds_ms": [1.0, 30.0, 9000.0], "backlog": [(1.0, 5), (2.0, 0)], "copied": [(1.0, 10), (2.0, 30)]},
        prediction={"factor": 2.0, "rows_measured": 5, "rows_production": 10, "disk_bytes": 1, "wal_bytes": 1, "locked_ms": {"low": 1.0, "high": 2.0},
                    "seconds": 5.0, "phases": [{"command": "swap revert", "note": "only to go back", "measured_s": 1.0, "seconds": 2.0, "low_s": 1.0, "high_s": 3.0, "wal_bytes": 5}]},
        pin=Pin({"cutover": "x"}, {"public.users": "y"}, "1", 180001),
    ).to_json()  # fmt: skip


class Browser:
    """One page of a headless Chromium. `said`: what its console and its network said."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        ours, theirs = os.pipe(), os.pipe()  # to it (its descriptor 3), from it (its descriptor 4)
        argv = [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "about:blank",
        ]

        def place() -> None:
            os.dup2(ours[0], 3)
            os.dup2(theirs[1], 4)

        self.process = subprocess.Popen(
            argv,
            preexec_fn=place,  # noqa: PLW1509 - no thread runs yet
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(ours[0])
        os.close(theirs[1])
        self.to, self.of = ours[1], os.fdopen(theirs[0], "rb")
        self.number = 0
        self.session: str | None = None
        self.said: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.ask(f"{domain}.enable")

    def _next(self) -> dict[str, Any]:
        data = bytearray()
        while (c := self.of.read(1)) != b"\0":
            assert c, "the browser ended"
            data += c
        return dict(json.loads(data))

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        message = {"id": self.number, "method": method, "params": params} | ({"sessionId": self.session} if self.session else {})
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self.number:
                assert "error" not in told, told
                return dict(told["result"])
            self.said.append(told)

    def wait(self, method: str) -> None:
        while not any(s.get("method") == method for s in self.said):
            self.said.append(self._next())

    def value(self, expression: str) -> Any:
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.to)
        self.of.close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    made = Browser(tmp_path / "profile")
    yield made
    made.close()


WIDER = "[...document.querySelectorAll('main > *, section > *, li, dd, nav a, p')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 200))"
DEAD = "[...document.querySelectorAll('a')].filter(a => !document.querySelector(a.getAttribute('href'))).map(a => a.outerHTML)"
BARE = "[...document.querySelectorAll('table')].filter(t => !t.tHead || !t.tBodies[0].rows.length).length"


def test_the_page(browser: Browser, tmp_path: Path) -> None:
    (page, _, _) = write_report(document(), tmp_path / "report.html")
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            browser.said.clear()
            browser.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
            browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            browser.ask("Page.navigate", url=page.as_uri())
            browser.wait("Page.loadEventFired")
            assert browser.value("document.documentElement.scrollWidth") <= width, (width, browser.value(WIDER))
            assert browser.value(WIDER) == [], (width, scheme)
            background = browser.value("getComputedStyle(document.body).backgroundColor")
            assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}[scheme]
            told = [
                s
                for s in browser.said
                if s.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
            ]
            assert told == []
            asked = [s["params"]["request"]["url"] for s in browser.said if s.get("method") == "Network.requestWillBeSent"]
            assert [u for u in asked if not u.startswith(("file:", "data:"))] == []
    assert browser.value("document.querySelectorAll('script').length") == 0
    assert browser.value("document.querySelectorAll('a').length") >= 7
    assert browser.value(DEAD) == []
    assert browser.value("document.querySelectorAll('table').length") == 10
    assert browser.value(BARE) == 0
    assert browser.value("document.querySelectorAll('figure svg').length") == 5
    _printed(browser)


def _printed(browser: Browser) -> None:
    """On paper it is black on white whatever the browser's scheme is, and no wider than the sheet."""
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.ask("Emulation.setDeviceMetricsOverride", width=1040, height=720, deviceScaleFactor=1, mobile=False)
    browser.ask("Emulation.setEmulatedMedia", media="print", features=dark)
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.value("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert browser.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.value("document.documentElement.scrollWidth") <= 1040, browser.value(WIDER)
    assert base64.b64decode(browser.ask("Page.printToPDF", preferCSSPageSize=True)["data"]).startswith(b"%PDF")
