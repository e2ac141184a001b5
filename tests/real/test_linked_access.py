"""From a synced task to its media: what the task mentions is served to its token, and nothing else."""

import base64
import html
import json
import re
import subprocess
from urllib.parse import quote

import pytest

from control import TOKEN, call, sync, task_lines
from gateway import BINARY, Gateway, storage

MENTIONED = ["img/plain.jpg", "img/a b+c%20é.jpg", "img/deep.jpg", "img/in html.jpg", "img/q?x=1&y=2.jpg", "img/prose.jpg"]
FOREIGN = ["img/other.jpg", "img/of the second task.jpg", "tasks/one.json", "img/plain.jpg.bak"]
DATA = {
    "image": "s3://linked/img/plain.jpg",
    "pages": [["s3://linked/img/a b+c%20é.jpg"], {"more": [{"uri": "s3://linked/img/deep.jpg"}, None, 7]}],
    "html": '<p>See <img src="s3://linked/img/in html.jpg"> and <a href=\'s3://linked/img/q?x=1&amp;y=2.jpg\'>this</a></p>',
    "text": "It lies at s3://linked/img/prose.jpg today.",
    "s3://linked/img/other.jpg": "names of fields mention nothing",
}


@pytest.fixture(scope="module")
def linked(garage, keys, tmp_path_factory):
    garage.create_bucket("linked")
    for key in [*MENTIONED, *(key for key in FOREIGN if key.startswith("img/"))]:
        garage.s3.put_object(Bucket="linked", Key=key, Body=f"body of {key}".encode(), ContentType="image/jpeg")
    tasks = [{"data": DATA}, {"image": "s3://linked/img/of the second task.jpg"}]
    garage.s3.put_object(Bucket="linked", Key="tasks/one.json", Body=json.dumps(tasks).encode())
    running = Gateway(tmp_path_factory.mktemp("linked"), {
        "admin": {"token": TOKEN}, "access": {"keys": [keys.hs256.config]},
        "storages": [storage(garage, "linked", "stream", project="7", filter="tasks/", **{"import": "tasks"})],
    })
    run = sync(running, "linked")
    assert (run["status"], run["counters"]["created"]) == ("completed", 2), run
    yield running
    running.stop()


def curl(*arguments: str) -> tuple[int, bytes]:
    done = subprocess.run(["curl", "-sS", "-w", "\n%{http_code}", *arguments], capture_output=True, timeout=60, check=True)
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def media(gateway: Gateway, key: str) -> str:
    return gateway.url(f"/media/linked/{quote(key)}")


def minted_in_a_shell(gateway: Gateway) -> str:
    done = subprocess.run(
        [BINARY, "token", "mint", "--task", "1", "--subject", "ann"], cwd=gateway.folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def minted_by_the_api(gateway: Gateway) -> str:
    return call(gateway, "/api/tokens", "POST", {"task": 1, "subject": "ann"})["token"]


@pytest.mark.parametrize("mint", [minted_in_a_shell, minted_by_the_api])
def test_a_token_of_the_task_opens_what_it_mentions(linked, mint):
    bearer = f"Authorization: Bearer {mint(linked)}"
    for key in MENTIONED:
        assert curl("-H", bearer, media(linked, key)) == (200, f"body of {key}".encode()), key
    for key in FOREIGN:
        status, body = curl("-H", bearer, media(linked, key))
        assert (status, json.loads(body)["code"]) == (403, "object_not_granted"), key


def test_label_studios_urls_are_bound_to_their_task(linked):
    bearer = f"Authorization: Bearer {minted_by_the_api(linked)}"
    uri = base64.urlsafe_b64encode(b"s3://linked/img/plain.jpg").decode()
    assert curl("-H", bearer, linked.url(f"/tasks/1/resolve/?fileuri={uri}")) == (200, b"body of img/plain.jpg")
    assert curl("-H", bearer, linked.url(f"/tasks/2/resolve/?fileuri={uri}"))[0] == 403


def uris(value) -> list[str]:
    """Every URL of ours in the data, as a browser finds it: texts that are one, attributes, words."""
    if isinstance(value, dict):
        return [uri for item in value.values() for uri in uris(item)]
    if isinstance(value, list):
        return [uri for item in value for uri in uris(item)]
    if not isinstance(value, str):
        return []
    return [html.unescape(found) for found in re.findall(r"http://127\.0\.0\.1[^\s\"'<>]+", value)]


def test_lines_with_tokens_work_as_they_are(linked):
    lines = task_lines(linked, f"&urls=token&base={linked.url('')}")
    first, second = (json.loads(line) for line in lines)
    found = uris(first["data"])
    assert [curl(url) for url in found] == [(200, f"body of {key}".encode()) for key in MENTIONED]
    assert "s3://linked/img/other.jpg" in first["data"], "names of fields stay"
    assert "s3://" not in json.dumps([value for name, value in first["data"].items() if name != "s3://linked/img/other.jpg"])
    [other] = uris(second["data"])
    assert curl(other) == (200, b"body of img/of the second task.jpg")
    # One task's token in the other task's URL, and the other way round.
    path, token = other.split("&token=")[0], found[0].split("&token=")[1]
    assert curl(f"{path}&token={token}")[0] == 403
    assert curl(path)[0] == 401


def test_curl_alone_gets_from_lines_to_media(linked):
    """As in the README, by a person with curl and a shell."""
    script = f"""
        curl -sS --fail -H 'Authorization: Bearer {TOKEN}' \
            'http://127.0.0.1:{linked.admin_port}/api/tasks?format=ndjson&urls=token&ttl=5m&base={linked.url("")}' |
        grep -o 'http://127[^" ]*' | sed "s/[\\\\'].*//" | head -1 | xargs curl -sS --fail
    """
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "body of img/plain.jpg"
