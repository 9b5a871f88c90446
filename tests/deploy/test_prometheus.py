"""Alert rules and dashboard: over metrics that `swap` serves, right by promtool, and answered by a real Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from swap.demo.load import Load
from swap.demo.server import free_port
from swap.demo.service import LoadCollector
from swap.state.metrics import LOCKED, METRICS, RETAINED, SLOT_LAG, VERIFICATION
from tests.deploy.files import documents, strings
from tests.support.commands import ROOT, RunningCli
from tests.support.operator import MakeOperator
from tests.support.servers import Connect, ExampleFactory
from tests.support.waiting import wait_until

RULES = ROOT / "deploy" / "prometheus" / "swap.rules.yaml"
RULES_TEST = RULES.with_name("swap.rules.test.yaml")
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "swap.json").read_text(encoding="utf-8"))
NAME = re.compile(r"\b(?:swap|example)_[a-z_]+\b")
PANELS = [p for p in DASHBOARD["panels"] if p["type"] != "row"]
QUERIES = [t["expr"] for p in PANELS for t in p["targets"]] + [a["expr"] for a in DASHBOARD["annotations"]["list"]]
NOT_YET = (LOCKED, RETAINED, SLOT_LAG)  # of a run with capture by triggers that was not cut over
PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")


def promtool(*args: object) -> str:
    if PROMTOOL is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([PROMTOOL, *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def exposed(text: str) -> set[str]:
    """The names of the metrics that an endpoint has a value of, without the library's own `_created`."""
    found = {m[1] for m in re.finditer(r"^([a-z_]+)(?:\{| )", text, re.MULTILINE)}
    return {n for n in found if not n.endswith("_created")}


def scraped(running: RunningCli) -> Callable[[], set[str]]:
    """What the command's endpoint serves, each time it is asked."""
    port = int(running.wait_line(r"metrics on port (\d+)").rsplit(" ", 1)[1])

    def ask() -> set[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            return exposed(answer.read().decode())

    return ask


@pytest.fixture
def of_the_example(example: ExampleFactory) -> set[str]:
    """What the example's load serves."""
    db = example("adopt", users=50)
    registry = CollectorRegistry()
    registry.register(LoadCollector(Load(db.app), db.app))
    return exposed(generate_latest(registry).decode())


def test_every_metric_that_is_used_is_served_and_the_other_way_round(of_the_example: set[str]) -> None:
    there = {*METRICS, *VERIFICATION, *of_the_example}
    alerts = set(NAME.findall(" ".join(r["expr"] for g in documents(RULES)[0]["groups"] for r in g["rules"])))
    shown = set(NAME.findall(" ".join(QUERIES)))
    assert alerts | shown <= there
    assert there <= shown, "a metric that no panel shows"
    documented = set(NAME.findall((ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")))
    assert {m for m in there if m.startswith("swap_")} == {m for m in documented if m.startswith("swap_")}


def test_a_real_run_serves_every_name(ready_operator: MakeOperator, connect: Connect) -> None:
    """`sync`, `cutover` and `verify --watch` serve the same names; together with a cutover all that there are. The numbers are the
    journal's, and an attempt that waits for its lock is served too."""
    op = ready_operator(mode="logical")
    serve = ("--metrics-port", "0")
    syncing, watching = op.start("sync", *serve), op.start("verify", "--watch", "0.5", *serve)
    sync, watch = scraped(syncing), scraped(watching)
    later = {LOCKED}  # nothing was exchanged yet
    wait_until(lambda: sync() == set(METRICS) - later, what="sync serves all")
    wait_until(lambda: watch() == set(METRICS) - later | set(VERIFICATION), what="verify serves all")
    reader = connect(op.db.app)
    with reader.transaction():
        reader.execute("LOCK TABLE users IN ACCESS SHARE MODE")
        exchanging = op.start("cutover", "--yes", "--no-snapshot", "--max-attempts", "1000", *serve)
        cutover = scraped(exchanging)
        exchanging.wait_line("attempt 2 of")
        wait_until(lambda: cutover() == set(METRICS) - later, what="cutover serves all")
    assert exchanging.wait().code == 0
    wait_until(lambda: sync() == set(METRICS), what="the exchange is measured")
    for running in (watching, syncing):
        running.interrupt()


def test_every_alert_is_documented_and_names_a_page_that_is_there() -> None:
    monitoring = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    for rule in documents(RULES)[0]["groups"][0]["rules"]:
        assert f"`{rule['alert']}`" in monitoring
        page, _, heading = rule["annotations"]["runbook"].partition(", ")
        text = (ROOT / page).read_text(encoding="utf-8")
        assert not heading or re.search(rf"^#+ {heading.strip(chr(39))}$", text, re.MULTILINE)
    tested = set(strings([t["alertname"] for d in documents(RULES_TEST)[0]["tests"] for t in d["alert_rule_test"]]))
    assert tested == {r["alert"] for r in documents(RULES)[0]["groups"][0]["rules"]}


def test_promtool_takes_the_rules_and_they_fire_when_they_should() -> None:
    assert "8 rules found" in promtool("check", "rules", RULES)
    assert "SUCCESS" in promtool("test", "rules", RULES_TEST)


def test_a_rule_that_never_fires_is_found(tmp_path: Path) -> None:
    (tmp_path / RULES.name).write_text(RULES.read_text(encoding="utf-8").replace("differences > 0", "differences > 9"))
    shutil.copy(RULES_TEST, tmp_path)
    with pytest.raises(AssertionError, match="SwapDifference"):
        promtool("test", "rules", tmp_path / RULES_TEST.name)


def test_the_dashboard_is_whole() -> None:
    assert len({p["id"] for p in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in DASHBOARD["panels"])
    assert all(p["title"] and p["description"] for p in PANELS)
    assert {json.dumps(p["datasource"]) for p in PANELS} == {json.dumps({"type": "prometheus", "uid": "${datasource}"})}


class Scraping:
    """A Prometheus with the alert rules that scrapes some ports of this machine."""

    def __init__(self, directory: Path, targets: list[int]) -> None:
        self.port = free_port()
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "swap", "static_configs": [{"targets": [f"127.0.0.1:{t}" for t in targets]}]}],
        }  # fmt: skip
        (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        promtool("check", "config", directory / "prometheus.yml")
        self.log = (directory / "log").open("w")
        self.process = subprocess.Popen(
            [str(PROMETHEUS), f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log,
        )  # fmt: skip

    def ask(self, path: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def values(self, query: str) -> list[Any]:
        try:
            return list(self.ask("query", query=query)["result"])
        except OSError:  # it starts
            return []

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


@pytest.fixture
def verified(ready_operator: MakeOperator, tmp_path: Path) -> Iterator[Scraping]:
    """A Prometheus that scrapes a real continuous verification."""
    if PROMETHEUS is None:
        pytest.skip("Prometheus is not installed")
    op = ready_operator()
    op.start("sync")  # else an alert says that none runs
    running = op.start("verify", "--watch", "0.5", "--metrics-port", "0")
    port = int(running.wait_line(r"metrics on port (\d+)").rsplit(" ", 1)[1])
    made = Scraping(tmp_path, [port])
    yield made
    made.close()


def filled(query: str) -> str:
    """The query as Grafana sends it."""
    return query.replace("$table", ".*").replace("$__rate_interval", "1m")


def test_a_real_prometheus_answers_every_query_of_the_dashboard(verified: Scraping) -> None:
    wait_until(lambda: verified.values("swap_verify_passes_total"), what="a full pass was scraped")
    wait_until(lambda: len(verified.values("rate(swap_verify_changed_keys_total[1m])")) == 1, what="two scrapes")
    for query in QUERIES:
        answer = verified.ask("query", query=filled(query))
        assert answer["resultType"] == "vector"
        if "swap_" in query and not any(name in query for name in NOT_YET):
            assert answer["result"], query
    (differences,) = verified.values("swap_verify_differences")
    assert (differences["metric"]["table"], differences["value"][1]) == ("public.users", "0")
    # Before the first scrape a metric was absent: that alert is pending until the next evaluation.
    wait_until(lambda: states(verified) == [("ok", "inactive")] * 8, what="no alert fires")


def states(prometheus: Scraping) -> list[tuple[str, str]]:
    """Health and state of each alert."""
    return [(r["health"], r["state"]) for r in prometheus.ask("rules")["groups"][0]["rules"]]
