"""Every key, however odd, arrives as exactly the object that boto3 put, redirected and streamed."""

import pytest

import odd_keys
from wire import follow

BUCKETS = {"redirected": "path style", "virtual": "virtual-hosted style"}


@pytest.mark.parametrize("group", odd_keys.GROUPS)
@pytest.mark.parametrize("bucket", BUCKETS)
def test_redirect_leads_to_the_object_that_was_put(gateway, anything, odd_objects, bucket, group):
    def check(key, path):
        answer = gateway.ask(f"/media/{bucket}/{path}", headers=anything)
        assert answer.status == 303, (answer.status, answer.body)
        assert answer["Cache-Control"] == "no-store" and answer["Referrer-Policy"] == "no-referrer", answer.headers.items()
        final = follow(answer["Location"])
        assert (final.status, final.sha256) == (200, odd_objects[key]), (answer["Location"], final.status, final.body[:300])

    for_each(group, check)


@pytest.mark.parametrize("group", odd_keys.GROUPS)
def test_stream_carries_the_object_that_was_put(gateway, anything, odd_objects, group):
    def check(key, path):
        answer = gateway.ask(f"/media/streamed/{path}", headers=anything)
        assert (answer.status, answer.sha256) == (200, odd_objects[key]), (answer.status, answer.body[:300])

    for_each(group, check)


def test_a_redirect_for_head_can_be_asked_with_head(gateway, anything, odd_objects):
    def check(key, path):
        answer = gateway.ask(f"/media/redirected/{path}", method="HEAD", headers=anything)
        assert answer.status == 303, answer.status
        final = follow(answer["Location"], method="HEAD")
        assert final.status == 200, final.status

    for_each("percent", check)


@pytest.mark.parametrize("path", ["./a.png", "../streamed/a.png", "a/../b.png", "a/.", "a/..", "%2e%2e/a.png", "a/%2E%2e/b.png", "a%2f..%2fb.png"])
@pytest.mark.parametrize("bucket", ["redirected", "streamed"])
def test_dot_segments_are_refused(gateway, anything, bucket, path):
    assert gateway.ask(f"/media/{bucket}/{path}", headers=anything).status == 400


@pytest.mark.parametrize("path", ["%zz.png", "%", "a%2", "%c0%af.png", "%ff.png", "%ed%a0%80.png", "a%00b.png"])
def test_a_path_that_is_no_text_is_refused(gateway, anything, path):
    assert gateway.ask(f"/media/streamed/{path}", headers=anything).status == 400


def for_each(group, check):
    """Runs the check for every key of the group in every spelling of its path, and fails with all rows that failed."""
    failed = []
    for key in odd_keys.GROUPS[group]:
        for spelling, encode in odd_keys.ENCODINGS.items():
            try:
                check(key, encode(key))
            except AssertionError as error:
                failed.append(f"{key!r:.60} {spelling}: {str(error)[:500]}")
    assert not failed, f"{len(failed)} rows failed:\n" + "\n".join(failed[:10])
