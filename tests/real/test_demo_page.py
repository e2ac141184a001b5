"""`mediagate demo` as a newcomer meets it: one command, one page, everything in it works or is refused as told."""

import json
import re
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from browser import Browser
from gateway import BINARY
from processes import Program, wait_until
from wire import ask

# The bucket in the path tells how the demo delivers.
DELIVERIES = {"streamed": "/media/media/", "redirected": "/media/media-direct/"}


class Demo(Program):
    def __init__(self, folder):
        super().__init__("demo", [BINARY, "demo", "--free-ports"], folder)
        found = wait_until("the demo prints its page", lambda: re.search(r"http://127\.0\.0\.1:(\d+)/\s", self.tail()), program=self)
        self.page, self.port = found[0].strip(), int(found[1])


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    running = Demo(tmp_path_factory.mktemp("demo"))
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def task(demo):
    """What the page is made from."""
    return json.loads(ask(demo.port, "/task.json").body)


@pytest.fixture(scope="module")
def page(demo, tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    browser.open(demo.page)
    browser.until("the page has its media", "document.body.dataset.ready === 'true'")
    yield browser
    browser.close()


def of(page, tag, delivery):
    """The indexes of the elements that load in one way."""
    return [index for index, url in enumerate(page.sources(tag)) if urlsplit(url).path.startswith(DELIVERIES[delivery])]


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_every_image_is_decoded(page, delivery):
    images = [(url, width) for url, width in page.decoded_images() if urlsplit(url).path.startswith(DELIVERIES[delivery])]
    assert len(images) >= 3 and all(width > 0 for _, width in images), images


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_audio_plays(page, delivery):
    players = of(page, "audio", delivery)
    assert players, page.sources("audio")
    for index in players:
        assert page.play("audio", index, 0.5) >= 0.5


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_video_plays_and_seeks(page, delivery):
    players = of(page, "video", delivery)
    assert players, page.sources("video")
    for index in players:
        assert page.play("video", index, 0.4) >= 0.4
        end = page.duration("video", index)
        assert abs(page.seek("video", index, 0.9 * end) - 0.9 * end) < 0.2
        late = page.picture("video", index)
        assert abs(page.seek("video", index, 0.1 * end) - 0.1 * end) < 0.2
        assert page.picture("video", index) != late


def test_nothing_is_written_to_the_console_of_the_browser(page):
    assert page.console() == []


@pytest.mark.parametrize("what, status, code", [
    ("expired", 401, "token_expired"), ("foreign", 403, "object_not_granted"), ("tampered", 401, "signature_invalid"), ("missing", 401, "token_missing"),
])
def test_a_link_that_must_not_work_is_refused(demo, task, what, status, code):
    answer = ask(demo.port, task["refusals"][what])
    assert (answer.status, json.loads(answer.body)["code"]) == (status, code)


@pytest.mark.parametrize("what, status, code", [("expired", 401, "token_expired"), ("foreign", 403, "object_not_granted")])
def test_the_page_shows_a_refusal(page, what, status, code):
    page.click(f"refuse-{what}")
    page.until("the refusal is shown", "document.getElementById(arguments[0]).dataset.status === arguments[1]", f"refuse-{what}-answer", str(status))
    shown = page.driver.find_element("id", f"refuse-{what}-answer")
    assert shown.is_displayed() and code in shown.text


@pytest.mark.parametrize("delivery, status", [("stream", "206"), ("redirect", "303")])
def test_seeking_by_button_shows_in_the_log(page, delivery, status):
    page.until("the log is live", "document.getElementById('log').dataset.state === 'live'")
    page.click(f"{delivery}-seek-10")
    page.until("the video is there", "document.getElementById(arguments[0]).currentTime >= 10", f"{delivery}-video")
    page.until(
        "the log has a row for it", "document.querySelector(arguments[0]) !== null",
        f"#log-rows [data-delivery={delivery}][data-status='{status}']")


def test_a_new_token_is_shown_with_its_claims(page):
    before = page.driver.find_element("id", "token-text").text
    page.click("token-new")
    page.until("the token has changed", "document.getElementById('token-text').textContent.trim() !== arguments[0]", before)
    claims = page.driver.find_element("id", "claims").text
    assert all(name in claims for name in ("exp", "aud", "task", "objects", "kid"))


def test_the_log_at_the_bottom_follows_the_requests(page):
    page.script("await fetch('/media/media/marked-for-the-log')")
    page.until("the request appears in the log", "document.getElementById('log-rows').textContent.includes('marked-for-the-log')")


def test_the_demo_streams_and_redirects(demo, task):
    for item in task["objects"]:
        assert ask(demo.port, item["stream"], method="HEAD").status == 200
        assert ask(demo.port, item["redirect"]).status == 303


def test_ffprobe_reads_the_video_through_the_gateway(demo, task):
    video = next(item for item in task["objects"] if item["media_type"].startswith("video/"))
    for link in (video["stream"], video["redirect"]):
        told = json.loads(subprocess.run(
            ["ffprobe", "-v", "error", "-show_format", "-of", "json", demo.page.rstrip("/") + link],
            capture_output=True, check=True, timeout=30).stdout)
        assert float(told["format"]["duration"]) > 1


def test_the_demo_leaves_nothing_behind(tmp_path):
    before = folders()
    demo = Demo(tmp_path)
    own = folders() - before
    assert own
    demo.signal(signal.SIGINT)
    assert demo.wait(10) == 0
    assert not own & folders()


def folders():
    return set(Path(tempfile.gettempdir()).glob("mediagate-demo-*"))
