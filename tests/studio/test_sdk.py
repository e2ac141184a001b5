"""label-studio-sdk with one address: Label Studio's tasks and the gateway's storages."""

import pytest
from label_studio_sdk import LabelStudio
from label_studio_sdk.core import ApiError

import moto_server
import people
from conftest import fields_of, put
from processes import wait_until
from studio import IMAGE, Person


@pytest.fixture(params=["legacy token", "personal access token"])
def client(request, gateway) -> LabelStudio:
    """The client, by each kind of token that Label Studio hands out."""
    kind = request.param
    key = people.token_of(people.ADMIN) if kind == "legacy token" else request.getfixturevalue("personal_token")
    return LabelStudio(base_url=gateway.url(""), api_key=key)


@pytest.fixture(scope="session")
def personal_token(gateway) -> str:
    """Everybody has one at most."""
    return Person(gateway.port, people.ADMIN).call("/api/token/", "POST", status=(201,))["token"]


@pytest.fixture(scope="session")
def moto(tmp_path_factory):
    """STS, and an S3 behind it with one picture."""
    with moto_server.running(tmp_path_factory.mktemp("moto"), {"role-media": {"img/a.jpg": b"jpeg"}}) as url:
        yield url


def sdk_fields(garage, project: int, bucket: str = "media", **more) -> dict:
    """The client calls the endpoint by another name than the API."""
    fields = fields_of(garage, project, bucket, **more)
    return {("s3endpoint" if name == "s3_endpoint" else name): value for name, value in fields.items()}


def synced(get, storage_id: int):
    ended = lambda: (found := get(storage_id)).status in ("completed", "completed_with_errors", "failed") and found
    return wait_until("the sync has ended", ended, seconds=60)


def test_from_a_bucket_to_tasks_to_annotations(client, garage):
    put(garage, "media", "sdk/a.png", b"a")
    put(garage, "media", "sdk/b.png", b"b")
    project = client.projects.create(title="By the SDK", label_config=IMAGE)
    source = client.import_storage.s3.create(**sdk_fields(garage, project.id, prefix="sdk", use_blob_urls=True))
    client.import_storage.s3.sync(source.id)
    ended = synced(client.import_storage.s3.get, source.id)
    assert (ended.status, ended.last_sync_count) == ("completed", 2)
    tasks = list(client.tasks.list(project=project.id))
    assert len(tasks) == 2 and all(task.data["image"].startswith(f"/tasks/{task.id}/resolve/") for task in tasks)
    assert {task.data["image"] for task in client.tasks.list(project=project.id, resolve_uri=False)} == {"s3://media/sdk/a.png", "s3://media/sdk/b.png"}

    target = client.export_storage.s3.create(**sdk_fields(garage, project.id, "annotations", prefix=f"sdk-{project.id}"))
    result = [{"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": ["Dog"]}}]
    annotation = client.annotations.create(id=tasks[0].id, result=result)
    key = f"sdk-{project.id}/{annotation.id}"
    there = lambda: key in [entry["Key"] for entry in garage.s3.list_objects_v2(Bucket="annotations").get("Contents", [])]
    wait_until("the annotation is in the bucket", there, seconds=30)
    assert [storage.id for storage in client.export_storage.s3.list(project=project.id)] == [target.id]

    changed = client.import_storage.s3.update(source.id, title="Renamed")
    assert (changed.title, changed.type) == ("Renamed", "s3")
    client.import_storage.s3.delete(source.id)
    with pytest.raises(ApiError) as raised:
        client.import_storage.s3.get(source.id)
    assert raised.value.status_code == 404
    assert len(list(client.tasks.list(project=project.id))) == 2
    client.projects.delete(id=project.id)


def test_a_refusal_is_an_api_error_with_a_reason(client, garage):
    project = client.projects.create(title="Refused by the SDK", label_config=IMAGE)
    with pytest.raises(ApiError) as raised:
        client.import_storage.s3.validate(**sdk_fields(garage, project.id, "absent-bucket"))
    assert raised.value.status_code == 400 and "absent-bucket" in str(raised.value.body)


def test_a_role_connects_a_bucket(client, moto):
    """Label Studio's community edition has no such storages; the client has."""
    project = client.projects.create(title="By a role", label_config=IMAGE)
    fields = {
        "project": project.id, "title": "By role", "bucket": "role-media", "prefix": "img", "region_name": "us-east-1", "s3endpoint": moto,
        "role_arn": "arn:aws:iam::123456789012:role/annotation-media", "external_id": "org-4711", "use_blob_urls": True, "presign": False,
        "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "base-secret-of-the-gateway",
        "request_options": {"additional_body_parameters": {"sts_endpoint": moto}},
    }
    client.import_storage.s3s.validate(**fields)
    made = client.import_storage.s3s.create(**fields)
    assert made.type == "s3s" and made.id in [storage.id for storage in client.import_storage.s3s.list(project=project.id)]
    client.import_storage.s3s.sync(made.id)
    assert synced(client.import_storage.s3s.get, made.id).last_sync_count == 1
    assert [task.data["image"] for task in client.tasks.list(project=project.id, resolve_uri=False)] == ["s3://role-media/img/a.jpg"]
    client.import_storage.s3s.delete(made.id)


def test_kinds_are_listed(client):
    assert {"s3", "gcs", "azure", "redis"} <= {kind.name for kind in client.import_storage.list_types()}
    assert {"s3", "gcs", "azure", "redis"} <= {kind.name for kind in client.export_storage.list_types()}
