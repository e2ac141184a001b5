"""The URLs that Label Studio writes into task data, in every spelling that its own server takes."""

import base64
from urllib.parse import quote

import pytest

# Chosen so that base64 needs both of the letters that its two alphabets differ in, and padding.
KEY = "a~~~?>>ÿþ.bin"
URI = f"s3://{{bucket}}/{KEY}"


def urlsafe(uri):
    return base64.urlsafe_b64encode(uri.encode()).decode()


def standard(uri):
    return base64.b64encode(uri.encode()).decode()


SPELLINGS = {
    "url-safe base64": urlsafe,
    "url-safe base64, encoded padding": lambda uri: quote(urlsafe(uri), safe=""),
    "url-safe base64, no padding": lambda uri: urlsafe(uri).rstrip("="),
    "standard base64, encoded": lambda uri: quote(standard(uri), safe=""),
    "standard base64, a raw plus": standard,
    "standard base64, no padding": lambda uri: standard(uri).rstrip("="),
    "percent-encoded": lambda uri: quote(uri, safe=""),
    "percent-encoded twice": lambda uri: quote(quote(uri, safe=""), safe=""),
    "spaces around": lambda uri: urlsafe(f"  {uri} "),
}


@pytest.fixture(autouse=True)
def objects(garage):
    for bucket in ("redirected", "streamed"):
        assert {"-", "_"} <= set(urlsafe(URI.format(bucket=bucket))) and "=" in urlsafe(URI.format(bucket=bucket))
        garage.s3.put_object(Bucket=bucket, Key=KEY, Body=b"found")


@pytest.fixture
def task_7(keys):
    return keys.hs256.bearer(task=7, project=3, objects=[URI.format(bucket=bucket) for bucket in ("redirected", "streamed")])


@pytest.mark.parametrize("path", [
    "/tasks/7/resolve/", "/tasks/7/resolve", "/tasks/7/presign/", "/tasks/7/presign",
    "/projects/3/resolve/", "/projects/3/resolve", "/projects/3/presign/", "/projects/3/presign",
])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_fileuri_leads_to_its_object(gateway, task_7, path, spelling):
    for bucket, status in (("redirected", 303), ("streamed", 200)):
        answer = gateway.ask(f"{path}?fileuri={SPELLINGS[spelling](URI.format(bucket=bucket))}", headers=task_7)
        assert answer.status == status, (bucket, answer.body)
        if status == 200:
            assert answer.body == b"found"
        else:
            assert quote(KEY, safe="-._~/") in answer["Location"]


@pytest.mark.parametrize("path", ["/tasks/8/resolve/", "/tasks/8/presign", "/projects/4/resolve/"])
def test_the_path_of_another_task_or_project_is_403(gateway, task_7, path):
    assert gateway.ask(f"{path}?fileuri={urlsafe(URI.format(bucket='streamed'))}", headers=task_7).status == 403


@pytest.mark.parametrize("query, status", [
    ("", 400), ("?fileuri=", 400), ("?other=1", 400), ("?fileuri=!!!", 400), ("?fileuri=" + urlsafe("gs://bucket/key"), 400),
])
def test_a_fileuri_that_is_none_is_refused(gateway, task_7, query, status):
    assert gateway.ask(f"/tasks/7/resolve/{query}", headers=task_7).status == status


def test_a_range_is_answered_through_a_resolve_url(gateway, task_7):
    answer = gateway.ask(f"/tasks/7/resolve/?fileuri={urlsafe(URI.format(bucket='streamed'))}", headers={**task_7, "Range": "bytes=1-2"})
    assert (answer.status, answer.body) == (206, b"ou")


def test_the_rest_of_label_studio_is_forwarded(gateway):
    for target in ("/tasks/7/", "/tasks/7/resolved/", "/projects/3/data", "/api/tasks/7/resolve/"):
        assert gateway.ask(target)["X-Application"] == "upstream"
