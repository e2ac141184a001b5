"""A Label Studio below a path, with its uploads in S3: `LABEL_STUDIO_HOST=http://host/ls`, and `upstream.prefix = "/ls"`."""

from urllib.parse import quote

import pytest

import people
import studio
from conftest import fields_of, in_front, put, resolve
from garage import REGION
from studio import Person, Studio
from test_forward import upload

BODY = b"below a path"


@pytest.fixture(scope="module")
def below(seeded, garage, tmp_path_factory):
    application = Studio(
        studio.copy_data(seeded[0], tmp_path_factory.mktemp("below") / "data"),
        # Uploads of its own go to a bucket of its own, and come back by its nginx: X-Accel-Redirect.
        STORAGE_TYPE="s3", STORAGE_AWS_BUCKET_NAME="other", STORAGE_AWS_ENDPOINT_URL=garage.endpoint, STORAGE_AWS_REGION_NAME=REGION,
        STORAGE_AWS_ACCESS_KEY_ID=garage.access_key_id, STORAGE_AWS_SECRET_ACCESS_KEY=garage.secret_access_key,
    )
    front = in_front(application, tmp_path_factory.mktemp("below-gateway"), prefix="/ls", storages=True)
    application.environment["LABEL_STUDIO_HOST"] = f"http://127.0.0.1:{front.port}/ls"
    application.start(below=True)
    yield front
    front.stop()
    application.stop()


@pytest.fixture
def admin(below) -> Person:
    return Person(below.port, people.ADMIN, "/ls")


def test_pages_links_and_redirects_stay_below_the_path(below, admin):
    page = admin.ask("/user/login/")
    assert page.status == 200 and f"http://127.0.0.1:{below.port}/ls/".encode() in page.body
    assert admin.ask("/static/samples/sample.jpg")["Content-Type"] == "image/jpeg"
    visitor = Person(below.port, people.ANNOTATOR, "/ls")
    visitor.headers = {}
    assert visitor.ask("/")["Location"] == "/ls/user/login/"
    assert visitor.log_in().call("/api/current-user/whoami")["email"] == people.ANNOTATOR


def test_a_file_in_label_studios_own_bucket_is_left_to_its_nginx(admin):
    project = admin.project("Uploads below")
    upload(admin, project, "noise.png", b"uploaded", "image/png")
    (task,) = admin.tasks(project)
    answer = admin.ask("/storage-data/uploaded/?filepath=" + quote(task["data"]["image"].removeprefix("/data/")))
    assert answer.status == 200 and answer["X-Accel-Redirect"].startswith("/file_download/http/127.0.0.1"), answer.body


def test_media_below_the_path_is_the_gateways(below, admin, garage):
    made = put(garage, "media", "below/a.png", BODY)
    project = admin.project("Media below")
    admin.call("/api/storages/s3/", "POST", fields_of(garage, project, presign=False))
    (task,) = admin.import_tasks(project, {"image": made.uri})
    shown = admin.call(f"/api/tasks/{task}/")["data"]["image"]
    # Absolute or not, it leads to the one address and the path.
    assert shown.removeprefix(f"http://127.0.0.1:{below.port}") == "/ls" + resolve(task, made.uri)
    answer = admin.ask(resolve(task, made.uri))
    assert (answer.status, answer.body) == (200, BODY)
    for cookie in answer.headers.get_all("Set-Cookie", []):
        assert f"Path=/ls/tasks/{task}" in cookie
    nobody = Person(below.port, people.ADMIN, "/ls")
    nobody.headers = {}
    assert nobody.ask(resolve(task, made.uri)).status == 401
    # Above the path it is guarded as well.
    nobody.prefix = ""
    assert nobody.ask(resolve(task, made.uri)).status == 401
