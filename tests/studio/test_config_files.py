"""The files of `config/` for a Label Studio say what the program takes, and agree with each other."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from gateway import BINARY

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"


@pytest.fixture
def secrets(tmp_path) -> Path:
    """A folder with every secret that the files name."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in ("mediagate-admin", "mediagate-hooks", "mediagate-store-key", "admin", "hooks", "store-key"):
        (folder / name).write_text("0123456789abcdef" * 4)
    (folder / "label-studio-token").write_text("none-yet\n")
    (folder / "database-url").write_text("postgres://mediagate:secret@postgres:5432/mediagate")
    return folder


def check(text: str, folder: Path) -> subprocess.CompletedProcess:
    file = folder / "mediagate.toml"
    file.write_text(text)
    return subprocess.run([BINARY, "check", "--offline", "--config", str(file)], capture_output=True, text=True, timeout=60, cwd=folder)


def manifests() -> list[dict]:
    return list(yaml.safe_load_all((CONFIG / "kubernetes.label-studio.yml").read_text()))


def manifest(kind: str, name: str = "mediagate") -> dict:
    return next(found for found in manifests() if (found["kind"], found["metadata"]["name"]) == (kind, name))


def test_the_configuration_for_label_studio_is_taken(secrets, tmp_path):
    told = check((CONFIG / "mediagate.label-studio.toml").read_text().replace("/run/secrets", str(secrets)), tmp_path)
    assert told.returncode == 0, told.stderr


def test_what_it_shows_as_an_example_is_taken_too(secrets, tmp_path):
    """With its comments taken off the tables at its end."""
    text = (CONFIG / "mediagate.label-studio.toml").read_text().replace("/run/secrets", str(secrets))
    head, _, tail = text.partition("# Behind a load balancer")
    shown = [line.removeprefix("# ") for line in tail.splitlines() if line.startswith("# [") or " = " in line]
    told = check("\n".join([head, *(line for line in shown if "storages = false" not in line and "`" not in line)]), tmp_path)
    assert told.returncode == 0, told.stderr


def test_compose_publishes_the_gateway_alone():
    compose = yaml.safe_load((CONFIG / "compose.label-studio.yml").read_text())
    services = compose["services"]
    assert {name: service.get("ports") for name, service in services.items()} == {"mediagate": ["8080:8080"], "label-studio": None}
    assert services["mediagate"]["networks"] == services["label-studio"]["networks"]
    named = {secret["file"] for secret in compose["secrets"].values()}
    assert named == {f"../secrets/{name}" for name in services["mediagate"]["secrets"]} and set(compose["secrets"]) == set(services["mediagate"]["secrets"])
    for service in services.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (CONFIG / source).is_file(), source


def test_compose_and_the_configuration_name_the_same():
    compose = yaml.safe_load((CONFIG / "compose.label-studio.yml").read_text())
    config = tomllib.loads((CONFIG / "mediagate.label-studio.toml").read_text())
    files = [config["admin"]["token_file"], config["hooks"]["secret_file"], config["label_studio"]["token_file"], config["store"]["key_file"]]
    assert {Path(file).name for file in files} == set(compose["secrets"]) and {str(Path(file).parent) for file in files} == {"/run/secrets"}
    assert config["upstream"]["url"] == "http://label-studio:8080"
    assert config["label_studio"]["webhook_url"].startswith("http://mediagate:9090/")
    assert config["server"]["listen"].endswith(":8080") and config["admin"]["listen"].endswith(":9090")


def test_the_configuration_in_the_manifest_is_taken(secrets, tmp_path):
    text = manifest("ConfigMap")["data"]["mediagate.toml"]
    told = check(text.replace("/run/secrets/mediagate", str(secrets)), tmp_path)
    assert told.returncode == 0, told.stderr


def test_the_manifest_holds_together():
    deployment = manifest("Deployment")
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert deployment["spec"]["replicas"] == 2
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8080, "admin": 9090}
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["port"] == "admin"
    for name, port in (("mediagate", "http"), ("mediagate-admin", "admin")):
        service = manifest("Service", name)["spec"]
        assert service["selector"].items() <= pod["metadata"]["labels"].items()
        assert [entry["targetPort"] for entry in service["ports"]] == [port]
    policy = manifest("NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    open_to_all = [port["port"] for rule in policy["ingress"] if "from" not in rule for port in rule["ports"]]
    assert open_to_all == ["http"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["spec"]["volumes"]}
    # The commands at its head make every secret that the configuration reads.
    head = (CONFIG / "kubernetes.label-studio.yml").read_text().partition("apiVersion")[0]
    for line in manifest("ConfigMap")["data"]["mediagate.toml"].splitlines():
        if "_file = " in line:
            assert f"--from-literal={Path(line.split(chr(34))[1]).name}=" in head, line


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_unit_is_one(tmp_path):
    unit = (CONFIG / "mediagate.service").read_text()
    # The program is not installed where it will be.
    file = tmp_path / "mediagate.service"
    file.write_text(unit.replace("/usr/local/bin/mediagate", str(Path(shutil.which(BINARY) or BINARY).resolve())))
    told = subprocess.run(["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True, timeout=60)
    ours = [line for line in told.stderr.splitlines() if "mediagate" in line]
    assert told.returncode == 0 and ours == [], told.stderr
    for setting in ("DynamicUser=yes", "ProtectSystem=strict", "StateDirectory=mediagate", "Restart=on-failure", "NoNewPrivileges=yes"):
        assert setting in unit, setting
