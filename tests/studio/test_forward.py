"""What is not media goes on to Label Studio and comes back as it was: the same answer on both ports."""

import json

import pytest

import people
from processes import wait_until
from studio import Person

# What differs between two answers of Label Studio itself.
VARYING = {"date", "set-cookie", "server", "content-length", "transfer-encoding", "connection", "keep-alive", "content-security-policy-report-only"}


@pytest.fixture(params=["alone", "gateway", "media_only"])
def person(request, label_studio) -> Person:
    """The administrator, of Label Studio alone and through each gateway."""
    port = label_studio.port if request.param == "alone" else request.getfixturevalue(request.param).port
    return Person(port, people.ADMIN)


def headers_of(answer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items() if name.lower() not in VARYING}


def upload(person: Person, project: int, name: str, body: bytes, content_type: str):
    """Sends a file as the page of the project does."""
    edge = b"edge-of-the-parts"
    head = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: {content_type}\r\n\r\n'.encode()
    form = b"--" + edge + b"\r\n" + head + body + b"\r\n--" + edge + b"--\r\n"
    answer = person.ask(f"/api/projects/{project}/import", "POST", form, {"Content-Type": f"multipart/form-data; boundary={edge.decode()}"})
    assert answer.status == 201, answer.body[:300]
    return json.loads(answer.body)


@pytest.mark.parametrize("target", [
    "/health", "/api/version/", "/user/login/", "/static/samples/sample.jpg", "/sw.js", "/api/projects/999999/", "/no-such-page", "/projects/",
    "/data/upload/1/absent.png", "/tasks/1/", "/projects/1/data?tab=1",
])
def test_pages_and_files_pass_as_they_are(label_studio, gateway, media_only, target):
    alone, through, beside = (Person(server.port, people.ADMIN).ask(target) for server in (label_studio, gateway, media_only))
    assert alone.status == through.status == beside.status
    assert headers_of(alone).keys() <= headers_of(through).keys()
    if alone["Content-Type"] and not alone["Content-Type"].startswith("text/html"):
        ids = lambda answer: {key: value for key, value in json.loads(answer.body).items() if key != "id"}
        same = ids if alone["Content-Type"] == "application/json" else lambda answer: answer.body
        assert same(alone) == same(through) == same(beside)


def test_a_page_without_a_login_leads_to_the_login_page(person):
    person.headers = {}
    for target in ("/", "/projects/", "/projects/1/data"):
        answer = person.ask(target)
        assert answer.status == 302 and answer["Location"].startswith("/user/login/"), (target, answer["Location"])


def test_a_login_by_the_form_opens_the_api(person):
    visitor = Person(person.port, people.ANNOTATOR).log_in()
    assert visitor.call("/api/current-user/whoami")["email"] == people.ANNOTATOR
    # The cookie is Label Studio's own, with all that it says of it.
    cookie = visitor.ask("/api/current-user/whoami")["Set-Cookie"]
    assert cookie.startswith("sessionid=") and "HttpOnly" in cookie and "SameSite=Lax" in cookie


def test_a_file_that_was_uploaded_is_served_with_ranges(person):
    project = person.project("Uploads")
    body = bytes(range(256)) * 40
    upload(person, project, "noise.png", body, "image/png")
    (task,) = wait_until("the task is there", lambda: person.tasks(project, ""))
    target = task["data"]["image"]
    assert target.startswith("/data/upload/"), target
    whole = person.ask(target)
    assert (whole.status, whole.body) == (200, body) and whole["Content-Security-Policy"] == "sandbox"
    part = person.ask(target, headers={"Range": "bytes=10-19"})
    assert (part.status, part.body, part["Content-Range"]) == (206, body[10:20], f"bytes 10-19/{len(body)}")
    assert person.ask(target, headers={"Range": "bytes=-5"}).body == body[-5:]
    assert person.ask(target, "HEAD").status == 200


def test_a_large_upload_passes(person):
    project = person.project("Large uploads", '<View><Text name="text" value="$text"/></View>')
    tasks = json.dumps([{"text": "x" * 1000, "n": n} for n in range(5_000)]).encode()
    assert len(tasks) > 5_000_000
    assert upload(person, project, "tasks.json", tasks, "application/json")["task_count"] == 5_000


def test_what_is_deleted_and_patched_is_so(person):
    project = person.project("Changed")
    assert person.call(f"/api/projects/{project}/", "PATCH", {"title": "Changed: ä"})["title"] == "Changed: ä"
    person.call(f"/api/projects/{project}/", "DELETE")
    assert person.ask(f"/api/projects/{project}/").status == 404


def test_other_kinds_of_storage_are_label_studios_own(person, tmp_path):
    project = person.project("Redis")
    body = {"project": project, "title": "Cache", "host": "127.0.0.1", "port": "1", "path": "x"}
    refused = person.ask("/api/storages/redis/", "POST", body)
    # Label Studio tried to connect, and said so in its own words.
    assert refused.status in (400, 403, 500) and b"version" in refused.body
    assert person.call(f"/api/storages/redis/?project={project}") == []
    assert {kind["name"] for kind in person.call("/api/storages/types")} >= {"s3", "gcs", "azure", "redis", "localfiles"}
