"""The dashboard and the alert rules speak of the metrics that the gateway has, and of nothing else."""

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
# What the exposition format adds to the name of a histogram.
SUFFIXES = re.compile(r"_(bucket|sum|count)$")


def families_of_the_program():
    sources = "".join(file.read_text() for file in (ROOT / "src").rglob("*.rs"))
    return set(re.findall(r'"(mediagate_[a-z0-9_]+)"', sources)) - {"mediagate_token", "mediagate_task"}  # the cookies


def families_in(expressions):
    names = re.findall(r"\b(?:mediagate|process)_[a-z0-9_]+", " ".join(expressions))
    return {SUFFIXES.sub("", name) for name in names if name.startswith("mediagate_")}


def expressions_of_the_board():
    board = json.loads((ROOT / "config/grafana-dashboard.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]


def expressions_of_the_alerts():
    groups = yaml.safe_load((ROOT / "config/prometheus-alerts.yml").read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def test_alerts_use_metrics_that_exist():
    assert families_in(expressions_of_the_alerts()) <= families_of_the_program()


def test_the_board_shows_every_metric_and_no_other():
    extra = {"mediagate_config_loaded_timestamp_seconds"}  # an annotation of the board, not a panel
    assert families_in(expressions_of_the_board()) == families_of_the_program() - extra


def test_label_values_are_closed_sets(gateway, anything, noise):
    """Nothing that a client chooses becomes a label."""
    marks = ["marked-key", "marked-bucket", "marked-query", "marked-method"]
    gateway.ask("/media/streamed/marked-key.png", headers=anything)
    gateway.ask("/media/marked-bucket/x.png?marked-query=1", headers=anything)
    gateway.ask("/marked-key")
    gateway.ask("/tasks/marked-key/resolve/?fileuri=marked-query")
    gateway.ask("/", method="MARKED-METHOD")
    metrics = gateway.admin("/metrics").body.decode().lower()
    assert [mark for mark in marks if mark in metrics] == []


def test_the_processs_own_figures_are_exported(gateway):
    assert gateway.metric("process_resident_memory_bytes") > 0
    assert gateway.metric("process_open_fds") > 0
    assert gateway.metric("mediagate_build_info") == 1
