"""Who sees which object: Label Studio decides, and the gateway keeps to it for no longer than it says."""

import re
import time

import jwt
import pytest

import people
from conftest import BRIEF, SECRET, fields_of, put, resolve
from processes import wait_until
from studio import Person

URI = "s3://media/secret/a.bin"
BODY = b"only for those who may see the task"


@pytest.fixture(scope="module")
def world(garage, label_studio, seeded):
    """A project of the organization with one task, connected in Label Studio itself, and the ids of its people."""
    put(garage, "media", "secret/a.bin", BODY)
    put(garage, "media", "secret/b.bin", b"in no task")
    put(garage, "other", "c.bin", b"another bucket")
    admin = Person(label_studio.port, people.ADMIN)
    project = admin.project("Secrets", '<View><Text name="text" value="$text"/></View>')
    for bucket in ("media", "other"):
        admin.call("/api/storages/s3/", "POST", fields_of(garage, project, bucket, presign=False))
    (task,) = admin.import_tasks(project, {"text": "x", "nested": [{"file": URI}]})
    return {"project": project, "task": task, "people": seeded[1], "admin": admin}


@pytest.fixture
def person(media_only):
    return lambda email: Person(media_only.port, email)


def test_a_member_sees_what_the_task_mentions(person, world):
    for email in (people.ADMIN, people.ANNOTATOR):
        for somebody in (person(email), person(email).log_in()):
            answer = somebody.ask(resolve(world["task"], URI))
            assert (answer.status, answer.body) == (200, BODY), email


@pytest.mark.parametrize("header", ["X-Api-Key", "Authorization"])
def test_each_kind_of_credentials_counts(person, world, header):
    somebody = person(people.ANNOTATOR)
    token = people.token_of(people.ANNOTATOR)
    somebody.headers = {header: token if header == "X-Api-Key" else f"Token {token}"}
    assert somebody.ask(resolve(world["task"], URI)).status == 200
    somebody.headers = {header: "0" * 40 if header == "X-Api-Key" else f"Token {'0' * 40}"}
    assert somebody.ask(resolve(world["task"], URI)).status == 401


def test_a_personal_access_token_counts_by_its_access_token(person, world):
    somebody = person(people.ANNOTATOR)
    refresh = somebody.call("/api/token/", "POST", status=(201,))["token"]
    somebody.headers = {}
    access = somebody.call("/api/token/refresh/", "POST", {"refresh": refresh})["access"]
    somebody.headers = {"Authorization": f"Bearer {access}"}
    assert somebody.ask(resolve(world["task"], URI)).status == 200
    # The personal token itself opens nothing, here as in Label Studio.
    somebody.headers = {"Authorization": f"Bearer {refresh}"}
    assert somebody.ask(resolve(world["task"], URI)).status == 401


def test_nobody_is_401(person, world):
    nobody = person(people.ADMIN)
    nobody.headers = {}
    assert nobody.ask(resolve(world["task"], URI)).status == 401
    nobody.headers = {"Cookie": "sessionid=forged:1tZ:abc"}
    assert nobody.ask(resolve(world["task"], URI)).status == 401


def test_somebody_of_another_organization_is_refused(person, world, label_studio):
    """Label Studio itself lets them: its media paths ask only whether somebody was removed."""
    alone = Person(label_studio.port, people.OUTSIDER)
    assert alone.ask(resolve(world["task"], URI)).status == 200
    for outsider in (person(people.OUTSIDER), person(people.OUTSIDER).log_in()):
        for target in (resolve(world["task"], URI), resolve(world["project"], URI, "projects")):
            answer = outsider.ask(target)
            assert answer.status in (403, 404) and BODY not in answer.body, target


def test_what_the_task_does_not_mention_is_403(person, world, label_studio):
    """Label Studio itself serves every object of every connected bucket to whoever may see one task."""
    alone = Person(label_studio.port, people.ANNOTATOR)
    for uri in ("s3://media/secret/b.bin", "s3://other/c.bin"):
        assert alone.ask(resolve(world["task"], uri)).status == 200, uri
        assert person(people.ANNOTATOR).ask(resolve(world["task"], uri)).status == 403, uri
    # Whether it exists or not is the same.
    assert person(people.ANNOTATOR).ask(resolve(world["task"], "s3://media/secret/absent.bin")).status == 403


def test_a_task_that_is_not_there_and_a_bucket_of_nobody_are_404(person, world):
    assert person(people.ANNOTATOR).ask(resolve(987654, URI)).status == 404
    (task,) = world["admin"].import_tasks(world["project"], {"text": "y", "file": "s3://unconnected/x.bin"})
    assert person(people.ANNOTATOR).ask(resolve(task, "s3://unconnected/x.bin")).status == 404


def test_the_query_is_judged_as_label_studio_judges_it(person, world):
    somebody = person(people.ANNOTATOR)
    assert somebody.ask(f"/tasks/{world['task']}/resolve/").status == 400
    # The player of audio adds a parameter and encodes the padding.
    target = resolve(world["task"], URI).replace("=", "%3D").replace("fileuri%3D", "fileuri=") + "&lsref=1"
    assert somebody.ask(target).body == BODY


def test_the_decision_comes_as_a_cookie_for_that_task_alone(person, world, label_studio):
    somebody = person(people.ANNOTATOR).log_in()
    answer = somebody.ask(resolve(world["task"], URI))
    (cookie,) = answer.headers.get_all("Set-Cookie")
    assert cookie.startswith("mediagate_task=") and "HttpOnly" in cookie and "SameSite=" in cookie, cookie
    assert re.search(rf"Path=/tasks/{world['task']}(/|;|$)", cookie), cookie
    somebody.headers = {"Cookie": cookie.split(";")[0]}
    assert somebody.ask(resolve(world["task"], URI)).body == BODY
    # For anything else Label Studio would have to be asked, and there is no session to ask with.
    assert somebody.ask(resolve(world["task"], "s3://media/secret/b.bin")).status in (401, 403)
    assert somebody.ask(resolve(world["task"] + 1, URI)).status in (401, 403)


def test_a_logout_ends_access_within_the_decisions_life(person, world):
    """The browser has dropped the session and still has the cookie of the task."""
    somebody = person(people.ANNOTATOR).log_in()
    cookie = somebody.ask(resolve(world["task"], URI))["Set-Cookie"].split(";")[0]
    somebody.log_out()
    began = time.monotonic()
    somebody.headers = {"Cookie": cookie}
    wait_until("access has ended", lambda: somebody.ask(resolve(world["task"], URI)).status == 401, seconds=BRIEF + 5)
    assert time.monotonic() - began < BRIEF + 2


def test_a_removed_member_is_refused_within_the_decisions_life(person, world):
    leaver, by_token = person(people.LEAVER).log_in(), person(people.LEAVER)
    for somebody in (leaver, by_token):
        answer = somebody.ask(resolve(world["task"], URI))
        assert answer.status == 200
    cookie = answer["Set-Cookie"]
    if cookie:
        leaver.headers["Cookie"] += "; " + cookie.split(";")[0]
    world["admin"].call(f"/api/organizations/1/memberships/{world['people'][people.LEAVER]}/", "DELETE")
    began = time.monotonic()
    for somebody in (leaver, by_token):
        refused = lambda who=somebody: (answer := who.ask(resolve(world["task"], URI))).status != 200 and answer
        answer = wait_until("access has ended", refused, seconds=BRIEF + 5)
        assert answer.status in (401, 403, 404) and BODY not in answer.body
    assert time.monotonic() - began < BRIEF + 2


def test_label_studio_is_asked_once_for_many_requests(person, world, label_studio):
    """One task is looked at once while the decision lives, however many of its objects are loaded."""
    asked = lambda: label_studio.log().count(f'"GET /api/tasks/{world["task"]}')
    somebody = person(people.ADMIN)
    before = settled(asked)
    for _ in range(20):
        assert somebody.ask(resolve(world["task"], URI)).status == 200
    assert settled(asked) - before <= 2


def settled(count) -> int:
    """Label Studio writes the line of a request some time after its answer."""
    last = -1
    while (now := count()) != last:
        last = now
        time.sleep(0.3)
    return now


def test_a_token_of_the_gateway_needs_no_label_studio(media_only, world):
    now = int(time.time())
    token = jwt.encode({"aud": "mediagate", "task": world["task"], "iat": now, "exp": now + 60, "objects": [URI]}, SECRET, "HS256", {"kid": "shared"})
    answer = media_only.ask(resolve(world["task"], URI), headers={"Authorization": f"Bearer {token}"})
    assert (answer.status, answer.body) == (200, BODY)
    assert answer["Set-Cookie"] is None
