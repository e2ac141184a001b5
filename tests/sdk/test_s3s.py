"""Storages with an IAM role; moto plays STS and, behind it, S3."""

import pytest

from conftest import ROLE
from test_export_s3 import lasting
from test_import_s3 import refusal


@pytest.mark.parametrize("direction", ["import_storage", "export_storage"])
def test_a_role_storage_lives_from_create_to_delete(studio, role, direction):
    s3s = getattr(studio.client, direction).s3s
    if direction == "import_storage":
        # moto answers no preflight, so a storage of presigned URLs does not pass its test.
        role["presign"] = False
    s3s.validate(**role)
    made = s3s.create(**role)
    assert (made.role_arn, made.external_id, made.type, made.bucket) == (ROLE, "org-4711", "s3s", "role-media")
    assert lasting(s3s.get(made.id)) == lasting(made)
    assert made.id in [storage.id for storage in s3s.list(project=7)]
    assert s3s.update(made.id, title="Renamed").title == "Renamed"
    s3s.delete(made.id)
    assert refusal(s3s.get, made.id)[0] == 404


@pytest.mark.parametrize("wrong, says", [
    ({"role_arn": None}, "role_arn"),
    ({"role_arn": "not-an-arn"}, "role_arn"),
])
def test_a_role_is_needed(studio, role, wrong, says):
    status, body = refusal(studio.client.import_storage.s3s.create, **{**role, **wrong})
    assert status == 400 and says in body, body
