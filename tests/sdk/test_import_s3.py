"""Source storages through the official client."""

import datetime

import pytest
from label_studio_sdk.core import ApiError

FIELDS = [
    "id", "type", "synchronizable", "presign", "last_sync", "last_sync_count", "last_sync_job", "status", "traceback", "meta",
    "title", "description", "created_at", "bucket", "prefix", "regex_filter", "use_blob_urls", "aws_sse_kms_key_id",
    "region_name", "s3_endpoint", "presign_ttl", "recursive_scan", "project",
]


def refusal(call, *arguments, **fields) -> tuple[int, str]:
    with pytest.raises(ApiError) as raised:
        call(*arguments, **fields)
    return raised.value.status_code, str(raised.value.body)


def test_a_storage_lives_from_create_to_delete(studio, good):
    s3 = studio.client.import_storage.s3
    made = s3.create(**good, presign_ttl=30, regex_filter=r".*\.jpe?g", use_blob_urls=True, recursive_scan=True, description="all of them")
    assert (made.title, made.bucket, made.prefix, made.project, made.type) == ("Images", "media", "img", 7, "s3")
    assert (made.presign, made.presign_ttl, made.use_blob_urls, made.recursive_scan) == (True, 30, True, True)
    assert (made.status, made.last_sync, made.synchronizable) == ("initialized", None, True)
    age = datetime.datetime.now(datetime.timezone.utc) - made.created_at
    assert age < datetime.timedelta(minutes=1)

    assert s3.get(made.id).dict() == made.dict()
    assert made.id in [storage.id for storage in s3.list(project=7)]
    assert made.id not in [storage.id for storage in s3.list(project=8)]

    changed = s3.update(made.id, title="Pictures", presign=False)
    assert (changed.title, changed.presign, changed.bucket, changed.type) == ("Pictures", False, "media", "s3")
    assert s3.get(made.id).dict() == changed.dict()

    s3.delete(made.id)
    assert refusal(s3.get, made.id)[0] == 404
    assert refusal(s3.delete, made.id)[0] == 404
    assert made.id not in [storage.id for storage in s3.list(project=7)]


def test_defaults_are_label_studios(studio, good):
    made = studio.client.import_storage.s3.create(**good)
    assert (made.presign, made.presign_ttl, made.use_blob_urls, made.recursive_scan) == (True, 1, False, False)
    assert (made.description, made.regex_filter, made.synchronizable) == (None, None, True)


def test_keys_are_never_given_back(studio, good, garage):
    made = studio.client.import_storage.s3.create(**good)
    for answer in (made, studio.client.import_storage.s3.get(made.id)):
        assert garage.secret_access_key not in answer.json()
        assert garage.access_key_id not in answer.json()


def test_fields_stand_in_label_studios_order(studio, good):
    made = studio.client.import_storage.s3.create(**good)
    raw = studio.gateway.admin(f"/api/storages/s3/{made.id}", headers=studio.headers()).body.decode()
    places = [raw.index(f'"{field}":') for field in FIELDS]
    assert places == sorted(places)


def test_validate_tests_and_keeps_nothing(studio, good):
    s3 = studio.client.import_storage.s3
    before = len(s3.list(project=7))
    s3.validate(**good)
    assert len(s3.list(project=7)) == before


def test_validate_with_an_id_takes_the_stored_keys(studio, good):
    s3 = studio.client.import_storage.s3
    made = s3.create(**good)
    shown = {name: value for name, value in good.items() if not name.startswith("aws_")}
    s3.validate(**{**shown, "title": "not kept"}, id=made.id)
    assert s3.get(made.id).title == "Images"
    # Changing a title must not lose the keys.
    s3.update(made.id, title="kept")
    s3.validate(**shown, id=made.id)


@pytest.mark.parametrize("wrong, says", [
    ({"aws_secret_access_key": "wrong"}, "secret_access_key"),
    ({"bucket": "absent-bucket"}, "absent-bucket"),
    ({"prefix": "nothing-here"}, "nothing-here"),
    ({"region_name": "eu-west-1"}, "region"),
    ({"s3endpoint": "http://127.0.0.1:1"}, "nothing listens"),
    ({"s3endpoint": "http://10.1.2.3:9000"}, "egress.allow"),
    ({"s3endpoint": "http://169.254.169.254"}, "egress.allow"),
    ({"s3endpoint": "ftp://example.org"}, "https://"),
    ({"bucket": "No Bucket"}, "bucket"),
    ({"regex_filter": "("}, "regular expression"),
    ({"presign_ttl": 0}, "10080"),
    ({"presign_ttl": 10081}, "10080"),
])
def test_what_is_wrong_is_said_and_not_kept(studio, good, wrong, says):
    s3 = studio.client.import_storage.s3
    before = len(s3.list(project=7))
    for call in (s3.validate, s3.create):
        status, body = refusal(call, **{**good, **wrong})
        assert status == 400, body
        assert says in body, body
    assert len(s3.list(project=7)) == before


def test_the_project_is_needed(studio, good):
    status, body = refusal(studio.client.import_storage.s3.create, **{**good, "project": None})
    assert status == 400 and "project" in body


def test_types(studio):
    names = [kind.name for kind in studio.client.import_storage.list_types()]
    assert names == ["s3", "s3s"]
    assert [kind.name for kind in studio.client.export_storage.list_types()] == names


def test_storages_of_the_file_are_listed_and_read_only(studio):
    s3 = studio.client.import_storage.s3
    fixed = [storage for storage in s3.list(project=99) if storage.bucket == "media"]
    assert len(fixed) == 1
    status, body = refusal(s3.update, fixed[0].id, title="mine")
    assert status == 403 and "configuration file" in body
    status, body = refusal(s3.delete, fixed[0].id)
    assert status == 403 and "configuration file" in body


def test_a_wrong_token_is_refused(studio):
    from label_studio_sdk import LabelStudio

    stranger = LabelStudio(base_url=studio.client._client_wrapper.get_base_url(), api_key="wrong")
    assert refusal(stranger.import_storage.s3.list, project=7)[0] == 401
