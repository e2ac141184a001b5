"""A frontend's page in Chromium: the page comes through the gateway, its media by redirect and by stream from Garage."""

import pytest

from browser import Browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = Browser(tmp_path_factory.mktemp("chromium"))
    yield chromium
    chromium.close()


@pytest.fixture
def page(gateway, upstream, keys, browser, image, audio, video):
    """Opens a page whose session cookie is the token, so that its media need no token of their own."""
    media = "".join(
        f'<img src="/media/{bucket}/pictures/test%20card.png">'
        f'<audio controls preload="metadata" src="/media/{bucket}/sound/tone.wav"></audio>'
        f'<video controls preload="metadata" width="320" src="/media/{bucket}/clips/test%20clip.mp4"></video>'
        for bucket in ("redirected", "streamed")
    )
    upstream.pages["media"] = f"<!doctype html><title>task</title>{media}"
    browser.open(gateway.url("/app/page/media"))
    browser.driver.add_cookie({"name": "mediagate_token", "value": keys.hs256.sign(objects=["s3://redirected/*", "s3://streamed/*"]), "path": "/"})
    browser.open(gateway.url("/app/page/media"))
    return browser


def test_images_are_decoded(page):
    assert [width for _, width in page.decoded_images()] == [320, 320], page.console()


@pytest.mark.parametrize("index", [0, 1], ids=["redirected", "streamed"])
def test_audio_plays(page, index):
    assert page.play("audio", index, 0.5) >= 0.5
    assert abs(page.duration("audio", index) - 5) < 0.2


@pytest.mark.parametrize("index", [0, 1], ids=["redirected", "streamed"])
def test_video_plays_and_seeks(page, index):
    assert page.play("video", index, 0.5) >= 0.5
    at_the_start = page.picture("video", index)
    assert abs(page.seek("video", index, 17) - 17) < 0.1
    near_the_end = page.picture("video", index)
    assert at_the_start != near_the_end
    assert abs(page.seek("video", index, 3) - 3) < 0.1
    assert page.picture("video", index) != near_the_end
    assert page.play("video", index, 0.5) >= 3.5


def test_without_the_cookie_nothing_loads(page):
    page.driver.delete_all_cookies()
    page.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    page.driver.refresh()
    assert [width for _, width in page.decoded_images()] == [0, 0]


def test_a_script_reads_a_range_and_its_headers(page):
    told = page.script("""
        const answer = await fetch("/media/streamed/clips/test%20clip.mp4", {headers: {Range: "bytes=4-7"}});
        return [answer.status, await answer.text(), answer.headers.get("content-range").split("/")[0]];
    """)
    assert told == [206, "ftyp", "bytes 4-7"]
