"""What is deployed, held against the tools that would read it: hadolint, docker compose, Helm, Kubernetes' own schemas.

The programs come in wheels for Linux on x86_64; elsewhere these tests are skipped.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings
from tests.app.served import ROOT

if platform.machine() != "x86_64":
    pytest.skip("the linters' wheels are for x86_64", allow_module_level=True)

BIN = Path(sys.executable).parent
CHART = ROOT / "deploy/helm/phasegap"
COMPOSE = ROOT / "deploy/compose.yaml"
KUBERNETES = "1.37"
SECRETS = {
    "PHASEGAP_POSTGRES_PASSWORD",
    "PHASEGAP_STORE_ACCESS_KEY",
    "PHASEGAP_STORE_SECRET_KEY",
    "PHASEGAP_API_KEY_HASHES",
}
PEER = [{"ipBlock": {"cidr": "10.1.2.3/32"}}]
LEAST: dict[str, Any] = {
    "secretName": "phasegap",
    "store": {"url": "s3://bucket/prefix"},
    "networkPolicy": {"database": {"to": PEER}, "store": {"to": PEER}},
}
MOST = LEAST | {
    "keda": {"enabled": True},
    "workerGpu": {"enabled": True, "runtimeClassName": "nvidia"},
    "web": {"autoscaling": {"enabled": True}, "nodeSelector": {"disk": "ssd"}},
    "ingress": {"enabled": True, "host": "phasegap.example", "className": "nginx", "tlsSecretName": "tls"},
    "settings": {"PHASEGAP_WAIT_SECONDS": "30"},
    "image": {"web": {"digest": "sha256:" + "0" * 64}},
    "networkPolicy": LEAST["networkPolicy"] | {"webEgress": [{"to": PEER}], "ingressFrom": PEER},
}


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def _compose(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "docker-compose"), "--env-file", os.devnull, "-f", str(COMPOSE), "config", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    done = _compose("--format", "json", **dict.fromkeys(SECRETS, "given"))
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout)["services"])


@pytest.mark.parametrize("forgotten", sorted(SECRETS))
def test_nothing_starts_without_a_password(forgotten: str) -> None:
    done = _compose("-q", **dict.fromkeys(SECRETS - {forgotten}, "given"))
    assert done.returncode != 0
    assert forgotten in done.stderr


def test_the_example_names_what_compose_asks_for() -> None:
    named = set(re.findall(r"^(\w+)=", (ROOT / "deploy/compose.env.example").read_text(), re.MULTILINE))
    assert named == set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    empty = set(re.findall(r"^(\w+)=$", (ROOT / "deploy/compose.env.example").read_text(), re.MULTILINE))
    assert empty == SECRETS


def test_every_service_is_locked_down(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        assert all(service.get(limit) for limit in ("mem_limit", "pids_limit", "cpus")), name
        assert service["tmpfs"], name


def test_only_web_is_published_and_on_loopback(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    assert list(published) == ["web"]
    assert [port["host_ip"] for port in published["web"]] == ["127.0.0.1"]
    assert [name for name, service in services.items() if "front" in service["networks"]] == ["web"]


def test_workers_are_not_given_what_they_do_not_need(services: dict[str, Any]) -> None:
    assert "PHASEGAP_API_KEY_HASHES" in services["web"]["environment"]
    assert "PHASEGAP_API_KEY_HASHES" not in services["worker"]["environment"]


def _objects(values: dict[str, Any]) -> list[dict[str, Any]]:
    import helm_python

    with helm_python.Chart.load(str(CHART)) as chart:
        chart.validate_schema(values)
        rendered = chart.render(values, name="demo", namespace="prod")
    texts = [text for name, text in rendered.items() if name.endswith(".yaml")]
    return [found for text in texts for found in yaml.safe_load_all(text) if found]


def _pods(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for found in objects:
        if found["kind"] in ("Deployment", "Job"):
            component = found["metadata"]["labels"]["app.kubernetes.io/component"]
            yield component, found["spec"]["template"]["spec"]


def test_helm_lint_finds_nothing_but_a_missing_icon() -> None:
    import helm_python

    found = helm_python.lint(str(CHART), LEAST, strict=True)
    assert [message["error"] for message in found["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("values", [LEAST, MOST], ids=["least", "most"])
def test_kubernetes_takes_each_object(values: dict[str, Any]) -> None:
    """KEDA's own kinds are not among Kubernetes' schemas: no package has those of today."""
    import kubernetes_validate

    for found in _objects(values):
        if not found["apiVersion"].startswith("keda.sh/"):
            kubernetes_validate.validate(found, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    "change",
    [
        {"secretName": ""},
        {"store": {"url": "file:///x"}},
        {"wroker": {}},
        {"settings": {"PATH": "/"}},
        {"networkPolicy": {}},
    ],
    ids=["no secret", "no bucket", "misspelt", "foreign variable", "no peers"],
)
def test_values_that_would_not_work_are_refused(change: dict[str, Any]) -> None:
    import helm_python

    with pytest.raises(helm_python.HelmError):
        _objects(LEAST | change)


def test_pods_meet_the_restricted_standard() -> None:
    pods = dict(_pods(_objects(MOST)))
    assert set(pods) == {"web", "worker", "worker-gpu", "migrate"}
    for name, pod in pods.items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["limits"]["memory"], name


def test_pods_are_given_longer_to_end_than_the_service_takes() -> None:
    shutdown_s = Settings().shutdown_seconds
    for name, pod in _pods(_objects(MOST)):
        if name != "migrate":
            assert pod["terminationGracePeriodSeconds"] >= shutdown_s + 10, name


def test_workers_reach_the_database_and_the_store_and_nothing_else() -> None:
    policies = {
        found["metadata"]["name"]: found["spec"] for found in _objects(MOST) if found["kind"] == "NetworkPolicy"
    }
    for component in ("worker", "worker-gpu"):
        policy = policies[f"demo-phasegap-{component}"]
        assert policy["ingress"] == []
        assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
        assert {port["port"] for rule in policy["egress"] for port in rule["ports"]} == {53, 5432, 443}
        assert [rule["to"] for rule in policy["egress"][1:]] == [PEER, PEER]


def test_settings_that_the_files_give_are_settings(services: dict[str, Any]) -> None:
    known = {f"PHASEGAP_{name.upper()}" for name in Settings.model_fields} | {"PHASEGAP_STORE_URL"}
    given = {name for service in services.values() for name in service.get("environment") or {}}
    given |= {item["name"] for _, pod in _pods(_objects(MOST)) for c in pod["containers"] for item in c["env"]}
    assert {name for name in given if name.startswith("PHASEGAP_")} <= known


def test_the_queue_is_counted_by_a_query_that_the_schema_takes(tmp_path: Path) -> None:
    import sqlalchemy as sa

    from app.services import prepare

    settings = Settings(data_dir=tmp_path)
    prepare(settings)
    (scaled,) = [found for found in _objects(MOST) if found["kind"] == "ScaledObject"]
    (trigger,) = scaled["spec"]["triggers"]
    engine = sa.create_engine(settings.sqlalchemy_url)
    with engine.connect() as connection:
        assert connection.scalar(sa.text(trigger["metadata"]["query"])) == 0
    engine.dispose()
    deployment = scaled["spec"]["scaleTargetRef"]["name"]
    (target,) = [
        found for found in _objects(MOST) if found["metadata"]["name"] == deployment and found["kind"] == "Deployment"
    ]
    assert "replicas" not in target["spec"], "KEDA owns the number"
