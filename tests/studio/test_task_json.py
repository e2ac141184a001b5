"""Tasks as Label Studio's API gives them through the gateway: media URLs in the place of URIs, and nothing else changed."""

import json
import re
from urllib.parse import quote

import pytest

import people
from conftest import fields_of, put
from studio import Person

TEXT = '<View><Text name="text" value="$text"/><Choices name="choice" toName="text"><Choice value="x"/></Choices></View>'
A, B = "s3://media/json/a b&c.png", "s3://media/json/ü.png"
HTML = f'<img src="{A}"><img src=\'{B}\' alt="a=b">'
DATA = {
    "text": "plain, with s3 and :// in it",
    "whole": A,
    "list": [B, {"deep": [[A]]}],
    "html": HTML,
    "elsewhere": "s3://of-nobody/x.png",
    "numbers": [1.0, 1e3, 12345678901234567890, -0.5],
    "unicode": "ü \u2028 \U0001f600 </script>",
    "order": {"z": 1, "a": 2},
    "null": None,
}


@pytest.fixture(scope="module")
def world(gateway, label_studio, garage):
    for uri in (A, B):
        put(garage, "media", uri.removeprefix("s3://media/"), uri.encode())
    admin = Person(gateway.port, people.ADMIN)
    project = admin.project("Task JSON", TEXT)
    admin.call("/api/storages/s3/", "POST", fields_of(garage, project, prefix="json", presign=False))
    (task,) = admin.import_tasks(project, DATA)
    return {"project": project, "task": task, "admin": admin, "alone": Person(label_studio.port, people.ADMIN)}


def strings(value) -> list[str]:
    """Every string within, at any depth."""
    if isinstance(value, (list, dict)):
        return [text for part in (value.values() if isinstance(value, dict) else value) for text in strings(part)]
    return [value] if isinstance(value, str) else []


def assert_rewritten(world, data: dict) -> None:
    """Every URI of the storage is a media URL that works, and all else is what was imported."""
    task = world["task"]
    urls = [found for text in strings(data) for found in re.findall(rf"/tasks/{task}/resolve/\?[^\"' ]+", text)]
    assert len(urls) == 5, urls
    for found in urls:
        answer = world["admin"].ask(found)
        assert answer.status == 200 and answer.body.decode() in (A, B), (found, answer.status)
    assert data["whole"].startswith(f"/tasks/{task}/resolve/") and data["list"][1]["deep"][0][0] == data["whole"]
    assert "s3://media" not in json.dumps(data) and data["html"].count("<img src=") == 2 and 'alt="a=b"' in data["html"]
    for key in ("text", "elsewhere", "numbers", "unicode", "order", "null"):
        assert data[key] == DATA[key], key
    assert list(data["order"]) == ["z", "a"]


ENDPOINTS = {
    "task": lambda person, world: person.call(f"/api/tasks/{world['task']}/"),
    "task without a slash": lambda person, world: person.call(f"/api/tasks/{world['task']}"),
    "list": lambda person, world: person.call(f"/api/tasks?project={world['project']}&fields=all")["tasks"][0],
    "list with a slash": lambda person, world: person.call(f"/api/tasks/?project={world['project']}&fields=all")["tasks"][0],
    "next": lambda person, world: person.call(f"/api/projects/{world['project']}/next"),
    "next of the data manager": lambda person, world: person.call(f"/api/dm/actions?id=next_task&project={world['project']}", "POST", {}),
}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_uris_are_media_urls(world, endpoint):
    assert_rewritten(world, ENDPOINTS[endpoint](world["admin"], world)["data"])


@pytest.mark.parametrize("endpoint", ["task", "list"])
def test_the_rest_of_the_answer_is_label_studios(world, endpoint):
    through, alone = (ENDPOINTS[endpoint](person, world) for person in (world["admin"], world["alone"]))
    assert list(through) == list(alone)
    assert {key: value for key, value in through.items() if key != "data"} == {key: value for key, value in alone.items() if key != "data"}
    assert list(through["data"]) == list(alone["data"])


def test_bytes_between_the_uris_stay(world):
    """Numbers, order and escapes are not written anew."""
    target = f"/api/tasks/{world['task']}/?resolve_uri=false"
    raw = world["alone"].ask(target).body
    through = world["admin"].ask(target.removesuffix("?resolve_uri=false")).body
    for piece in re.findall(rb'"(?:numbers|unicode|order|null|text|elsewhere)":(?:\[[^\]]*\]|\{[^}]*\}|"(?:[^"\\]|\\.)*"|null)', raw):
        assert piece in through, piece


@pytest.mark.parametrize("target", ["/api/tasks/{task}/?resolve_uri=false", "/api/tasks?project={project}&fields=all&resolve_uri=false"])
def test_resolve_uri_false_is_untouched(world, target):
    target = target.format(**world)
    assert world["admin"].ask(target).body == world["alone"].ask(target).body
    assert A in world["admin"].ask(target).body.decode()


def test_an_export_keeps_the_uris(world):
    target = f"/api/projects/{world['project']}/export?exportType=JSON&download_all_tasks=true"
    (exported,) = world["admin"].call(target)
    assert exported["data"] == DATA


def test_the_data_managers_columns_and_filters_work(world):
    """The list is asked for with filters in the body's place, as its page does."""
    query = quote(json.dumps({"filters": {"conjunction": "and", "items": []}}))
    answer = world["admin"].call(f"/api/tasks?project={world['project']}&page=1&page_size=30&query={query}")
    assert answer["total"] == 1 and set(DATA) <= answer["tasks"][0]["data"].keys()


def test_a_changed_task_keeps_its_uris(world):
    """What comes back from a page as a change is what was imported, not a media URL."""
    admin = world["admin"]
    (task,) = admin.import_tasks(world["project"], {"text": "before", "whole": A})
    admin.call(f"/api/tasks/{task}/", "PATCH", {"data": {"text": "after", "whole": B}})
    stored = world["alone"].call(f"/api/tasks/{task}/?resolve_uri=false")["data"]
    assert stored == {"text": "after", "whole": B}
    admin.call(f"/api/tasks/{task}/", "DELETE")


def test_gzip_asked_for_is_not_in_the_way(world):
    answer = world["admin"].ask(f"/api/tasks/{world['task']}/", headers={"Accept-Encoding": "gzip, br"})
    assert answer.status == 200
    if answer["Content-Encoding"] is None:
        assert_rewritten(world, json.loads(answer.body)["data"])
    else:
        assert A.encode() not in answer.body
