"""What the tests share: Label Studio, Garage, a gateway of each level before the same Label Studio, and one browser."""

import base64
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

import people
import processes
import studio
from browser import Browser
from garage import REGION, Garage
from gateway import Gateway, storage
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
    file = tmp_path_factory.mktemp("image") / "image.png"
    _ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x240", "-frames:v", "1", str(file))
    return put(garage, "media", "images/test card.png", file.read_bytes(), "image/png")


@pytest.fixture(scope="session")
def audio(garage, tmp_path_factory) -> Media:
    file = tmp_path_factory.mktemp("audio") / "audio.wav"
    _ffmpeg("-f", "lavfi", "-i", "sine=frequency=440:duration=20", str(file))
    return put(garage, "media", "sound/tone.wav", file.read_bytes(), "audio/wav")


@pytest.fixture(scope="session")
def video(garage, tmp_path_factory) -> Media:
    """Twenty seconds with the index at the end, too big to be fetched in one go, in the one format that Label Studio's player always takes."""
    file = tmp_path_factory.mktemp("video") / "video.mp4"
    _ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=20,noise=alls=30:allf=t",
        "-f", "lavfi", "-i", "sine=frequency=330:duration=20",
        "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "6M", "-minrate", "6M", "-bufsize", "6M", "-g", "25", "-pix_fmt", "yuv420p",
        "-c:a", "aac", "-threads", "2", str(file),
    )
    return put(garage, "media", "clips/test clip.mp4", file.read_bytes(), "video/mp4")


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of every running program's log."""
    report = yield
    if report.failed:
        report.sections += [(f"log of {program.name}", program.tail()) for program in processes.RUNNING]
    return report


def _ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True, timeout=60)
