"""The manifests: valid by the schemas of Kubernetes, hardened, and with commands that `swap` has."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest

from tests.deploy.files import assert_a_command_of_swap, documents
from tests.support.commands import ROOT

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own imports
    import kubernetes_validate  # type: ignore[import-untyped]

MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
VERSIONS = ["1.28", "1.31", kubernetes_validate.latest_version()]
BY_NAME = {path.stem: document for path in MANIFESTS for document in documents(path)}
WORKLOADS = {name: d for name, d in BY_NAME.items() if d["kind"] in ("Job", "CronJob", "Deployment")}


def validate(document: Any, version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def pod(document: Any) -> Any:
    spec = document["spec"]
    return (spec["jobTemplate"]["spec"] if document["kind"] == "CronJob" else spec)["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", BY_NAME)
def test_the_schema(name: str, version: str) -> None:
    validate(BY_NAME[name], version)


def test_the_schema_finds_a_mistake() -> None:
    wrong = copy.deepcopy(WORKLOADS["deployment-sync"])
    wrong["spec"]["replica"] = wrong["spec"].pop("replicas")
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(wrong, VERSIONS[-1])


def test_what_there_is() -> None:
    found = {(d["kind"], *pod(d)["containers"][0]["args"][:2]) for d in WORKLOADS.values()}
    assert {("Job", "sync", "--once"), ("Job", "verify", "--json"), ("Job", "cutover", "--yes"), ("Deployment", "sync")} <= found


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_commands_are_commands_of_swap(name: str) -> None:
    for container in pod(WORKLOADS[name])["containers"]:
        assert_a_command_of_swap(container["args"])
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            if probe in container and "exec" in container[probe]:
                program, *arguments = container[probe]["exec"]["command"]
                assert program == "swap"
                assert_a_command_of_swap(arguments)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_can_do_no_more_than_it_must(name: str) -> None:
    spec = pod(WORKLOADS[name])
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    for container in spec["containers"]:
        context = container["securityContext"]
        assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "SWAP_DSN" not in {e["name"] for e in container["env"]}, "the connection is a Secret"
        assert {v["name"] for v in container["volumeMounts"]} == {v["name"] for v in spec["volumes"]}


def test_one_worker_and_one_exchange() -> None:
    """Two workers would be refused (exit code 8), and nobody but a person repeats a cutover."""
    deployment = WORKLOADS["deployment-sync"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]["type"]) == (1, "Recreate")
    cutover = WORKLOADS["job-cutover"]
    assert (cutover["spec"]["backoffLimit"], pod(cutover)["restartPolicy"]) == (0, "Never")
    assert WORKLOADS["cronjob-verify"]["spec"]["concurrencyPolicy"] == "Forbid"
    assert {"generateName"} == {k for name, d in WORKLOADS.items() if d["kind"] == "Job" for k in d["metadata"] if "ame" in k}
