"""Label Studio's players play and seek what the gateway streams, by ranges."""

import json

import pytest

import people
import studio
from conftest import fields_of
from pages import Pages


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_a_task_plays_and_seeks(browser, admin, gateway, garage, request, kind):
    media = request.getfixturevalue(kind)
    project = admin.project(f"Play {kind}", getattr(studio, kind.upper()))
    # Streamed: the browser sees this one address, and no CORS is needed.
    admin.call("/api/storages/s3/", "POST", fields_of(garage, project, presign=False))
    (task,) = admin.import_tasks(project, {kind: media.uri})
    pages = Pages(browser, gateway.url("").rstrip("/"))
    pages.log_in(people.ADMIN)
    pages.open_task(project, task)
    browser.until(f"the {kind} is there", "document.querySelector(arguments[0])?.readyState >= 2", kind)
    assert browser.duration(kind, 0) == pytest.approx(20, abs=0.5)
    assert browser.script("return document.querySelector(args[0]).currentSrc", kind).startswith(gateway.url(f"/tasks/{task}/resolve"))

    # By the player's own button.
    pages.play_or_pause()
    browser.until("it plays", "document.querySelector(arguments[0]).currentTime > 0.5", kind)
    pages.play_or_pause()
    browser.until("it stands", "document.querySelector(arguments[0]).paused", kind)
    # Far ahead and back.
    assert browser.seek(kind, 0, 15) == pytest.approx(15, abs=0.2)
    assert browser.seek(kind, 0, 2) == pytest.approx(2, abs=0.2)
    assert browser.play(kind, 0, 0.5) >= 2.5

    parts = [line for line in requests_of(gateway, f"/tasks/{task}/resolve") if line["status"] == 206]
    assert parts, "no range was answered"
    if kind == "video":
        # The index lies at its end: more than one place of the file was read.
        assert len({line["range"] for line in parts}) > 1


def requests_of(gateway, path: str) -> list[dict]:
    """The lines of the access log for one path."""
    lines = [json.loads(line) for line in gateway.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["target"] == "mediagate::access" and line["path"].startswith(path)]
