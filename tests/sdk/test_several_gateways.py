"""Two gateways on one PostgreSQL, and a PostgreSQL that goes away."""

import secrets
import time

import jwt
import pytest

from conftest import SECRET
from garage import REGION
from processes import wait_until
from wire import ask


@pytest.fixture
def pair(start_studio, postgres):
    url, key, token = postgres.database(), secrets.token_hex(32), secrets.token_hex(20)
    return start_studio(url, key=key, token=token), start_studio(url, key=key, token=token)


def media(studio, key: str, bucket: str = "media"):
    now = int(time.time())
    claims = {"aud": "mediagate", "sub": "ann", "iat": now, "exp": now + 600, "objects": [f"s3://{bucket}/*"]}
    token = jwt.encode(claims, SECRET, algorithm="HS256", headers={"kid": "shared"})
    return ask(studio.gateway.port, f"/media/{bucket}/{key}", headers={"Authorization": f"Bearer {token}"})


def test_a_storage_made_on_one_serves_on_the_other(pair, good):
    one, two = pair
    assert media(two, "top.txt").status == 404
    made = one.client.import_storage.s3.create(**{**good, "prefix": None, "presign": False})
    wait_until("the other gateway serves it", lambda: media(two, "top.txt").status == 200, seconds=2)
    assert media(two, "top.txt").body == b"top.txt" * 10

    one.client.import_storage.s3.update(made.id, presign=True)
    wait_until("the other gateway redirects", lambda: media(two, "top.txt").status == 303, seconds=2)

    two.client.import_storage.s3.delete(made.id)
    wait_until("the first gateway stops", lambda: media(one, "top.txt").status == 404, seconds=2)


def test_its_first_request_needs_no_wait_where_it_was_made(pair, good):
    one, _ = pair
    made = one.client.import_storage.s3.create(**{**good, "prefix": None, "presign": False})
    assert media(one, "top.txt").status == 200
    one.client.import_storage.s3.delete(made.id)
    assert media(one, "top.txt").status == 404


def test_the_data_path_outlives_its_database(pair, good, postgres):
    one, _ = pair
    one.client.import_storage.s3.create(**{**good, "prefix": None, "presign": False})
    wait_until("it serves", lambda: media(one, "top.txt").status == 200, seconds=2)
    postgres.stop()
    try:
        answer = one.gateway.admin("/api/storages/s3/?project=7", headers=one.headers())
        assert answer.status == 503 and answer["Retry-After"], answer.body
        assert b"database" in answer.body, answer.body
        assert one.gateway.admin("/livez").status == 200
        for _ in range(20):
            assert media(one, "top.txt").status == 200
    finally:
        postgres.start()
    wait_until("the API answers again", lambda: one.gateway.admin(
        "/api/storages/s3/?project=7", headers=one.headers()).status == 200, seconds=15)
    made = one.client.import_storage.s3.create(**{**good, "prefix": "img/deep", "title": "after", "presign": True})
    wait_until("changes are seen again", lambda: media(one, "img/deep/c.jpg").status == 303, seconds=15)
    assert made.title == "after"


def test_all_gateways_name_the_file_storages_alike(pair):
    one, two = pair
    ids = [[storage.id for storage in studio.client.import_storage.s3.list(project=1)] for studio in pair]
    assert ids[0] == ids[1] and len(ids[0]) == 1
    assert REGION == one.client.import_storage.s3.get(ids[0][0]).region_name
    assert two.client.import_storage.s3.get(ids[0][0]).title == one.client.import_storage.s3.get(ids[0][0]).title
