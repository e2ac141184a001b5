"""What the tests share: Garage, PostgreSQL, a gateway on either database, and the official client of its control API."""

import secrets
from dataclasses import dataclass
from pathlib import Path

import pytest
from label_studio_sdk import LabelStudio

import moto_server
from garage import REGION, Garage
from gateway import Gateway
from postgres import Postgres
from reports import pytest_runtest_makereport  # noqa: F401, the hook of failed tests

SECRET = "a-shared-secret-that-is-long-enough-for-hs256"
ROLE = "arn:aws:iam::123456789012:role/annotation-media"


@dataclass
class Studio:
    """One gateway, its database, and the client that drives it."""

    gateway: Gateway
    client: LabelStudio
    token: str
    database: str
    folder: Path

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}


@pytest.fixture(scope="session")
def garage(tmp_path_factory):
    server = Garage(tmp_path_factory.mktemp("garage"))
    for bucket in ("media", "annotations", "empty"):
        server.create_bucket(bucket)
    for key in ("img/a.jpg", "img/b.png", "img/deep/c.jpg", "tasks/one.json", "top.txt"):
        server.s3.put_object(Bucket="media", Key=key, Body=key.encode() * 10)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    yield server
    server.stop()


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def studio(request, tmp_path_factory, garage):
    """The gateway of most tests, once on each database."""
    folder = tmp_path_factory.mktemp(f"gateway-{request.param}")
    if request.param == "sqlite":
        url = f"sqlite://{folder}/mediagate.db"
    else:
        url = request.getfixturevalue("postgres").database()
    running = start(folder, garage, url)
    yield running
    running.gateway.stop()


@pytest.fixture
def start_studio(tmp_path, garage):
    """Starts gateways of a test's own, and ends those that the test left running."""
    started: list[Studio] = []

    def begin(url: str, **more) -> Studio:
        folder = tmp_path / f"gateway-{len(started)}"
        folder.mkdir()
        started.append(start(folder, garage, url, **more))
        return started[-1]

    yield begin
    for studio in started:
        if studio.gateway.program.process.poll() is None:
            studio.gateway.stop()


def start(folder: Path, garage: Garage, url: str, key: str | None = None, token: str | None = None, **tables) -> Studio:
    token = token or secrets.token_hex(20)
    (folder / "store.key").write_text(key or secrets.token_hex(32))
    gateway = Gateway(folder, {
        "admin": {"token": token},
        "access": {"keys": [{"id": "shared", "algorithm": "HS256", "secret": SECRET}]},
        "store": {"url": url, "key_file": str(folder / "store.key")},
        # Garage listens on this machine, where endpoints given through the API may not lead by themselves.
        "egress": {"allow": ["127.0.0.0/8"]},
        "cors": {"origins": ["https://annotate.example.org"]},
        "storages": [{
            "name": "fixed", "bucket": "media", "prefix": "img", "region": REGION, "endpoint": garage.endpoint,
            "access_key_id": garage.access_key_id, "secret_access_key": garage.secret_access_key,
        }],
        **tables,
    })
    client = LabelStudio(base_url=f"http://127.0.0.1:{gateway.admin_port}", api_key=token)
    return Studio(gateway, client, token, url, folder)


@pytest.fixture
def good(garage) -> dict:
    """What a person fills in to connect the test's bucket."""
    return {
        "project": 7,
        "title": "Images",
        "bucket": "media",
        "prefix": "img",
        "region_name": REGION,
        "s3endpoint": garage.endpoint,
        "aws_access_key_id": garage.access_key_id,
        "aws_secret_access_key": garage.secret_access_key,
    }


@pytest.fixture
def good_target(good) -> dict:
    return {**good, "title": "Annotations", "bucket": "annotations", "prefix": "out"}


@pytest.fixture(scope="session")
def moto(tmp_path_factory):
    """STS, and S3 behind it: two buckets with a picture and with files of tasks."""
    objects = {"img/a.jpg": b"jpeg", "tasks/lines.jsonl": b'{"n": 1}\n{"n": 2}\n', "tasks/broken.json": b"[{"}
    with moto_server.running(tmp_path_factory.mktemp("moto"), {"role-media": objects, "role-synced": objects}) as url:
        yield url


@pytest.fixture
def role(moto) -> dict:
    """What a person fills in to connect a bucket by a role."""
    return {
        "project": 7, "title": "By role", "bucket": "role-media", "prefix": "img", "region_name": "us-east-1",
        "s3endpoint": moto, "role_arn": ROLE, "external_id": "org-4711",
        "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "base-secret-of-the-gateway",
        "request_options": {"additional_body_parameters": {"sts_endpoint": moto}},
    }
