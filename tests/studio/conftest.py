"""What the tests share: Label Studio, Garage, a gateway of each level before the same Label Studio, and one browser."""

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

import clips
import people
import studio
from browser import Browser
from garage import REGION, Garage
from gateway import Gateway, storage
from reports import pytest_runtest_makereport  # noqa: F401, the hook of failed tests
from studio import Person, Studio

# How long a decision is remembered by the gateway whose tests wait for its end.
BRIEF = 2
SECRET = "a-shared-secret-that-is-long-enough-for-hs256"


@pytest.fixture(scope="session")
def garage(tmp_path_factory):
    server = Garage(tmp_path_factory.mktemp("garage"))
    for bucket in ("media", "other", "annotations", "empty"):
        server.create_bucket(bucket)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def seeded(tmp_path_factory) -> tuple[Path, dict[str, int]]:
    """A data folder with people and nothing else, and the ids of the people."""
    folder = tmp_path_factory.mktemp("seeded")
    return folder, studio.make_data(folder)


@pytest.fixture(scope="session")
def label_studio(seeded, tmp_path_factory):
    """The Label Studio of nearly all tests."""
    running = Studio(studio.copy_data(seeded[0], tmp_path_factory.mktemp("studio") / "data"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def gateway(label_studio, garage, tmp_path_factory):
    """The level `storages`: Label Studio knows no bucket, the gateway knows them all."""
    running = in_front(label_studio, tmp_path_factory.mktemp("gateway"), storages=True)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def media_only(label_studio, garage, tmp_path_factory):
    """The level `media only`: Label Studio has its own storages, and the gateway serves what they name."""
    running = in_front(
        label_studio, tmp_path_factory.mktemp("media-only"), decision_ttl=f"{BRIEF}s",
        tables={"storages": [storage(garage, "media", "stream"), storage(garage, "other", "redirect")]},
    )
    yield running
    running.stop()


class Front(Gateway):
    """A gateway that Label Studio calls back, where it keeps the storages."""

    def write(self, config: dict) -> None:
        settings = config["label_studio"]
        if settings.get("storages"):
            settings = {"webhook_url": f"http://127.0.0.1:{self.admin_port}/hooks/label-studio", **settings}
        super().write({**config, "label_studio": settings})


def in_front(label_studio: Studio, folder: Path, tables: dict | None = None, prefix: str = "", **settings) -> Gateway:
    """A gateway before a Label Studio, as `config/mediagate.label-studio.toml` describes it, and quick to look around."""
    (folder / "store.key").write_text(secrets.token_hex(32))
    (folder / "label-studio-token").write_text(people.token_of(people.ADMIN))
    return Front(folder, {
        "admin": {"token": secrets.token_hex(20)},
        "access": {"keys": [{"id": "shared", "algorithm": "HS256", "secret": SECRET}]},
        "hooks": {"secret": "a-secret-of-the-webhooks"},
        "store": {"url": f"sqlite://{folder}/mediagate.db", "key_file": str(folder / "store.key")},
        # Garage listens on this machine, where endpoints given through the API may not lead by themselves.
        "egress": {"allow": ["127.0.0.0/8"]},
        "upstream": {"url": f"http://127.0.0.1:{label_studio.port}", "kind": "label-studio", "prefix": prefix},
        "label_studio": {"token_file": str(folder / "label-studio-token"), **settings},
        **(tables or {}),
    })


@pytest.fixture
def admin(gateway) -> Person:
    """Who made Label Studio, through the gateway of the level `storages`."""
    return Person(gateway.port, people.ADMIN)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    running = Browser(tmp_path_factory.mktemp("browser"))
    yield running
    running.close()


@dataclass
class Media:
    """One object, and what it is."""

    bucket: str
    key: str
    body: bytes

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@pytest.fixture(scope="session")
def image(garage, tmp_path_factory) -> Media:
    return put(garage, "media", "images/test card.png", clips.draw_image(tmp_path_factory.mktemp("image")), "image/png")


@pytest.fixture(scope="session")
def audio(garage, tmp_path_factory) -> Media:
    return put(garage, "media", "sound/tone.wav", clips.draw_audio(tmp_path_factory.mktemp("audio"), 20), "audio/wav")


@pytest.fixture(scope="session")
def video(garage, tmp_path_factory) -> Media:
    """In the one format that Label Studio's player always takes."""
    return put(garage, "media", "clips/test clip.mp4", clips.draw_video(tmp_path_factory.mktemp("video")), "video/mp4")


def put(garage: Garage, bucket: str, key: str, body: bytes, content_type: str = "application/octet-stream") -> Media:
    garage.s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
    return Media(bucket, key, body)


def fields_of(garage: Garage, project: int, bucket: str = "media", **more) -> dict:
    """What a person fills in to connect a bucket of the test server."""
    return {
        "project": project,
        "title": f"Bucket {bucket}",
        "bucket": bucket,
        "region_name": REGION,
        "s3_endpoint": garage.endpoint,
        "aws_access_key_id": garage.access_key_id,
        "aws_secret_access_key": garage.secret_access_key,
        **more,
    }


def fileuri(uri: str) -> str:
    """An object's URI as Label Studio writes it into the query."""
    return quote(base64.urlsafe_b64encode(uri.encode()).decode(), safe="=")


def resolve(task: int, uri: str, scope: str = "tasks") -> str:
    return f"/{scope}/{task}/resolve/?fileuri={fileuri(uri)}"
