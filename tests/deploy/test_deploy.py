"""What `deploy/` says is what the program does and what the tools take."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app import parser
from config.loader import load
from telemetry.metrics import Metrics
from tests.telemetry.rows import attempt, request

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = "1.34"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def documents(path: Path) -> Iterator[dict[str, Any]]:
    yield from (one for one in yaml.safe_load_all(path.read_text()) if one)


MANIFESTS = {
    f"{path.relative_to(DEPLOY)} {number}": document
    for path in sorted(DEPLOY.glob("kubernetes/**/*.yaml"))
    for number, document in enumerate(documents(path))
    if document.get("kind") not in (None, "Kustomization")
    and path.name not in ("one.yaml", "several.yaml")  # patches: whole only with their base
}


def merged(base: Any, patch: Any) -> Any:
    """As kustomize merges these patches: lists of named things by name."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return base | {key: merged(base.get(key), value) for key, value in patch.items()}
    if isinstance(base, list) and isinstance(patch, list) and "name" in patch[0]:
        found = {one["name"]: one for one in base}
        return [*(found | {p["name"]: merged(found.get(p["name"]), p) for p in patch}).values()]
    return patch


@pytest.mark.parametrize("name", MANIFESTS)
def test_each_manifest_is_what_kubernetes_takes(name: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], KUBERNETES, strict=True)


@pytest.mark.parametrize("patch", ["one-node/one.yaml", "several-nodes/several.yaml"])
def test_each_overlay_s_deployment_is_what_kubernetes_takes(patch: str) -> None:
    base = next(documents(DEPLOY / "kubernetes/base/router.yaml"))
    whole = merged(base, next(documents(DEPLOY / "kubernetes" / patch)))
    kubernetes_validate.validate(whole, KUBERNETES, strict=True)
    spec = whole["spec"]["template"]["spec"]
    volumes = {one["name"] for one in spec["volumes"]}
    assert {one["name"] for one in spec["containers"][0]["volumeMounts"]} == volumes


def test_each_kustomization_names_files_that_are_there() -> None:
    for path in DEPLOY.glob("kubernetes/**/kustomization.yaml"):
        content = next(documents(path))
        files = [*content["resources"], *(p["path"] for p in content.get("patches", ()))]
        files += [f for one in content.get("configMapGenerator", ()) for f in one["files"]]
        assert all((path.parent / one).exists() for one in files), path


def test_the_cluster_s_providers_are_a_valid_configuration(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copy(DEPLOY / "kubernetes/base/providers.yaml", tmp_path / "config")
    secret = next(documents(DEPLOY / "kubernetes/secret.example.yaml"))["stringData"]
    settings = load(tmp_path / "config", tmp_path / "data", environ=secret, dotenv=None)
    assert next(p.name for p in settings.providers if p.disabled is None) == "llama-api"


def exported() -> set[str]:
    """The names of all samples that `/metrics` can have."""
    metrics = Metrics()
    metrics.observe(request("r1"), [attempt()])
    metrics.backlog(1, 0, 0)
    metrics.observe_now({"model": "open"}, 1, 1, 1)
    metrics.batch_line("completed")
    metrics.batches_now(1, 1)
    families = text_string_to_metric_families(metrics.render().decode())
    return {sample.name for family in families for sample in family.samples}


def test_dashboard_and_rules_ask_for_what_is_exported() -> None:
    dashboard = json.loads((DEPLOY / "monitoring/grafana.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = next(documents(DEPLOY / "monitoring/rules.yaml"))["groups"][0]["rules"]
    queries += [rule["expr"] for rule in rules]
    asked = {name for query in queries for name in re.findall(r"\brouter_\w+", query)}
    assert len(queries) > 15
    assert asked <= exported(), asked - exported()


def test_each_alert_is_explained() -> None:
    rules = next(documents(DEPLOY / "monitoring/rules.yaml"))["groups"][0]["rules"]
    text = (ROOT / "docs/deploy.md").read_text()
    assert all(rule["alert"] in text for rule in rules if "alert" in rule)


def test_the_image_has_every_package_that_the_program_imports() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    named = re.search(r"root_packages = \[(.*?)\]", project)
    assert named
    packages = set(re.findall(r'"(\w+)"', named[1]))
    assert set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE)) == packages


def test_the_commands_of_the_deployment_are_the_program_s() -> None:
    entry = re.search(r"^ENTRYPOINT (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert entry
    unit = (DEPLOY / "llm-router.service").read_text()
    started = re.search(r"^ExecStart=\S+ app.py (.*)$", unit, re.MULTILINE)
    assert started
    for arguments in (json.loads(entry[1])[2:], started[1].split()):
        parser().parse_args(arguments)


def test_compose_builds_and_mounts_what_is_there() -> None:
    services = next(documents(DEPLOY / "compose.yaml"))["services"]
    assert services["router"]["deploy"]["replicas"] == 2
    build = services["router"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).exists()
    mounts = [one.split(":")[0] for one in services["nginx"]["volumes"]]
    assert all((DEPLOY / one).is_file() for one in mounts)


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    text = (DEPLOY / "nginx.conf").read_text().replace("router:7860", "127.0.0.1:7860")
    conf = tmp_path / "nginx.conf"
    conf.write_text(text.replace("/tmp/nginx.pid", str(tmp_path / "pid")))
    done = subprocess.run(
        ["nginx", "-t", "-c", str(conf), "-e", str(tmp_path / "error.log")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_service_s_address_is_no_setting_of_a_pod() -> None:
    """Of a service named `chroma`, pods would get `CHROMA_PORT=tcp://…`, which Chroma reads as its
    port, and does not start."""
    made = [m["spec"] for m in MANIFESTS.values() if m["kind"] in ("Deployment", "StatefulSet")]
    pods = [spec["template"]["spec"] for spec in made]
    assert len(pods) > 2
    assert all(pod["enableServiceLinks"] is False for pod in pods)
