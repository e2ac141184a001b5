"""What the tests share: one S3 server, one gateway before it, one application behind it, one browser."""

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

import clips
import odd_keys
from garage import Garage
from gateway import Gateway, storage
from reports import pytest_runtest_makereport  # noqa: F401, the hook of failed tests
from tokens import Keys
from upstream import Upstream


@pytest.fixture(scope="session")
def garage(tmp_path_factory):
    server = Garage(tmp_path_factory.mktemp("garage"))
    for bucket in ("redirected", "streamed", "virtual"):
        server.create_bucket(bucket)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def keys(tmp_path_factory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def upstream():
    application = Upstream()
    yield application
    application.stop()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory, garage, keys, upstream):
    """The gateway of most tests. Those that end it, reload it or weigh it start their own."""
    running = Gateway(tmp_path_factory.mktemp("gateway"), {
        "server": {"max_connections_per_client": 0},
        "access": {"keys": [key.config for key in keys.all]},
        "upstream": {"url": upstream.url},
        "storages": [
            storage(garage, "redirected", "redirect"),
            storage(garage, "streamed", "stream"),
            storage(garage, "virtual", "redirect", addressing="virtual", public_endpoint=garage.virtual_endpoint),
        ],
    })
    yield running
    running.stop()


@pytest.fixture
def gateways(tmp_path):
    """Starts gateways of a test's own, and ends those that the test left running."""
    started: list[Gateway] = []

    def start(config: dict) -> Gateway:
        folder = tmp_path / f"gateway-{len(started)}"
        folder.mkdir()
        started.append(Gateway(folder, config))
        return started[-1]

    yield start
    for gateway in started:
        if gateway.program.process.poll() is None:
            gateway.stop()


@pytest.fixture(scope="session")
def anything(keys) -> dict[str, str]:
    """A header whose token covers every object of the test's buckets."""
    return keys.hs256.bearer(objects=[f"s3://{bucket}/*" for bucket in ("redirected", "streamed", "virtual", "absent")])


@pytest.fixture(scope="session")
def odd_objects(garage) -> dict[str, str]:
    """Puts an object under every odd key into each bucket: key -> SHA-256 of its body."""
    noise = random.Random(1)
    bodies = {key: key.encode() + noise.randbytes(600) for key in odd_keys.ALL}
    with ThreadPoolExecutor(8) as pool:
        for bucket in ("redirected", "streamed", "virtual"):
            list(pool.map(lambda item, to=bucket: garage.s3.put_object(Bucket=to, Key=item[0], Body=item[1]), bodies.items()))
    return {key: hashlib.sha256(body).hexdigest() for key, body in bodies.items()}


@dataclass
class Media:
    """One object that lies under the same key in the redirected and the streamed bucket."""

    key: str
    body: bytes
    content_type: str


@pytest.fixture(scope="session")
def put(garage):
    """Puts one object into both buckets."""

    def put(key: str, body: bytes, content_type: str) -> Media:
        for bucket in ("redirected", "streamed"):
            garage.s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
        return Media(key, body, content_type)

    return put


@pytest.fixture(scope="session")
def noise(put) -> Media:
    """Bytes that do not repeat, over several of Garage's blocks."""
    return put("noise.bin", random.Random(2).randbytes(2_500_000), "application/x-noise")


@pytest.fixture(scope="session")
def image(put, tmp_path_factory) -> Media:
    return put("pictures/test card.png", clips.draw_image(tmp_path_factory.mktemp("image")), "image/png")


@pytest.fixture(scope="session")
def audio(put, tmp_path_factory) -> Media:
    return put("sound/tone.wav", clips.draw_audio(tmp_path_factory.mktemp("audio"), 5), "audio/wav")


@pytest.fixture(scope="session")
def video(put, tmp_path_factory) -> Media:
    return put("clips/test clip.mp4", clips.draw_video(tmp_path_factory.mktemp("video")), "video/mp4")
