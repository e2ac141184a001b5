"""Storages with an IAM role; moto plays STS and, behind it, S3."""

import sys

import boto3
import pytest

from processes import Program, free_port, listens, wait_until
from test_import_s3 import refusal

ROLE = "arn:aws:iam::123456789012:role/annotation-media"


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    port = free_port()
    server = Program("moto", [sys.executable, "-m", "moto.server", "-p", str(port)], tmp_path_factory.mktemp("moto"))
    wait_until("moto listens", lambda: listens(port), program=server)
    url = f"http://127.0.0.1:{port}"
    s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    s3.create_bucket(Bucket="role-media")
    s3.put_object(Bucket="role-media", Key="img/a.jpg", Body=b"jpeg")
    yield url
    server.process.kill()
    server.wait()


@pytest.fixture
def role(moto) -> dict:
    return {
        "project": 7, "title": "By role", "bucket": "role-media", "prefix": "img", "region_name": "us-east-1",
        "s3endpoint": moto, "role_arn": ROLE, "external_id": "org-4711",
        "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "base-secret-of-the-gateway",
        "request_options": {"additional_body_parameters": {"sts_endpoint": moto}},
    }


@pytest.mark.parametrize("direction", ["import_storage", "export_storage"])
def test_a_role_storage_lives_from_create_to_delete(studio, role, direction):
    s3s = getattr(studio.client, direction).s3s
    if direction == "import_storage":
        # moto answers no preflight, so a storage of presigned URLs does not pass its test.
        role["presign"] = False
    s3s.validate(**role)
    made = s3s.create(**role)
    assert (made.role_arn, made.external_id, made.type, made.bucket) == (ROLE, "org-4711", "s3s", "role-media")
    assert s3s.get(made.id).dict() == made.dict()
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
