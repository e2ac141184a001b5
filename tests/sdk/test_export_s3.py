"""Target storages through the official client."""

import json
import secrets

import pytest

from processes import wait_until
from test_import_s3 import refusal

# What the run changes that a new target begins with.
OF_THE_RUN = {"status", "meta", "last_sync", "last_sync_count", "last_sync_job", "traceback"}


def lasting(storage) -> dict:
    return {name: value for name, value in storage.dict().items() if name not in OF_THE_RUN}


def ended(s3, storage_id: int):
    """The storage when its run has ended."""
    def ask():
        storage = s3.get(storage_id)
        return storage if storage.status not in ("initialized", "queued", "in_progress") else None
    return wait_until("the run ends", ask)


def send(studio, method: str, path: str, body=None) -> int:
    text = None if body is None else json.dumps(body)
    return studio.gateway.admin(path, method=method, body=text, headers=studio.headers()).status


def annotation(number: str, project: str, text: str = "a") -> dict:
    return {
        "id": number, "result": [{"value": text, "number": 1.10}], "project": project, "lead_time": 3.25,
        "task": {"id": 5, "data": {"image": "s3://media/ä.jpg"}, "project": project},
    }


def test_a_target_lives_from_create_to_delete(studio, good_target, garage):
    s3 = studio.client.export_storage.s3
    made = s3.create(**good_target, can_delete_objects=True)
    assert (made.title, made.bucket, made.prefix, made.project, made.type) == ("Annotations", "annotations", "out", 7, "s3")
    assert made.can_delete_objects is True
    assert lasting(s3.get(made.id)) == lasting(made)
    assert made.id in [storage.id for storage in s3.list(project=7)]
    changed = s3.update(made.id, title="Results", can_delete_objects=False)
    assert (changed.title, changed.can_delete_objects, changed.type) == ("Results", False, "s3")
    s3.delete(made.id)
    assert refusal(s3.get, made.id)[0] == 404


def test_a_test_that_may_delete_leaves_nothing_behind(studio, good_target, garage):
    studio.client.export_storage.s3.validate(**{**good_target, "prefix": "clean"}, can_delete_objects=True)
    listed = garage.s3.list_objects_v2(Bucket="annotations", Prefix="clean")
    assert listed["KeyCount"] == 0, listed


def test_an_empty_target_is_no_error(studio, good_target):
    studio.client.export_storage.s3.validate(**{**good_target, "bucket": "empty", "prefix": None})


@pytest.mark.parametrize("wrong, says", [
    ({"aws_secret_access_key": "wrong"}, "secret_access_key"),
    ({"bucket": "absent-bucket"}, "absent-bucket"),
    ({"region_name": "eu-west-1"}, "region"),
])
def test_what_is_wrong_is_said(studio, good_target, wrong, says):
    s3 = studio.client.export_storage.s3
    for call in (s3.validate, s3.create):
        status, body = refusal(call, **{**good_target, **wrong})
        assert status == 400 and says in body, body


def test_a_key_that_may_not_write_is_found_out(studio, good_target, garage):
    """Label Studio only lists; a target that cannot be written to passes there."""
    reader = garage.create_reader("annotations")
    keys = {"aws_access_key_id": reader[0], "aws_secret_access_key": reader[1]}
    status, body = refusal(studio.client.export_storage.s3.validate, **{**good_target, **keys})
    assert status == 400 and "s3:PutObject" in body, body


def test_ids_are_of_one_kind(studio, good, good_target):
    source = studio.client.import_storage.s3.create(**good)
    target = studio.client.export_storage.s3.create(**good_target)
    assert refusal(studio.client.export_storage.s3.get, source.id)[0] == 404
    assert refusal(studio.client.import_storage.s3.get, target.id)[0] == 404
    assert refusal(studio.client.import_storage.s3s.get, source.id)[0] == 404


def test_what_is_exported_is_what_was_sent(studio, good_target, garage):
    project, prefix = secrets.token_hex(4), f"export-{secrets.token_hex(4)}"
    sent = {f"{project}-{n}": annotation(f"{project}-{n}", project, f"text {n} \u2603") for n in range(30)}
    assert send(studio, "POST", "/api/annotations", list(sent.values())) == 200
    s3 = studio.client.export_storage.s3
    made = s3.create(**{**good_target, "project": 7, "prefix": prefix, "can_delete_objects": True})
    assert send(studio, "PATCH", f"/api/storages/export/s3/{made.id}", {"project": project}) == 200
    ended(s3, made.id)
    s3.sync(made.id)
    done = ended(s3, made.id)
    assert (done.status, done.last_sync_count, done.traceback) == ("completed", 30, None)
    for number, want in sent.items():
        read = garage.s3.get_object(Bucket="annotations", Key=f"{prefix}/{number}")
        assert json.loads(read["Body"].read()) == want
        assert read["ContentType"] == "application/json"
    gone = f"{project}-3"
    assert send(studio, "DELETE", f"/api/annotations/{gone}") == 204
    newer = annotation(f"{project}-4", project, "newer")
    assert send(studio, "PUT", f"/api/annotations/{project}-4", newer) == 200

    def settled():
        listed = garage.s3.list_objects_v2(Bucket="annotations", Prefix=f"{prefix}/{project}")["Contents"]
        keys = {one["Key"] for one in listed}
        body = garage.s3.get_object(Bucket="annotations", Key=f"{prefix}/{project}-4")["Body"].read()
        return f"{prefix}/{gone}" not in keys and json.loads(body) == newer and len(keys) == 29
    wait_until("the change and the deletion are in the bucket", settled)


def test_large_annotations_are_read_back_whole(studio, good_target, garage):
    """Past 16 MiB an object goes in parts."""
    project, prefix = secrets.token_hex(4), f"large-{secrets.token_hex(4)}"
    s3 = studio.client.export_storage.s3
    made = s3.create(**{**good_target, "prefix": prefix})
    assert send(studio, "PATCH", f"/api/storages/export/s3/{made.id}", {"project": project, "layout": "annotation.json"}) == 200
    want = annotation(f"{project}-1", project, secrets.token_hex(9 << 20))
    assert send(studio, "POST", "/api/annotations", want) == 200

    def read():
        listed = garage.s3.list_objects_v2(Bucket="annotations", Prefix=f"{prefix}/{project}")
        return listed["KeyCount"] == 1
    wait_until("it is in the bucket", read, 60)
    body = garage.s3.get_object(Bucket="annotations", Key=f"{prefix}/{project}-1.json")["Body"].read()
    assert json.loads(body) == want
