"""Target storages through the official client."""

import pytest

from test_import_s3 import refusal


def test_a_target_lives_from_create_to_delete(studio, good_target, garage):
    s3 = studio.client.export_storage.s3
    made = s3.create(**good_target, can_delete_objects=True)
    assert (made.title, made.bucket, made.prefix, made.project, made.type) == ("Annotations", "annotations", "out", 7, "s3")
    assert made.can_delete_objects is True
    assert s3.get(made.id).dict() == made.dict()
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
