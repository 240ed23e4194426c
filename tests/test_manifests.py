"""The compose file and the manifests for Kubernetes: valid by their schemas, free of the usual mistakes."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from livecache.config.load import load
from livecache.errors import ConfigError
from livecache.keys.history_place import Place

ROOT = Path(__file__).parent.parent
MANIFESTS = ("redis.yaml", "sidecar.yaml", "history-cronjob.yaml", "shards.yaml")
LIVE = MANIFESTS[:2]
HISTORY, SHARDS = MANIFESTS[2:]
KUBERNETES = "1.29"  # the first in which a native sidecar needs no switch


# --- Kubernetes


def manifests(*names: str) -> list[dict[str, Any]]:
    return [
        document
        for name in names or MANIFESTS
        for document in yaml.safe_load_all((ROOT / "docs/kubernetes" / name).read_text())
    ]


def one(kind: str, *names: str) -> dict[str, Any]:
    (found,) = (manifest for manifest in manifests(*names or LIVE) if manifest["kind"] == kind)
    return found


def containers(*names: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every container with its pod."""
    for manifest in manifests(*names):
        if manifest["kind"] in ("Deployment", "StatefulSet", "CronJob"):
            spec = manifest["spec"].get("jobTemplate", manifest)["spec"]
            pod = spec["template"]["spec"]
            for container in [*pod.get("initContainers", ()), *pod["containers"]]:
                yield container, pod


def sidecar() -> dict[str, Any]:
    (container,) = one("Deployment")["spec"]["template"]["spec"]["initContainers"]
    found: dict[str, Any] = container
    return found


def fill() -> tuple[dict[str, Any], dict[str, Any]]:
    """The container of the fill, and its pod."""
    pod: dict[str, Any] = one("CronJob", HISTORY)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return pod["containers"][0], pod


@pytest.mark.parametrize("manifest", manifests(), ids=lambda m: f"{m['kind']}-{m['metadata']['name']}")
@pytest.mark.parametrize("version", [KUBERNETES, kubernetes_validate.latest_version()])
def test_a_manifest_is_valid_by_kubernetes_own_schema(version: str, manifest: dict[str, Any]) -> None:
    """Strictly: a misspelt field is an error, where the server would drop it."""
    kubernetes_validate.validate(manifest, version, strict=True)


def test_selectors_find_their_pods_and_ports_have_their_names() -> None:
    for manifest in manifests():
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            labels = manifest["spec"]["template"]["metadata"]["labels"]
            assert manifest["spec"]["selector"]["matchLabels"].items() <= labels.items()
    labels = one("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    assert one("Service")["spec"]["selector"].items() <= labels.items()
    assert one("StatefulSet")["spec"]["serviceName"] == one("Service")["metadata"]["name"]
    for container, _ in containers():
        named = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            handler = container.get(probe, {})
            for way in ("httpGet", "tcpSocket"):
                if way in handler:
                    assert handler[way]["port"] in named
    (port,) = one("Service")["spec"]["ports"]
    assert port["targetPort"] == "redis"


def test_what_is_mounted_is_there() -> None:
    claimed = {c["metadata"]["name"] for c in one("StatefulSet")["spec"]["volumeClaimTemplates"]}
    assert _configured(one("StatefulSet", SHARDS)) == one("ConfigMap", SHARDS)["metadata"]["name"]
    own = {document["metadata"]["name"] for document in manifests(HISTORY)}
    for container, pod in containers():
        volumes = {volume["name"] for volume in pod.get("volumes", ())}
        for mount in container.get("volumeMounts", ()):
            assert mount["name"] in volumes | claimed
    assert _configured(one("Deployment")) == one("ConfigMap")["metadata"]["name"]
    of_fill = {each["name"]: each for each in fill()[1]["volumes"]}
    sources = [each["configMap"]["name"] for each in of_fill["config"]["projected"]["sources"]]
    head = (ROOT / "docs/kubernetes" / HISTORY).read_text().partition("apiVersion")[0]
    assert [name in own or f"create configmap {name} " in head for name in sources] == [True, True]
    assert of_fill["history"]["persistentVolumeClaim"]["claimName"] in own


def _configured(manifest: dict[str, Any]) -> str:
    """The name of the one ConfigMap that it mounts."""
    (volume,) = manifest["spec"]["template"]["spec"]["volumes"]
    name: str = volume["configMap"]["name"]
    return name


def test_no_container_is_root_or_may_become_it_or_writes_into_its_image() -> None:
    for container, pod in containers():
        context = {**pod["securityContext"], **container["securityContext"]}
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0, "a number: the kubelet cannot look a name up"
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False


def test_every_container_says_what_it_needs_and_no_cpu_is_withheld() -> None:
    for container, _ in containers():
        resources = container["resources"]
        assert set(resources["requests"]) == {"cpu", "memory"}
        assert set(resources["limits"]) == {"memory"}, "a throttled feed falls behind"


def test_images_have_versions() -> None:
    for container, _ in containers():
        assert re.search(r":\d[\w.-]*$", container["image"]), container["image"]


def test_livecache_is_a_native_sidecar_that_starts_before_the_application() -> None:
    container = sidecar()
    assert container["restartPolicy"] == "Always"
    assert container["startupProbe"]["httpGet"]["path"] == "/startupz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["timeoutSeconds"] >= 3, "an answer may wait 2 s for Redis"
    patience_s = container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"]
    assert patience_s >= 400, "900 symbols warm up for 300 s"


def test_the_sidecars_user_is_the_images_own() -> None:
    user = re.search(r"^USER (\d+):", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user
    assert sidecar()["securityContext"]["runAsUser"] == int(user[1])
    container, pod = fill()
    assert container["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == int(user[1])


def test_the_sidecars_configuration_is_one_and_listens_where_the_probes_come() -> None:
    text = one("ConfigMap")["data"]["config.toml"]
    (port,) = sidecar()["ports"]
    assert tomllib.loads(text)["http"]["listen"] == f"0.0.0.0:{port['containerPort']}"
    (mount,) = sidecar()["volumeMounts"]
    assert f"WORKDIR {mount['mountPath']}" in (ROOT / "Dockerfile").read_text(), "it reads ./config.toml"


def test_the_sidecars_configuration_loads(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(one("ConfigMap")["data"]["config.toml"])
    env = {variable["name"]: "redis://redis:6379/0" for variable in sidecar()["env"]}
    assert load(file, env).config.redis.url == "redis://redis:6379/0"


def test_passwords_come_from_secrets_and_each_container_has_its_own_user() -> None:
    for container, _ in containers():
        for variable in container.get("env", ()):
            assert "value" not in variable, f"{variable['name']} stands in the manifest"
    keys = {
        container["name"]: variable["valueFrom"]["secretKeyRef"]["key"]
        for container, _ in containers(*LIVE)
        for variable in container.get("env", ())
    }
    assert keys == {"livecache": "writer", "indicator": "reader"}


def test_both_redis_keep_all_and_keep_it_dense() -> None:
    (in_kubernetes,) = one("StatefulSet")["spec"]["template"]["spec"]["containers"]
    for command in (in_kubernetes["command"], compose()["redis"]["command"]):
        assert command[0] == "redis-server"
        options = dict(zip(command[1::2], command[2::2], strict=True))
        assert options["--appendonly"] == "yes"
        assert options["--maxmemory-policy"] == "noeviction"
        assert int(options["--zset-max-listpack-value"]) >= 96
        assert options["--client-output-buffer-limit"] == "pubsub 32mb 8mb 60"


def test_pods_that_share_a_venue_load_what_they_are_given_and_end_one_after_the_other(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(one("ConfigMap", SHARDS)["data"]["config.toml"])
    stateful = one("StatefulSet", SHARDS)
    ((container, pod),) = containers(SHARDS)
    urls = {
        "LIVECACHE_REDIS_URL": "rediss+cluster://writer:word@node:6379",
        "LIVECACHE_HISTORY_URL": "postgresql://livecache:word@host/candles",
    }
    assert {each["name"] for each in container["env"]} == urls.keys()
    config = load(file, urls).config
    assert config.http.listen == f"0.0.0.0:{container['ports'][0]['containerPort']}"
    assert config.venues["coinbase"].shards % stateful["spec"]["replicas"] == 0
    assert container["securityContext"]["runAsUser"] == sidecar()["securityContext"]["runAsUser"]
    assert pod["terminationGracePeriodSeconds"] > 5, "it promises to end within five seconds"
    assert container["startupProbe"] == sidecar()["startupProbe"]
    labels = stateful["spec"]["template"]["metadata"]["labels"].items()
    services = {each["metadata"]["name"]: each for each in manifests(SHARDS) if each["kind"] == "Service"}
    assert all(each["spec"]["selector"].items() <= labels for each in services.values())
    assert services[stateful["spec"]["serviceName"]]["spec"]["clusterIP"] == "None"
    budget = one("PodDisruptionBudget", SHARDS)["spec"]
    assert budget["selector"]["matchLabels"].items() <= labels and budget["maxUnavailable"] == 1
    extras = re.search(r"EXTRAS=([\w,]+)", (ROOT / "docs/kubernetes" / SHARDS).read_text())
    there = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras and set(extras[1].split(",")) <= set(there)


def test_a_fill_by_a_timer_never_runs_beside_itself_and_is_not_begun_anew_when_it_fails() -> None:
    spec = one("CronJob", HISTORY)["spec"]
    assert spec["concurrencyPolicy"] == "Forbid" and spec["timeZone"]
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert fill()[1]["restartPolicy"] == "Never"
    assert fill()[0]["args"] == ["history", "fill", "--scheduled"]


def test_the_configuration_of_a_fill_loads_with_its_symbols_and_writes_to_its_volume(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(one("ConfigMap", HISTORY)["data"]["config.toml"])
    (tmp_path / "sp500.json").write_bytes((ROOT / "docs/examples/sp500.json").read_bytes())
    config = load(tmp_path / "config.toml", {}).config
    assert len(config.venues["yahoo"].symbols) == 503
    mounts = {each["name"]: each["mountPath"] for each in fill()[0]["volumeMounts"]}
    path = Place.of(config.history.url, tmp_path).path
    assert path and path.is_relative_to(mounts["history"])


# --- the compose file


def compose() -> dict[str, Any]:
    """The services of the compose file."""
    services: dict[str, Any] = yaml.safe_load((ROOT / "docs/compose.yaml").read_text())["services"]
    return services


def test_the_compose_file_is_valid_by_the_compose_specification() -> None:
    # As check-jsonschema ships it. Not by importing that: its command line wants another click than ours.
    package = importlib.metadata.distribution("check-jsonschema")
    file = Path(str(package.locate_file("check_jsonschema/builtin_schemas/vendor/compose-spec.json")))
    schema = json.loads(file.read_text())
    jsonschema.validate(yaml.safe_load((ROOT / "docs/compose.yaml").read_text()), schema)


def test_each_service_waits_until_the_one_before_is_healthy() -> None:
    for name, awaited in (("livecache", "redis"), ("app", "livecache")):
        assert compose()[name]["depends_on"] == {awaited: {"condition": "service_healthy"}}
    assert compose()["redis"]["healthcheck"]
    assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()


def test_volumes_that_are_used_are_named_and_files_are_there() -> None:
    named = set(yaml.safe_load((ROOT / "docs/compose.yaml").read_text())["volumes"])
    used = {v.split(":")[0] for service in compose().values() for v in service.get("volumes", ())}
    files = {each for each in used if each.startswith(".")}
    assert used - files == named
    assert all((ROOT / "docs" / file).is_file() for file in files)


def test_the_fill_has_all_it_needs_in_its_image_and_is_no_part_of_what_comes_up() -> None:
    service = compose()["history"]
    assert service["profiles"] and "profiles" not in compose()["livecache"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(service["build"]["args"]["EXTRAS"].split(",")) <= set(extras)
    assert re.search(r"^ARG EXTRAS=service$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert compose()["history-scheduled"] == {
        "extends": {"service": "history"},
        "command": ["history", "fill", "--scheduled"],
    }
    path = Place.of(service["environment"]["LIVECACHE_HISTORY_URL"], Path()).path
    mounts = [volume.split(":")[1] for volume in service["volumes"]]
    assert (
        path
        and str(path.parent) in mounts
        and f"-g livecache {path.parent}" in (ROOT / "Dockerfile").read_text()
    )


def test_the_configuration_that_the_compose_file_mounts_loads() -> None:
    example = ROOT / "docs/examples/equities.toml"
    assert len(load(example, {}).config.venues["yahoo"].symbols) == 503


def test_livecache_has_time_to_end_and_publishes_to_this_machine_only() -> None:
    service = compose()["livecache"]
    assert int(service["stop_grace_period"].removesuffix("s")) > 5, "it promises to end within five seconds"
    assert service["read_only"] is True
    (port,) = service["ports"]
    assert port == "127.0.0.1:8787:8787"
    assert service["environment"]["LIVECACHE_HTTP_LISTEN"] == "0.0.0.0:8787", "else the port leads nowhere"


def test_the_environment_of_the_compose_file_loads() -> None:
    env = compose()["livecache"]["environment"]
    config = load(Path(os.devnull), env).config
    assert (config.redis.url, config.http.listen) == ("redis://redis:6379/0", "0.0.0.0:8787")
    with pytest.raises(ConfigError):
        load(Path(os.devnull), {**env, "LIVECACHE_REDIS_URI": "x"})
