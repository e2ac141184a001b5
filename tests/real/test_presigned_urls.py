"""The URL of a redirect is, byte for byte, the one that boto3 would make for the same key and time."""

import datetime
import time
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.auth
import pytest
from botocore.config import Config

import odd_keys
from garage import REGION

# Seconds of `presign_ttl` when the configuration does not say.
TTL = 15 * 60
TIME = "%Y%m%dT%H%M%SZ"


@pytest.fixture
def boto3_url(garage, monkeypatch):
    """Makes boto3's URL as of a given time."""

    def client(endpoint, style):
        return boto3.client(
            "s3", endpoint_url=endpoint, region_name=REGION,
            aws_access_key_id=garage.access_key_id, aws_secret_access_key=garage.secret_access_key,
            config=Config(signature_version="s3v4", s3={"addressing_style": style}),
        )

    clients = {"redirected": client(garage.endpoint, "path"), "virtual": client(garage.virtual_endpoint, "virtual")}

    def presign(bucket, key, method, query):
        signed_at = datetime.datetime.strptime(query["X-Amz-Date"], TIME)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: signed_at)
        asked = {"ResponseContentType": query["response-content-type"]} if "response-content-type" in query else {}
        operation = {"GET": "get_object", "HEAD": "head_object"}[method]
        parameters = {"Bucket": bucket, "Key": key, **asked}
        return clients[bucket].generate_presigned_url(operation, Params=parameters, ExpiresIn=int(query["X-Amz-Expires"]))

    return presign


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("bucket", ["redirected", "virtual"])
def test_location_is_the_url_that_boto3_makes(gateway, anything, boto3_url, bucket, method):
    failed = []
    for key in odd_keys.ALL:
        answer = gateway.ask(f"/media/{bucket}/{odd_keys.strict(key)}", method=method, headers=anything)
        ours = answer["Location"]
        theirs = boto3_url(bucket, key, method, query_of(ours)) if ours else f"any, but the status is {answer.status}"
        if ours != theirs:
            failed.append(f"{key!r:.60}\n  ours   {ours}\n  boto3  {theirs}")
    assert not failed, f"{len(failed)} of {len(odd_keys.ALL)} differ:\n" + "\n".join(failed[:5])


def test_signing_time_is_rounded_down_to_half_the_ttl(gateway, anything):
    location = gateway.ask("/media/redirected/x.png", headers=anything)["Location"]
    query, signed_at = query_of(location), signing_time(location)
    assert signed_at % (TTL / 2) == 0
    assert 0 <= time.time() - signed_at < TTL / 2 + 5
    assert query["X-Amz-Expires"] == str(TTL)
    assert query["X-Amz-SignedHeaders"] == "host"


def test_one_object_has_one_url_in_a_window(gateway, anything):
    def urls():
        return {gateway.ask("/media/redirected/same.png", headers=anything)["Location"] for _ in range(5)}

    # A window may end while we look; the next one then lasts for minutes.
    assert len(urls()) == 1 or len(urls()) == 1


def test_a_url_does_not_outlive_its_token(gateway, keys):
    exp = int(time.time()) + 120
    location = gateway.ask("/media/redirected/brief.png", headers=keys.hs256.bearer(exp=exp, objects=["s3://redirected/*"]))["Location"]
    assert signing_time(location) + int(query_of(location)["X-Amz-Expires"]) <= exp


@pytest.mark.parametrize("key, expected", [
    ("a.png", ["image/png"]),
    ("a.JPG", ["image/jpeg"]),
    ("a.mp4", ["video/mp4"]),
    ("a.wav", ["audio/wav", "audio/x-wav"]),
    ("a", [None]),
    ("a.unknownext", [None]),
])
def test_the_type_asked_of_s3_follows_the_extension(gateway, anything, key, expected):
    query = query_of(gateway.ask(f"/media/redirected/{key}", headers=anything)["Location"])
    assert query.get("response-content-type") in expected


def query_of(url):
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def signing_time(url):
    return datetime.datetime.strptime(query_of(url)["X-Amz-Date"], TIME).replace(tzinfo=datetime.UTC).timestamp()
