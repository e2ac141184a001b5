"""Label Studio's API for S3 storages, asked the same of Label Studio alone and through the gateway.

The tests that its wheel carries run inside its process, with S3 replaced, and can be pointed at no address; these ask the
same by HTTP, with a real S3 behind. What passes with Label Studio alone has to pass through the gateway; where the gateway
is better on purpose, the test names both.
"""

import json
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

import people
from conftest import fields_of, put
from processes import wait_until
from studio import Person

ENDED = ("completed", "completed_with_errors", "failed")
SECRETS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
IMPORT_FIELDS = {
    "id", "type", "synchronizable", "presign", "last_sync", "last_sync_count", "last_sync_job", "status", "traceback", "meta", "title",
    "description", "created_at", "bucket", "prefix", "regex_filter", "use_blob_urls", "aws_sse_kms_key_id", "region_name", "s3_endpoint",
    "presign_ttl", "recursive_scan", "project",
}
EXPORT_FIELDS = IMPORT_FIELDS - {"presign", "presign_ttl", "recursive_scan"} | {"can_delete_objects"}


@dataclass
class Api:
    """The API at one port."""

    admin: Person
    is_gateway: bool

    def create(self, fields: dict, kind: str = "s3/") -> dict:
        return self.admin.call(f"/api/storages/{kind}", "POST", fields, status=(201,))

    def sync(self, storage: dict, kind: str = "s3") -> dict:
        """Syncs to the end: Label Studio answers then, the gateway at once."""
        answer = self.admin.ask(f"/api/storages/{kind}/{storage['id']}/sync", "POST")
        assert answer.status == 200, answer.body[:500]
        ended = lambda: (found := self.admin.call(f"/api/storages/{kind}/{storage['id']}"))["status"] in ENDED and found
        return wait_until("the sync has ended", ended, seconds=60)


@pytest.fixture(params=["alone", "gateway"])
def api(request, label_studio, garage) -> Api:
    is_gateway = request.param == "gateway"
    port = request.getfixturevalue("gateway").port if is_gateway else label_studio.port
    return Api(Person(port, people.ADMIN), is_gateway)


@pytest.fixture
def project(api, request) -> int:
    return api.admin.project(request.node.name[:50])


@pytest.fixture(scope="module", autouse=True)
def objects(garage):
    for key in ("scan/a.jpg", "scan/b.png", "scan/deep/c.jpg"):
        put(garage, "media", key, key.encode())
    put(garage, "media", "items/list.json", b'[{"image": "s3://media/scan/a.jpg"}, {"data": {"image": "s3://media/scan/b.png"}}]')
    put(garage, "media", "items/lines.jsonl", b'{"image": "s3://media/scan/a.jpg"}\n\n{"image": "s3://media/scan/deep/c.jpg"}\n')
    put(garage, "media", "torn/one.json", b"[{")
    put(garage, "other", "scan/z.jpg", b"z")


@pytest.mark.parametrize("path, fields", [("s3", IMPORT_FIELDS), ("s3/", IMPORT_FIELDS), ("export/s3", EXPORT_FIELDS)])
def test_what_is_created_has_label_studios_fields_and_no_secret(api, garage, project, path, fields):
    made = api.create(fields_of(garage, project, aws_session_token="", unknown_key=1), path)
    assert fields <= made.keys() and not made.keys() & set(SECRETS)
    assert (made["bucket"], made["project"], made["type"], made["title"]) == ("media", project, "s3", "Bucket media")
    single = api.admin.call(f"/api/storages/{path.strip('/')}/{made['id']}")
    (listed,) = api.admin.call(f"/api/storages/{path.strip('/')}?project={project}")
    for found in (single, listed):
        assert fields <= found.keys() and not found.keys() & set(SECRETS)
        assert {key: found[key] for key in ("id", "title", "bucket")} == {key: made[key] for key in ("id", "title", "bucket")}


def test_defaults_are_label_studios(api, garage, project):
    made = api.create({key: value for key, value in fields_of(garage, project).items() if key != "title"})
    expected = {
        "title": None, "description": None, "prefix": None, "regex_filter": None, "use_blob_urls": False, "aws_sse_kms_key_id": None,
        "presign": True, "presign_ttl": 1, "recursive_scan": False, "synchronizable": True, "status": "initialized", "last_sync": None,
        "last_sync_count": None, "traceback": None,
    }
    assert {key: made[key] for key in expected} == expected


@pytest.mark.parametrize("path", ["s3", "export/s3"])
def test_a_storage_is_changed_and_deleted(api, garage, project, path):
    # A target's test writes an object, which must not lie where a source is looked at.
    bucket, prefix = ("media", "scan") if path == "s3" else ("annotations", "changed")
    made = api.create(fields_of(garage, project, bucket), path)
    target = f"/api/storages/{path}/{made['id']}"
    changed = api.admin.call(target, "PATCH", {"title": "Renamed", "prefix": prefix})
    assert (changed["title"], changed["prefix"], changed["bucket"]) == ("Renamed", prefix, bucket)
    # Label Studio leaves the type out here, though its own pages read it.
    assert ("type" in changed) == api.is_gateway
    assert api.admin.call(target)["title"] == "Renamed"
    # The keys stayed: the bucket in the body has the connection tested again.
    api.admin.call(target, "PATCH", {"bucket": "other"})
    answer = api.admin.ask(target, "DELETE")
    assert (answer.status, answer.body) == (204, b"")
    assert api.admin.ask(target).status == 404
    assert api.admin.call(f"/api/storages/{path}?project={project}") == []


@pytest.mark.parametrize("path", ["s3/validate", "export/s3/validate"])
def test_a_good_connection_is_200_without_a_body(api, garage, project, path):
    answer = api.admin.ask(f"/api/storages/{path}", "POST", fields_of(garage, project))
    assert (answer.status, answer.body) == (200, b"")
    assert api.admin.call(f"/api/storages/{path.removesuffix('/validate')}?project={project}") == []


@pytest.mark.parametrize("path", ["s3/validate", "s3"])
@pytest.mark.parametrize("wrong, words", [
    ({"bucket": "absent-bucket"}, "absent-bucket"),
    ({"aws_secret_access_key": "wrong"}, "media"),
    ({"prefix": "nothing/here"}, "nothing/here"),
    ({"bucket": "No Bucket!"}, "bucket name"),
])
def test_a_connection_that_fails_is_400_and_says_why(api, garage, project, path, wrong, words):
    answer = api.admin.ask(f"/api/storages/{path}", "POST", fields_of(garage, project, **wrong))
    assert answer.status == 400 or not api.is_gateway, answer.body
    if api.is_gateway:
        assert words in answer.body.decode()
    assert b"status_code" in answer.body and answer.status in (400, 403, 500)
    assert api.admin.call(f"/api/storages/s3/?project={project}") == []


def test_a_wrong_body_is_400(api, garage, project):
    for fields, field in (
        ({"bucket": "media"}, "project"),
        (fields_of(garage, project, presign_ttl="soon"), "presign_ttl"),
        (fields_of(garage, project, recursive_scan="perhaps"), "recursive_scan"),
    ):
        answer = api.admin.ask("/api/storages/s3/", "POST", fields)
        assert answer.status == 400 and field in answer.body.decode(), (field, answer.body)


def test_what_is_not_there_is_404_and_a_list_wants_a_project(api):
    for target in ("/api/storages/s3/987654", "/api/storages/export/s3/987654", "/api/storages/s3/?project=987654"):
        assert api.admin.ask(target).status == 404, target
    assert api.admin.ask("/api/storages/s3/987654/sync", "POST").status == 404
    for target in ("/api/storages/s3/", "/api/storages/export/s3"):
        assert api.admin.ask(target).status == 400, target


def test_the_preview_lists_keys_up_to_a_limit(api, garage, project):
    fields = fields_of(garage, project, prefix="scan", use_blob_urls=True)
    files = api.admin.call("/api/storages/s3/files", "POST", fields)["files"]
    assert [entry["key"] for entry in files] == ["scan/a.jpg", "scan/b.png"]
    assert {"key", "last_modified", "size"} <= files[0].keys() and files[0]["size"] == len("scan/a.jpg")
    deep = api.admin.call("/api/storages/s3/files", "POST", {**fields, "recursive_scan": True})["files"]
    assert [entry["key"] for entry in deep] == ["scan/a.jpg", "scan/b.png", "scan/deep/c.jpg"]
    filtered = api.admin.call("/api/storages/s3/files", "POST", {**fields, "recursive_scan": True, "regex_filter": r".*\.jpg"})["files"]
    assert [entry["key"] for entry in filtered] == ["scan/a.jpg", "scan/deep/c.jpg"]
    short = api.admin.call("/api/storages/s3/files", "POST", {**fields, "recursive_scan": True, "limit": 1})["files"]
    assert [entry["key"] for entry in short] == ["scan/a.jpg", None]
    assert api.admin.call(f"/api/storages/s3/?project={project}") == []


def test_files_become_tasks_once(api, garage, project):
    made = api.create(fields_of(garage, project, prefix="scan", use_blob_urls=True, recursive_scan=True, regex_filter=r".*\.(jpg|png)"))
    synced = api.sync(made)
    assert (synced["status"], synced["last_sync_count"], synced["traceback"]) == ("completed", 3, None)
    assert synced["last_sync"] and {"attempts", "time_completed", "duration"} <= synced["meta"].keys()
    data = sorted(task["data"]["image"] for task in api.admin.tasks(project))
    assert data == ["s3://media/scan/a.jpg", "s3://media/scan/b.png", "s3://media/scan/deep/c.jpg"]
    again = api.sync(made)
    assert (again["status"], again["last_sync_count"], again["meta"]["tasks_existed"]) == ("completed", 0, 3)
    assert again["meta"]["attempts"] == 2
    assert len(api.admin.tasks(project)) == 3


def test_items_become_tasks(api, garage, project):
    made = api.create(fields_of(garage, project, prefix="items"))
    assert api.sync(made)["last_sync_count"] == 4
    data = [task["data"]["image"] for task in api.admin.tasks(project)]
    assert sorted(data) == ["s3://media/scan/a.jpg", "s3://media/scan/a.jpg", "s3://media/scan/b.png", "s3://media/scan/deep/c.jpg"]


def test_a_file_that_is_torn_is_told(api, garage, project):
    synced = api.sync(api.create(fields_of(garage, project, prefix="torn")))
    assert synced["status"] in ("failed", "completed_with_errors") and synced["traceback"]
    if api.is_gateway:
        # Label Studio hides the reason where the bucket's server is not on its list of domains.
        assert "one.json" in synced["traceback"]
    assert api.admin.tasks(project) == []


def test_a_storage_that_is_not_synchronizable_is_not_synced(api, garage, project):
    made = api.create(fields_of(garage, project, synchronizable=False))
    answer = api.admin.ask(f"/api/storages/s3/{made['id']}/sync", "POST")
    assert answer.status == 400 and b"not synchronizable" in answer.body


def test_all_kinds_are_listed_together(api, garage, project):
    made = api.create(fields_of(garage, project))
    target = api.create(fields_of(garage, project, "annotations"), "export/s3")
    for query, wanted in ((f"/api/storages/?project={project}", made), (f"/api/storages/export?project={project}", target)):
        assert [(storage["type"], storage["id"]) for storage in api.admin.call(query)] == [("s3", wanted["id"])]
    for query in ("/api/storages/types", "/api/storages/export/types"):
        kinds = {kind["name"]: kind["title"] for kind in api.admin.call(query)}
        assert kinds["s3"] == "AWS S3" and {"gcs", "azure", "redis", "localfiles"} <= kinds.keys()


def test_the_old_form_is_described(api):
    for path in ("s3", "export/s3"):
        rows = api.admin.call(f"/api/storages/{path}/form")
        blocks = [block for row in rows for block in (row, *row.get("columns", []))]
        names = {field["name"] for block in blocks for field in block.get("fields", []) if field}
        assert {"title", "bucket", "prefix", "region_name", "s3_endpoint", "aws_access_key_id"} <= names


def test_form_bodies_are_read(api, garage, project):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = api.admin.ask("/api/storages/s3/", "POST", urlencode(fields_of(garage, project, presign="false")), headers)
    assert answer.status == 201 and b'"presign":false' in answer.body, answer.body


@pytest.mark.parametrize("who, refused", [("nobody", {401}), ("outsider", {400, 403, 404})])
def test_who_may_not_see_the_project_may_not_touch_its_storages(api, garage, project, who, refused):
    made = api.create(fields_of(garage, project))
    stranger = Person(api.admin.port, people.OUTSIDER)
    if who == "nobody":
        stranger.headers = {}
    elif not api.is_gateway:
        pytest.skip("Label Studio asks only whether somebody was removed: people of another organization may do all of it")
    body = fields_of(garage, project)
    everything = stranger.ask(f"/api/storages/?project={project}")
    assert everything.status in refused or json.loads(everything.body) == []
    asked = {
        "list": stranger.ask(f"/api/storages/s3/?project={project}"),
        "get": stranger.ask(f"/api/storages/s3/{made['id']}"),
        "change": stranger.ask(f"/api/storages/s3/{made['id']}", "PATCH", {"title": "Mine"}),
        "sync": stranger.ask(f"/api/storages/s3/{made['id']}/sync", "POST"),
        "validate": stranger.ask("/api/storages/s3/validate", "POST", body),
        "preview": stranger.ask("/api/storages/s3/files", "POST", body),
        "create": stranger.ask("/api/storages/s3/", "POST", body),
        "delete": stranger.ask(f"/api/storages/s3/{made['id']}", "DELETE"),
    }
    assert {name: answer.status for name, answer in asked.items() if answer.status not in refused} == {}
    # Where it is 400, the project is what is wrong: nothing was connected to.
    assert all(answer.status != 400 or list(json.loads(answer.body)["validation_errors"]) == ["project"] for answer in asked.values())
    assert [storage["title"] for storage in api.admin.call(f"/api/storages/s3/?project={project}")] == ["Bucket media"]


def test_an_annotator_of_the_organization_may(api, garage, project):
    """Community Label Studio knows no roles: whoever is in the organization may change its storages."""
    made = api.create(fields_of(garage, project))
    member = Person(api.admin.port, people.ANNOTATOR)
    assert member.call(f"/api/storages/s3/{made['id']}", "PATCH", {"title": "Ours"})["title"] == "Ours"


def test_another_origin_may_not_write_with_a_session(api, garage, project):
    member = Person(api.admin.port, people.ADMIN).log_in()
    own = {"Origin": f"http://127.0.0.1:{api.admin.port}"}
    assert member.ask("/api/storages/s3/", "POST", fields_of(garage, project), own).status == 201
    answer = member.ask("/api/storages/s3/", "POST", fields_of(garage, project), {"Origin": "https://evil.example.org"})
    # Label Studio leaves this to the browser's SameSite rule.
    assert answer.status == (403 if api.is_gateway else 201)


def test_annotations_are_written_by_a_sync_of_the_target(api, garage, project):
    prefix = f"api-{'gateway' if api.is_gateway else 'alone'}"
    (task,) = api.admin.import_tasks(project, {"image": "s3://media/scan/a.jpg"})
    result = [{"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": ["Dog"]}}]
    annotation = api.admin.call(f"/api/tasks/{task}/annotations/", "POST", {"result": result})["id"]
    target = api.create(fields_of(garage, project, "annotations", prefix=prefix, can_delete_objects=True), "export/s3")
    synced = api.sync(target, "export/s3")
    assert (synced["status"], synced["last_sync_count"]) == ("completed", 1)
    body = json.loads(garage.s3.get_object(Bucket="annotations", Key=f"{prefix}/{annotation}")["Body"].read())
    assert (body["id"], body["result"][0]["value"], body["completed_by"]["email"]) == (annotation, {"choices": ["Dog"]}, people.ADMIN)
    assert body["task"]["data"] == {"image": "s3://media/scan/a.jpg"}
    api.admin.call(f"/api/annotations/{annotation}/", "DELETE")
    gone = lambda: "Contents" not in garage.s3.list_objects_v2(Bucket="annotations", Prefix=prefix)
    wait_until("the object is gone", gone, seconds=30)
